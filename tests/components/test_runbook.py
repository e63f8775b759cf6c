"""The install steps of the PiBox: shell that parses, and the commands that write, run on files."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from nixwright.boards.pibox import PiBox
from nixwright.parts.ethernet import Ethernet
from nixwright.parts.fan import PwmFan, VendorFan
from nixwright.parts.lcd import PiBoxLcd
from nixwright.parts.remote_unlock import RemoteUnlock
from nixwright.parts.ssh import Ssh
from parts_host import CURVE, context
from programs import need

if TYPE_CHECKING:
    from pathlib import Path

    from nixwright.runbook import Step

UNLOCK = RemoteUnlock(port=9999, host_key="/persist/etc/ssh/initrd_ssh_host_ed25519_key")
PARTS = (
    PiBox(firmware_volume_id="1A2B-3C4D"),
    Ethernet("eth0", dhcp=True),
    UNLOCK,
    PwmFan(curve=CURVE),
    VendorFan(),
    PiBoxLcd(),
    Ssh(port=2222),
)
STEPS = [step for part in PARTS for step in part.steps(context(*PARTS))]


def step(title: str) -> Step:
    return next(s for s in STEPS if s.title == title)


def sh(commands: str, directory: Path, **environment: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", commands],
        check=True,
        capture_output=True,
        text=True,
        cwd=directory,
        env=os.environ | environment,
    )
    return done.stdout


@pytest.mark.parametrize("each", STEPS, ids=lambda s: s.title)
def test_the_shell_is_clean(each: Step) -> None:
    need("shellcheck")
    # SC2164: a person sees that cd failed; SC2029: nothing expands on the client's side
    command = ["shellcheck", "--shell=bash", "--exclude=SC2164,SC2029", "-"]
    done = subprocess.run(command, input=each.commands, check=False, capture_output=True, text=True)
    assert done.stdout == ""


def test_the_boot_order_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "boot.conf").write_text("[all]\nBOOT_UART=0\nBOOT_ORDER=0xf2541\nENABLE_SELF_UPDATE=0\n")
    lines = [x for x in step("The boot order in the EEPROM").commands.splitlines() if x.startswith(("sed ", "printf "))]
    sh("\n".join(lines), tmp_path)
    text = (tmp_path / "boot.conf").read_text()
    assert text == "[all]\nBOOT_UART=0\n[all]\nBOOT_ORDER=0xf514\nENABLE_SELF_UPDATE=1\n"


def test_the_emmc_gets_its_volume_id(tmp_path: Path) -> None:
    need("sgdisk", "mkfs.vfat")
    for name, size in (("emmc", 8 << 30), ("emmc1", 7 << 30)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    commands = step("A file system for the firmware on the eMMC").commands
    lines = [x.removeprefix("sudo ") for x in commands.splitlines() if re.match(r"sudo (sgdisk|mkfs)", x)]
    assert len(lines) == 2
    sh("\n".join(lines), tmp_path, EMMC="./emmc")
    partition = sh("sgdisk --info=1 emmc", tmp_path)
    assert "First sector: 2048 " in partition
    assert "Partition name: 'EFI system partition'" in partition
    assert "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" in partition
    with (tmp_path / "emmc1").open("rb") as file:
        boot = file.read(512)
    assert boot[82:90] == b"FAT32   "
    assert boot[67:71] == bytes.fromhex("4d3c2b1a")  # little endian
    assert boot[71:82] == b"PIBOX      "
