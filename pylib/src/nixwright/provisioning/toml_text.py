"""A table as TOML: what a program on the device is told by the host file, and a `config.toml` that was changed."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_BARE_KEY = re.compile("[A-Za-z0-9_-]+")


def toml_text(table: Mapping[str, Any], name: str = "") -> str:
    """Return a table as TOML: its own values, then the tables in it, headed by `name`."""
    own = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    inner = [toml_text(value, f"{name}{_key(key)}.") for key, value in table.items() if isinstance(value, dict)]
    head = [f"\n[{name[:-1]}]"] if name else []
    return "\n".join([*head, *own]) + "\n" + "".join(inner)


def _key(text: str) -> str:
    return text if _BARE_KEY.fullmatch(text) else _value(text)


def _value(value: Any) -> str:
    """Return a value on one line. Texts, numbers and truth are JSON's, but for one character and what is no number."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # inf, -inf, nan
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
