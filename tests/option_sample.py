"""A sample of settings, right and wrong, over all kinds of option types: the same for the same seed and schema."""

from __future__ import annotations

import json
import random
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nixwright.options.schema import Schema
    from nixwright.options.shards import Node

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 10, 255, 256, 65535, 65536, 2**31, 2**63 - 1, 0.0, 0.5, -1.5, 1e6,
    "", "a", "a b", "a\nb", "a:b", "/a", "/a/", "/a b", "a/", "/nix/store/a", "10", "10%", "1s", "127.0.0.1", "yes",
    "/nix/store/00000000000000000000000000000000-a", "ab:cd:ef:01:23:45", "0755", "https://a/", "foo.service",
    [], ["a"], [1], ["/a"], [True], [None], [[]], {}, {"a": 1}, {"a": "b"}, {"a": True}, {"a": ["b"]}, {"a": {"b": 1}},
]  # fmt: skip
DEEPEST = 4


def draw(schema: Schema, seed: int, each: int, values: int) -> list[tuple[list[str], Any]]:
    """Return settings: `each` options of every kind of type, `values` values for each; the path is an option's own."""
    chance = random.Random(seed)  # noqa: S311 - a sample, no secret
    kinds: dict[str, list[tuple[list[str], Node, Callable[[Any], Any]]]] = {}
    for first in sorted(schema.paths()):
        for node, wrap in _inside(schema, schema.nodes(first)[0], lambda v: v, 0):
            kinds.setdefault(_kind(schema, node), []).append((list(first), node, wrap))
    found = []
    for kind in sorted(kinds):
        for path, node, wrap in chance.sample(kinds[kind], min(each, len(kinds[kind]))):
            pool = [*VALUES, *_near(schema, node) * 4]
            found += [(path, wrap(value)) for value in chance.sample(pool, values)]
    return found


def _below(wrap: Callable[[Any], Any], name: str, value: Any) -> Any:
    return wrap({name: value})


def _inside(
    schema: Schema, node: Node, wrap: Callable[[Any], Any], depth: int
) -> Iterator[tuple[Node, Callable[[Any], Any]]]:
    """Yield the option and those in its submodules, each with what makes its value one of the outermost option's."""
    node = schema.resolve(node)
    if node.get("readOnly") or node.get("deprecated") or node.get("x-internal") or depth > DEEPEST:
        return
    yield node, wrap
    for name, field in node.get("properties", {}).items():
        if field.get("x-option"):
            yield from _inside(schema, field, partial(_below, wrap, name), depth + 1)
    if isinstance(extra := node.get("additionalProperties"), dict) and extra.get("x-nix") == "submodule":
        yield from _inside(schema, extra, lambda v: wrap({"x": v}), depth + 1)
    if isinstance(items := node.get("items"), dict) and items.get("x-nix") == "submodule":
        yield from _inside(schema, items, lambda v: wrap([v]), depth + 1)


def _kind(schema: Schema, node: Node, depth: int = 0) -> str:
    """Return what kind of type a node is, its bounds and names left out."""
    node = schema.resolve(node)
    if depth > 2:
        return "..."
    parts = [json.dumps(node.get("type")), str(node.get("x-nix", ""))]
    parts += [key for key in ("enum", "minimum", "maximum", "not", "minItems", "x-merge", "x-unique") if key in node]
    parts += [str(node["pattern"])] if "pattern" in node else []
    for key in ("additionalProperties", "items"):
        if isinstance(node.get(key), dict):
            parts.append(_kind(schema, node[key], depth + 1))
    return " ".join(parts) + "|".join(_kind(schema, branch, depth + 1) for branch in node.get("anyOf", ()))


def _near(schema: Schema, node: Node) -> list[Any]:
    """Return values at the edges of what a node takes; a reference may lead round in a circle, so none is followed."""
    if "$ref" in node:
        return []
    if "anyOf" in node:
        return [value for branch in node["anyOf"] for value in _near(schema, branch)]
    found = [*node.get("enum", ())[:2], *(f"{v}x" for v in node.get("enum", ())[:1])]
    for key in ("minimum", "maximum"):
        if key in node:
            found += [v for v in (node[key] - 1, node[key], node[key] + 1) if abs(v) < 2**63]
    if isinstance(node.get("items"), dict):
        found += [[value] for value in _near(schema, node["items"])[:4]]
    if isinstance(node.get("additionalProperties"), dict):
        found += [{"x": value} for value in _near(schema, node["additionalProperties"])[:4]]
    simple: dict[str, list[Any]] = {"boolean": [True], "integer": [1], "string": ["a", "/a"], "null": [None]}
    return found + simple.get(str(node.get("type")), [])
