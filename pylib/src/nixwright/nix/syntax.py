"""The syntax tree between values and layout: what nixfmt's rules tell apart, and no more."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Word(NamedTuple):
    """A number, a name or a selection: one word. `plain` unless it selects by a quoted name."""

    text: str
    plain: bool = True
    selects: bool = False  # has a dot in it


class Literal(NamedTuple):
    """A path literal."""

    text: str


class Operation(NamedTuple):
    """`left operator right` of words, or a negative number (no operator)."""

    left: str
    operator: str = ""
    right: str = ""


class String(NamedTuple):
    """A string: lines of escaped text and interpolations. One line is in double quotes unless `indented`."""

    lines: tuple[tuple[str | Node, ...], ...]
    indented: bool


class Item(NamedTuple):
    """A list's element with the comment lines above it."""

    notes: tuple[str, ...]
    node: Node


class List(NamedTuple):
    """`[ items ]`."""

    items: tuple[Item, ...]


class Binding(NamedTuple):
    """`path = node;` with the comment lines above it; `path` as it is spelled."""

    notes: tuple[str, ...]
    path: str
    node: Node


class Set(NamedTuple):
    """`{ bindings }`."""

    bindings: tuple[Binding, ...]


class Parens(NamedTuple):
    """`( node )`."""

    node: Node


class Application(NamedTuple):
    """A function and its arguments, all of them terms."""

    terms: tuple[Node, ...]


class LetIn(NamedTuple):
    """`let bindings in body`."""

    bindings: tuple[Binding, ...]
    body: Node


class Lambda(NamedTuple):
    """`{ names, ... }: body`."""

    names: tuple[str, ...]
    body: Node


class Opaque(NamedTuple):
    """Raw text that nobody has parsed."""

    text: str


Node: TypeAlias = "Word | Literal | Operation | String | List | Set | Parens | Application | LetIn | Lambda | Opaque"
TERMS = (Word, Literal, String, List, Set, Parens)


def is_simple(node: Node) -> bool:
    """Tell what nixfmt calls simple: words, strings, paths, and applications of these to one or two arguments."""
    if isinstance(node, Word):
        return node.plain
    if isinstance(node, Parens):
        return is_simple(node.node)
    if isinstance(node, Application):
        return len(node.terms) <= 3 and all(map(is_simple, node.terms))  # noqa: PLR2004 - the function and two more
    return isinstance(node, String | Literal)


def is_absorbable(node: Node) -> bool:
    """Tell what may start on the line before it and go on below: filled lists and sets, strings of several lines."""
    if isinstance(node, String):
        return node.indented
    if isinstance(node, Parens):
        return isinstance(node.node, TERMS) and is_absorbable(node.node)
    if isinstance(node, List):
        return bool(node.items)
    return isinstance(node, Set) and bool(node.bindings)
