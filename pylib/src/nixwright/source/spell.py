"""Values of a running host as source again: a record is the call that makes it, what is at its default left out."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from inspect import Parameter, signature

from nixwright.source.values import Call, Name, Style, written


def spelled(value: object) -> object:
    """Return a value as `nixwright.source.values` has it: literals, `Call` and `Name`.

    A value that its own module binds to a name (`REST`) is that name. What is no data becomes the text of its class.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return Name(name) if (name := _constant(value)) else _call(value)
    if isinstance(value, Mapping):
        return {spelled(k): spelled(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        entries = [spelled(v) for v in value]
        return entries if isinstance(value, list) else tuple(entries)
    if value is None or isinstance(value, str | int | float | bool | bytes):
        return value
    return Name(type(value).__name__)


def text(value: object, width: int = 120) -> str:
    """Return the source text of a value, on one line where that fits in `width` columns."""
    return written(spelled(value), Style(width=width))


def is_default(thing: object, field: dataclasses.Field[object]) -> bool:
    """Tell whether a record's field has the value that it has where nothing is said."""
    value = getattr(thing, field.name, None)
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return field.default is not dataclasses.MISSING and type(value) is type(field.default) and value == field.default


def _call(thing: object) -> Call:
    name, rest = type(thing).__name__, positional_rest(type(thing))
    if rest is not None:
        entries = next(iter(getattr(thing, f.name) for f in dataclasses.fields(thing)))  # type: ignore[arg-type]
        return Call(name, tuple(spelled(e) for e in entries))
    fields = [f for f in dataclasses.fields(thing) if f.init]  # type: ignore[arg-type]
    args = [spelled(getattr(thing, f.name)) for f in fields[:1] if not f.kw_only and not is_default(thing, f)]
    named = [(f.name, spelled(getattr(thing, f.name))) for f in fields[len(args) :] if not is_default(thing, f)]
    return Call(name, tuple(args), tuple(named))


def positional_rest(kind: type) -> str | None:
    """Return the name under which a class takes all its arguments by position (`GPT(*slices)`), or None."""
    if "__init__" not in vars(kind):
        return None
    parameters = list(signature(kind).parameters.values())
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):  # any record's own, which passes all on
        return None
    return next((p.name for p in parameters[:1] if p.kind is Parameter.VAR_POSITIONAL), None)


def _constant(value: object) -> str:
    module = sys.modules.get(type(value).__module__)
    return next((n for n, v in vars(module).items() if v is value and n.isupper()), "") if module else ""
