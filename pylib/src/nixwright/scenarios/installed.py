"""What the check of a host on its own disks does: it unlocks, rolls back, mounts; what is kept is there."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.scenarios.boots import console_says, wait_for_boot
from nixwright.scenarios.driver import seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

# Longer than the import of a pool waits (60 s) and than a job waits for a device (90 s).
SLOW = 100


def starts(machine: QemuMachine, *, after: str, images: list[str], questions: dict[str, str]) -> None:
    """The machine starts from the installed disks, though somebody types slowly and wrongly first."""
    for image in images:
        shutil.copyfile(Path(after) / image, machine.state_dir / image)
        (machine.state_dir / image).chmod(0o600)
    restarts(machine, questions=questions, slowly=True)


def restarts(machine: QemuMachine, *, questions: dict[str, str], slowly: bool = False) -> None:
    """The machine starts, somebody types, and it comes up."""
    answers(machine, questions=questions, slowly=slowly)
    wait_for_boot(machine)


def answers(machine: QemuMachine, *, questions: dict[str, str], slowly: bool = False) -> None:
    """The machine starts, and somebody types."""
    machine.start()
    asked = 0
    for index, (question, passphrase) in enumerate(questions.items()):
        asked = console_says(machine, question, since=asked)
        if slowly and index == 0:
            time.sleep(SLOW)
            machine.send_console("wrong\n")
            asked = console_says(machine, question, since=asked)
        time.sleep(2)
        machine.send_console(f"{passphrase}\n")


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
        machine.wait_until_fails(f"test -e /dev/mapper/{name}", timeout=seconds(120))
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


def logs_in(machine: QemuMachine, *, passwords: dict[str, str]) -> None:
    """Each user logs in at the console with the password whose hash lies on the disk, and with no other."""
    machine.succeed("dmesg --console-off")  # the kernel's own words would stand between those of the login
    for user, password in passwords.items():
        _types_at_login(machine, user, f"not {password}")
        machine.wait_until_tty_matches("1", "Login incorrect", timeout=seconds(120))
        _types_at_login(machine, user, password)
        let_in = f"journalctl -b -u getty@tty1.service | grep 'login:session): session opened for user {user}('"
        machine.wait_until_succeeds(let_in, timeout=seconds(120))
    machine.succeed("systemctl restart getty@tty1")


def _types_at_login(machine: QemuMachine, user: str, password: str) -> None:
    machine.succeed("systemctl stop getty@tty1; printf '\\033c' > /dev/tty1; systemctl start getty@tty1")
    machine.wait_until_tty_matches("1", "login: ", timeout=seconds(120))
    machine.send_chars(f"{user}\n", 0.1)
    machine.wait_until_tty_matches("1", "Password: ", timeout=seconds(120))
    machine.send_chars(f"{password}\n", 0.1)
