"""What a program on the device is told by the host file, as TOML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def toml_text(table: Mapping[str, Any], name: str = "") -> str:
    """Return a table as TOML: its own values, then the tables in it. Of texts and lists, TOML's form is JSON's."""
    own = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    inner = [toml_text(value, f"{name}{key}.") for key, value in table.items() if isinstance(value, dict)]
    head = [f"\n[{name[:-1]}]"] if name else []
    return "\n".join([*head, *own]) + "\n" + "".join(inner)
