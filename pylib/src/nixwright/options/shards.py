"""The schema as a file: pieces of JSON, cut by the first two names of the option paths, each compressed by itself.

A host touches some twenty of the two thousand pieces, so a piece is read when it is asked for. What the Nix file
(`data/option-schema.nix`) says is kept as it is, but for POSIX patterns (`x-ere`), which become `pattern`.

The file is a line that says what it is, one of JSON that says where each piece begins and how long it is (from the
end of that line, in bytes), and the pieces. A zip would be the same, but reading its directory takes Python 8 ms.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, TypeAlias

from nixwright.options.ere import translate

if TYPE_CHECKING:
    from pathlib import Path

Node: TypeAlias = dict[str, Any]

DEFINITIONS = "$defs"


_MAGIC = b"nixwright option schema 1\0"  # with a NUL, by which git and others know that it is no text


class Pieces:
    """A schema's file, read whole; its pieces are unpacked when they are asked for."""

    def __init__(self, data: bytes) -> None:
        """Read the index. Raises ValueError where the bytes are no schema, or not all of one."""
        magic, _, rest = data.partition(b"\n")
        index, _, self._data = rest.partition(b"\n")
        if magic != _MAGIC:
            raise ValueError("another kind of file")
        self.index: dict[str, tuple[int, int]] = json.loads(index)  # name: first byte, bytes
        if max(map(sum, self.index.values())) != len(self._data):
            raise ValueError("cut short")

    def unpacked(self, name: str) -> Node:
        """Return a piece."""
        start, size = self.index[name]
        node: Node = json.loads(zlib.decompress(self._data[start : start + size]))
        return node


def write(schema: Node, path: Path) -> int:
    """Write what the Nix file says, the same bytes for the same schema; return the number of options."""
    index: dict[str, tuple[int, int]] = {}
    data = bytearray()
    for name, node in sorted(_pieces(schema), key=lambda p: p[0]):
        text = json.dumps(_clean(node), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        packed = zlib.compress(text.encode(), 9)
        index[name] = len(data), len(packed)
        data += packed
    path.write_bytes(b"\n".join((_MAGIC, json.dumps(index, separators=(",", ":")).encode(), data)))
    return count(schema)


def count(node: Node) -> int:
    """Return the number of options in a schema, those in submodules with them."""
    inner = [*node.get("properties", {}).values(), *(node.get("x-tags") or {}).values(), *node.get("anyOf", ())]
    inner += [node[key] for key in ("additionalProperties", "items") if isinstance(node.get(key), dict)]
    inner += node.get(DEFINITIONS, {}).values()
    return bool(node.get("x-option")) + sum(map(count, inner))


def _pieces(schema: Node) -> list[tuple[str, Node]]:
    """Cut a schema: an option of one name is a piece, else what stands under each two names is."""
    found = [(DEFINITIONS, schema[DEFINITIONS])]
    for first, node in schema["properties"].items():
        if node.get("x-option"):
            found.append((first, node))
        else:
            found += [(f"{first}/{second}", below) for second, below in node["properties"].items()]
    return found


def _clean(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean(v) for v in value]
    if not isinstance(value, dict):
        return value
    node = {key: _clean(v) for key, v in value.items() if key != "x-ere"}
    if isinstance(value.get("x-ere"), str):
        node["pattern"] = translate(value["x-ere"])
    return node
