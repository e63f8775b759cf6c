"""What only the whole layout shows to be wrong."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nixwright.errors import Mistake
from nixwright.layout.content import Luks
from nixwright.layout.model import known_datasets
from nixwright.layout.pool import Dataset, Member, Zpool
from nixwright.layout.sizes import Rest, told
from nixwright.record import origin_of
from nixwright.unseen import independent, is_broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nixwright.layout.model import Layout, Place


def wrong(layout: Layout) -> Iterator[Mistake]:
    """Yield every mistake of the layout as a whole."""
    rules: tuple[Callable[[Layout], Iterator[Mistake]], ...] = (
        _names,
        _keys,
        _homes,
        _mounts,
        _pools,
        _wiped,
        _file_names,
        _first_boot,
    )
    yield from independent(*(rule(layout) for rule in rules))


def _names(layout: Layout) -> Iterator[Mistake]:
    """One name, one thing: disks, mapped devices, pools."""
    kinds: list[tuple[str, list[tuple[str, object]]]] = [
        ("Disk.device", [(d.path, d) for d in layout.disks]),
        ("Disk.name", list(zip(layout.names, layout.disks, strict=True))),
        ("Luks.name", [(c.name, c) for c in layout.luks]),
        ("Zpool.name", [(p.name, p) for p in layout.pools]),
    ]
    for field, things in kinds:
        first: dict[str, object] = {}
        for name, thing in things:
            if name in first:
                where, other = origin_of(thing).at(field.partition(".")[2]), origin_of(first[name])
                yield Mistake(field, "two of one name", repr(name), "", "rename one", where, other)
            first.setdefault(name, thing)


def _first_boot(layout: Layout) -> Iterator[Mistake]:
    """One disk has the slots, and one grows partitions at first boot: stage 1 runs systemd-repart once."""
    for what, disks in (
        ("slots A and B on two disks", [d for d in layout.disks if d.flashed]),
        (
            "partitions are made at first boot on two disks",
            [d for d in layout.disks if any(p.at_first_boot for p in d.table.partitions)],
        ),
    ):
        if len(disks) > 1:
            given = " and ".join(d.path for d in disks)
            where, other = origin_of(disks[1]).at("table"), origin_of(disks[0])
            yield Mistake("Disk.table", what, given, "one disk", "leave it to one of them", where, other)
            return


def _keys(layout: Layout) -> Iterator[Mistake]:
    """A key is there before what it opens, in a container that a passphrase opens at the end of the chain."""
    told_circles: set[str] = set()
    return independent(*(_key(layout, place, told_circles) for place in layout.places))


def _key(layout: Layout, place: Place, told_circles: set[str]) -> Iterator[Mistake]:
    if not isinstance(place.content, Luks) or place.content.key is None:
        return
    luks, key = place.content, place.content.key
    where = origin_of(luks).at("opens_with")
    order = {id(p.content): i for i, p in enumerate(layout.places)}
    home = layout.key_home(key)
    if home is None:
        if layout.open:  # it may be in what is not known
            return
        what = f"nothing keeps the key file {key.path}"
        fix = "name the same KeyFile in files= of an Ext4 inside a container that a passphrase opens"
        yield Mistake("Luks.opens_with", what, luks.name, "", fix, where, origin_of(key))
    elif not home.inside:
        what = f"the key file {key.path} would lie on the disk in clear"
        fix = "put the Ext4 that keeps it into a Luks(..., opens_with=[Passphrase()])"
        yield Mistake("Luks.opens_with", what, home.partition.label, "", fix, where, origin_of(key))
    elif circle := _circle(layout, luks):
        if told_circles & set(circle):
            return
        told_circles.update(circle)
        given = " needs ".join(circle)
        fix = f"open one of them by a passphrase alone, as in Luks({circle[0]!r}, opens_with=[Passphrase()])"
        yield Mistake("Luks.opens_with", "the keys go in a circle", given, "", fix, where)
    elif order[id(home.content)] > order[id(luks)]:
        what = f"the key file {key.path} is made only after this container, which it opens"
        given = f"{luks.name} on {place.partition.label!r}, the key on {home.partition.label!r}"
        fix = f"put the partition {home.partition.label!r} before {place.partition.label!r}"
        yield Mistake("Luks.opens_with", what, given, "", fix, where, origin_of(key))


def _homes(layout: Layout) -> Iterator[Mistake]:
    """A key file has one home."""
    homes: dict[int, Place] = {}
    for place in layout.places:
        for file in getattr(place.content, "files", ()):
            if id(file) in homes:
                where = origin_of(place.content).at("files")
                yield Mistake(
                    "Ext4.files", "one key file in two places", file.path, "", "make a KeyFile for each", where
                )
            homes[id(file)] = place


def _circle(layout: Layout, luks: Luks) -> list[str]:
    """Return the names on the way from a container back to itself, over the keys that open; empty without one.

    A passphrase beside the key does not help: at boot each waits for the other's key before it asks.
    """
    todo, seen = [(luks, [luks.name])], [luks]
    while todo:
        one, way = todo.pop()
        home = layout.key_home(one.key) if one.key else None
        for holder in home.inside if home else ():
            if holder is luks:
                return [*way, luks.name]
            if not any(holder is s for s in seen):
                seen.append(holder)
                todo.append((holder, [*way, holder.name]))
    return []


def _mounts(layout: Layout) -> Iterator[Mistake]:
    """One file system a path, and one at the root."""
    if layout.disks and not any(m.path == "/" for m in layout.mounts) and not layout.open:
        fix = 'say at="/" of one; the datasets of a pool count when a partition holds pool.member()'
        given = ", ".join(m.path for m in layout.mounts) or "no mounts at all"
        yield Mistake("Disk", "nothing is mounted at /", given, "", fix, origin_of(layout.disks[0]))
    first: dict[str, object] = {}
    for mount in layout.mounts:
        name = f"{type(mount.source).__name__}.at"
        if mount.path in first:
            fix = "mount one of them elsewhere"
            other = origin_of(first[mount.path])
            yield Mistake(name, "two file systems at one path", mount.path, "", fix, mount.origin.at("at"), other)
        first.setdefault(mount.path, mount.source)


def _pools(layout: Layout) -> Iterator[Mistake]:
    """A pool's members fit its mode, and its reserved space fits what is known of its size."""
    if layout.open:  # the members that are missing may be in what is not known
        return
    least = {"": 1, "mirror": 2, "raidz": 2, "raidz2": 3, "raidz3": 4}
    count = Counter(id(p.content.pool) for p in layout.places if isinstance(p.content, Member))
    for pool in layout.pools:
        if count[id(pool)] < least[pool.mode]:
            given = f"{count[id(pool)]} of at least {least[pool.mode]}"
            fix = f"put {pool.name}.member() on another disk, or leave mode= out"
            yield Mistake("Zpool.mode", "too few members", given, "", fix, origin_of(pool).at("mode"))
        size = _size_of(layout, pool)
        if pool.reserved is not None and size is not None and pool.reserved.bytes >= size:
            given, allowed = told(pool.reserved.bytes), f"less than the {told(size)} of its members"
            where = origin_of(pool).at("reserved")
            fix = "reserve less: a fifth of an SSD is plenty"
            yield Mistake("Zpool.reserved", "more is reserved than the pool has", given, allowed, fix, where)


