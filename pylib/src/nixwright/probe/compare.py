"""A disk held against what a host file says of it: row by row what holds, what differs, and what could not be seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nixwright.layout.partition import GUIDS
from nixwright.probe import gpt, luks, zfs
from nixwright.probe.boot import boot_rows, inits
from nixwright.probe.closure import closure_rows, store_mount
from nixwright.probe.row import Row, differs, holds, unseen
from nixwright.report.progress import short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from nixwright.probe.reader import Reader
    from nixwright.tools.boot_files import BootFiles

Data = dict[str, Any]

_SECTOR = 512
_HEALTHY = "ONLINE"  # as zpool calls it
_ALIGNED = 1 << 20  # bytes that sgdisk may leave free behind the last partition
_MIN = 34 * _SECTOR  # bytes of the second table at the end


@dataclass(frozen=True, slots=True)
class Look:
    """How to look: each raises ToolError where it cannot.

    `kind_of` names what stands in a run of bytes as blkid does (empty: nothing known); `opened` gives the inside of a
    LUKS container by name and UUID, None where it is closed; `boot_files` those of a FAT file system, None without the
    program; `datasets` of a pool by name with their properties, None where it is not imported, and then its `health`;
    `mounted` finds where a partition, the inside of a container, or a dataset by its name is mounted here.
    """

    kind_of: Callable[[Reader], str]
    opened: Callable[[str, str], AbstractContextManager[Reader | None]]
    boot_files: Callable[[Reader], BootFiles | None]
    datasets: Callable[[str], dict[str, dict[str, str]] | None]
    health: Callable[[str], str]
    mounted: Callable[[Reader | str], Path | None]


@dataclass(slots=True)
class _Seen:
    """What was come by that the system needs: which systems are started, and where the Nix store on the disk is."""

    host: Data
    mount: str | None
    inits: list[str] = field(default_factory=list)
    on_disk: bool = False
    at: Path | None = None


def compare(host: Data, disk: Data, reader: Reader, look: Look) -> list[Row]:
    """Return the rows of one disk of a host; `host` and `disk` are its description (`nixwright.description`)."""
    return list(_disk(host, disk, reader, look))


def _disk(host: Data, disk: Data, reader: Reader, look: Look) -> Iterator[Row]:
    table = gpt.read(reader)
    there = [p for p in disk["partitions"] if not p["at_first_boot"]]
    needed = max((p["start"] + (p["size"] or 0) for p in there), default=0) + _MIN
    said = disk["size"] or needed
    expected = f"{'' if disk['size'] else 'at least '}{short(said)}"
    if reader.size < said:
        yield differs("disk", expected, short(reader.size))
    else:
        yield holds("disk", f"{expected}: it has {short(reader.size)}")
    if table is None:
        yield differs("partition table", "GPT", look.kind_of(reader) or "none")
        return
    if table.wrong:
        yield differs("partition table", "GPT, both copies whole and alike", "; ".join(table.wrong))
    else:
        yield holds("partition table", "GPT, both copies whole and alike")
    entries = {e.number: e for e in table.entries}
    seen = _Seen(host, store_mount(host["mounts"]))
    for partition in disk["partitions"]:
        entry = entries.pop(partition["number"], None)
        if entry is None:
            yield _absent(partition)
            continue
        yield from _entry(_name(partition), partition, entry, table)
        inside = reader.part(entry.first * table.sector, (entry.last - entry.first + 1) * table.sector)
        yield from _held(seen, partition, inside, look)
    for entry in entries.values():
        yield differs(f"{entry.number} {entry.label}", "no such partition", _place(entry, table.sector))
    for raw in disk["raws"]:
        yield _raw(raw, reader)
    if seen.on_disk and seen.mount is not None:
        yield from closure_rows("system", seen.inits, seen.mount, seen.at)


def _name(partition: Data) -> str:
    return f"{partition['number']} {partition['label']}"


def _absent(partition: Data) -> Row:
    if partition["at_first_boot"]:
        return unseen(_name(partition), "not there yet: the first boot makes it")
    return differs(_name(partition), "a partition", "none of this number")


def _held(seen: _Seen, partition: Data, inside: Reader, look: Look) -> Iterator[Row]:
    """What a partition holds; slot B's root, which the first boot makes, may be empty yet."""
    content = partition["content"]
    late = partition["at_first_boot"] and content is not None and content["kind"] == "squashfs"
    if late and not look.kind_of(inside):
        yield unseen(f"{_name(partition)}, content", "empty until the first update")
        return
    yield from _content(seen, _name(partition), content, inside, look)


def _raw(raw: Data, reader: Reader) -> Row:
    """What stands outside the partitions has no name on the disk: only that something is there can be seen."""
    where = f"raw bytes from sector {raw['start'] // _SECTOR}"
    if raw["file"] is None and not reader.read(raw["start"], _SECTOR).strip(b"\0"):
        return differs(raw["name"], where, "nothing but zeros")
    return unseen(raw["name"], where if raw["file"] is None else f"{where}: compare them with {raw['file']}")


def _entry(subject: str, partition: Data, entry: gpt.Entry, table: gpt.Table) -> Iterator[Row]:
    """Where a partition is, what it is called, and its type."""
    sector = table.sector
    start, end = entry.first * sector, (entry.last + 1) * sector
    if partition["rest"]:
        free = (table.last_usable + 1) * sector - end
        right = start == partition["start"] and 0 <= free <= _ALIGNED
        expected = f"from {partition['start'] // sector} to the end of the disk"
    else:
        last = (partition["start"] + partition["size"]) // sector - 1
        right = (start, end) == (partition["start"], partition["start"] + partition["size"])
        expected = f"sectors {partition['start'] // sector} to {last}"
    yield holds(subject, expected) if right else differs(subject, expected, _place(entry, sector))
    if entry.label != partition["label"]:
        yield differs(f"{subject}, label", repr(partition["label"]), repr(entry.label))
    code = partition["type"].upper()
    guid = code if "-" in code else GUIDS.get(code)
    if guid is None:
        yield unseen(f"{subject}, type", f"sgdisk's {code}: on the disk {entry.type}")
    elif guid != entry.type:
        codes = {g: c for c, g in GUIDS.items()}
        yield differs(f"{subject}, type", f"{code} ({guid})", f"{codes.get(entry.type, 'another')} ({entry.type})")


