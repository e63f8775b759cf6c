"""What the check of a host on its own disks does: it unlocks, rolls back, mounts; what is kept is there."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

# Longer than the import of a pool waits (60 s) and than a job waits for a device (90 s).
SLOW = 100


def starts(machine: QemuMachine, *, after: str, images: list[str], questions: dict[str, str]) -> None:
    """The machine starts from the installed disks, though somebody types slowly and wrongly first."""
    for image in images:
        shutil.copyfile(Path(after) / image, machine.state_dir / image)
        (machine.state_dir / image).chmod(0o600)
    machine.start()
    for index, (question, passphrase) in enumerate(questions.items()):
        machine.wait_for_console_text(question)
        if index == 0:
            time.sleep(SLOW)
            machine.send_console("wrong\n")
            machine.wait_for_console_text(question)
        time.sleep(2)
        machine.send_console(f"{passphrase}\n")
    is_up(machine)


def restarts(machine: QemuMachine, *, questions: dict[str, str]) -> None:
    """The machine starts once more, and somebody types."""
    machine.start()
    for question, passphrase in questions.items():
        machine.wait_for_console_text(question)
        time.sleep(2)
        machine.send_console(f"{passphrase}\n")
    is_up(machine)


def is_up(machine: QemuMachine) -> None:
    """The machine has come up. Its shell has five minutes from the first command, which is short without KVM."""
    machine.wait_for_console_text("Reached target (multi-user.target|Multi-User System)")
    machine.wait_for_unit("multi-user.target")


def mounted(machine: QemuMachine, *, mounts: dict[str, str], swaps: int) -> None:
    """Each file system of the description is mounted where it belongs, and swap is on."""
    for path, device in mounts.items():
        found = machine.succeed(f"findmnt -n -o SOURCE --mountpoint {path} | tail -n 1").strip()
        # a device has several names
        if machine.succeed(f"readlink -m {found} {device} | sort -u | wc -l").strip() != "1":
            raise AssertionError(f"{path} is {found}, not {device}")
    found = machine.succeed("swapon --show=NAME --noheadings | wc -l").strip()
    if found != str(swaps):
        raise AssertionError(f"{found} swap devices are on, not {swaps}")


def closed(machine: QemuMachine, *, closed: list[str], trimmed: list[str]) -> None:
    """A container that is there for its key files alone is closed; the others pass TRIM on."""
    for name in closed:
        machine.wait_until_fails(f"test -e /dev/mapper/{name}")
    for name in trimmed:
        machine.succeed(f"dmsetup table {name} | grep -w allow_discards")


def wiped(
    machine: QemuMachine, *, wiped: list[str], kept: list[str], pools: list[str], questions: dict[str, str]
) -> None:
    """After the power was cut, what is wiped is blank, what is kept is there, and the pools are whole."""
    machine.succeed(*(f"touch {path}/written-before" for path in [*wiped, *kept]), "sync")
    machine.crash()
    restarts(machine, questions=questions)
    machine.fail(*(f"test -e {path}/written-before" for path in wiped))
    machine.succeed(*(f"test -e {path}/written-before" for path in kept))
    for pool in pools:
        machine.succeed(f"zpool status -x {pool} | grep 'is healthy'")