def _size_of(layout: Layout, pool: Zpool) -> int | None:
    """Return the bytes of the pool's members, an upper bound of what it holds; None where a size is not known."""
    total = 0
    for place in layout.places:
        if isinstance(place.content, Member) and place.content.pool is pool:
            if not isinstance(place.partition.size, Rest):
                total += place.partition.size.bytes
            elif place.disk.size is not None and not is_broken(place.disk):
                others = sum(p.size.bytes for p in place.disk.table.partitions if not isinstance(p.size, Rest))
                total += place.disk.size.bytes - others
            else:
                return None
    return total


def _wiped(layout: Layout) -> Iterator[Mistake]:
    """Only what stage 1 imports can be rolled back before it is mounted, and nothing kept may hang on it."""
    roots = layout.root_pools
    for pool in layout.pools:
        wiped = [d for d in known_datasets(pool) if d.wiped]
        for dataset in wiped:
            where = origin_of(dataset)
            if not any(pool is p for p in roots) and not layout.open:
                fix = "say needed_for_boot=True of one of its datasets"
                what = "the pool is imported too late for a roll-back"
                yield Mistake("Dataset.wiped", what, f"{pool.name}/{dataset.name}", "", fix, where.at("wiped"))
        for dataset in known_datasets(pool):
            above = next((w for w in wiped if dataset.name.startswith(f"{w.name}/")), None)
            if above is not None:
                what = f"stands below {above.name}, which is wiped"
                fix = "name it elsewhere, as in persist/..."
                yield Mistake("Dataset.name", what, dataset.name, "", fix, origin_of(dataset), origin_of(above))


def _file_names(layout: Layout) -> Iterator[Mistake]:
    """Where packages are unpacked and kept, every file name must be possible (zfsprops(7)).

    A normalization turns utf8only on, and what is no UTF-8 can then not be stored; a builder or a package that has such
    a name fails. Folding case makes one file of two.
    """
    told = set()
    for pool in layout.pools:
        for dataset in known_datasets(pool):
            if dataset.at not in {"/", "/nix", "/nix/store", "/tmp", "/var"}:  # noqa: S108 - as a mount point
                continue
            for name, harmless in _PLAIN_NAMES.items():
                value, thing = _inherited(pool, dataset, name)
                if value not in {None, harmless} and (id(thing), name) not in told:
                    told.add((id(thing), name))
                    kind = type(thing).__name__
                    what = f"{dataset.at} could not hold every file name: builds fail, some of them"
                    allowed, fix = f"{name}={harmless}", f"leave {name} out, or say it of a dataset without programs"
                    where = origin_of(thing).at("properties")
                    yield Mistake(f"{kind}.properties.{name}", what, f"{name}={value}", allowed, fix, where)


_PLAIN_NAMES = {"normalization": "none", "utf8only": "off", "casesensitivity": "sensitive"}


def _inherited(pool: Zpool, dataset: Dataset, name: str) -> tuple[str | None, Zpool | Dataset]:
    """Return a property as a dataset has it, and the record that says it: itself, one above it, or the pool."""
    above = [d for d in known_datasets(pool) if dataset.name.startswith(f"{d.name}/")]
    nearest: list[Zpool | Dataset] = [dataset, *sorted(above, key=lambda d: -len(d.name)), pool]
    for one in nearest:
        if name in one.properties:
            return one.properties[name], one
    return None, pool
