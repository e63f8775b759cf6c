"""A disk held against what a host file says of it: row by row what holds, what differs, and what could not be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.probe import gpt, luks, zfs
from nixwright.probe.boot import boot_rows
from nixwright.probe.row import Row, differs, holds, unseen
from nixwright.report.progress import short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from nixwright.probe.reader import Reader
    from nixwright.tools.boot_files import BootFiles

Data = dict[str, Any]

_SECTOR = 512
_HEALTHY = "ONLINE"  # as zpool calls it
_ALIGNED = 1 << 20  # bytes that sgdisk may leave free behind the last partition
_MIN = 34 * _SECTOR  # bytes of the second table at the end
# What sgdisk writes for its codes (`sgdisk --info` shows them); of other codes the type is not compared.
GUIDS = {
    "8200": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
    "8300": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "8309": "CA7D7CCB-63ED-4C53-861C-1742536059CC",
    "BF00": "6A85CF4D-1DD2-11B2-99A6-080020736631",
    "BF01": "6A898CC3-1DD2-11B2-99A6-080020736631",
    "EF00": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "EF02": "21686148-6449-6E6F-744E-656564454649",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How to look: each raises ToolError where it cannot.

    `kind_of` names what stands in a run of bytes as blkid does (empty: nothing known); `opened` gives the inside of a
    LUKS container by name and UUID, None where it is closed; `boot_files` those of a FAT file system, None without the
    program; `datasets` of a pool by name with their properties, None where it is not imported, and then its `health`.
    """

    kind_of: Callable[[Reader], str]
    opened: Callable[[str, str], AbstractContextManager[Reader | None]]
    boot_files: Callable[[Reader], BootFiles | None]
    datasets: Callable[[str], dict[str, dict[str, str]] | None]
    health: Callable[[str], str]


def compare(host: Data, disk: Data, reader: Reader, look: Look) -> list[Row]:
    """Return the rows of one disk of a host; `host` and `disk` are its description (`nixwright.description`)."""
    return list(_disk(host, disk, reader, look))


def _disk(host: Data, disk: Data, reader: Reader, look: Look) -> Iterator[Row]:
    table = gpt.read(reader)
    needed = max((p["start"] + (p["size"] or 0) for p in disk["partitions"]), default=0) + _MIN
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
    for partition in disk["partitions"]:
        subject = f"{partition['number']} {partition['label']}"
        entry = entries.pop(partition["number"], None)
        if entry is None:
            yield differs(subject, "a partition", "none of this number")
            continue
        yield from _entry(subject, partition, entry, table)
        size = (entry.last - entry.first + 1) * table.sector
        inside = reader.part(entry.first * table.sector, size)
        yield from _content(host, subject, partition["content"], inside, look)
    for entry in entries.values():
        yield differs(f"{entry.number} {entry.label}", "no such partition", _place(entry, table.sector))
    for raw in disk["raws"]:
        yield unseen(raw["name"], f"raw bytes from sector {raw['start'] // _SECTOR}: compare them with {raw['file']}")


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


def _content(host: Data, subject: str, content: Data | None, reader: Reader, look: Look) -> Iterator[Row]:
    """What stands in a partition or a container."""
    where = f"{subject}, content"
    if content is None:
        yield unseen(where, "the host file leaves it raw")
        return
    kind = content["kind"]
    if kind == "crypto_LUKS":
        yield from _luks(host, subject, content, reader, look)
    elif kind == "zfs_member":
        yield from _zfs(host, where, content, reader, look)
    elif (found := look.kind_of(reader)) != kind:
        yield differs(where, kind, found or "nothing that is known")
    else:
        yield holds(where, kind)
        if content.get("esp"):
            yield from boot_rows(f"{subject}, files", host["system"], look.boot_files(reader), spare=not content["at"])


def _luks(host: Data, subject: str, content: Data, reader: Reader, look: Look) -> Iterator[Row]:
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
            yield from _content(host, f"{subject}, {name}", content["content"], inside, look)


def _zfs(host: Data, where: str, content: Data, reader: Reader, look: Look) -> Iterator[Row]:
    pool = next(p for p in host["pools"] if p["name"] == content["pool"])
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
        own = host["host_id"] is not None and member.host_id == int(host["host_id"], 16)
        if not member.exported and not own:
            holder = "nobody" if member.host_id is None else f"{member.host_id:08x}"
            told = f"still held by host {holder}: zpool import {pool['name']} there, zpool export {pool['name']}"
            yield differs(f"{where}, state", f"exported, or held by host {host['host_id']}", told)
        yield unseen(f"{where}, datasets", f"not imported: zpool import -N -o readonly=on {pool['name']}, then again")
        return
    if (state := look.health(pool["name"])) != _HEALTHY:
        yield differs(f"{where}, health", _HEALTHY, state)
    yield from _datasets(where, pool, found)


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