def _place(entry: gpt.Entry, sector: int) -> str:
    return f"sectors {entry.first} to {entry.last} ({short((entry.last - entry.first + 1) * sector)})"


def _content(seen: _Seen, subject: str, content: Data | None, reader: Reader, look: Look) -> Iterator[Row]:
    """What stands in a partition or a container."""
    where = f"{subject}, content"
    if content is None:
        yield unseen(where, "the host file leaves it raw")
        return
    kind = content["kind"]
    if kind == "crypto_LUKS":
        yield from _luks(seen, subject, content, reader, look)
    elif kind == "zfs_member":
        yield from _zfs(seen, where, content, reader, look)
    elif (found := look.kind_of(reader)) != kind:
        yield differs(where, kind, found or "nothing that is known")
    else:
        yield holds(where, kind)
        if content.get("esp"):
            files = look.boot_files(reader)
            seen.inits += inits(files)
            yield from boot_rows(f"{subject}, files", seen.host["system"], files, spare=not content["at"])
        elif seen.mount is not None and content.get("at") == seen.mount:
            seen.on_disk, seen.at = True, look.mounted(reader)


def _luks(seen: _Seen, subject: str, content: Data, reader: Reader, look: Look) -> Iterator[Row]:
    where, name = f"{subject}, content", content["name"]
    header = luks.read(reader)
    expected = f"LUKS{content['version']}"
    if header is None:
        yield differs(where, expected, look.kind_of(reader) or "nothing that is known")
        return
    if header.wrong or header.version != content["version"]:
        yield differs(where, expected, f"LUKS{header.version}: {'; '.join(header.wrong) or 'another version'}")
    else:
        yield holds(where, f"{expected}, UUID {header.uuid}")
    ways = content["ways"]
    if header.ways < len(ways):
        yield differs(f"{subject}, keys", f"{len(ways)}: {' and '.join(ways)}", f"{header.ways} key slots in use")
    elif header.ways > len(ways):
        yield unseen(f"{subject}, keys", f"{header.ways} key slots in use, {len(ways)} in the host file")
    else:
        yield holds(f"{subject}, keys", f"{len(ways)} key slots in use, for {' and '.join(ways)}")
    with look.opened(name, header.uuid) as inside:
        if inside is None:
            yield unseen(f"{subject}, inside", f"closed: open it as {name}, then again")
        else:
            yield from _content(seen, f"{subject}, {name}", content["content"], inside, look)


def _zfs(seen: _Seen, where: str, content: Data, reader: Reader, look: Look) -> Iterator[Row]:
    pool = next(p for p in seen.host["pools"] if p["name"] == content["pool"])
    member = zfs.read(reader)
    expected = f"member of pool {pool['name']}"
    if member is None:
        yield differs(where, expected, look.kind_of(reader) or "nothing that is known")
        return
    if member.pool != pool["name"]:
        yield differs(where, expected, f"member of pool {member.pool}")
        return
    if member.copies < 4:  # noqa: PLR2004 - as many labels as a member has
        yield differs(where, f"{expected}, four labels alike", f"{member.copies} of them")
    else:
        yield holds(where, f"{expected}, four labels alike")
    if member.ashift != pool["ashift"]:
        yield differs(f"{where}, ashift", str(pool["ashift"]), str(member.ashift))
    found = look.datasets(pool["name"])
    if found is None:
        # a pool that its own host has open, and one that was exported, both come up without force
        own = seen.host["host_id"] is not None and member.host_id == int(seen.host["host_id"], 16)
        if not member.exported and not own:
            holder = "nobody" if member.host_id is None else f"{member.host_id:08x}"
            told = f"still held by host {holder}: zpool import {pool['name']} there, zpool export {pool['name']}"
            yield differs(f"{where}, state", f"exported, or held by host {seen.host['host_id']}", told)
        yield unseen(f"{where}, datasets", f"not imported: zpool import -N -o readonly=on {pool['name']}, then again")
        return
    if (state := look.health(pool["name"])) != _HEALTHY:
        yield differs(f"{where}, health", _HEALTHY, state)
    yield from _datasets(where, pool, found)
    store = next((d for d in pool["datasets"] if d["at"] is not None and d["at"] == seen.mount), None)
    if store is not None:
        seen.on_disk, seen.at = True, look.mounted(store["name"])


def _datasets(where: str, pool: Data, found: dict[str, dict[str, str]]) -> Iterator[Row]:
    for dataset in pool["datasets"]:
        name, at = dataset["name"], dataset["at"]
        there = found.get(name)
        expected = f"at {at}" if at else "not mounted"
        if there is None:
            yield differs(f"{where}, {name}", expected, "no such dataset")
            continue
        right = at is None or there["mountpoint"] == ("legacy" if pool["mounts"] == "legacy" else at)
        state = f"mountpoint {there['mountpoint']}, canmount {there['canmount']}"
        if not right:
            yield differs(f"{where}, {name}", expected, state)
        elif dataset["wiped"] and f"{name}@blank" not in found:
            yield differs(f"{where}, {name}", "a snapshot @blank to roll back to", "none")
        else:
            yield holds(f"{where}, {name}", expected)
