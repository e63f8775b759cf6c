"""What a type takes, and what was given, in words that a beginner reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nixwright.nix.values import Expr, NixPath, Ref, Text
from nixwright.options.ere import END
from nixwright.record import shown

if TYPE_CHECKING:
    from nixwright.options.schema import Schema
    from nixwright.options.shards import Node

LONGEST_ENUM = 12  # values shown of an enum
# What stands in `given` is printed, so what may be secret is not.
SECRET = ("password", "passwd", "psk", "secret", "token", "privatekey", "passphrase")
KINDS = {
    "boolean": "True or False",
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "null": "None",
    "array": "a list",
    "object": "a dict",
}
NIX = {
    "path": "an absolute path",
    "package": "a package, as pkgs.htop",
    "function": "a function, which only a Nix expression can say",
    "submodule": "a dict of options",
    "module": "a NixOS module: a dict, or a path",
    "float": "a number with a point, as 1.5",
}
VALUES = {
    "value": "plain data: text, numbers, True or False, lists, dicts",
    "valueOrNull": "plain data: text, numbers, True or False, None, lists, dicts",
}
SPECIAL = {  # patterns whose words say more than they do
    r"[^ \t\n]": "text that is not empty",
    r"^[^\n\r]*\n?(?![\s\S])": "text of one line",
    r"^[^:\n]*(?![\s\S])": "text without a colon, of one line",
    "^(?!/nix/store/.)/": "an absolute path outside of the Nix store",
    "^(?!/nix/store/.)": "a path outside of the Nix store",
    "^/": "an absolute path",
    "^/nix/store/.*[^/]": "a path in the Nix store",
}
FORBIDDEN = {  # parts of a pattern that the exporter found by asking
    r"(?=[\s\S])": ", not empty",
    r"(?![\s\S]* )": ", without spaces",
    r"(?![\s\S]*\n)": ", of one line",
    rf"(?![\s\S]*/{END})": ", not ending in a slash",
}
PORT = 65535


def allowed(schema: Schema, node: Node, name: str = "") -> str:  # noqa: PLR0911 - one case a kind
    """Return what a node takes, on one line; `name` is the option's last name, which tells a port from a number."""
    name_of = node.get("$ref", "").removeprefix("#/$defs/")
    if name_of in VALUES:  # they hold themselves
        return VALUES[name_of]
    node = schema.resolve(node)
    if "anyOf" in node:
        each = list(dict.fromkeys(allowed(schema, branch, name) for branch in node["anyOf"]))
        return ", or ".join([*(e for e in each if e != "None"), *(e for e in each if e == "None")])
    if "enum" in node:
        values = [json.dumps(v, ensure_ascii=False) if isinstance(v, str) else repr(v) for v in node["enum"]]
        more = f", ... ({len(values)} in all)" if len(values) > LONGEST_ENUM else ""
        if len(values) == 1:
            return values[0]
        return f"one of {', '.join(values[:LONGEST_ENUM])}{more}" if values else "nothing: no value is right"
    if "x-tags" in node:
        tags = ", ".join(json.dumps(t) for t in sorted(node["x-tags"]))
        return f"a dict whose {node['x-tag']} is one of {tags}" if node["x-tag"] else f"a dict with just one of {tags}"
    if node.get("pattern") in SPECIAL:
        return SPECIAL[node["pattern"]]
    if node.get("x-nix") in NIX and node.get("type") != "number":
        return NIX[node["x-nix"]]
    return _plain(schema, node, name)


def _plain(schema: Schema, node: Node, name: str) -> str:  # noqa: PLR0911 - one case a kind
    kind = node.get("type")
    if isinstance(kind, list):
        return ", or ".join(KINDS[k] for k in sorted(kind, key="null".__eq__))
    if kind in {"integer", "number"}:
        return _number(node, name)
    if kind == "string":
        if "pattern" in node and node["pattern"].startswith(tuple(f"^{rule}" for rule in FORBIDDEN)):
            return "text" + "".join(words for rule, words in FORBIDDEN.items() if rule in node["pattern"])
        if "pattern" in node:
            return "text that matches " + str(node["pattern"]).removeprefix("^(?:").removesuffix(f"){END}")
        return "text"
    if kind == "array":
        items = allowed(schema, node.get("items", {}), name)
        empty = ", not empty" if node.get("minItems") else ""
        return f"a list{empty}; each element {items}" if "items" in node else f"a list{empty}"
    if kind == "object":
        extra = node.get("additionalProperties", True)
        return f"a dict; each value {allowed(schema, extra)}" if isinstance(extra, dict) else "a dict"
    if kind is not None:
        return KINDS[kind]
    if "not" in node:
        return f"a Nix expression: {node.get('x-nix', 'a value that plain data cannot say')}"
    return "anything"


def _number(node: Node, name: str) -> str:
    word = NIX["float"] if node.get("x-nix") == "float" else KINDS[node["type"]]
    low, high = node.get("minimum"), node.get("maximum")
    if low == 0 and high == PORT and name.lower().rstrip("s").endswith("port"):
        return "a port: 0 to 65535"
    if "not" in node and node["not"].get("const") == 0:
        return f"{word} other than 0"
    if "exclusiveMinimum" in node:
        return f"{word} above {node['exclusiveMinimum']}"
    if low is not None and high is not None:
        return f"{word} from {low} to {high}"
    return f"{word} from {low} up" if low is not None else f"{word} up to {high}" if high is not None else word


def given(value: Any, names: Sequence[str]) -> str:  # noqa: PLR0911 - one case a kind
    """Return a value as a message shows it; never one that may be a secret."""
    last = names[-1].lower().replace("_", "").replace("-", "") if names else ""
    if isinstance(value, str) and any(word in last for word in SECRET):
        return "(not shown)"
    if isinstance(value, NixPath):
        return f"the path {value.text}"
    if isinstance(value, Ref):
        return ".".join(value.path)
    if isinstance(value, Text):
        return "text"
    if isinstance(value, Expr):
        return "a Nix expression"
    if isinstance(value, Mapping) and value:
        return "a dict with " + ", ".join(map(str, list(value)[:4])) + (", ..." if len(value) > 4 else "")  # noqa: PLR2004
    return shown(value)
