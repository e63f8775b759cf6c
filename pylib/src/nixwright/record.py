"""`record`: a frozen, strictly validated dataclass that knows where in the user's file it was made.

What a type cannot say, a record says in a method `wrong`: it yields `Mistake`s whose `field` is the argument's name
(`curve`, `curve.55`, `parts[2]`, or empty for the whole), without an origin: the record puts in that and its own name.

Called by hand, a wrong record raises `MistakeError` at once. Where mistakes are collected (`errors.collecting`, as
`gen` does) they are recorded, the object is made all the same and marked broken, and the user's file goes on.
"""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast, dataclass_transform

from nixwright.errors import Mistake, report
from nixwright.fields import RECORD, Fields
from nixwright.origin import Origin, here
from nixwright.unseen import UNSEEN, independent, is_broken

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pydantic import ConfigDict, GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["field_origin", "is_broken", "nearest", "origin_of", "record", "shown"]

T = TypeVar("T")

# Strict: "9999" is no port. Hidden input: what was given may be a secret, and is shown only where we choose to.
_CONFIG: ConfigDict = {
    "strict": True,
    "extra": "forbid",
    "arbitrary_types_allowed": True,
    "hide_input_in_errors": True,
}


class _Methods:
    """What every record has.

    A dataclass has such methods made for each class anew, from text: a fifth of the time of importing nixwright.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        origin = here()
        object.__setattr__(self, "_origin", origin)
        taken = _fields(type(self)).taken(args, kwargs)  # type: ignore[arg-type]
        if taken is not None:
            vars(self).update(taken)
        else:
            given = _given(self, args, kwargs)
            found = _judged(self, args, kwargs, given)
            object.__setattr__(self, "_origin", origin)  # pydantic has put a new __dict__ in place
            if found is not None:
                found = [_placed(m, self) for m in found]
                _break(self, given, found)
                report(*found)
                return
        wrong = [_placed(m, self) for m in independent(getattr(self, "wrong", tuple)())]
        if wrong:
            object.__setattr__(self, "_wrong", frozenset(map(_head, wrong)))
            report(*wrong)

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in _values(self).items())
        return f"{type(self).__qualname__}({said})"

    def __eq__(self, other: object) -> Any:
        return _values(self) == _values(other) if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(_values(self).values()))

    def __setattr__(self, name: str, _value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _values(thing: Any) -> dict[str, Any]:
    return {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def record(cls: type[T]) -> type[T]:
    """Make a class a record: a frozen dataclass whose fields are checked strictly. Bounds stand in `Annotated`."""
    made = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    for name, method in vars(_Methods).items():
        if callable(method) and name not in vars(cls):
            setattr(made, name, method)
    setattr(made, RECORD, True)
    made.__pydantic_config__ = _CONFIG  # type: ignore[attr-defined]
    made.__get_pydantic_core_schema__ = classmethod(_schema)  # type: ignore[attr-defined]
    return made


@cache
def _fields(cls: type[Any]) -> Fields:
    """Read a record's fields when the first one is made, so that a host pays only for what it uses."""
    return Fields(cls)


def is_record(cls: type[object]) -> bool:
    """Tell whether a class is a record, or inherits its fields from one."""
    return getattr(cls, "__pydantic_config__", None) is _CONFIG


def _judged(
    thing: object, args: tuple[object, ...], kwargs: dict[str, object], given: dict[str, object]
) -> list[Mistake] | None:
    """Fill a record by pydantic, with what is not plainly right, or return what is wrong with it."""
    from nixwright.verdict import judged  # noqa: PLC0415 - it loads pydantic, which a right host never does

    return judged(thing, args, kwargs, given)


