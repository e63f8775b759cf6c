"""What the records of nixwright's own vocabulary are called, which fields they have, and what a field may hold."""

from __future__ import annotations

import dataclasses
import pkgutil
import sys
import types
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from inspect import getmembers
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from nixwright.record import is_record
from nixwright.source.spell import positional_rest

_ROOMS = ("nixwright.boards", "nixwright.parts", "nixwright.layout")


@cache
def vocabulary() -> dict[str, type]:
    """Return every record that nixwright itself has, by its name."""
    import_module("nixwright.host")
    for room in _ROOMS:
        for module in pkgutil.iter_modules(import_module(room).__path__, f"{room}."):
            import_module(module.name)
    return _records_in("nixwright.")


def beside_ours() -> dict[str, tuple[str, ...]]:
    """Return the fields of the records that modules which are loaded now have beside nixwright's own."""
    return {
        name: fields(kind) for name, kind in _records_in("").items() if not kind.__module__.startswith("nixwright.")
    }


def _records_in(prefix: str) -> dict[str, type]:
    found: dict[str, type] = {}
    for name, module in sorted(sys.modules.items()):
        if name.startswith(prefix):
            kinds = [k for k in vars(module).values() if isinstance(k, type) and k.__module__ == name and is_record(k)]
            found |= {k.__name__: k for k in kinds if not k.__name__.startswith("_")}
    return found


def all_fields() -> dict[str, tuple[str, ...]]:
    """Return the fields of the vocabulary, as `nixwright.source.edit` wants them."""
    return {name: fields(kind) for name, kind in vocabulary().items()}


def fields(kind: type) -> tuple[str, ...]:
    """Return the names of a record's fields in the order of its positional arguments.

    A class that takes all by position (`GPT(*slices)`) has its one field with a star, and what its properties show of
    it by class (`partitions -> tuple[Partition, ...]`) as `*partitions:Partition`.
    """
    rest = positional_rest(kind)
    if rest is None:
        return tuple(f.name for f in dataclasses.fields(kind) if f.init)
    views = [(n, _shown(p.fget)) for n, p in getmembers(kind, lambda m: isinstance(m, property)) if p.fget is not None]
    return (f"*{rest}", *(f"*{name}:{shown}" for name, shown in views if shown))


def _shown(getter: Any) -> str:
    """Return the class of which a property returns a tuple, or nothing."""
    hint = get_type_hints(getter).get("return")
    inner = get_args(hint)
    return inner[0].__name__ if get_origin(hint) is tuple and inner[1:] == (...,) and isinstance(inner[0], type) else ""


@dataclasses.dataclass(frozen=True, slots=True)
class Holds:
    """What a field may hold, as far as it matters to how a person writes it."""

    kinds: frozenset[type] = frozenset()  # str, bool, int, float, list, dict, NoneType, and records
    entry: Any = None  # the annotation of a list's or a dict's values

    def only(self, kind: type) -> bool:
        """Tell whether it holds that kind and nothing else, None aside."""
        return self.kinds - {types.NoneType} == {kind}


def holds(owner: tuple[str, str], levels: int = 0) -> Holds:
    """Return what a field of a record may hold, or what may stand `levels` lists and dicts deep in it."""
    kind = vocabulary().get(owner[0])
    found = Holds() if kind is None else _holds(_annotation(kind, owner[1]))
    for _ in range(levels):
        found = inner(found)
    return found


def _annotation(kind: type, field: str) -> Any:
    """Return the annotation of one field: others of the class may name what only type checkers import."""
    for base in kind.__mro__:
        if field in vars(base).get("__annotations__", {}):
            alone = type("Alone", (), {"__annotations__": {field: base.__annotations__[field]}})
            return get_type_hints(alone, vars(sys.modules[base.__module__]), include_extras=True)[field]
    return Any


def inner(outer: Holds) -> Holds:
    """Return what the entries of a list or the values of a dict may hold."""
    return Holds() if outer.entry is None else _holds(outer.entry)


def holds_alike(value: object) -> Holds:
    """Return what a field seems to hold that has this value now; nothing is known where that is None."""
    if isinstance(value, list | tuple):
        return Holds(
            frozenset({list}), type(value[0]) if value and isinstance(value[0], str) else str if not value else None
        )
    return Holds() if value is None else Holds(frozenset({type(value)}))


def _holds(annotation: Any) -> Holds:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        parts = [_holds(a) for a in args]
        return Holds(
            frozenset(k for p in parts for k in p.kinds), next((p.entry for p in parts if p.entry is not None), None)
        )
    if origin is Literal:
        return Holds(frozenset(type(value) for value in args))
    if isinstance(origin, type):
        return Holds(
            frozenset({dict if issubclass(origin, Mapping) else list}),
            args[1] if len(args) > 1 and args[1] is not ... else next(iter(args), None),
        )
    if annotation is Any or not isinstance(annotation, type):
        return Holds()
    return Holds(frozenset({annotation}))
