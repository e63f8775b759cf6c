"""What data may be, said by dataclasses and their annotations: what is read by it, and what is wrong with what is not.

A table is a dataclass; a table with free keys `dict[K, V]`; an array `tuple[X, ...]`; a word `Literal`. `X | None` may
be left out. `Annotated` adds bounds. The JSON Schema comes from the same types: `nixwright.provisioning.json_schema`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

Way: TypeAlias = tuple[str | int, ...]  # from the top: ("users", "ada", "shell")
T = TypeVar("T")
MOST_FAULTS = 50  # of a file that is wrong all over, the first tell enough
MOST_ENTRIES = 1024  # of a table with free keys, or an array
_SHOWN = 60


@dataclass(frozen=True)
class Matches:
    """A text that a regular expression matches as a whole; `allowed` says so in words. No message shows a `secret`."""

    pattern: str
    allowed: str
    longest: int = 1024
    secret: bool = False


@dataclass(frozen=True)
class Between:
    """A whole number with its bounds, both allowed."""

    low: int
    high: int


@dataclass(frozen=True)
class Holds:
    """How many entries an array or a table has at least; `once`: none of an array's stands there twice."""

    least: int = 0
    once: bool = False


@dataclass(frozen=True)
class Named:
    """The key in the file, where Python calls the field otherwise."""

    key: str


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, what, what was given (never what may be a secret), and what is allowed."""

    way: Way
    what: str
    given: str = ""
    allowed: str = ""

    def line(self) -> str:
        """Return the fault on one line."""
        more = [f"{name} {said}" for name, said in (("given", self.given), ("allowed", self.allowed)) if said]
        told = f" ({'; '.join(more)})" if more else ""
        return f"{self.place()}: {self.what}{told}".removeprefix(": ")

    def place(self) -> str:
        """Return the way as one reads it: `network.dns_servers[0]`."""
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{_key_text(step)}" for step in self.way)
        return text.removeprefix(".")


class RefusedError(Exception):
    """What was given is refused, and nothing was changed. Its text is for a person; it holds no value of theirs."""

    def __init__(self, *faults: Fault) -> None:
        """Hold the faults, first found first."""
        super().__init__("; ".join(f"{f.place()}: {f.what}".removeprefix(": ") for f in faults))
        self.faults = faults


@dataclass(frozen=True)
class Field:
    """A field of a table: its key, its name in Python, its type, and whether it must be there."""

    key: str
    name: str
    kind: Any
    required: bool


def _key_text(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) else repr(key[:_SHOWN])


@cache
def fields_of(table: type) -> tuple[Field, ...]:
    """Return the fields of a table, in their order."""
    hints = get_type_hints(table, include_extras=True)
    found = []
    for entry in dataclasses.fields(table):
        kind = hints[entry.name]
        keys = [bound.key for bound in bounds_of(kind)[1] if isinstance(bound, Named)]
        required = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        found.append(Field(keys[0] if keys else entry.name, entry.name, kind, required))
    return tuple(found)


def bounds_of(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without what `Annotated` adds, and that; `X | None` is X, which may be left out."""
    bounds: tuple[Any, ...] = ()
    while True:
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            bounds = (*bounds, *more)
        elif get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind):
            rest = [one for one in get_args(kind) if one is not NoneType]
            kind = Union[tuple(rest)]  # noqa: UP007 - of what is only known when it runs
        else:
            return kind, bounds


def read(table: type[T], value: object) -> T:
    """Return data as the dataclass that describes it. Raises RefusedError with all that is wrong."""
    faults: list[Fault] = []
    made = _read(table, value, (), faults)
    if faults:
        raise RefusedError(*faults[:MOST_FAULTS])
    return cast("T", made)


def read_sound(table: type, value: dict[str, Any], faults: Iterable[Fault]) -> dict[str, Any]:
    """Return those fields of a table that `read` refused in which it found no fault, each as its type has it."""
    wrong = {fault.way[0] for fault in faults if fault.way}
    sound = [field for field in fields_of(table) if field.key not in wrong and field.key in value]
    return {field.name: _read(field.kind, value[field.key], (field.key,), []) for field in sound}


def _read(kind: Any, value: object, way: Way, faults: list[Fault]) -> object:
    """Return a value as its type has it; what is wrong goes to `faults`, and then the value is of no use."""
    kind, bounds = bounds_of(kind)
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _read_table(cast("type", kind), value, way, faults)
    if origin in (Union, UnionType):
        return _read_either(get_args(kind), value, way, faults)
    if origin is Literal:
        return _read_word(get_args(kind), value, way, faults)
    if origin is dict:
        return _read_free(get_args(kind), bounds, value, way, faults)
    if origin is tuple:
        return _read_array(get_args(kind)[0], bounds, value, way, faults)
    return _read_scalar(kind, bounds, value, way, faults)


def _read_table(table: type, value: object, way: Way, faults: list[Fault]) -> object:
    if not isinstance(value, dict):
        faults.append(Fault(way, "is no table", kind_of(value), "a table"))
        return None
    fields = fields_of(table)
    keys = [field.key for field in fields]
    for key in value:
        if key not in keys and len(faults) < MOST_FAULTS:
            near = difflib.get_close_matches(str(key)[:_SHOWN], keys, n=1)
            what = f"is not known; is it {near[0]}?" if near else "is not known"
            faults.append(Fault((*way, key), what, "", ", ".join(keys)))
    missing = [field for field in fields if field.required and field.key not in value]
    faults += [Fault((*way, field.key), "is missing", "", _form(field.kind)) for field in missing]
    there = [field for field in fields if field.key in value]
    made = {field.name: _read(field.kind, value[field.key], (*way, field.key), faults) for field in there}
    return None if missing else table(**made)


