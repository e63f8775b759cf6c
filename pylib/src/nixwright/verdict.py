"""Pydantic's verdict on a record's arguments that are not plainly right, in our words.

Strictly: nothing is converted but a whole number where a float is asked for, and the like.
"""

from __future__ import annotations

import dataclasses
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs, core_schema

from nixwright.errors import Mistake
from nixwright.record import nearest, shown
from nixwright.unseen import is_unseen

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema, SchemaValidator


_building: ContextVar[type[object] | None] = ContextVar("nixwright_building", default=None)


def judged(
    thing: object, args: tuple[object, ...], kwargs: dict[str, object], given: dict[str, object]
) -> list[Mistake] | None:
    """Fill a record with its arguments (`given`: all by name) and return None; or what is wrong, without a place.

    That is one mistake an argument; of arguments that were told of already, none.
    """
    try:
        _validator(type(thing)).validate_python(ArgsKwargs(args, kwargs or None), self_instance=thing)  # type: ignore[arg-type]
    except ValidationError as error:
        return _mistakes_of(thing, error, given)
    return None


def schema(cls: type[object], source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Check a record's own fields where it is made; inside another it was checked already, and only has to be one."""
    return handler(source) if cls is _building.get() else core_schema.is_instance_schema(cls)


@cache
def _validator(cls: type[object]) -> SchemaValidator:
    token = _building.set(cls)
    try:
        return TypeAdapter(cls).validator  # type: ignore[return-value]
    finally:
        _building.reset(token)


def _names(thing: object) -> list[str]:
    return [f.name for f in dataclasses.fields(thing)]  # type: ignore[arg-type]


def _mistakes_of(thing: object, error: ValidationError, given: dict[str, object]) -> list[Mistake]:
    """Turn what pydantic found into our mistakes, one for each argument."""
    found: dict[str, Mistake] = {}
    names = _names(thing)
    for entry in error.errors(include_url=False, include_context=True):
        first, *rest = entry["loc"] or ("",)
        head = names[first] if isinstance(first, int) and first < len(names) else str(first)
        if is_unseen(entry["input"]):  # what was wrong with that is told already
            continue
        field = head + _below(given.get(head), rest)
        allowed = _allowed(entry)
        made = _mistake(entry, thing, field, allowed)
        before = found.setdefault(field, made)
        if before is not made and made.allowed not in {"", *before.allowed.split(", or ")}:
            fix = before.fix or made.fix
            found[field] = dataclasses.replace(before, allowed=f"{before.allowed}, or {made.allowed}", fix=fix)
    misspelt = {nearest(name, set(names) - given.keys()) for name in given.keys() - set(names)}
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
    names = _names(thing)
    if kind == "unexpected_keyword_argument":
        near = nearest(head, names)
        fix = f"did you mean {near}?" if near else f"remove {head}"
        return Mistake(field, f"{owner} has no field {head}", head, ", ".join(names), fix)
    if kind == "unexpected_positional_argument":
        return Mistake(head, "is given without its name", shown(entry["input"]), "", f"write {head}=...")
    if kind in {"missing", "missing_argument"}:
        return Mistake(field, "is missing", "", "", f"add {head}=...")
    what = _WHAT.get(kind, "has the wrong type")
    if "Secret" in allowed:  # what was written where a reference to a secret belongs may be the secret itself
        return Mistake(field, what, "(not shown)", allowed)
    return Mistake(field, what, shown(entry["input"]), allowed, _fix(entry, allowed))


_WHAT = {
    "greater_than_equal": "is out of bounds",
    "less_than_equal": "is out of bounds",
    "literal_error": "is none of the values allowed",
}
_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "True or False",
    "list_type": "a list",
    "sequence_str": "a list",
    "tuple_type": "a list",
    "dict_type": "a dict",
    "mapping_type": "a dict",
    "none_required": "None",
}
_CLASSES = {"Sequence": "a list", "Mapping": "a dict"}


def _allowed(entry: Any) -> str:
    kind, context = entry["type"], entry.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in _WHAT and kind != "literal_error":
        return f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
    if kind in {"dataclass_type", "dataclass_exact_type", "is_instance_of", "model_type"}:
        name = context.get("class_name") or context.get("class") or context.get("dataclass_name")
        return _CLASSES.get(name, f"{'an' if name[0] in 'AEIO' else 'a'} {name}") if name else ""
    text = str(entry["msg"]).removeprefix("Input should be ").removeprefix("a valid ")
    return text[0].lower() + text[1:] if text else ""


def _fix(entry: Any, allowed: str) -> str:  # noqa: PLR0911 - one case a slip
    """Return what was probably meant, where a slip is a known one."""
    value = entry["input"]
    if isinstance(value, type):
        needs = [f for f in dataclasses.fields(value) if f.default is f.default_factory] if _is_record(value) else ["?"]
        return f"write {value.__name__}({'...' if needs else ''})"
    if callable(value) and hasattr(value, "__name__"):
        return f"call it: {value.__name__}()"
    if entry["type"] == "is_instance_of" and isinstance(value, list | tuple):
        inner = isinstance(entry["loc"][-1], int) if entry["loc"] else False
        return "leave the inner brackets out" if inner else "write one, without brackets"
    if allowed == "a list":
        return f"write [{shown(value)}]" if isinstance(value, str) else "put it into a list: [...]"
    if allowed == "text" and isinstance(value, int | float) and not isinstance(value, bool):
        return f'write "{value}"'
    if allowed == "a whole number" and isinstance(value, str) and value.strip().isdecimal():
        return f"write {value.strip()}"
    if allowed == "True or False" and value in ("yes", "on", "true", 1, "no", "off", "false", 0):
        return f"write {value in ('yes', 'on', 'true', 1)}"
    if allowed == "a MiB" and isinstance(value, int):
        return f"say the unit: MiB({value}), GiB({value})"
    return ""


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value)
