"""Whether arguments are plainly what a record's annotations say: by exact types, without any conversion.

What is not plainly right is pydantic's to judge, to convert or to refuse. A host without mistakes never loads it: its
import takes longer than all the rest of `gen`.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from nixwright.bounds import Ge

Test: TypeAlias = Callable[[Any], bool]

_SCALARS = (bool, int, float)
_NONE = type(None)
_UNKNOWN = object()
RECORD = "_is_record"  # the class attribute by which a record is known


class Fields:
    """How a record's arguments are taken."""

    def __init__(self, cls: type[Any]) -> None:
        """Read the annotations."""
        fields = dataclasses.fields(cls)
        self._tests = {f.name: _test(_hint(cls, f.name)) for f in fields if f.init}
        self._positional = [f.name for f in fields if f.init and not f.kw_only]
        missing = dataclasses.MISSING
        self._plain = {f.name: f.default for f in fields if f.default is not missing}
        self._made = {f.name: f.default_factory for f in fields if f.default_factory is not missing}
        self._needed = self._tests.keys() - self._plain.keys() - self._made.keys()

    def taken(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return all fields by name where the arguments are plainly right, lists and dicts copied; else None."""
        if len(args) > len(self._positional):
            return None
        given = dict(zip(self._positional, args, strict=False))
        if given.keys() & kwargs.keys():
            return None
        given |= kwargs
        if not self._needed <= given.keys() <= self._tests.keys():
            return None
        for name, value in given.items():
            if not self._tests[name](value):
                return None
            if type(value) in {list, dict}:  # what the user's file does to its own later is no part of the record
                given[name] = value.copy()
        made = {name: factory() for name, factory in self._made.items() if name not in given}
        return {**self._plain, **made, **given}


def _hint(cls: type[Any], field: str) -> Any:
    """Return what a field's annotation means in the module of its class; `_UNKNOWN` where that cannot be told.

    The class' other annotations are not looked at: they may name what only type checkers import.
    """
    try:
        owner = next(b for b in cls.__mro__ if field in getattr(b, "__annotations__", ()))
        alone = types.SimpleNamespace(__annotations__={field: owner.__annotations__[field]})
        return typing.get_type_hints(alone, vars(sys.modules[owner.__module__]), include_extras=True)[field]
    except (NameError, TypeError, AttributeError, KeyError):
        return _UNKNOWN


def _test(hint: Any) -> Test:  # noqa: PLR0911 - one case a kind of type
    """Return what tells that a value is plainly of a type; of a type that we do not know, no value is."""
    if hint is Any:
        return lambda _: True
    if hint in {None, _NONE}:
        return lambda v: v is None
    if hint is str:
        return _is_text
    if hint in _SCALARS:
        return lambda v: type(v) is hint
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        allowed = {(type(a), a) for a in arguments}
        return lambda v: isinstance(v, str | int) and (type(v), v) in allowed
    if origin in {typing.Union, types.UnionType}:
        tests = [_test(a) for a in arguments]
        return _never if _never in tests else lambda v: any(t(v) for t in tests)
    if origin is typing.Annotated:
        return _bounded(*arguments)
    if origin is Callable:
        return callable
    if origin in {list, tuple, Sequence, dict, Mapping}:
        return _container(origin, arguments)
    return _instance(hint) if isinstance(hint, type) else _never


def _never(_: Any) -> bool:
    return False


def _is_text(value: Any) -> bool:
    """Tell a string that UTF-8 can say."""
    return type(value) is str and (value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value))


def _bounded(hint: Any, *bounds: Any) -> Test:
    if hint is not int or not all(isinstance(b, Ge) for b in bounds):
        return _never
    return lambda v: type(v) is int and all(b.holds(v) for b in bounds)


def _container(origin: Any, arguments: tuple[Any, ...]) -> Test:
    if origin in {dict, Mapping}:
        key, inner = map(_test, arguments)
        return (
            _never
            if _never in (key, inner)
            else lambda v: type(v) is dict and all(key(k) and inner(e) for k, e in v.items())
        )
    kinds = {list, tuple} if origin is Sequence else {origin}
    each = _test(arguments[0]) if origin is not tuple or arguments[1:] == (...,) else _never
    return _never if each is _never else lambda v: type(v) in kinds and all(map(each, v))


def _instance(kind: type[Any]) -> Test:
    """Of a class, its instances; but pydantic has ideas of its own about those of the standard library and its own."""
    ordinary = type(kind) is type and all(b is object or not _known(b) for b in kind.__mro__)
    return (lambda v: isinstance(v, kind)) if ordinary else _never


def _known(base: type[Any]) -> bool:
    """Tell whether pydantic takes more, or less, than instances of a class that is no record."""
    said = "__get_pydantic_core_schema__" in vars(base) and RECORD not in vars(base)
    return said or base.__module__.partition(".")[0] in sys.stdlib_module_names
