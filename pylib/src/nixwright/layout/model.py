"""The whole host's layout, and what the rest of nixwright asks of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nixwright.errors import report
from nixwright.layout.content import ESP, Content, Ext4, FileSystem, KeyFile, Luks
from nixwright.layout.paths import is_below
from nixwright.layout.pool import Dataset, Member, Zpool
from nixwright.layout.slots import NAMES
from nixwright.origin import Origin
from nixwright.record import origin_of
from nixwright.unseen import UnseenError, inside, is_open, is_unseen, wrong_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nixwright.layout.disk import Disk
    from nixwright.layout.partition import Partition
    from nixwright.layout.slots import Slots

# What NixOS mounts in stage 1 without being told (lib/utils.nix, pathsNeededForBoot).
_BOOT_PATHS = {"/", "/nix", "/nix/store", "/var", "/var/log", "/var/lib", "/var/lib/nixos", "/etc", "/usr"}


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system at a path of the target. `say_needed` where NixOS must be told that stage 1 needs it."""

    path: str
    device: str
    fs_type: str
    wiped: bool = False
    needed_for_boot: bool = False
    say_needed: bool = False
    source: Dataset | FileSystem | Slots | None = None
    origin: Origin = field(default_factory=Origin, compare=False)


@dataclass(frozen=True, slots=True)
class Place:
    """A content with where it is: the disk, the partition, the containers round it (outermost first), the device."""

    content: Content
    disk: Disk
    partition: Partition
    inside: tuple[Luks, ...]
    device: str
    number: int  # of the partition, from 1


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the two slots that updates are written to: its boot partition and its root partition, a pair."""

    name: str  # as RAUC and U-Boot's BOOT_ORDER call it: "A" or "B"
    index: int
    boot: Place
    root: Place


@dataclass(frozen=True, slots=True)
class Container:
    """A LUKS container with the device it is on, and the file system of key files directly in it."""

    luks: Luks
    device: str
    disk: Disk
    keys: Ext4 | None

    @property
    def only_keys(self) -> bool:
        """Whether it is there for its key files alone, and can be closed once the others are open."""
        return self.keys is not None and self.keys.at is None


@dataclass(frozen=True, slots=True)
class Layout:
    """Disks, and what follows from them. `names` are disko's names of the disks, in their order.

    An `open` layout has mistakes that leave something of it unknown: what is there is sure, what is missing is not.
    Where a mount point is told to be `missing`, what is below it is not known either.
    """

    disks: tuple[Disk, ...]
    names: tuple[str, ...]
    places: tuple[Place, ...]
    pools: tuple[Zpool, ...]
    mounts: tuple[Mount, ...]
    open: bool = False
    missing: str = ""

    @classmethod
    def of(cls, disks: Sequence[Disk]) -> Layout:
        """Put a layout together, and report what is wrong with the whole of it (see `nixwright.layout.rules`)."""
        from nixwright.layout.rules import wrong  # noqa: PLC0415 - the rules look at a layout

        whole = () if is_unseen(disks) else tuple(d for d in disks if not is_unseen(d) and _is_known(d))
        places = tuple(place for disk in whole for place in _places(disk))
        pools: dict[int, Zpool] = {}
        for place in places:
            if isinstance(place.content, Member) and _is_pool(place.content.pool):
                pools.setdefault(id(place.content.pool), place.content.pool)
        names = tuple(d.name or ("main" if len(whole) == 1 else f"disk{i}") for i, d in enumerate(whole, 1))
        mounts = tuple(_mounts(whole, places, tuple(pools.values())))
        # where something is mounted at no path, what is kept there is not known
        unsure = is_open(disks) or any("at" in wrong_fields(t) for t in inside(disks))
        layout = cls(whole, names, places, tuple(pools.values()), mounts, unsure)
        mistakes = list(wrong(layout))
        if mistakes:
            report(*mistakes)
        return layout

    @property
    def luks(self) -> tuple[Luks, ...]:
        """All containers, in the order in which they are made and opened."""
        return tuple(p.content for p in self.places if isinstance(p.content, Luks))

    @property
    def containers(self) -> tuple[Container, ...]:
        """All containers with their places, in the order in which they are made and opened."""
        found = [(p, p.content) for p in self.places if isinstance(p.content, Luks)]
        return tuple(
            Container(
                luks, p.device, p.disk, luks.content if isinstance(luks.content, Ext4) and luks.content.files else None
            )
            for p, luks in found
        )

    def home_of(self, key: KeyFile) -> Container:
        """Return the container that keeps a key file; only for a layout without mistakes, where there is one."""
        return next(c for c in self.containers if c.keys is not None and any(key is k for k in c.keys.files))

    @property
    def partitioned(self) -> tuple[Disk, ...]:
        """The disks that disko partitions: those that no image is written to."""
        return tuple(d for d in self.disks if not d.flashed)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Slots A and B, or none."""
        for disk in self.disks:
            if disk.table.slots is not None:
                parts = disk.table.slots.partitions
                found = [next(p for p in self.places if p.partition is part) for part in parts]
                return tuple(Slot(n, i, found[2 * i], found[2 * i + 1]) for i, n in enumerate(NAMES))
        return ()

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase or a key opens the root file system: a LUKS container's, or its pool's own."""
        root = self.mount_of("/")
        if root is None:
            return False
        native = any(p.encryption == "native" and root.device.startswith(f"{p.name}/") for p in self.pools)
        return native or any(self.holders(root))

    @property
    def has_zfs(self) -> bool:
        """Whether there is a pool."""
        return bool(self.pools)

    @property
    def root_pools(self) -> tuple[Zpool, ...]:
        """The pools that stage 1 imports: those with a file system that it mounts."""
        needed = {m.device.partition("/")[0] for m in self.mounts if m.fs_type == "zfs" and m.needed_for_boot}
        return tuple(p for p in self.pools if p.name in needed)

    @property
    def esp(self) -> Mount | None:
        """The mounted EFI system partition, or None."""
        return next((m for m in self.mounts if isinstance(m.source, ESP)), None)

    def mount_of(self, path: str) -> Mount | None:
        """Return the mount that a path of the target lies on: the one with the longest fitting path."""
        found = [m for m in self.mounts if is_below(path, m.path)]
        return max(found, key=lambda m: len(m.path), default=None)

    def survives(self, path: str) -> bool:
        """Tell whether what is written at a path is still there after the next boot."""
        if self.missing and is_below(path, self.missing):
            raise UnseenError
        mount = self.mount_of(path)
        return mount is not None and not mount.wiped

    def holders(self, mount: Mount) -> Iterator[Luks]:
        """Every container that a mount's data stands in."""
        pool = mount.device.partition("/")[0] if mount.fs_type == "zfs" else None
        for place in self.places:
            member = isinstance(place.content, Member) and place.content.pool.name == pool
            if member or place.content is mount.source:
                yield from place.inside

    def key_home(self, key: KeyFile) -> Place | None:
        """Return the place of the file system that keeps a key file, or None."""
        return next((p for p in self.places if any(key is k for k in getattr(p.content, "files", ()))), None)


