"""`record`: a frozen, strictly validated dataclass that knows where in the user's file it was made.

What a type cannot say, a record says in a method `wrong`: it yields `Mistake`s whose `field` is the argument's name
(`curve`, `curve.55`, `parts[2]`, or empty for the whole), without an origin: the record puts in that and its own name.

Called by hand, a wrong record raises `MistakeError` at once. Where mistakes are collected (`errors.collecting`, as
`gen` does) they are recorded, the object is made all the same and marked broken, and the user's file goes on.
"""

from __future__ import annotations

import dataclasses
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs, core_schema

from nixwright.errors import Mistake, report
from nixwright.origin import Origin, here
from nixwright.unseen import UNSEEN, independent, is_broken, is_unseen

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema, SchemaValidator

__all__ = ["build_validator", "field_origin", "is_broken", "origin_of", "record", "shown"]

T = TypeVar("T")

# Strict: "9999" is no port. Hidden input: what was given may be a secret, and is shown only where we choose to.
CONFIG = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def record(cls: type[T]) -> type[T]:
    """Make a class a record: a frozen dataclass whose fields are checked strictly. Bounds stand in `Annotated`."""
    made = dataclasses.dataclass(frozen=True)(cls)
    made.__pydantic_config__ = CONFIG  # type: ignore[attr-defined]
    made.__get_pydantic_core_schema__ = classmethod(_schema)  # type: ignore[attr-defined]
    plain = made.__init__

    def __init__(self: T, *args: object, **kwargs: object) -> None:  # noqa: N807 - stands for any record's own
        origin = here()
        object.__setattr__(self, "_origin", origin)
        try:
            kind: type[object] = type(self)
            _validator(kind).validate_python(ArgsKwargs(args, kwargs or None), self_instance=self)  # type: ignore[arg-type]
        except ValidationError as error:
            given = _given(self, args, kwargs)
            found = _mistakes_of(self, error, given)
            _break(self, given, {_head(m) for m in found})
            report(*found)
            return
        object.__setattr__(self, "_origin", origin)  # the validator has put a new __dict__ in place
        wrong = [_placed(m, self) for m in independent(getattr(self, "wrong", tuple)())]
        if wrong:
            object.__setattr__(self, "_wrong", frozenset(map(_head, wrong)))
            report(*wrong)

    __init__.__wrapped__ = plain  # type: ignore[attr-defined]
    made.__init__ = __init__  # type: ignore[method-assign,assignment]
    return made


@cache
def _validator(cls: type[object]) -> SchemaValidator:
    """Build a record's validator when the first one is made, so that a host pays only for what it uses."""
    token = _building.set(cls)
    try:
        return TypeAdapter(cls).validator  # type: ignore[return-value]
    finally:
        _building.reset(token)


def build_validator(cls: type[object]) -> None:
    """Build a record's validator now, where it would be built again in many children; of another class, nothing."""
    if vars(cls).get("__pydantic_config__") is CONFIG:
        _validator(cls)  # type: ignore[arg-type]


_building: ContextVar[type[object] | None] = ContextVar("nixwright_building", default=None)


def _schema(cls: type[object], source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Check a record's own fields where it is made; inside another it was checked already, and only has to be one."""
    return handler(source) if cls is _building.get() else core_schema.is_instance_schema(cls)


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


def _break(self: object, given: dict[str, object], wrong: set[str]) -> None:
    """Fill a record that is wrong by its types with what is right of it, so that the user's file can go on.

    In place of what is wrong or missing comes the default where that is a quantity or a word; one that says "nothing"
    would have rules tell that something is missing, so that field, like one without a default, is unseen.
    """
    object.__setattr__(self, "_wrong", frozenset(wrong))
    names = {f.name for f in dataclasses.fields(self)}  # type: ignore[arg-type]
    misspelt = {near for name in given.keys() - names if (near := _nearest(name, names - given.keys()))}
    for field in dataclasses.fields(self):  # type: ignore[arg-type]
        made = field.default_factory is not dataclasses.MISSING
        default = field.default_factory() if made else field.default  # type: ignore[misc]
        value = UNSEEN if default is dataclasses.MISSING else default
        if field.name in given and field.name not in wrong:
            value = given[field.name]
        elif field.name in wrong | misspelt and not (isinstance(default, int | float | str) and default != ""):
            value = UNSEEN
        object.__setattr__(self, field.name, value)


def _nearest(name: str, names: Collection[str]) -> str:
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


def _mistakes_of(thing: object, error: ValidationError, given: dict[str, object]) -> list[Mistake]:
    """Turn what pydantic found into our mistakes, one for each argument."""
    found: dict[str, Mistake] = {}
    names = [f.name for f in dataclasses.fields(thing)]  # type: ignore[arg-type]
    for entry in error.errors(include_url=False, include_context=True):
        first, *rest = entry["loc"] or ("",)
        head = names[first] if isinstance(first, int) and first < len(names) else str(first)
        if is_unseen(entry["input"]):  # what was wrong with that is told already
            continue
        field = head + _below(given.get(head), rest)
        allowed = _allowed(entry)
        if field in found and found[field].allowed not in {"", allowed}:
            found[field] = dataclasses.replace(found[field], allowed=f"{found[field].allowed}, or {allowed}")
        elif field not in found:
            found[field] = _placed(_mistake(entry, thing, field, allowed), thing)
    misspelt = {_nearest(name, set(names) - given.keys()) for name in given.keys() - set(names)}
    return [m for name, m in found.items() if name not in misspelt]  # one that is misspelt is not missing, too


def _below(value: object, steps: list[int | str]) -> str:
    """Return the user's own way down to what is wrong: of pydantic's, less the names of the types it tried."""
    way = ""
    for step in steps:
        if isinstance(value, (list, tuple)) and isinstance(step, int) and step < len(value):
            value, way = value[step], f"{way}[{step}]"
        elif isinstance(value, dict) and (key := next((k for k in value if str(k) == str(step)), None)) is not None:
            value, way = value[key], f"{way}.{step}"
    return way


def _mistake(entry: Any, thing: object, field: str, allowed: str) -> Mistake:
    kind, owner, head = entry["type"], type(thing).__name__, field.replace("[", ".").partition(".")[0]
    names = [f.name for f in dataclasses.fields(thing)]  # type: ignore[arg-type]
    if kind in {"unexpected_keyword_argument", "unexpected_positional_argument"}:
        near = _nearest(head, names)
        fix = f"did you mean {near}?" if near else f"remove {head}"
        return Mistake(field, f"{owner} has no field {head}", head, ", ".join(names), fix)
    if kind in {"missing", "missing_argument"}:
        return Mistake(field, "is missing", "", "", f"add {head}=...")
    # what was written where a reference to a secret belongs may be the secret itself
    given = "(not shown)" if "Secret" in allowed else shown(entry["input"])
    return Mistake(field, "has the wrong type or value", given, allowed)


def _allowed(entry: Any) -> str:
    kind, context = entry["type"], entry.get("ctx", {})
    if kind in {"dataclass_type", "dataclass_exact_type", "is_instance_of", "model_type"}:
        name = context.get("class_name") or context.get("class") or context.get("dataclass_name")
        return f"a {name}" if name else ""
    text = str(entry["msg"]).removeprefix("Input should be ").removeprefix("a valid ")
    return text[0].lower() + text[1:] if text else ""


def shown(value: object) -> str:
    """Return a value as a message shows it: short, on one line; a record by its name."""
    text = f"{type(value).__name__}(...)" if dataclasses.is_dataclass(value) else repr(value)
    limit = 60
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
