"""A disk, its partition table, and what stands in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from nixwright.errors import Mistake
from nixwright.layout.partition import Length, Partition, Raw
from nixwright.layout.sizes import SECTOR, MiB, Rest, Sectors, told
from nixwright.layout.slots import Slots
from nixwright.layout.table import ALIGNMENT, FIRST_USABLE, MIN_DISK, Table
from nixwright.record import record
from nixwright.unseen import independent, is_broken, is_open, is_unseen

if TYPE_CHECKING:
    from collections.abc import Iterator

_STABLE = re.compile(r"/dev/disk/by-(id|path)/[A-Za-z0-9_.:=@+-]+")
_SOLDERED = re.compile(r"/dev/mmcblk[0-9]+")
LEAST_REST = MiB(64)  # of a partition that takes the rest at first boot: f2fs wants some 40

Slice: TypeAlias = Partition | Raw | Slots


@record
class _Slices:
    """The fields of `GPT`, which takes them by position."""

    slices: tuple[Slice, ...]

    def wrong(self) -> Iterator[Mistake]:
        """Doubled labels, REST anywhere but at the end, overlaps, and what cannot be made in that order."""
        if any(isinstance(s, Slots) and is_open((s.boot, s.root, s.start)) for s in self.slices):
            return
        wrong_slots = list(_slots(self.slices))
        if wrong_slots:
            yield from wrong_slots
            return
        labels: set[str] = set()
        for index, one in enumerate(self.slices):
            for part in laid((one,)):
                if not isinstance(part, Partition) or is_unseen(part.label):
                    continue
                if part.name in labels:
                    yield Mistake(f"slices[{index}]", "two partitions of one label", repr(part.label), "", "rename one")
                labels.add(part.name)
        sizes = [s.size for s in laid(self.slices) if isinstance(s, Partition)]
        if any(isinstance(s, Rest) for s in sizes[:-1]):
            yield Mistake("", "only the last partition can take the rest", "REST before the end", "", "move it last")
            return
        if not any(isinstance(s, Slots) and is_broken(s) for s in self.slices):
            yield from independent(_first_boot(self.slices), overlaps(self.slices))


class GPT(_Slices):
    """A GUID partition table; its partitions stand in the order in which they are numbered and made."""

    def __init__(self, *slices: Slice) -> None:
        """Take partitions, slots and raw spaces, in their order on the disk."""
        super().__init__(slices=slices)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The partitions, those of slots too; the first has number 1."""
        return tuple(s for s in laid(self.slices) if isinstance(s, Partition))

    @property
    def slots(self) -> Slots | None:
        """The slots A and B, or None."""
        return next((s for s in self.slices if isinstance(s, Slots)), None)

    @property
    def raws(self) -> tuple[Raw, ...]:
        """What stands outside the partitions."""
        return tuple(s for s in self.slices if isinstance(s, Raw))


def laid(slices: tuple[Slice, ...]) -> tuple[Partition | Raw, ...]:
    """Return what stands on the disk, with the four partitions in place of slots."""
    return tuple(one for s in slices for one in (s.partitions if isinstance(s, Slots) else (s,)))


def _slots(slices: tuple[Slice, ...]) -> Iterator[Mistake]:
    """Slots stand once, and first: the image ends with slot A."""
    found = [s for s in slices if isinstance(s, Slots)]
    if not found:
        return
    if len(found) > 1:
        yield Mistake("", "slots A and B stand twice", f"{len(found)} of Slots", "one", "leave one out")
        return
    before = [s for s in slices[: slices.index(found[0])] if isinstance(s, Partition)]
    if before:
        what, fix = "slots come before every other partition", "put Slots(...) first"
        yield Mistake("", what, f"{before[0].label!r} before them", "", fix)
    for index, part in enumerate(slices):
        if isinstance(part, Partition) and part not in before and not part.at_first_boot:
            what = "the image holds slot A alone: what comes behind is made at first boot"
            yield Mistake(f"slices[{index}]", what, repr(part.label), "", "at_first_boot=True")


