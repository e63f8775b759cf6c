"""LUKS headers, versions 1 and 2, as cryptsetup's on-disk format documents have them. No key is looked at."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nixwright.probe.reader import Reader

_MAGIC, _SECOND = b"LUKS\xba\xbe", b"SKUL\xba\xbe"
_BINARY = 4096  # bytes of a version 2 header before its JSON
_CHECKSUM_AT, _CHECKSUM = 448, 64
_SIZES = tuple(0x4000 << n for n in range(9))  # where the second header can be
_ACTIVE, _KEY_SLOTS = 0x00AC71F3, 8


@dataclass(frozen=True, slots=True)
class Header:
    """A LUKS header. `ways` is the number of key slots in use; `wrong` says what is not as it should be."""

    version: int
    uuid: str
    label: str
    ways: int
    wrong: tuple[str, ...] = ()


def read(reader: Reader) -> Header | None:
    """Return the header; None where neither the main one nor the second is there."""
    begin = reader.read(0, _BINARY)
    if begin[:6] == _MAGIC and begin[6:8] == b"\0\1":
        return _version1(begin)
    main = _version2(reader, 0, _MAGIC)
    at = struct.unpack(">Q", begin[8:16])[0] if isinstance(main, Header) else 0
    places = [at] if at else _SIZES
    seconds = [found for place in places if (found := _version2(reader, place, _SECOND)) is not None]
    second = next((s for s in seconds if isinstance(s, Header)), seconds[0] if seconds else None)
    found = main if isinstance(main, Header) else second
    if not isinstance(found, Header):
        return Header(2, "", "", 0, ("both headers are damaged",)) if main or second else None
    wrong = [] if isinstance(main, Header) else [f"the main header {main or 'is gone'}"]
    wrong += [] if isinstance(second, Header) else [f"the second header {second or 'is gone'}"]
    return Header(found.version, found.uuid, found.label, found.ways, tuple(wrong))


def _version1(raw: bytes) -> Header:
    slots = [struct.unpack_from(">I", raw, 208 + 48 * n)[0] for n in range(_KEY_SLOTS)]
    return Header(1, _text(raw[168:208]), "", slots.count(_ACTIVE))


def _version2(reader: Reader, at: int, magic: bytes) -> Header | str | None:
    """Return a header, what is wrong with it, or None where there is none."""
    binary = reader.read(at, _BINARY)
    if binary[:6] != magic or binary[6:8] != b"\0\2":
        return None
    size = struct.unpack(">Q", binary[8:16])[0]
    if size not in _SIZES:
        return "is damaged"
    whole = bytearray(reader.read(at, size))
    algorithm, expected = _text(binary[72:104]), bytes(whole[_CHECKSUM_AT : _CHECKSUM_AT + _CHECKSUM])
    whole[_CHECKSUM_AT : _CHECKSUM_AT + _CHECKSUM] = bytes(_CHECKSUM)
    try:
        digest = hashlib.new(algorithm, whole).digest()
        metadata = json.loads(bytes(whole[_BINARY:]).partition(b"\0")[0])
        ways = len(metadata["keyslots"])
    except (ValueError, KeyError, TypeError):
        return "is damaged"
    if not expected.startswith(digest):
        return "is damaged"
    return Header(2, _text(binary[168:208]), _text(binary[24:72]), ways)


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="replace")
