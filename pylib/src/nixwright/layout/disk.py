"""A disk, its partition table, and what stands in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from nixwright.errors import Mistake
from nixwright.layout.content import ESP, Content, Ext4, F2fs, Luks, Squashfs, Swap, Vfat  # noqa: F401 - Content is them
from nixwright.layout.pool import Member
from nixwright.layout.sizes import GiB, KiB, MiB, Rest, Sectors, told
from nixwright.layout.table import ALIGNMENT, MIN_DISK, Table
from nixwright.record import record
from nixwright.unseen import is_broken, is_open, is_unseen

if TYPE_CHECKING:
    from collections.abc import Iterator

_LABEL_LIMIT = 36  # UTF-16 units: a GPT entry keeps 72 bytes for it
_STABLE = re.compile(r"/dev/disk/by-(id|path)/[A-Za-z0-9_.:=@+-]+")
_SOLDERED = re.compile(r"/dev/mmcblk[0-9]+")
_TYPE = re.compile(r"[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# What shell, sgdisk's own syntax and disko's scripts take without any escaping.
_LABEL = re.compile(r"[A-Za-z0-9#+.=@_()-]([A-Za-z0-9 #+.=@_()-]*[A-Za-z0-9#+.=@_()-])?")

Length: TypeAlias = KiB | MiB | GiB | Sectors


@record
class Partition:
    """A partition. `size` is typed, or `REST` for the last; `start` only where it is not the next free MiB.

    `type` is a code of sgdisk (`EF00`) or a GUID; by itself it follows from the content. No content leaves it raw.
    """

    label: str
    size: Length | Rest
    content: Content | None = None
    start: Length | None = None
    type: str | None = None

    def wrong(self) -> Iterator[Mistake]:
        """Labels and types that GPT refuses."""
        units = len(self.label.encode("utf-16-le", "surrogatepass")) // 2
        if units > _LABEL_LIMIT:
            shorter = repr(self.label[:_LABEL_LIMIT].rstrip())
            yield Mistake("label", "the label is too long", f"{units} UTF-16 units", "36 at most", shorter)
        elif not _LABEL.fullmatch(self.label):
            allowed = "letters, digits, spaces within and # + - . = @ _ ( )"
            yield Mistake("label", "is no partition label", repr(self.label), allowed, 'as in "luks key"')
        if self.type is not None and not _TYPE.fullmatch(self.type):
            allowed = "four hexadecimal digits as `sgdisk -L` lists them, or a GUID"
            yield Mistake("type", "is no partition type", repr(self.type), allowed, '"EF00"')

    @property
    def code(self) -> str:
        """The type for sgdisk: said, or following from the content."""
        if self.type is not None:
            return self.type
        return {ESP: "EF00", Swap: "8200", Luks: "8309", Member: "BF00"}.get(type(self.content), "8300")

    @property
    def name(self) -> str:
        """What disko calls it: the label, with a hyphen for what would need quotes in Nix."""
        return re.sub(r"[^A-Za-z0-9_-]+", "-", self.label).strip("-")


@record
class Raw:
    """Space outside every partition: a boot loader at the sector where the boot ROM looks, or a gap left free.

    `file` is where the image lies on the machine that installs; it is written when the disk is formatted.
    """

    name: str
    start: Length
    size: Length
    file: str | None = None


@record
class _Slices:
    """The fields of `GPT`, which takes them by position."""

    slices: tuple[Partition | Raw, ...]

    def wrong(self) -> Iterator[Mistake]:
        """Doubled labels, REST anywhere but at the end, overlaps."""
        labels: set[str] = set()
        for index, part in enumerate(self.slices):
            if not isinstance(part, Partition) or is_unseen(part.label):
                continue
            if part.name in labels:
                yield Mistake(f"slices[{index}]", "two partitions of one label", repr(part.label), "", "rename one")
            labels.add(part.name)
        sizes = [s.size for s in self.slices if isinstance(s, Partition)]
        if any(isinstance(s, Rest) for s in sizes[:-1]):
            yield Mistake("", "only the last partition can take the rest", "REST before the end", "", "move it last")
            return
        yield from overlaps(self.slices)


class GPT(_Slices):
    """A GUID partition table; its partitions stand in the order in which they are numbered and made."""

    def __init__(self, *slices: Partition | Raw) -> None:
        """Take partitions and raw spaces, in their order on the disk."""
        super().__init__(slices=slices)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The partitions, the first has number 1."""
        return tuple(s for s in self.slices if isinstance(s, Partition))

    @property
    def raws(self) -> tuple[Raw, ...]:
        """What stands outside the partitions."""
        return tuple(s for s in self.slices if isinstance(s, Raw))


