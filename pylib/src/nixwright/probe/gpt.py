"""A GUID partition table as UEFI 2.10, chapter 5.3, has it: two copies, each with checksums."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from nixwright.probe.reader import Reader

_HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")
_ENTRY = struct.Struct("<16s16sQQQ72s")
_SIGNATURE = b"EFI PART"
_LIMIT = 1024  # entries; sgdisk makes 128


@dataclass(frozen=True, slots=True)
class Entry:
    """A partition: its number, type, own id, first and last sector, label."""

    number: int
    type: str
    id: str
    first: int
    last: int
    label: str


@dataclass(frozen=True, slots=True)
class Table:
    """A partition table. `sector` in bytes, `wrong` says what is not as it should be with either copy."""

    id: str
    sector: int
    last_usable: int
    entries: tuple[Entry, ...]
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Copy:
    id: str
    other: int
    last_usable: int
    entries: tuple[Entry, ...]


def read(reader: Reader) -> Table | None:
    """Return the table of a disk, from its main copy or else from the one at the end; None where there is neither."""
    sectors = [reader.sector] if reader.sector else [512, 4096]
    for sector in sectors:
        main = _copy(reader, sector, 1)
        last = reader.size // sector - 1
        at = main.other if isinstance(main, _Copy) else last
        backup = _copy(reader, sector, at)
        found = main if isinstance(main, _Copy) else backup
        if not isinstance(found, _Copy):
            continue
        wrong = [f"the main table {main}"] if isinstance(main, str) else []
        wrong += [f"the backup table {backup}"] if isinstance(backup, str) else []
        if (
            isinstance(main, _Copy)
            and isinstance(backup, _Copy)
            and (main.entries, main.id)
            != (
                backup.entries,
                backup.id,
            )
        ):
            wrong.append("the two copies differ")
        if isinstance(backup, _Copy) and at != last:
            wrong.append(f"the backup table is at sector {at}, not in the last one, {last}: the disk was another")
        return Table(found.id, sector, found.last_usable, found.entries, tuple(wrong))
    return None


def _copy(reader: Reader, sector: int, at: int) -> _Copy | str:
    """Read one copy, or say what is wrong with it."""
    raw = reader.read(at * sector, sector)
    if len(raw) < _HEADER.size or raw[:8] != _SIGNATURE:
        return f"is not in sector {at}"
    _, _, size, checksum, _, own, other, _, last_usable, guid, entries_at, count, width, entries_sum = _HEADER.unpack(
        raw[: _HEADER.size]
    )
    if not _HEADER.size <= size <= sector or zlib.crc32(raw[:16] + bytes(4) + raw[20:size]) != checksum or own != at:
        return "has a damaged header"
    if count > _LIMIT or width < _ENTRY.size:
        return "has a damaged header"
    table = reader.read(entries_at * sector, count * width)
    if zlib.crc32(table) != entries_sum:
        return "has damaged entries"
    entries = (_entry(number, table[(number - 1) * width :]) for number in range(1, count + 1))
    return _Copy(_guid(guid), other, last_usable, tuple(e for e in entries if e is not None))


def _entry(number: int, raw: bytes) -> Entry | None:
    kind, own, first, last, _, label = _ENTRY.unpack(raw[: _ENTRY.size])
    if not any(kind):
        return None
    text = label.decode("utf-16-le", errors="replace").partition("\0")[0]
    return Entry(number, _guid(kind), _guid(own), first, last, text)


def _guid(raw: bytes) -> str:
    return str(UUID(bytes_le=raw)).upper()
