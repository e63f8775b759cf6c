"""The partition table of the image that is flashed: slot A alone, and no free space in the gap before it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import NAMESPACE_DNS, uuid5

from nixwright.layout.disk import places
from nixwright.layout.sizes import SECTOR, MiB

if TYPE_CHECKING:
    from nixwright.layout.disk import Disk

TAIL = MiB(1)  # behind the last partition: the second copy of the table, and what rounds it to a whole MiB


def table_script(disk: Disk, name: str) -> str:
    """Return the image's table as sfdisk(8) reads it, in sectors of 512 bytes; its ids follow from a host's name.

    The first usable sector is that of boot-a: what looks for free space later, as systemd-repart does, sees none in the
    gap, where the boot loader stands without an entry of its own.
    """
    held = spans(disk)
    first = min(start for start, _ in held.values())
    lines = ["label: gpt", f"label-id: {_id(name, '')}", f"first-lba: {first}"]
    kinds = {p.label: p.guid for p in disk.table.partitions}
    for label, (start, size) in held.items():
        kind, own = kinds[label], _id(name, label)
        lines.append(f'start={start}, size={size}, type={kind}, uuid={own}, name="{label}"')
    return "".join(f"{line}\n" for line in lines)


def image_size(disk: Disk) -> int:
    """Return the bytes of the image: up to the end of slot A, and the second copy of the table."""
    return max(start + size for start, size in spans(disk).values()) * SECTOR + TAIL.bytes


def spans(disk: Disk) -> dict[str, tuple[int, int]]:
    """Return first sector and number of sectors of each partition that the image holds, by label."""
    found = zip(disk.table.partitions, places(disk.table.slices), strict=True)
    return {p.label: (first, last - first + 1) for p, (first, last) in found if not p.at_first_boot}


def _id(name: str, label: str) -> str:
    return str(uuid5(NAMESPACE_DNS, f"{label}.{name}")).upper()
