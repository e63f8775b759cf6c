"""Print a value as Nix, laid out by RFC 166: `nixfmt` changes nothing in it.

Plain data is printed line by line as it is walked, which is fast. What plain data cannot say, and the lines that are
too long, take the way over the syntax tree (`lower`), nixfmt's rules (`rules`) and the layout (`layout`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from nixwright.nix import literals, lower, rules
from nixwright.nix.layout import REGULAR, WIDTH, Group, one_line, render
from nixwright.nix.literals import SPECIAL, attribute
from nixwright.nix.scope import head_names
from nixwright.nix.syntax import Binding
from nixwright.nix.values import Expr, Function, Ref

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nixwright.nix.values import Value

_NO_LIMIT = 10**9
_Lines: TypeAlias = "list[list[str | None]]"


def print_expr(value: Value) -> str:
    """Return a value as Nix, without a line break at the end. A dict's order is the order of the bindings.

    Raises ValueError for what Nix cannot hold (a NUL or a lone surrogate in a string, an integer beyond 64 bits, an
    infinite or undefined float, a name or path that is none) and TypeError for what is no `Value`.
    """
    try:
        return "\n".join(_lines_of(value))
    except RecursionError:
        raise ValueError(literals.TOO_DEEP) from None


def _lines_of(value: Value) -> list[str]:
    out: list[str] = []
    if isinstance(value, Function) and isinstance(value.body, dict) and value.body:
        out += head(head_names(value))
        _set(value.body, "", "{", "}", out)
    elif isinstance(value, Expr):
        notes: list[str] = []
        node = lower.node(value, notes)
        out += notes
        out.append(render(rules.noted(node) if notes else Group(REGULAR, rules.expression(node, 0))))
    else:
        text = atom(value)
        if text is None:
            item(value, "", out)
        else:
            out.append(text)
    return out


def head(names: Sequence[str]) -> list[str]:
    """Return the lines of a function's head: `{ lib, pkgs, ... }:`."""
    if len(names) <= rules.ONE_LINE_HEAD:
        return [f"{{ {', '.join((*names, '...'))} }}:"]
    return ["{", *(f"  {name}," for name in names), "  ...", "}:"]


def bound(path: str, value: Value, pad: str, out: list[str]) -> None:
    """Append the lines of `path = value;`, indented by `pad`; `path` as it is spelled."""
    kind = type(value)
    if kind is str:
        if not SPECIAL.search(value):  # type: ignore[arg-type]
            line = f'{path} = "{value}";'
        elif lines := literals.indented_lines([value]):  # type: ignore[list-item]
            _bound_lines(path, value, lines, pad, out)  # type: ignore[arg-type]
            return
        else:
            line = f"{path} = {literals.quoted(value)};"  # type: ignore[arg-type]
    elif value and (kind is dict or kind is list or kind is tuple):
        _bound_container(path, value, pad, out)  # type: ignore[arg-type]
        return
    elif (text := atom(value)) is not None:
        line = f"{path} = {text};"
    elif isinstance(value, Expr):
        _bound_by_rules(path, value, pad, out)
        return
    else:
        bound(path, lower.plain(value), pad, out)
        return
    if len(line) > WIDTH and not (kind is str and rules.has_simple_path(path)):
        _bound_by_rules(path, value, pad, out)
    else:
        out.append(pad + line)


def item(value: Value, pad: str, out: list[str]) -> None:  # noqa: PLR0912 - one branch for each kind
    """Append the lines of a list's element."""
    kind = type(value)
    if kind is str:
        if not SPECIAL.search(value):  # type: ignore[arg-type]
            out.append(f'{pad}"{value}"')
        elif lines := literals.indented_lines([value]):  # type: ignore[list-item]
            _lines(lines, pad, "''", "''", out)
        else:
            out.append(pad + literals.quoted(value))  # type: ignore[arg-type]
    elif (text := _term(value)) is not None:
        out.append(pad + text)
    elif kind is dict:
        if len(value) == 1 and (text := _flat(value)) is not None and len(text) <= WIDTH:  # type: ignore[arg-type]
            out.append(pad + text)
        else:
            _set(value, pad, "{", "}", out)  # type: ignore[arg-type]
    elif kind is list or kind is tuple:
        if len(value) == 1 and (text := _flat(value)) is not None and len(text) <= WIDTH:  # type: ignore[arg-type]
            out.append(pad + text)
        else:
            _list(value, pad, "[", "]", out)  # type: ignore[arg-type]
    elif isinstance(value, Expr):
        notes: list[str] = []
        node = lower.term(value, notes)
        out += [pad + note for note in notes]
        out.append(render(Group(REGULAR, rules.expression(node, 0)), len(pad)))
    else:
        item(lower.plain(value), pad, out)


