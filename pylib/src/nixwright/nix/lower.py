"""From values to the syntax tree that `rules` lays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from nixwright.nix import literals
from nixwright.nix.scope import head_names
from nixwright.nix.syntax import (
    TERMS,
    Application,
    Binding,
    Item,
    Lambda,
    LetIn,
    List,
    Literal,
    Node,
    Opaque,
    Operation,
    Parens,
    Set,
    String,
    Word,
)
from nixwright.nix.values import (
    Apply,
    Commented,
    Expr,
    Function,
    If,
    Let,
    Merge,
    NixPath,
    Order,
    Override,
    Raw,
    Ref,
    Text,
    lib,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixwright.nix.values import Value

RAW_NOTE = "# raw Nix, as it was given"
_PRIORITIES = {50: "mkForce", 1000: "mkDefault"}
_ORDERS = {500: "mkBefore", 1500: "mkAfter"}

Plain: TypeAlias = "bool | int | float | str | list[Value] | Mapping[str, Value] | Expr | None"


def plain(value: object) -> Plain:
    """Return a value as one of the built-in types or an `Expr`. Raises TypeError for what Nix has no value for."""
    if value is None or isinstance(value, bool | Expr):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError(f"attribute names are strings: {list(value)!r}")
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no Nix value: {value!r}")


def comment_lines(text: str) -> list[str]:
    """Return a comment as `# ...` lines; none for an empty text."""
    literals.refuse_unspeakable(text)
    return [f"# {line}".rstrip() for line in text.splitlines()]


def below(path: str, value: Value) -> tuple[str, Value, list[str]]:
    """Go down while there is but one name: `a = { b.c = 1; }` is `a.b.c = 1`; comments on the way go above it."""
    notes: list[str] = []
    while True:
        if isinstance(value, Commented):
            notes += comment_lines(value.comment)
            value = value.value
        elif isinstance(value, Let) and not value.bindings:
            value = value.body
        elif isinstance(value, Mapping) and len(value) == 1:
            ((name, value),) = plain(value).items()  # type: ignore[union-attr]
            path = literals.longer_path(path, name)
        else:
            return path, value, notes


def bindings(pairs: Iterable[tuple[str, Value]]) -> tuple[Binding, ...]:
    """Return the bindings of a set or a `let`."""
    found = []
    for name, value in pairs:
        path, inner, notes = below(literals.attribute(name), value)
        lowered = node(inner, notes)
        found.append(Binding(tuple(notes), path, lowered))
    return tuple(found)


def term(value: Value, notes: list[str]) -> Node:
    """Return a value as an argument or a list's element; `notes` gets the comments that go above it."""
    lowered = node(value, notes)
    return lowered if isinstance(lowered, TERMS) else Parens(lowered)


def node(value: Value, notes: list[str]) -> Node:
    """Return a value as an expression; `notes` gets the comments that go above the binding or element it is in."""
    known = plain(value)
    if isinstance(known, Expr):
        return _expr(known, notes)
    if isinstance(known, str):
        return _string((known,), indented=True)
    if isinstance(known, Mapping):
        return Set(bindings(known.items()))
    if isinstance(known, list):
        return List(tuple(map(_item, known)))
    if known is None or isinstance(known, bool):
        return Word({None: "null", True: "true", False: "false"}[known])
    return _number(literals.integer(known) if isinstance(known, int) else literals.floating(known))


def _item(value: Value) -> Item:
    notes: list[str] = []
    lowered = term(value, notes)
    return Item(tuple(notes), lowered)


def _number(text: str) -> Node:
    left, *rest = text.split(" ")
    if rest:
        return Operation(left, *rest)
    return Operation(left) if left.startswith("-") else Word(left)


def _expr(value: Expr, notes: list[str]) -> Node:  # noqa: PLR0911 - one return for each kind
    match value:
        case Commented(comment=comment, value=inner):
            notes += comment_lines(comment)
            return node(inner, notes)
        case Ref(path=path):
            return word(path)
        case NixPath(text=text):
            left, *rest = literals.path(text).split(" ", 2)
            return Operation(left, *rest) if rest else Literal(left)
        case Text(parts=parts, indented=indented):
            return _string(parts, indented=indented)
        case Let(bindings=pairs, body=body):
            return LetIn(bindings(pairs), node(body, notes)) if pairs else node(body, notes)
        case Function(body=body):
            return Lambda(head_names(value), node(body, notes))
        case Raw(text=text):
            literals.refuse_unspeakable(text)
            if not text.strip():
                raise ValueError("raw Nix is empty")
            notes.append(RAW_NOTE)
            return Opaque(text.strip())
        case _:
            return _application(value, notes)


def _application(value: Expr, notes: list[str]) -> Node:
    function, arguments = applied(value)
    head = node(function, notes)
    terms = [*head.terms] if isinstance(head, Application) else [head if isinstance(head, TERMS) else Parens(head)]
    terms += [term(argument, notes) for argument in arguments]
    return Application(tuple(terms)) if len(terms) > 1 else head


def applied(value: Expr) -> tuple[Expr, tuple[Value, ...]]:
    """Return the function and the arguments that an expression stands for."""
    match value:
        case Apply(function=function, arguments=arguments):
            return function, arguments
        case Override(priority=priority, value=inner):
            known = _PRIORITIES.get(priority)
            return (lib[known], (inner,)) if known else (lib.mkOverride, (priority, inner))
        case Order(order=order, value=inner):
            known = _ORDERS.get(order)
            return (lib[known], (inner,)) if known else (lib.mkOrder, (order, inner))
        case If(condition=condition, value=inner):
            return lib.mkIf, (condition, inner)
        case Merge(values=values):
            return lib.mkMerge, (list(values),)
    raise TypeError(f"{type(value).__name__} is no expression that can be printed")


def word(path: tuple[str, ...]) -> Word:
    """Return a name and what is selected from it."""
    first, *rest = path
    names = [literals.attribute(name) for name in rest]
    return Word(".".join((literals.variable(first), *names)), not any('"' in n for n in names), bool(names))


def _string(parts: tuple[str | Expr, ...], *, indented: bool) -> Node:
    """Return a string; an indented one only where it comes back byte for byte."""
    joined: list[str | Expr] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    holes = iter([node(part, []) for part in joined if not isinstance(part, str)])
    if indented:
        lines = literals.indented_lines([part if isinstance(part, str) else None for part in joined])
        if lines is not None:
            filled = tuple(tuple(next(holes) if piece is None else piece for piece in line) for line in lines)
            return String(filled, indented=True)
    line: list[str | Node] = []
    for index, part in enumerate(joined):
        if isinstance(part, str):
            line.append(literals.escaped(part, before_interpolation=index + 1 < len(joined)))
        else:
            line.append(next(holes))
    return String((tuple(line),), indented=False)
