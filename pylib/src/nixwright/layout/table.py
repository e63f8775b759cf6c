"""The arithmetic of a GPT: what `sgdisk` writes when it is called as disko calls it, one partition a call.

Facts, each measured with sgdisk 1.0.9 and held by tests/components/test_layout_table.py:
a sector is 512 bytes, 34 of them at the start and 33 at the end hold the two tables; the alignment is 2048 sectors, or
the largest power of two that all starts so far keep (at least 8 on a disk of 585937500 sectors or more), or what
--set-alignment says; a start that is left to sgdisk is the first aligned sector of the largest free space; a said start
moves down to the alignment where that is free, else up; an end of `+SIZE` counts from the start as said; an end left to
sgdisk is the last aligned one of that free space.
"""

from __future__ import annotations

from nixwright.layout.sizes import SECTOR, told

ALIGNMENT = 2048  # sectors: 1 MiB
FIRST_USABLE = 34
TABLE_AT_END = 33
MIN_DISK = 4 * 1024**2  # bytes; a table of unknown size starts with this and grows
_LARGE_DISK = 585_937_500  # sectors from which sgdisk takes a disk for one of 4 KiB sectors
_LARGE_DISK_ALIGNMENT = 8


class Table:
    """A partition table as it grows, on a disk of `size` bytes."""

    def __init__(self, size: int) -> None:
        """Start with an empty table."""
        self.sectors = size // SECTOR
        self.places: list[tuple[int, int]] = []

    @property
    def last_usable(self) -> int:
        """The last sector that a partition can have."""
        return self.sectors - TABLE_AT_END - 1

    def add(
        self, label: str, start: int | None, length: int | None, *, exact: bool = False, grow: bool = False
    ) -> None:
        """Add a partition: `start` and `length` in sectors, None leaves them to sgdisk.

        `exact` is a start said in sectors, for which disko sets the alignment to 1. With `grow` the disk is as large as
        the partition needs. Raises ValueError where sgdisk would refuse, saying what is asked for and what is left.
        """
        alignment = 1 if exact else self._alignment()
        if grow:
            end = max([ALIGNMENT, start or 0, *(last for _, last in self.places)]) + (length or 0) + 3 * ALIGNMENT
            self.sectors = max(self.sectors, end + TABLE_AT_END)
        default = self._aligned(self._start_of_largest(), alignment)
        said = default if start is None else start
        first = self._aligned(said, alignment)
        last = self._last_in_free(said, alignment) if length is None else said + length - 1
        if length is None and grow:
            last = first + ALIGNMENT - 1
        self._refuse(label, first, last)
        self.places.append((first, last))

    def _refuse(self, label: str, first: int, last: int) -> None:
        for number, (other_first, other_last) in enumerate(self.places, 1):
            if first <= other_last and other_first <= last:
                msg = (
                    f"{label} overlaps partition {number}: sectors {first} to {last}, and {other_first} to {other_last}"
                )
                raise ValueError(msg)
        if first < FIRST_USABLE or last > self.last_usable or last < first:
            free = max(0, self.last_usable - max(first, FIRST_USABLE) + 1) * SECTOR
            wanted = max(0, last - first + 1) * SECTOR
            msg = f"{label} does not fit: it takes {told(wanted)}, and {told(free)} are left"
            raise ValueError(msg)

    def _alignment(self) -> int:
        alignment = ALIGNMENT
        for first, _ in self.places:
            while first % alignment:
                alignment //= 2
        large = self.sectors >= _LARGE_DISK
        return max(alignment, _LARGE_DISK_ALIGNMENT) if large else alignment

    def _free(self) -> list[tuple[int, int]]:
        """Every run of free sectors, first and last."""
        runs, at = [], FIRST_USABLE
        for first, last in sorted(self.places):
            if first > at:
                runs.append((at, first - 1))
            at = last + 1
        if at <= self.last_usable:
            runs.append((at, self.last_usable))
        return runs

    def _start_of_largest(self) -> int:
        runs = self._free()
        return max(runs, key=lambda run: run[1] - run[0])[0] if runs else self.sectors

    def _is_free(self, first: int, last: int) -> bool:
        return any(start <= first and last <= end for start, end in self._free())

    def _aligned(self, sector: int, alignment: int) -> int:
        if sector % alignment == 0:
            return sector
        earlier = sector // alignment * alignment
        if earlier >= FIRST_USABLE and self._is_free(earlier, sector):
            return earlier
        later = earlier + alignment
        return later if later <= self.last_usable and self._is_free(sector, later) else sector

    def _last_in_free(self, start: int, alignment: int) -> int:
        for first, last in self._free():
            if first <= start <= last:
                aligned = (last + 1) // alignment * alignment - 1
                return aligned if aligned > start else last
        return start
