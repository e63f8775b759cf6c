"""What a flake.lock pins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN = 12  # digits of a revision


def locked(file: Path, name: str) -> str:
    """Return the revision that a flake's input is pinned to, shortened; empty where there is none."""
    try:
        nodes = json.loads(file.read_text(encoding="utf-8"))["nodes"]
        node = nodes[nodes["root"]["inputs"][name]]
        return str(node["locked"]["rev"])[:_SHOWN]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
