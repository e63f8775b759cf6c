"""The partition table of the image that is flashed: slot A alone, and no free space in the gap before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.layout.disk import places
from nixwright.layout.sizes import MiB

if TYPE_CHECKING:
    from nixwright.layout.disk import Disk

TAIL = MiB(1)  # behind the last partition: the second copy of the table, and what rounds it to a whole MiB


def table_script(disk: Disk) -> str:
    """Return the image's table as sfdisk(8) reads it, in sectors of 512 bytes.

    The first usable sector is that of boot-a: what looks for free space later, as systemd-repart does, sees none in the
    gap, where the boot loader stands without an entry of its own.
    """
    parts = disk.table.partitions
    spans = list(zip(parts, places(disk.table.slices), strict=True))
    lines = ["label: gpt", f"first-lba: {spans[0][1][0]}"]
    for part, (first, last) in spans:
        if not part.at_first_boot:
            lines.append(f'start={first}, size={last - first + 1}, type={part.guid}, name="{part.label}"')
    return "".join(f"{line}\n" for line in lines)


def image_size(disk: Disk) -> int:
    """Return the bytes of the image: up to the end of slot A, and the second copy of the table."""
    spans = zip(disk.table.partitions, places(disk.table.slices), strict=True)
    end = max(last for part, (_, last) in spans if not part.at_first_boot)
    return (end + 1) * 512 + TAIL.bytes
