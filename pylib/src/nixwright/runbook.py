"""An install step, as INSTALL.md tells it and `install` runs it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Phase(IntEnum):
    """The order of the chapters of INSTALL.md."""

    HARDWARE = 10  # EEPROM, switches, cables
    FIRMWARE = 20  # what the board boots before the disk is looked at
    INSTALLER = 30  # a machine that can install
    DISKS = 40  # partition, format, mount
    SECRETS = 50  # keys and password files made by hand
    INSTALL = 60  # nixos-install
    AFTER = 70  # copy to the eMMC, switches back
    VERIFY = 80  # what to look at on the real machine


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a person does: a title, why in a sentence or two (Markdown), the commands to paste."""

    phase: Phase
    title: str
    why: str = ""
    commands: str = ""  # shell, pasted as it stands
    expect: str = ""  # what shows that it worked
