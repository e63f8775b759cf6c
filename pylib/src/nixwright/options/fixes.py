"""What a user may have meant by a value: the first near one that is right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nixwright.options.shards import Node

BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def quoted(name: str) -> str:
    """Return text in double quotes, as Nix and Python both read it."""
    return json.dumps(name, ensure_ascii=False)


def nearest(value: Any, choices: list[str]) -> str:
    """Return `did you mean "x"?` for the choice that is most like the value; empty where none is."""
    from nixwright.options.suggest import closest  # noqa: PLC0415 - only a mistake needs it

    near = closest(value, set(choices)) if isinstance(value, str) else []
    return f"did you mean {quoted(near[0])}?" if near else ""


def fix(value: Any, node: Node, right: Callable[[Any], bool]) -> str:
    """Return how to write what was probably meant, tried by `right`; empty where nothing near is right."""
    for candidate in _candidates(value):
        if right(candidate):
            return f"write {quoted(candidate) if isinstance(candidate, str) else repr(candidate)}"
    branches = (node, *node.get("anyOf", ()))
    if isinstance(value, str) and value.isidentifier() and any(n.get("x-nix") == "package" for n in branches):
        return f"write pkgs.{value}"
    return nearest(value, [v for n in branches for v in n.get("enum", ()) if isinstance(v, str)])


def _candidates(value: Any) -> Iterator[Any]:  # noqa: C901 - one case a kind of value
    """Yield what is near a value in another type."""
    if isinstance(value, bool):
        yield from ("yes" if value else "no", "on" if value else "off", str(value).lower(), int(value))
    elif isinstance(value, int | float):
        yield from (int(value), float(value), str(value)) if abs(value) < 2**53 else ()
    elif isinstance(value, str):
        if value.lower() in BOOLEANS:
            yield BOOLEANS[value.lower()]
        if value.lower() in {"none", "null", ""}:
            yield None
        for number in (int, float):
            try:
                yield number(value)
            except ValueError:
                continue
        yield from (value.strip(), value.lower())
        if value and not value.startswith("/"):
            yield value.split() if " " in value else [value]
    if isinstance(value, str | int | float | Mapping):
        yield [value]
    elif isinstance(value, list | tuple) and len(value) == 1:
        yield value[0]
