"""Quantities of a disk: typed, exact, and written the way `sgdisk` reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nixwright.errors import Mistake
from nixwright.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTOR = 512  # bytes; what sgdisk counts in on every disk that presents 512-byte logical sectors


@record
class Size:
    """A whole number of some unit. Use `KiB`, `MiB`, `GiB` or `Sectors`, which say which."""

    count: int

    unit: ClassVar[int] = 1  # bytes
    suffix: ClassVar[str] = ""  # after the number, for sgdisk and disko

    def wrong(self) -> Iterator[Mistake]:
        """A quantity is at least one unit."""
        if self.count < 1:
            name = type(self).__name__
            yield Mistake("count", "a size must be positive", str(self.count), "a whole number above 0", f"{name}(1)")

    @property
    def bytes(self) -> int:
        """The size in bytes, exact."""
        return self.count * self.unit

    @property
    def sectors(self) -> int:
        """The size in sectors of 512 bytes, exact: every unit here is a whole number of them."""
        return self.bytes // SECTOR

    @property
    def text(self) -> str:
        """The size as sgdisk and disko take it: `1023M`, `8G`, or a bare number of sectors."""
        return f"{self.count}{self.suffix}"


@record
class Sectors(Size):
    """Sectors of 512 bytes."""

    unit: ClassVar[int] = SECTOR


@record
class KiB(Size):
    """1024 bytes."""

    unit: ClassVar[int] = 1024
    suffix: ClassVar[str] = "K"


@record
class MiB(Size):
    """1024 KiB."""

    unit: ClassVar[int] = 1024**2
    suffix: ClassVar[str] = "M"


@record
class GiB(Size):
    """1024 MiB."""

    unit: ClassVar[int] = 1024**3
    suffix: ClassVar[str] = "G"


@record
class Rest:
    """All that is left of the disk; for the last partition alone. Use `REST`."""


REST = Rest()


def told(size: int) -> str:
    """Return bytes for a reader: in GiB, MiB or KiB where that is whole, else to two digits after the point."""
    for unit, name in ((GiB.unit, "GiB"), (MiB.unit, "MiB"), (KiB.unit, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    for unit, name in ((GiB.unit, "GiB"), (MiB.unit, "MiB"), (KiB.unit, "KiB")):
        if size >= unit:
            return f"{size / unit:.2f} {name}"
    return f"{size} B"
