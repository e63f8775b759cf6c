"""The names an expression takes from outside, for the function head above it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nixwright.nix.literals import variable
from nixwright.nix.values import Apply, Commented, Expr, Function, If, Let, Merge, Order, Override, Raw, Ref, Text

if TYPE_CHECKING:
    from nixwright.nix.values import Value

# What Nix has in scope by itself (`nix repl`, names without `builtins.`).
GLOBALS = frozenset(
    (
        *("abort", "baseNameOf", "break", "builtins", "derivation", "derivationStrict", "dirOf", "false"),
        *("fetchGit", "fetchMercurial", "fetchTarball", "fetchTree", "fromTOML", "import", "isNull", "map"),
        *("null", "placeholder", "removeAttrs", "scopedImport", "throw", "toString", "true"),
    )
)


_PLAIN = (str, bool, int, float)


def free_names(*values: Value) -> set[str]:
    """Return the names that the values use and do not bind, Nix's own globals left out."""
    found: set[str] = set()
    for value in values:
        _collect(value, found)
    return found - GLOBALS


def head_names(function: Function) -> tuple[str, ...]:
    """Return the names in a function's head, without the `...`: as given, or what the body uses, sorted."""
    if function.arguments is None:
        return tuple(sorted(free_names(function.body)))
    return tuple(map(variable, function.arguments))


def _collect(value: Value, found: set[str]) -> None:
    if value is None or isinstance(value, _PLAIN):
        return
    if isinstance(value, Expr):
        _collect_expr(value, found)
        return
    for inner in value.values() if isinstance(value, Mapping) else value:
        if type(inner) is not str:
            _collect(inner, found)


def _collect_expr(value: Expr, found: set[str]) -> None:  # noqa: C901 - one case for each kind
    match value:
        case Ref(path=(first, *_)):
            found.add(first)
        case Text(parts=parts):
            _collect(parts, found)
        case Merge(values=values):
            found.add("lib")
            _collect(values, found)
        case Apply(function=function, arguments=arguments):
            _collect((function, *arguments), found)
        case Override(value=inner) | Order(value=inner):
            found.add("lib")
            _collect(inner, found)
        case If(condition=condition, value=inner):
            found.add("lib")
            _collect((condition, inner), found)
        case Commented(value=inner):
            _collect(inner, found)
        case Let(bindings=bindings, body=body):
            found |= free_names(body, *(v for _, v in bindings)) - {name for name, _ in bindings}
        case Function(body=body):
            found |= free_names(body) - set(head_names(value))
        case Raw(free=names):
            found.update(names)
