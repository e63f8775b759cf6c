"""Disk layouts: partition tables, LUKS containers, ZFS pools, file systems and swap, in typed quantities."""

from nixwright.layout.content import ESP, Ext4, F2fs, KeyFile, Luks, Passphrase, Squashfs, Swap, Vfat
from nixwright.layout.disk import GPT, Disk, Soldered
from nixwright.layout.partition import Partition, Raw
from nixwright.layout.pool import Dataset, Zpool
from nixwright.layout.sizes import REST, GiB, KiB, MiB, Sectors
from nixwright.layout.slots import Slots

__all__ = [
    "ESP",
    "GPT",
    "REST",
    "Dataset",
    "Disk",
    "Ext4",
    "F2fs",
    "GiB",
    "KeyFile",
    "KiB",
    "Luks",
    "MiB",
    "Partition",
    "Passphrase",
    "Raw",
    "Sectors",
    "Slots",
    "Soldered",
    "Squashfs",
    "Swap",
    "Vfat",
    "Zpool",
]
