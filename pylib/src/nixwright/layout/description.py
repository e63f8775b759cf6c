"""A layout as plain data: what the disks hold, byte by byte, and what of it survives a boot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nixwright.layout.content import FileSystem, KeyFile, Luks, Swap
from nixwright.layout.disk import places
from nixwright.layout.hooks import passphrase_file, pool_passphrase_file
from nixwright.layout.pool import DEFAULT_PROPERTIES, Member
from nixwright.layout.sizes import SECTOR, Rest

if TYPE_CHECKING:
    from nixwright.layout.content import Content
    from nixwright.layout.disk import Disk
    from nixwright.layout.model import Layout, Mount
    from nixwright.layout.partition import Partition
    from nixwright.layout.pool import Zpool

Data = dict[str, Any]


def disks(layout: Layout) -> list[Data]:
    """Return every disk with its partitions and raw spaces. Offsets and sizes are bytes; None is not known.

    The kind of a content is what `blkid` calls it.
    """
    return [_disk(disk, name) for disk, name in zip(layout.disks, layout.names, strict=True)]


def containers(layout: Layout) -> list[Data]:
    """Return every LUKS container, in the order in which they are opened, with the device it is on.

    `passphrase_file` is where the installer looks for the passphrase before it asks; None where nobody is asked.
    """
    return [
        _content(c.luks)
        | {
            "on": c.device,
            "only_keys": c.only_keys,
            "passphrase_file": passphrase_file(c.luks) if c.luks.asks else None,
        }
        for c in layout.containers
    ]


def pools(layout: Layout) -> list[Data]:
    """Return every pool with its members' devices and its datasets; `passphrase_file` as of containers."""
    return [_pool(pool, layout) for pool in layout.pools]


def mounts(layout: Layout) -> list[Data]:
    """Return every mount of the layout, by path; `inside` names the containers round it, outermost first."""
    return [_mount(m, layout) for m in sorted(layout.mounts, key=lambda m: m.path)]


def slots(layout: Layout) -> list[Data]:
    """Return slots A and B with their devices, or nothing."""
    return [{"name": s.name, "boot": s.boot.device, "root": s.root.device} for s in layout.slots]


def swaps(layout: Layout) -> list[Data]:
    """Return every swap space: its device, and the containers round it."""
    return [
        {"device": p.device, "inside": [i.name for i in p.inside]} for p in layout.places if isinstance(p.content, Swap)
    ]


def _disk(disk: Disk, name: str) -> Data:
    size = None if disk.size is None else disk.size.bytes
    found = places(disk.table.slices, size)
    parts = [
        _partition(disk, number, part, place, known=size is not None)
        for number, (part, place) in enumerate(zip(disk.table.partitions, found, strict=True), 1)
    ]
    raws = [{"name": r.name, "start": r.start.bytes, "size": r.size.bytes, "file": r.file} for r in disk.table.raws]
    why = None if isinstance(disk.device, str) else disk.device.why
    return {"name": name, "device": disk.path, "soldered": why, "size": size, "partitions": parts, "raws": raws}


def _partition(disk: Disk, number: int, part: Partition, place: tuple[int, int], *, known: bool) -> Data:
    open_end = isinstance(part.size, Rest) and not known
    return {
        "number": number,
        "label": part.label,
        "type": part.code,
        "device": disk.partition_path(number),
        "start": place[0] * SECTOR,
        "size": None if open_end else (place[1] - place[0] + 1) * SECTOR,
        "rest": isinstance(part.size, Rest),
        "at_first_boot": part.at_first_boot,
        "content": None if part.content is None else _content(part.content),
    }


def _content(content: Content) -> Data:
    match content:
        case Luks():
            return {
                "kind": "crypto_LUKS",
                "name": content.name,
                "device": content.device,
                "version": content.version,
                "discards": content.discards,
                "ways": [k.path if isinstance(k, KeyFile) else "passphrase" for k in content.opens_with],
                "key": None if content.key is None else _key(content.key),
                "content": _content(content.content),
            }
        case Member():
            return {"kind": "zfs_member", "pool": content.pool.name}
        case Swap():
            return {"kind": "swap", "discard": content.discard, "priority": content.priority}
        case FileSystem():
            keys = [_key(k) for k in getattr(content, "files", ())]
            found = {"kind": content.kind, "at": content.at, "esp": type(content).__name__ == "ESP"}
            return found | {"options": list(content.options), "format": list(content.format), "keys": keys}


def _key(key: KeyFile) -> Data:
    return {"path": key.path, "size": key.size}


def _pool(pool: Zpool, layout: Layout) -> Data:
    members = [p for p in layout.places if isinstance(p.content, Member) and p.content.pool is pool]
    datasets = [
        {
            "name": f"{pool.name}/{d.name}",
            "at": d.at,
            "wiped": d.wiped,
            "snapshots": d.snapshots,
            "properties": dict(d.properties),
            "options": list(d.options),
        }
        for d in pool.datasets
    ]
    return {
        "name": pool.name,
        "mode": pool.mode or "stripe",
        "mounts": pool.mounts,
        "ashift": pool.ashift,
        "autotrim": pool.autotrim,
        "passphrase_file": pool_passphrase_file(pool.name) if pool.encryption == "native" else None,
        "reserved": None if pool.reserved is None else pool.reserved.bytes,
        "members": [p.device for p in members],
        "options": dict(pool.options),
        "properties": DEFAULT_PROPERTIES | dict(pool.properties),
        "datasets": datasets,
    }


def _mount(mount: Mount, layout: Layout) -> Data:
    inside = list(dict.fromkeys(c.name for c in layout.holders(mount)))
    return {
        "path": mount.path,
        "device": mount.device,
        "fs_type": mount.fs_type,
        "wiped": mount.wiped,
        "needed_for_boot": mount.needed_for_boot,
        "snapshots": bool(getattr(mount.source, "snapshots", False)),
        "options": list(getattr(mount.source, "options", ())),
        "inside": inside,
        "by": "",
    }