@record
class Soldered:
    """A device that has no name of its own because it is soldered to the board (an eMMC). `why` says how one knows."""

    device: str
    why: str

    def wrong(self) -> Iterator[Mistake]:
        """Only an eMMC is soldered to a board."""
        if not _SOLDERED.fullmatch(self.device):
            fix = 'Soldered("/dev/mmcblk0", why="the eMMC of the CM4")'
            yield Mistake("device", "is no soldered device", repr(self.device), "/dev/mmcblkN", fix)


@record
class Disk:
    """A disk by its stable name, with its partition table.

    A VM's disk has a serial: `/dev/disk/by-id/virtio-SERIAL`. `size` of the whole disk is optional: with it, what does
    not fit is told before any disk is touched. `name` is what disko calls it; by itself `main`, or `disk1`, `disk2`.
    """

    device: str | Soldered
    table: GPT
    size: Length | None = None
    name: str | None = None

    def wrong(self) -> Iterator[Mistake]:
        """Unstable names, and what does not fit."""
        if isinstance(self.device, str) and not _STABLE.fullmatch(self.device):
            yield Mistake(
                "device",
                "a disk is named by what stays the same: the next boot may give this name to another disk",
                repr(self.device),
                "/dev/disk/by-id/... (ls -l /dev/disk/by-id shows them), or a board's Soldered(...)",
                'Disk("/dev/disk/by-id/ata-MODEL_SERIAL", ...)',
            )
        if self.name is not None and not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name):
            yield Mistake("name", "is no name", repr(self.name), "lower-case letters, digits, - and _", '"main"')
        known = not is_open((self.table, self.size)) and not is_broken(self.table) and not is_broken(self.size)
        if self.size is not None and known:
            yield from _fits(self.table, self.size.bytes)

    @property
    def path(self) -> str:
        """The device's path."""
        return self.device if isinstance(self.device, str) else self.device.device

    def partition_path(self, number: int) -> str:
        """The stable path of a partition, numbered from 1.

        Not by its label: another disk in the same machine may have a partition labelled "root", too.
        """
        return f"{self.path}{'-part' if isinstance(self.device, str) else 'p'}{number}"


def places(slices: tuple[Partition | Raw, ...], size: int | None = None) -> list[tuple[int, int]]:
    """Return first and last sector of every partition, as sgdisk will write them.

    `size` of the disk in bytes; without it the disk is as large as it must be, and REST ends one MiB after its start.
    Raises ValueError where sgdisk would refuse, with the label, what is asked for and what is left.
    """
    table = Table(MIN_DISK if size is None else size)
    for part, start in starts(slices):
        sectors = None if start is None else start.sectors
        length = None if isinstance(part.size, Rest) else part.size.sectors
        table.add(part.label, sectors, length, exact=isinstance(start, Sectors), grow=size is None)
    return table.places


def starts(slices: tuple[Partition | Raw, ...]) -> list[tuple[Partition, Length | None]]:
    """Return every partition with the start that sgdisk must be told, None where its own default is right.

    Its default is the start of the largest free space, which after a gap is not always the next: from the first start
    that the user said, all are said, as the next whole MiB after the partition before.
    """
    table = Table(MIN_DISK)
    found: list[tuple[Partition, Length | None]] = []
    said = False
    for part in slices:
        if not isinstance(part, Partition):
            continue
        start = part.start
        said = said or start is not None
        if said and start is None:
            start = MiB(-(-(table.places[-1][1] + 1) // ALIGNMENT))
        length = None if isinstance(part.size, Rest) else part.size.sectors
        table.add(
            part.label, None if start is None else start.sectors, length, exact=isinstance(start, Sectors), grow=True
        )
        found.append((part, start))
    return found


def overlaps(slices: tuple[Partition | Raw, ...]) -> Iterator[Mistake]:
    """Yield a mistake for each pair of slices that share sectors, and for what would lie on the table itself."""
    if is_open(slices) or any(is_broken(size) for s in slices for size in (s.size, s.start)):
        return
    try:
        found = places(slices)
    except ValueError as error:
        yield Mistake("", str(error), "", "", "change start= or size= of one of them")
        return
    partitions = [s for s in slices if isinstance(s, Partition)]
    spans = [(p.label, *place) for p, place in zip(partitions, found, strict=True)]
    for raw in (s for s in slices if isinstance(s, Raw)):
        first, last = raw.start.sectors, raw.start.sectors + raw.size.sectors - 1
        for label, other_first, other_last in [("the partition table", 0, 33), *spans]:
            if first <= other_last and other_first <= last:
                given = f"{raw.name}: sectors {first} to {last}; {label}: {other_first} to {other_last}"
                fix = f"let the first partition start later, at Sectors({last + 1}) or above"
                yield Mistake("", f"{raw.name} overlaps {label}", given, "", fix)
        spans.append((raw.name, first, last))


def _fits(table: GPT, size: int) -> Iterator[Mistake]:
    try:
        places(table.slices, size)
    except ValueError as error:
        smallest = told(size)
        yield Mistake("size", str(error), smallest, "", "make a partition smaller, or use REST for the last")