def _is_known(disk: Disk) -> bool:
    """Tell whether a disk's mistakes leave enough of it to look at."""
    return not is_unseen(disk.device, disk.name, disk.table) and not is_unseen(disk.table.slices)


def _is_pool(pool: Zpool) -> bool:
    return not is_unseen(pool) and not is_unseen(pool.name, pool.datasets)


def _places(disk: Disk) -> Iterator[Place]:
    for number, partition in enumerate(disk.table.partitions, 1):
        content, device = partition.content, disk.partition_path(number)
        inside: tuple[Luks, ...] = ()
        while content is not None and not is_unseen(content, getattr(content, "name", "")):
            yield Place(content, disk, partition, inside, device, number)
            if not isinstance(content, Luks):
                break
            device, inside, content = content.device, (*inside, content), content.content


def _mounts(disks: tuple[Disk, ...], places: tuple[Place, ...], pools: tuple[Zpool, ...]) -> Iterator[Mount]:
    slots = next((d.table.slots for d in disks if d.table.slots is not None), None)
    if slots is not None:
        # the root slot is read-only: what is written over it lies in memory (`nixwright.parts.overlay_root`)
        yield Mount("/", "overlay", "overlay", True, True, False, slots, origin_of(slots))  # noqa: FBT003
    late = [p.content for p in places if p.partition.at_first_boot]
    systems = [(p.content.at, p.device, p.content.kind, p.content) for p in places if isinstance(p.content, FileSystem)]
    sets = [(d.at, f"{pool.name}/{d.name}", "zfs", d) for pool in pools for d in known_datasets(pool)]
    found = [
        (at, device, kind, source)
        for at, device, kind, source in [*systems, *sets]
        if not is_unseen(at) and at and "at" not in wrong_fields(source)
    ]
    root_wiped = slots is not None or any(at == "/" and getattr(source, "wiped", False) for at, _, _, source in found)
    for at, device, kind, source in found:
        needed = _needed(source, at, root_wiped=root_wiped and not any(source is one for one in late))
        wiped = isinstance(source, Dataset) and source.wiped
        say = needed and at not in _BOOT_PATHS
        yield Mount(at, device, kind, wiped, needed, say, source, origin_of(source))


def known_datasets(pool: Zpool) -> list[Dataset]:
    """Return the datasets whose names and mount points are known."""
    return [d for d in pool.datasets if not is_unseen(d) and not is_unseen(d.name, d.at, d.wiped)]


def _needed(source: Dataset | FileSystem, at: str, *, root_wiped: bool) -> bool:
    """Tell whether stage 1 must mount it: what is kept beside a wiped root, but for homes and the boot partition.

    Users, keys, machine-id and the journal are looked for before the rest of the file systems come; a home is not. Nor
    is what is made at first boot, for which no `root_wiped` is given: where it is broken the host comes up without it.
    """
    if at in _BOOT_PATHS or source.needed_for_boot is not None:
        return at in _BOOT_PATHS or bool(source.needed_for_boot)
    kept = not isinstance(source, ESP) and not is_below(at, "/home") and not is_below(at, "/boot")
    return root_wiped and kept and not getattr(source, "wiped", False)
