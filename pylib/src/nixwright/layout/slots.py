"""Two slots A and B of one size, each a boot partition and a root partition: what an update is written to as a pair."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from nixwright.errors import Mistake, collecting
from nixwright.layout.content import Squashfs, Vfat
from nixwright.layout.partition import Length, Partition
from nixwright.layout.sizes import GiB, MiB, told
from nixwright.record import origin_of, record

if TYPE_CHECKING:
    from collections.abc import Iterator

# The Discoverable Partitions Specification: an extended boot loader partition, and a root partition by architecture.
_BOOT_TYPE = "BC13C2FF-59E6-4262-A352-B275FD6F7172"
_ROOT_TYPES = {
    "aarch64-linux": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
    "x86_64-linux": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
}
_ROOT_LIMIT = GiB(1)
_LEAST = {"boot": MiB(32), "root": MiB(64)}  # for a kernel with its initrd, and for the smallest of systems
_SECTORS_OF_MIB = 2048
NAMES = ("A", "B")


@record
class Slots:
    """Slots A and B: partitions `boot-a`, `rootfs-a`, `boot-b`, `rootfs-b`, one after the other from `start` on.

    Both are of one size, since one update fits either. `boot` is FAT, with what the boot loader reads; `root` takes a
    squashfs as it is, 1 GiB at most. The image that is flashed holds slot A; slot B is made at first boot. `system` is
    whose root partition it is, as its type says.
    """

    boot: Length
    root: Length
    start: Length
    system: Literal["aarch64-linux", "x86_64-linux"] = "aarch64-linux"

    def wrong(self) -> Iterator[Mistake]:
        """What holds no system or no update, a gap that slot B fits into, and what does not stand on whole MiB.

        Flash erases in larger pieces still. systemd-repart takes the smallest place that fits.
        """
        if self.root.bytes > _ROOT_LIMIT.bytes:
            given, allowed = told(self.root.bytes), f"{told(_ROOT_LIMIT.bytes)} at most: an update is that large"
            yield Mistake("root", "the root slot is too large", given, allowed, "root=GiB(1)")
        lengths = {"boot": self.boot, "root": self.root, "start": self.start}
        small = [name for name, least in _LEAST.items() if lengths[name].bytes < least.bytes]
        for name in small:
            given, allowed = told(lengths[name].bytes), f"{told(_LEAST[name].bytes)} at least"
            yield Mistake(name, f"the {name} slot is too small", given, allowed, f"{name}=MiB({_LEAST[name].count})")
        most = min(self.boot.bytes, self.root.bytes)
        if self.start.bytes > most and not small:
            what = "slot B would be made in the gap before slot A"
            allowed = f"{told(most)} at most: a gap smaller than a slot"
            yield Mistake("start", what, told(self.start.bytes), allowed, "start=MiB(16)")
        for name, length in lengths.items():
            if length.sectors % _SECTORS_OF_MIB and name not in small:
                fix = f"{name}=MiB({-(-length.sectors // _SECTORS_OF_MIB)})"
                yield Mistake(name, "is no whole number of MiB", told(length.bytes), "MiB or GiB", fix)

    @cached_property
    def partitions(self) -> tuple[Partition, ...]:
        """The four partitions, in their order on the disk."""
        found = []
        for name in NAMES:
            later, letter = name != NAMES[0], name.lower()
            boot, root = Vfat(), Squashfs()
            start = None if later else self.start
            kind = _ROOT_TYPES[self.system]
            with collecting():  # what is wrong with them is told of the slots
                first = Partition(f"boot-{letter}", self.boot, boot, start, _BOOT_TYPE, later)
                second = Partition(f"rootfs-{letter}", self.root, root, None, kind, later)
            found += [first, second]
            for made in (boot, root, first, second):
                object.__setattr__(made, "_origin", origin_of(self))
        return tuple(found)
