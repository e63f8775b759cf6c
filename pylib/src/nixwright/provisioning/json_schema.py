"""The JSON Schema of `config.toml`, from the types that the device reads it by (draft 2020-12)."""

from __future__ import annotations

import dataclasses
import inspect
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from nixwright.provisioning.model import Config
from nixwright.provisioning.shape import MOST_ENTRIES, Between, Holds, Matches, bounds_of, fields_of

Schema = dict[str, Any]
_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def config_schema() -> Schema:
    """Return the schema of a whole `config.toml`."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "config.toml, version 1"}
    return head | schema_of(Config)


def schema_of(kind: Any) -> Schema:
    """Return the schema of a type, as `nixwright.provisioning.shape.read` takes it."""
    kind, bounds = bounds_of(kind)
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _table(kind)
    if origin in (Union, UnionType):
        made: Schema = {"anyOf": [schema_of(one) for one in get_args(kind)]}
    elif origin is Literal:
        made = {"enum": list(get_args(kind))}
    elif origin is dict:
        key, value = get_args(kind)
        made = {"type": "object", "propertyNames": schema_of(key), "additionalProperties": schema_of(value)}
        made["maxProperties"] = MOST_ENTRIES
    elif origin is tuple:
        made = {"type": "array", "items": schema_of(get_args(kind)[0]), "maxItems": MOST_ENTRIES}
    else:
        made = {"type": _SCALARS[kind]}
    for bound in bounds:
        made |= _bound(bound, array=origin is tuple)
    return made


def _table(table: Any) -> Schema:
    fields = fields_of(table)
    made: Schema = {
        "type": "object",
        "description": inspect.cleandoc(table.__doc__ or "").replace("\n", " "),
        "properties": {field.key: schema_of(field.kind) for field in fields},
        "additionalProperties": False,
    }
    required = [field.key for field in fields if field.required]
    return made | ({"required": required} if required else {})


def _bound(bound: object, *, array: bool) -> Schema:
    if isinstance(bound, Between):
        return {"minimum": bound.low, "maximum": bound.high}
    if isinstance(bound, Matches):
        return {"pattern": f"^({bound.pattern})$", "maxLength": bound.longest, "description": bound.allowed}
    if isinstance(bound, Holds):
        least = {"minItems" if array else "minProperties": bound.least} if bound.least else {}
        return least | ({"uniqueItems": True} if bound.once else {})
    return {}
