"""What a host does when something of its disks is broken: it asks again, or it stops and says why."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from nixwright.scenarios.boots import console_says
from nixwright.scenarios.installed import answers, restarts

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

_PARAMETERS = "QEMU_KERNEL_PARAMS"  # added to the kernel's command line when a VM starts: NixOS's qemu-vm.nix
_COMES_UP = "Reached target .*multi-user"
# a VM of a test panics in emergency mode, and is off: NixOS's test-instrumentation.nix asks for it
_STOPS = "emergency[.]target|Kernel panic"


def opens_without_key(machine: QemuMachine, *, dead: str, asked: dict[str, str]) -> None:
    """Nothing is left on the partition of the key file: stage 1 asks for what the key opened, and the host comes up."""
    machine.succeed(f"blkdiscard --force --zeroout {dead}", "sync")
    machine.crash()
    restarts(machine, questions=asked)


def stops_without_blank(
    machine: QemuMachine, *, blank: list[str], stops_saying: list[str], questions: dict[str, str]
) -> None:
    """The snapshot to roll back to is gone: the boot stops and says so, and the old root is not started."""
    machine.succeed(*(f"zfs destroy {snapshot}" for snapshot in blank), "zpool sync")
    machine.crash()
    _stops(machine, stops_saying, questions)


def stops_before_foreign(machine: QemuMachine, *, stops_saying: list[str], questions: dict[str, str]) -> None:
    """Who starts from the pools is not who used them last and exported none: the boot stops, and says whose they are.

    ZFS takes the machine's number from the kernel's command line before it looks at /etc/hostid.
    """
    machine.crash()
    os.environ[_PARAMETERS] = "spl.spl_hostid=0x0badcafe"
    try:
        _stops(machine, stops_saying, questions)
    finally:
        del os.environ[_PARAMETERS]


def _stops(machine: QemuMachine, wanted: list[str], questions: dict[str, str]) -> None:
    answers(machine, questions=questions)
    console_says(machine, f"{_STOPS}|{_COMES_UP}")
    said = machine.get_console_log()
    if re.search(_COMES_UP, said):
        raise AssertionError("the machine came up all the same")
    missing = [text for text in wanted if not re.search(text, said)]
    if missing:
        raise AssertionError(f"the machine stopped, and never said {missing}")
    machine.wait_for_shutdown()
