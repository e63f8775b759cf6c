"""The root shell on the serial console: real fw_printenv and fw_setenv on a file in the place of the flash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from nixwright.boards.u_boot import Environment
from nixwright.parts import serial_recovery
from programs import need

SCRIPT = Path(serial_recovery.__file__).with_name("programs") / serial_recovery.PROGRAM
SIZE = 0x2000


class Flash:
    """A flash with U-Boot's variables, and a systemctl that records what it is asked."""

    def __init__(self, directory: Path) -> None:
        self.flash, self.config, self.asked = (directory / n for n in ("mtd0", "fw_env.config", "asked"))
        self.flash.write_bytes(b"\xff" * 2 * SIZE)
        self.config.write_text(Environment(str(self.flash), 0, SIZE, 0x1000).fw_env_config)
        self.defaults = directory / "defaults"
        self.defaults.write_text("BOOT_ORDER=A B\nBOOT_A_LEFT=3\n")
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.program("systemctl", f'echo "$@" >>{self.asked}')
        self.fw("fw_setenv", "-f", str(self.defaults), "BOOT_B_LEFT", "3")

    def program(self, name: str, text: str) -> None:
        """Put a program before the real ones."""
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def fw(self, program: str, *arguments: str) -> str:
        """Run one of the real tools."""
        argv = [program, "-c", str(self.config), *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def start(self) -> int:
        """Run the unit's program as the unit does; return its exit status."""
        environment = {"PATH": f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin"}
        argv = ["bash", "-eu", str(SCRIPT), "ttyS2", str(self.config)]
        return subprocess.run(argv, check=False, capture_output=True, env=environment, timeout=60).returncode

    @property
    def shells(self) -> int:
        """How many root shells there were."""
        return len(self.asked.read_text().splitlines()) if self.asked.exists() else 0


@pytest.fixture
def flash(tmp_path: Path) -> Flash:
    need("fw_printenv")
    return Flash(tmp_path)


def test_nobody_asked(flash: Flash) -> None:
    assert (flash.start(), flash.shells) == (0, 0)


@pytest.mark.parametrize("value", ["0", "", "11", "yes", "1 1"])
def test_only_1_asks(flash: Flash, value: str) -> None:
    flash.fw("fw_setenv", "_RUT_OH_", value)
    assert (flash.start(), flash.shells) == (0, 0)


def test_asked_once_there_is_one_shell_and_the_rest_stays(flash: Flash) -> None:
    flash.fw("fw_setenv", "_RUT_OH_", "1")
    assert flash.start() == 0
    assert flash.asked.read_text() == "start --no-block serial-root@ttyS2.service\n"
    assert sorted(flash.fw("fw_printenv").split("\n")[:-1]) == ["BOOT_A_LEFT=3", "BOOT_B_LEFT=3", "BOOT_ORDER=A B"]
    assert (flash.start(), flash.shells) == (0, 1)  # the next boot


def test_what_cannot_be_taken_back_opens_nothing(flash: Flash) -> None:
    flash.fw("fw_setenv", "_RUT_OH_", "1")
    flash.program("fw_setenv", "exit 0")  # a flash that takes no write, and a tool that does not tell
    assert (flash.start(), flash.shells) == (1, 0)
    flash.program("fw_setenv", "exit 5")
    assert (flash.start(), flash.shells) == (5, 0)


def test_a_flash_that_cannot_be_read_opens_nothing(flash: Flash) -> None:
    flash.flash.write_bytes(bytes(2 * SIZE))
    assert (flash.start(), flash.shells) == (0, 0)


def test_the_shell_is_clean() -> None:
    need("shellcheck")
    subprocess.run(["shellcheck", "--shell=bash", str(SCRIPT)], check=True)