def _read_free(kinds: tuple[Any, ...], bounds: tuple[Any, ...], value: object, way: Way, faults: list[Fault]) -> object:
    if not isinstance(value, dict):
        faults.append(Fault(way, "is no table", kind_of(value), "a table"))
        return {}
    _count(bounds, value, way, faults)
    made = {}
    for key, inner in value.items():
        _read(kinds[0], key, (*way, key), faults)
        made[key] = _read(kinds[1], inner, (*way, key), faults)
    return made


def _read_array(kind: Any, bounds: tuple[Any, ...], value: object, way: Way, faults: list[Fault]) -> object:
    if not isinstance(value, list):
        faults.append(Fault(way, "is no array", kind_of(value), "an array"))
        return ()
    _count(bounds, value, way, faults)
    if len(value) > MOST_ENTRIES:
        return ()
    return tuple(_read(kind, inner, (*way, index), faults) for index, inner in enumerate(value))


def _count(bounds: tuple[Any, ...], value: dict[str, object] | list[object], way: Way, faults: list[Fault]) -> None:
    if len(value) > MOST_ENTRIES:
        faults.append(Fault(way, "has too many entries", str(len(value)), f"at most {MOST_ENTRIES}"))
    for bound in bounds:
        if isinstance(bound, Holds) and len(value) < bound.least:
            faults.append(Fault(way, "has too few entries", str(len(value)), f"at least {bound.least}"))
        if isinstance(bound, Holds) and bound.once and isinstance(value, list):
            # by its text: True is 1 for Python, and no port
            texts = [repr(inner) for inner in value[:MOST_ENTRIES]]
            first = dict(zip(reversed(texts), range(len(texts) - 1, -1, -1), strict=True))
            twice = next((n for n, text in enumerate(texts) if first[text] < n), None)
            if twice is not None:
                faults.append(Fault((*way, twice), "is there twice"))


def _read_either(kinds: tuple[Any, ...], value: object, way: Way, faults: list[Fault]) -> object:
    """Return the value as the first type that takes it; else say what the one that it looks like says."""
    best: list[Fault] = []
    for kind in kinds:
        found: list[Fault] = []
        made = _read(kind, value, way, found)
        if not found:
            return made
        if _alike(kind, value) or not best:
            best = found
    faults += best
    return None


def _alike(kind: Any, value: object) -> bool:
    plain, _ = bounds_of(kind)
    return isinstance(value, list) if get_origin(plain) is tuple else type(value) is plain


def _read_word(words: tuple[Any, ...], value: object, way: Way, faults: list[Fault]) -> object:
    if not any(type(value) is type(word) and value == word for word in words):
        allowed = ", ".join(map(_toml_word, words))
        faults.append(Fault(way, "is not one of those that are known", short(value), allowed))
    return value


def _read_scalar(kind: Any, bounds: tuple[Any, ...], value: object, way: Way, faults: list[Fault]) -> object:
    if type(value) is not kind:
        faults.append(Fault(way, f"is no {_KINDS[kind]}", kind_of(value), _form(kind)))
        return value
    if isinstance(value, float) and not math.isfinite(value):
        faults.append(Fault(way, "is no number", "", "a finite number"))
    for bound in bounds:
        if isinstance(bound, Between) and isinstance(value, int) and not bound.low <= value <= bound.high:
            faults.append(Fault(way, "is out of range", short(value), f"{bound.low} to {bound.high}"))
        if isinstance(bound, Matches) and isinstance(value, str):
            if len(value) > bound.longest:
                faults.append(Fault(way, "is too long", f"{len(value)} characters", f"at most {bound.longest}"))
            elif not re.fullmatch(bound.pattern, value):
                given = "" if bound.secret else short(value)
                faults.append(Fault(way, "is not of the form that it must have", given, bound.allowed))
    return value


def _form(kind: Any) -> str:
    """Return what a type takes, as one writes it in TOML."""
    plain, bounds = bounds_of(kind)
    if dataclasses.is_dataclass(plain):
        needed = [field.key for field in fields_of(cast("type", plain)) if field.required]
        return f"a table with {', '.join(needed)}" if needed else "a table"
    if get_origin(plain) is Literal:
        return ", ".join(map(_toml_word, get_args(plain)))
    if get_origin(plain) in (dict, tuple):
        return "a table" if get_origin(plain) is dict else "an array"
    said = [bound.allowed for bound in bounds if isinstance(bound, Matches)]
    return said[0] if said else _FORMS.get(plain, "a value")


_FORMS = {
    str: "a text in quotes",
    int: "a whole number, without quotes",
    float: "a number, without quotes",
    bool: "true or false, without quotes",
}
_KINDS = {str: "string", int: "whole number", float: "number", bool: "boolean"}


def kind_of(value: object) -> str:
    """Return what a value is, in TOML's words, and nothing of what it says."""
    names: Iterable[tuple[type, str]] = (*_KINDS.items(), (dict, "table"), (list, "array"))
    return next(
        (f"a {name}" if name[0] != "a" else f"an {name}" for kind, name in names if type(value) is kind),
        "a date or time",
    )


def short(value: object) -> str:
    """Return a value as one reads it, no longer than a line."""
    text = _toml_word(value) if isinstance(value, bool | int | str) else kind_of(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _toml_word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_SHOWN else "a very large number"
    return '"' + "".join(c if c.isprintable() and c != '"' else "?" for c in str(value)) + '"'