def _schema(cls: type[object], source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Say to pydantic what a record is, where another type holds one."""
    from nixwright.verdict import schema  # noqa: PLC0415 - as above

    return schema(cls, source, handler)


def origin_of(thing: object) -> Origin:
    """Return where a record was made (an empty origin for anything else)."""
    origin = getattr(thing, "_origin", None)
    return origin if isinstance(origin, Origin) else Origin()


def field_origin(thing: object, field: str) -> Origin:
    """Return where one argument of a record was written, given by keyword or by position."""
    head = field.replace("[", ".").partition(".")[0]
    names = [f.name for f in dataclasses.fields(thing)] if dataclasses.is_dataclass(thing) else []
    return origin_of(thing).at(field, names.index(head) if head in names else -1)


def _given(thing: object, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
    """Return the arguments by name; of more than there are fields for, the first."""
    return dict(zip((f.name for f in dataclasses.fields(thing) if not f.kw_only), args, strict=False)) | kwargs  # type: ignore[arg-type]


def _break(self: object, given: dict[str, object], found: list[Mistake]) -> None:
    """Fill a record that is wrong by its types with what is right of it, so that the user's file can go on.

    In place of what is wrong or missing comes the default where that is a quantity or a word; one that says "nothing"
    would have rules tell that something is missing, so that field, like one without a default, is unseen. Of a list
    with wrong elements only these are.
    """
    wrong = {_head(m) for m in found}
    object.__setattr__(self, "_wrong", frozenset(wrong))
    names = {f.name for f in dataclasses.fields(self)}  # type: ignore[arg-type]
    doubtful = wrong | {nearest(name, names - given.keys()) for name in given.keys() - names}
    for field in dataclasses.fields(self):  # type: ignore[arg-type]
        name, factory = field.name, cast("Any", field.default_factory)
        default = field.default if factory is dataclasses.MISSING else factory()
        value = UNSEEN if default is dataclasses.MISSING else default
        if name in given and name not in wrong:
            value = given[name]
        elif isinstance(whole := given.get(name), list | tuple):
            value = _known(whole, [m.field for m in found if _head(m) == name])
        elif name in doubtful and not (isinstance(default, int | float | str) and default != ""):
            value = UNSEEN
        object.__setattr__(self, name, value)


def _known(values: Sequence[object], wrong: list[str]) -> Any:
    """Return a list with `UNSEEN` for each element that a mistake is about; that alone where one is of the whole."""
    ways = [field.partition("[")[2].partition("]")[0] for field in wrong]
    if not all(way.isdigit() for way in ways):
        return UNSEEN
    return [UNSEEN if str(index) in ways else value for index, value in enumerate(values)]


def nearest(name: str, names: Collection[str]) -> str:
    """Return the field that a misspelt one may be; empty where none is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    return next(iter(get_close_matches(name, sorted(names), n=1)), "")


def _head(mistake: Mistake) -> str:
    """Return the name of the field that a mistake of a record is about (`curve` of `PwmFan.curve.55`)."""
    return mistake.field.replace("[", ".").split(".")[1] if "." in mistake.field else ""


def _placed(mistake: Mistake, thing: object) -> Mistake:
    """Give a mistake the record's name and the line of the argument."""
    name = type(thing).__name__
    field = f"{name}.{mistake.field}" if mistake.field else name
    origin = mistake.origin or field_origin(thing, mistake.field)
    return dataclasses.replace(mistake, field=field, origin=origin)


def shown(value: object) -> str:
    """Return a value as a message shows it: short, on one line, and the same each time; a record by its name."""
    if isinstance(value, type):
        text = f"the class {value.__name__}"
    elif callable(value) and hasattr(value, "__qualname__"):
        text = f"the function {value.__qualname__}"
    elif dataclasses.is_dataclass(value):
        text = f"{type(value).__name__}(...)"
    elif isinstance(value, list | tuple) and any(map(dataclasses.is_dataclass, value)):
        text = f"[{', '.join(map(shown, value))}]"
    elif isinstance(value, set | frozenset) and value:
        text = f"{{{', '.join(sorted(map(repr, value)))}}}"
    else:
        text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))  # where it is in memory tells nobody anything
    limit = 60
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
