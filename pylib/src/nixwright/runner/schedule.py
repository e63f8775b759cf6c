"""In which order checks are built, and how many at once: the longest first, as the memory allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nixwright.runner.history import Past
    from nixwright.runner.selection import Wanted
    from nixwright.tools.eval_machine import Machine
    from nixwright.tools.nix_build import Builder

# MiB of a machine whose own word is not known: virtualisation.memorySize by default, and QEMU's own.
_VM_MIB = 1024
_CONTAINER_MIB = 256
_PLAIN_MIB = 128
_UNKNOWN_SECONDS = 120.0  # of a VM that never ran


def order(wanted: Sequence[Wanted], past: Mapping[str, Past]) -> list[Wanted]:
    """Return them in the order of their start: what failed last time, then the longest first.

    Of what never ran, more machines are taken to be longer. The order is the same for the same history.
    """

    def key(w: Wanted) -> tuple[bool, float, str]:
        known = past.get(w.title)
        seconds = known.seconds if known else _UNKNOWN_SECONDS * w.machines
        return (known is None or known.passed, -seconds, w.title)

    return sorted(wanted, key=key)


@dataclass(frozen=True, slots=True)
class Room:
    """What may run at once: builds, and MiB of memory on this machine."""

    jobs: int
    memory_mib: int


def room(machine: Machine, builders: Sequence[Builder], jobs: int | None) -> Room:
    """Return what may run at once. Machines of checks are as busy as processors, and remote builders add their own."""
    far = sum(b.jobs for b in builders if b.name)
    return Room(jobs or machine.processors + far, int(machine.memory_mib * 3 / 4))


def memory_of(wanted: Wanted, said: int | None) -> int:
    """Return the MiB that a check takes: as its machines say (`said`), else a guess."""
    if said:
        return said
    if not wanted.machines:
        return _PLAIN_MIB
    return wanted.machines * (_CONTAINER_MIB if wanted.container else _VM_MIB)


def fits(running: Sequence[int], memory: int, limit: Room) -> bool:
    """Tell whether one more of `memory` MiB may start beside those that run. One alone always may."""
    if not running:
        return True
    return len(running) < limit.jobs and sum(running) + memory <= limit.memory_mib
