"""The labels by which ZFS knows a pool's member: four copies of a name-value list, in XDR (RFC 4506)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nixwright.probe.reader import Reader

_LABEL = 256 << 10  # bytes of each: two at the begin, two at the end
_LIST_AT, _LIST = 16 << 10, 112 << 10
_UINT64, _STRING, _NESTED = 8, 9, 19  # <sys/nvpair.h>
_EXPORTED = 1  # POOL_STATE_EXPORTED


@dataclass(frozen=True, slots=True)
class Member:
    """A pool's member. `host_id` is of who had the pool last, `copies` how many of the four labels are whole."""

    pool: str
    guid: int
    host_id: int | None
    exported: bool
    ashift: int | None
    copies: int


def read(reader: Reader) -> Member | None:
    """Return what the newest labels say; None where there is none."""
    end = reader.size // _LABEL * _LABEL
    lists = [_values(reader.read(at + _LIST_AT, _LIST)) for at in (0, _LABEL, end - 2 * _LABEL, end - _LABEL)]
    whole = [v for v in lists if isinstance(v.get("name"), str) and isinstance(v.get("txg"), int)]
    if not whole:
        return None
    newest = max(whole, key=lambda v: int(str(v["txg"])))
    same = [v for v in whole if v == newest]
    host, ashift = newest.get("hostid"), newest.get("vdev_tree.ashift")
    return Member(
        str(newest["name"]),
        int(str(newest.get("pool_guid", 0))),
        host if isinstance(host, int) else None,
        newest.get("state") == _EXPORTED,
        ashift if isinstance(ashift, int) else None,
        len(same),
    )


def _values(raw: bytes) -> dict[str, int | str]:
    """Return the numbers and strings of a packed list, nested ones as `outer.inner`; empty if it is no list."""
    if len(raw) < _LIST or raw[0] != 1:  # NV_ENCODE_XDR
        return {}
    found: dict[str, int | str] = {}
    try:
        _pairs(raw, 4, "", found)
    except (struct.error, UnicodeDecodeError, IndexError):
        return {}
    return found


def _pairs(raw: bytes, at: int, prefix: str, found: dict[str, int | str]) -> int:
    """Read the pairs of one list from its version on; return where it ends."""
    at += 8  # version, flags
    while True:
        size, _ = struct.unpack_from(">ii", raw, at)
        if size <= 0:
            return at + 8
        name, after = _string(raw, at + 8)
        kind, _ = struct.unpack_from(">ii", raw, after)
        if kind == _UINT64:
            found[prefix + name] = struct.unpack_from(">Q", raw, after + 8)[0]
        elif kind == _STRING:
            found[prefix + name] = _string(raw, after + 8)[0]
        elif kind == _NESTED:
            _pairs(raw, after + 8, f"{prefix}{name}.", found)
        at += size


def _string(raw: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">I", raw, at)
    return raw[at + 4 : at + 4 + length].decode(), at + 4 + -(-length // 4) * 4
