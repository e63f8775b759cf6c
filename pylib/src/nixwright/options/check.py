"""Settings against the option schema: one `Mistake` each, in words that a beginner reads.

A value may be given at any level (`services.openssh` as a dict, or `services.openssh.enable`). What only Nix can know
(a reference, a function applied, raw text) is taken; overrides, orders, conditions and comments are looked through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nixwright.errors import Mistake
from nixwright.nix.values import Commented, Expr, If, Merge, NixPath, Order, Override, Text
from nixwright.options import fixes
from nixwright.options.judge import is_kind, is_list, plainly_right, wrong
from nixwright.options.words import allowed, given

if TYPE_CHECKING:
    from nixwright.options.schema import Schema
    from nixwright.options.settings import Path, Setting
    from nixwright.options.shards import Node

WHAT = {
    "type": "has the wrong type",
    "enum": "is none of the values allowed",
    "not": "has the wrong type",
    "minimum": "is out of bounds",
    "maximum": "is out of bounds",
    "exclusiveMinimum": "is out of bounds",
    "pattern": "has the wrong form",
    "minItems": "is empty",
}
Names = tuple["str | int", ...]
_WRAPPERS = (Override, Order, If, Commented)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at one place of one setting; `names` are attribute names and indexes of lists.

    A wrong value is kept with its node: the words are found only for what is told in the end.
    """

    names: Names
    what: str
    given: str = ""
    allowed: str = ""
    fix: str = ""
    node: Node | None = None
    value: Any = None

    def told(self, schema: Schema) -> Finding:
        """Return the same with all its words."""
        node, value, names = self.node, self.value, self.names
        if node is None:
            return self
        texts = [n for n in names if isinstance(n, str)]
        fix = fixes.fix(value, node, lambda v: not _look(node, v, names, schema))
        return replace(self, given=given(value, texts), allowed=allowed(schema, node, texts[-1]), fix=fix)


def check(settings: Sequence[Setting], schema: Schema) -> list[Mistake]:
    """Return what is wrong with the settings, in their order; each place once."""
    found = []
    for setting in settings:
        for finding in (f.told(schema) for f in _findings(setting.path, setting.value, schema)):
            option = dotted(finding.names)
            field, what = option, finding.what
            if setting.field and not setting.user:
                field, what = setting.field, f"sets {option}, which {finding.what}"
            found.append(Mistake(field, what, finding.given, finding.allowed, finding.fix, setting.origin))
    return found


def dotted(names: Names) -> str:
    """Return a path as Nix writes it, with quotes where a name needs them; an element of a list as `[2]`."""
    text = ""
    for name in names:
        if isinstance(name, int):
            text += f"[{name}]"
        else:
            plain = name.replace("-", "").replace("'", "").isalnum() or name.replace("_", "").replace("-", "").isalnum()
            quoted = (
                name if plain and name.isascii() and not name[0].isdigit() and name[0] != "-" else fixes.quoted(name)
            )
            text += f".{quoted}" if text else quoted
    return text


def _findings(path: Path, value: Any, schema: Schema) -> list[Finding]:
    if path[:1] == ("_module",):  # the module system's own, which is in no schema
        return []
    nodes = schema.nodes(path)
    if not nodes:
        return [_unknown(path, schema)]
    for end in range(1 if schema.stands_alone(path[0]) else 2, len(path)):
        for node in schema.nodes(path[:end]):
            if gone := _gone(path[:end], node):
                return [gone]
    return _any(nodes, value, path, schema)


def _unknown(path: Path, schema: Schema) -> Finding:
    """Say that a path leads nowhere, and where it may have been meant to."""
    known = max(end for end in range(len(path)) if end == 0 or schema.nodes(path[:end]))
    holder = schema.nodes(path[:known])[0]
    if gone := _gone(path[:known], holder):
        return gone
    names = schema.siblings(path[:known])
    if known and not names and "properties" not in schema.resolve(holder):
        what = f"is no option: {dotted(path[:known])} has nothing below it"
        return Finding(path, what, "", f"{dotted(path[:known])} = {allowed(schema, holder)}")
    from nixwright.options.suggest import similar  # noqa: PLC0415 - only a mistake needs it

    near = similar(schema, path, known)
    fix = f"did you mean {dotted(near)}?" if near else ""
    many = 8
    listed = f"below {dotted(path[:known])}: {', '.join(sorted(names))}" if known and 0 < len(names) <= many else ""
    return Finding(path, "is no option of this NixOS release", "", listed, fix)


def _gone(names: Names, node: Node) -> Finding | None:
    if "x-renamed" in node:
        return Finding(names, f"has been renamed to {node['x-renamed']}", fix=f"set {node['x-renamed']} instead")
    if "x-removed" in node:
        return Finding(names, "has been removed from NixOS", fix=" ".join(node["x-removed"].split()) or "remove it")
    if node.get("readOnly"):
        return Finding(names, "is read-only: NixOS sets it by itself", fix="remove it")
    return None


