"""The eMMC of the Rock64 gateway, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nixwright.layout import GPT, REST, Disk, F2fs, MiB, Partition, Raw, Sectors, Slots, Soldered
from nixwright.layout.lower import settings

if TYPE_CHECKING:
    from nixwright.layout.model import Layout

EMMC = Soldered("/dev/mmcblk1", why="the eMMC module")
U_BOOT = (Raw("idbloader.img", Sectors(64), Sectors(16320)), Raw("u-boot.itb", Sectors(16384), MiB(8)))
SLOTS = Slots(boot=MiB(128), root=MiB(1024), start=MiB(16))
DATA = Partition("data", REST, F2fs("/data"), at_first_boot=True)


def emmc() -> Disk:
    return Disk(EMMC, GPT(*U_BOOT, SLOTS, DATA))


def told_by_repart(layout: Layout) -> dict[str, Any]:
    """What systemd-repart is told, by the names of its files."""
    return {s.path[-1]: s.value for s in settings(layout) if s.path[:3] == ("systemd", "repart", "partitions")}
