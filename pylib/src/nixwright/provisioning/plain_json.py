"""JSON as it is read here: an object whose keys differ."""

from __future__ import annotations

from typing import Any


def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, as `json.loads` asks for it. Raises ValueError where a key stands there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found