def _any(nodes: list[Node], value: Any, names: Names, schema: Schema) -> list[Finding]:
    """Return what is wrong by that of the nodes with the least to say."""
    first, *others = nodes
    found = _look(first, value, names, schema)
    for node in others:
        if not found:
            break
        found = min(found, _look(node, value, names, schema), key=len)
    return found


def _look(  # noqa: C901, PLR0911 - one case a kind of value
    node: Node, value: Any, names: Names, schema: Schema
) -> list[Finding]:
    if gone := _gone(names, node):
        return [gone]
    node = schema.resolve(node)
    while isinstance(value, _WRAPPERS):
        value = value.value
    if isinstance(value, Merge):
        return [finding for each in value.values for finding in _look(node, each, names, schema)]
    if isinstance(value, Text) and all(isinstance(part, str) for part in value.parts):
        value = "".join(str(part) for part in value.parts)
    if "anyOf" in node:
        return _union(node, value, names, schema)
    if isinstance(value, Expr):
        return _expression(node, value, names)
    if isinstance(value, Mapping) and "x-tags" in node:
        return _tagged(node, value, names, schema)
    if keyword := wrong(value, node):
        return [_finding(keyword, node, value, names)]
    if isinstance(value, Mapping):
        return _fields(node, value, names, schema)
    if is_list(value) and "items" in node:
        return [f for at, each in enumerate(value) for f in _look(node["items"], each, (*names, at), schema)]
    return []


def _finding(keyword: str, node: Node, value: Any, names: Names) -> Finding:
    what = "takes only a Nix expression" if keyword == "not" and "type" not in node else WHAT[keyword]
    return Finding(names, what, node=node, value=value)


def _union(node: Node, value: Any, names: Names, schema: Schema) -> list[Finding]:
    """Judge by the alternatives: the one that was meant is the one of the value's kind."""
    branches = sorted((schema.resolve(branch) for branch in node["anyOf"]), key=lambda b: not plainly_right(value, b))
    found = []
    for branch in branches:
        found.append(_look(branch, value, names, schema))
        if not found[-1]:  # the others need not be judged
            return []
    inner = [f for f in found if any(each.names != names for each in f)]
    if inner and isinstance(value, Mapping | Sequence):
        return min(inner, key=len)
    of_kind = [f[0] for branch, f in zip(branches, found, strict=True) if "type" in branch and is_kind(value, branch)]
    enums = [f[0] for branch, f in zip(branches, found, strict=True) if "enum" in branch and isinstance(value, str)]
    what = (of_kind or enums or [Finding(names, WHAT["type"])])[0].what
    return [Finding(names, what, node=node, value=value)]


def _expression(node: Node, value: Expr, names: Names) -> list[Finding]:
    """Judge what Nix will evaluate by what is known of it: that text is text and a path is a path."""
    kinds = node.get("type")
    takes_all = kinds is None and "enum" not in node
    if isinstance(value, NixPath):
        right = takes_all or node.get("x-nix") in {"path", "package", "module"}
    elif isinstance(value, Text):
        right = takes_all or kinds == "string" or "string" in (kinds or ()) or "enum" in node
        first = value.parts[0] if value.parts else ""
        if node.get("x-nix") == "path" and isinstance(first, str) and first and not first.startswith("/"):
            return [_finding("pattern", node, value, names)]
    else:
        return []
    return [] if right else [_finding("type", node, value, names)]


def _tagged(node: Node, value: Mapping[Any, Any], names: Names, schema: Schema) -> list[Finding]:
    """Judge an attribute set by the alternative that it names itself."""
    tag, tags = node["x-tag"], node["x-tags"]
    if tag is None:
        if len(value) != 1 or next(iter(value)) not in tags:
            return [_finding("type", node, value, names)]
        name = next(iter(value))
        return _look(tags[name], value[name], (*names, name), schema)
    said = value.get(tag)
    if isinstance(said, Expr):
        return []
    if said in tags:
        return _fields(schema.resolve(tags[said]), value, names, schema)
    near = fixes.nearest(said, list(tags))
    choices = ", ".join(fixes.quoted(t) for t in sorted(tags))
    what = "is missing" if tag not in value else WHAT["enum"]
    return [Finding((*names, tag), what, given(said, [tag]) if tag in value else "", f"one of {choices}", near)]


def _fields(node: Node, value: Mapping[Any, Any], names: Names, schema: Schema) -> list[Finding]:
    found: list[Finding] = []
    for name, each in value.items():
        if not isinstance(name, str):
            what = "has a name that is no text"
            found.append(Finding(names, what, repr(name), "attribute names are text", f"write {str(name)!r}"))
            continue
        children = schema.children(node, name)
        if children:
            found += _any(children, each, (*names, name), schema)
        elif all(isinstance(n, str) for n in names):
            found.append(_unknown((*(str(n) for n in names), name), schema))
        else:
            known = sorted(schema.names(node))
            near = fixes.nearest(name, known)
            found.append(Finding((*names, name), "is no such option", "", ", ".join(known), near))
    return found
