"""From a host to its checks: what holds of every host, what its parts bring, and the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.checks import render
from nixwright.checks.model import Check, Difference, Facts, Sabotage
from nixwright.checks.render import Machine, Owned, Test
from nixwright.record import is_broken
from nixwright.scenarios import boots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nixwright.errors import Mistake
    from nixwright.host import Host
    from nixwright.parts.base import Context, Part

BOOTS = "boots"  # the check of the host alone, in a VM without its disks: what any part can prove there joins it
_NEXT = "/etc/next-generation"


def gather(host: Host, parts: Sequence[Part], context: Context) -> list[Test]:
    """Return the host's checks, those of one name together."""
    found = [Owned("Host", c) for c in _of_every_host()]
    found += [Owned(type(p).__name__, c) for p in parts for c in p.checks(context)]
    found += [Owned("Host", c) for c in host.checks if not is_broken(c)]
    return render.tests(o for o in found if not is_broken(o.check))


def mistakes(tests: Sequence[Test]) -> Iterator[Mistake]:
    """What is wrong with the checks, seen together."""
    for test in tests:
        yield from render.mistakes(test)


def machine(host: Host, parts: Sequence[Part], context: Context, modules: Mapping[str, str]) -> Machine:
    """Return the host as its checks see it; `modules` are its generated files by name."""
    names = frozenset(n.removesuffix(".nix") for n in modules if n.endswith(".nix"))
    board = "the board's own hardware is not in a VM, whose system is the builder's"
    differences = [Difference(board, without=[host.board.module])]
    if host.disks:
        differences.append(
            Difference("the VM has a disk of its own, made anew for each run", without=["disko", "storage"])
        )
    differences += [d for p in parts for d in p.in_vm(context)]
    return Machine(host.name, names, tuple(differences))


def facts(host: Host, tests: Sequence[Test], machine: Machine, modules: Mapping[str, str]) -> list[Facts]:
    """Return what is known of the checks without Nix; `modules` are the host's files, without their lines of origin."""
    identity = (host.name, host.host_id or "")
    return [render.facts(test, machine, modules, identity) for test in tests]


def _of_every_host() -> Iterator[Check]:
    """It boots whole, and a second generation switches and rolls back."""
    yield Check(
        BOOTS,
        "it boots to multi-user with no failed unit and no ordering cycle",
        boots.comes_up,
        sabotages=[
            Sabotage(
                "failed-unit",
                "a unit fails at boot",
                {
                    "systemd.services.broken": {
                        "wantedBy": ["multi-user.target"],
                        "serviceConfig": {"Type": "oneshot", "ExecStart": "/run/no/such/program"},
                    }
                },
            ),
            Sabotage(
                "ordering-cycle",
                "two units wait for each other",
                {
                    "systemd.services.one": {
                        "wantedBy": ["multi-user.target"],
                        "after": ["two.service"],
                        "script": "true",
                    },
                    "systemd.services.two": {
                        "wantedBy": ["multi-user.target"],
                        "after": ["one.service"],
                        "script": "true",
                    },
                },
            ),
        ],
    )
    yield Check(
        BOOTS,
        "a second generation switches and rolls back",
        boots.switches,
        {"marker": _NEXT},
        differences=[
            Difference(
                "a second generation, to switch to",
                {f'specialisation.next.configuration.environment.etc."{_NEXT.removeprefix("/etc/")}".text': "next\n"},
            )
        ],
        sabotages=[
            Sabotage(
                "next-fails",
                "a unit of the second generation fails",
                {
                    "specialisation.next.configuration.systemd.services.broken": {
                        "wantedBy": ["multi-user.target"],
                        "serviceConfig": {"Type": "oneshot", "ExecStart": "/run/no/such/program"},
                    }
                },
            )
        ],
    )
