"""Whether one value that holds no others is right, and by which keyword it is wrong.

What is plainly right is passed at once; every verdict of "wrong" is jsonschema's, which a right host never loads:
its import takes 70 ms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from nixwright.options.shards import Node

LARGEST = 2**63 - 1  # Nix' integers have 64 bits


def is_integer(value: Any) -> bool:
    """Tell an integer of Nix: no boolean, and no 1.0 either, which JSON Schema would take."""
    return isinstance(value, int) and not isinstance(value, bool) and -LARGEST - 1 <= value <= LARGEST


def is_list(value: Any) -> bool:
    """Tell a list of Nix."""
    if type(value) in {list, str, dict}:
        return type(value) is list
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


KINDS: dict[str, Callable[[Any], bool]] = {
    "null": lambda v: v is None,
    "boolean": lambda v: isinstance(v, bool),
    "integer": is_integer,
    "number": lambda v: is_integer(v) or isinstance(v, float),
    "string": lambda v: isinstance(v, str),
    "array": is_list,
    "object": lambda v: type(v) is dict or isinstance(v, Mapping),
}


def is_kind(value: Any, node: Node) -> bool:
    """Tell whether a value has (one of) the node's JSON type(s); a node without takes any."""
    kinds = node.get("type")
    return kinds is None or any(KINDS[k](value) for k in ([kinds] if isinstance(kinds, str) else kinds))


def plainly_right(value: Any, node: Node) -> bool:
    """Tell what is right at a glance; False also where one must look closer."""
    for key in node.keys() & _RULES:  # noqa: SIM110 - half as long as all() of a generator, and most of a host's check
        if not _plainly(key, node[key], value):
            return False
    return True


def wrong(value: Any, node: Node) -> str:
    """Return the keyword of JSON Schema by which the node refuses the value; empty where it takes it.

    The node's `properties`, `items` and the like, which speak of what is inside the value, have no say.
    """
    if plainly_right(value, node):
        return ""
    rules = {key: node[key] for key in RULES if key in node}
    errors = sorted(_validator()(rules).iter_errors(value), key=lambda e: RULES.index(e.validator))
    return str(errors[0].validator) if errors else ""


RULES = (
    "type",
    "enum",
    "not",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "pattern",
    "minItems",
)
_RULES = frozenset(RULES)


def _plainly(key: str, rule: Any, value: Any) -> bool:  # noqa: PLR0911 - one case a keyword
    """Tell what is right at a glance; False where one must look."""
    if key == "type":
        return KINDS[rule](value) if isinstance(rule, str) else any(KINDS[k](value) for k in rule)
    if key == "enum":
        return isinstance(value, str) and value in rule
    if key == "not":
        return rule == {"type": "integer"} and isinstance(value, float)
    if key == "pattern":
        return isinstance(value, str) and re.search(rule, value) is not None
    if key == "minItems":
        return is_list(value) and len(value) >= rule
    if not is_integer(value):
        return False
    return bool(value <= rule if key == "maximum" else value >= rule if key == "minimum" else value > rule)


@lru_cache(maxsize=1)
def _validator() -> Any:
    """Jsonschema's validator of draft 2020-12, with Nix' ideas of what is an integer, a list and an attribute set."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - 70 ms that a right host does not pay

    extend: Any = validators.extend  # it has no types, or none that say what it gives
    checker = Draft202012Validator.TYPE_CHECKER.redefine_many({k: lambda _, v, f=f: f(v) for k, f in KINDS.items()})
    return extend(Draft202012Validator, type_checker=checker)