def atom(value: Value) -> str | None:  # noqa: PLR0911 - one return for each kind
    """Return what is always one line, as it stands behind `=`; None for everything else."""
    kind = type(value)
    if kind is str:
        return None if literals.indented_lines([value]) else literals.quoted(value)  # type: ignore[list-item, arg-type]
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return literals.integer(value)  # type: ignore[arg-type]
    if value is None:
        return "null"
    if kind is float:
        return literals.floating(value)  # type: ignore[arg-type]
    if kind is Ref:
        return lower.word(value.path).text  # type: ignore[union-attr]
    if not value and (kind is dict or kind is list or kind is tuple):
        return "{ }" if kind is dict else "[ ]"
    return None


def _term(value: Value) -> str | None:
    """Return an atom as a list's element: numbers below zero, and what is said as an operation, in parentheses."""
    text = atom(value)
    kind = type(value)
    if text is not None and (kind is int or kind is float) and (text.startswith("-") or " " in text):
        return f"({text})"
    return text


def _flat(value: Value) -> str | None:  # noqa: PLR0911 - one return for each kind
    """Return a list's element on one line, or None where it takes more."""
    text = _term(value)
    if text is not None:
        return text
    kind = type(value)
    if (kind is list or kind is tuple) and len(value) == 1:  # type: ignore[arg-type]
        inner = _flat(value[0])  # type: ignore[index]
        return None if inner is None else f"[ {inner} ]"
    if kind is dict and len(value) == 1:  # type: ignore[arg-type]
        ((name, inside),) = value.items()  # type: ignore[union-attr]
        path, inside, notes = lower.below(attribute(name), inside)
        if notes or (inside and type(inside) is dict):
            return None
        if isinstance(inside, Expr):
            node = lower.node(inside, notes)
            line = None if notes else one_line([[rules.binding(Binding((), path, node), 0)]], _NO_LIMIT)
            return None if line is None else f"{{ {line} }}"
        inner = atom(inside) or _flat(inside)
        return None if inner is None else f"{{ {path} = {inner}; }}"
    if kind in {str, dict, list, tuple}:
        return None
    notes = []
    node = lower.term(value, notes)
    return None if notes else one_line([rules.expression(node, 0)], _NO_LIMIT)


def _set(value: Mapping[str, Value], pad: str, start: str, end: str, out: list[str]) -> None:
    """Append a filled set, one binding a line or more; `start` and `end` are its first and last line."""
    out.append(pad + start)
    bindings(value, f"{pad}  ", out)
    out.append(pad + end)


def bindings(value: Mapping[str, Value], pad: str, out: list[str]) -> None:
    """Append the bindings of a set."""
    for name, inner in value.items():
        path = attribute(name)
        while type(inner) is dict and len(inner) == 1:
            ((name, inner),) = inner.items()  # noqa: PLW2901 - down to where the names part
            path = literals.longer_path(path, name)
        if isinstance(inner, Expr):
            path, inner, notes = lower.below(path, inner)  # noqa: PLW2901
            out += [pad + note for note in notes]
        bound(path, inner, pad, out)


def _list(value: Sequence[Value], pad: str, start: str, end: str, out: list[str]) -> None:
    out.append(pad + start)
    inner = f"{pad}  "
    for element in value:
        item(element, inner, out)
    out.append(pad + end)


def _lines(text: _Lines, pad: str, start: str, end: str, out: list[str]) -> None:
    """Append an indented string."""
    *lines, last = text
    out.append(pad + start)
    out += [f"{pad}  {line[0]}" if line else "" for line in lines]
    out.append(f"{pad}  {last[0]}{end}" if last else pad + end)


def _bound_container(path: str, value: Sequence[Value] | Mapping[str, Value], pad: str, out: list[str]) -> None:
    start = f"{path} = {{" if type(value) is dict else f"{path} = ["
    if len(start) > WIDTH:
        _bound_by_rules(path, value, pad, out)
    elif type(value) is dict:
        _set(value, pad, start, "};", out)
    elif len(value) == 1 and (text := _flat(value)) is not None and len(path) + len(text) + 4 <= WIDTH:
        out.append(f"{pad}{path} = {text};")
    else:
        _list(value, pad, start, "];", out)  # type: ignore[arg-type]


def _bound_lines(path: str, value: str, lines: _Lines, pad: str, out: list[str]) -> None:
    # behind a path with quotes, what follows a long last line counts: the rules know how
    if len(path) + 5 > WIDTH or not (value.endswith("\n") or rules.has_simple_path(path)):
        _bound_by_rules(path, value, pad, out)
    else:
        _lines(lines, pad, f"{path} = ''", "'';", out)


def _bound_by_rules(path: str, value: Value, pad: str, out: list[str]) -> None:
    notes: list[str] = []
    node = lower.node(value, notes)
    out += [pad + note for note in notes]
    out.append(render(rules.binding(Binding((), path, node), 0), len(pad)))
