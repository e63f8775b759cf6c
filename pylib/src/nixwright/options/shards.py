"""The schema as a file: one zip of JSON pieces, cut by the first two names of the option paths.

A host touches some twenty of the two thousand pieces, so a piece is read when it is asked for. What the Nix file
(`data/option-schema.nix`) says is kept as it is, but for POSIX patterns (`x-ere`), which become `pattern`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from nixwright.options.ere import translate

if TYPE_CHECKING:
    from pathlib import Path

Node: TypeAlias = dict[str, Any]

DEFINITIONS = "$defs"


def write(schema: Node, path: Path) -> int:
    """Write what the Nix file says as a zip, the same bytes for the same schema; return the number of options."""
    from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo  # noqa: PLC0415 - only `schema` writes

    with ZipFile(path, "w") as archive:
        for name, node in sorted(_pieces(schema)):
            entry = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = ZIP_DEFLATED
            text = json.dumps(_clean(node), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            archive.writestr(entry, text, compresslevel=9)
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