def _first_boot(slices: tuple[Slice, ...]) -> Iterator[Mistake]:
    """What is made at first boot comes last, and fits into no gap: systemd-repart takes the smallest place that fits.

    A gap may hold a boot loader, which has no entry in the table.
    """
    parts = [s for s in laid(slices) if isinstance(s, Partition)]
    later = next((i for i, p in enumerate(parts) if p.at_first_boot), len(parts))
    for part in parts[later:]:
        if not part.at_first_boot:
            what = "stands behind one that is made at first boot"
            yield Mistake("", what, repr(part.label), "", "put it before, or say at_first_boot=True of it")
            return
    try:
        spans = places(slices) if parts[later:] else []
    except ValueError:  # `overlaps` tells of it
        return
    gap = max(
        (first - last - 1 for (_, last), (first, _) in zip([(0, FIRST_USABLE - 1), *spans], spans, strict=False)),
        default=0,
    )
    for part in parts[later:]:
        least = LEAST_REST if isinstance(part.size, Rest) else part.size
        if least.sectors <= gap and part is not parts[0]:
            what = f"systemd-repart would put {part.label!r} into a gap between the partitions"
            given, allowed = told(least.bytes), f"more than the {told(gap * SECTOR)} of the gap"
            yield Mistake("", what, given, allowed, "make it larger, or leave no gap")


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
                "Disk(EMMC, ...) where it is the board's eMMC: from nixwright.boards.rock64"
                if _SOLDERED.fullmatch(self.device)
                else 'Disk("/dev/disk/by-id/ata-MODEL_SERIAL", ...)',
            )
        if self.name is not None and not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name):
            yield Mistake("name", "is no name", repr(self.name), "lower-case letters, digits, - and _", '"main"')
        known = not is_open((self.table, self.size)) and not is_broken(self.table) and not is_broken(self.size)
        if self.size is not None and known:
            yield from _fits(self.table, self.size.bytes)

    @property
    def flashed(self) -> bool:
        """Whether an image is written to it as a whole: one with slots is, any other is partitioned in place."""
        return self.table.slots is not None

    @property
    def path(self) -> str:
        """The device's path."""
        return self.device if isinstance(self.device, str) else self.device.device

    def partition_path(self, number: int) -> str:
        """The stable path of a partition, numbered from 1.

        Not by its label: another disk in the same machine may have a partition labelled "root", too.
        """
        return f"{self.path}{'-part' if isinstance(self.device, str) else 'p'}{number}"


def places(slices: tuple[Slice, ...], size: int | None = None) -> list[tuple[int, int]]:
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


def starts(slices: tuple[Slice, ...]) -> list[tuple[Partition, Length | None]]:
    """Return every partition with the start that sgdisk must be told, None where its own default is right.

    Its default is the start of the largest free space, which after a gap is not always the next: from the first start
    that the user said, all are said, as the next whole MiB after the partition before.
    """
    table = Table(MIN_DISK)
    found: list[tuple[Partition, Length | None]] = []
    said = False
    for part in laid(slices):
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


def overlaps(slices: tuple[Slice, ...]) -> Iterator[Mistake]:
    """Yield a mistake for each pair of slices that share sectors, and for what would lie on the table itself."""
    whole = () if is_open(slices) else laid(slices)
    if not whole or any(is_broken(size) for s in whole for size in (s.size, s.start)):
        return
    try:
        found = places(slices)
    except ValueError as error:
        yield Mistake("", str(error), "", "", "change start= or size= of one of them")
        return
    partitions = [s for s in whole if isinstance(s, Partition)]
    spans = [(p.label, *place) for p, place in zip(partitions, found, strict=True)]
    for raw in (s for s in whole if isinstance(s, Raw)):
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
