"""How far an installation is: kept here, in the user's own state directory, so that it can go on after a break.

Only formatting must not be done twice; everything else may be. So what is kept is which disks were formatted, by the
ids of their partition tables, for which layout, and which steps a person had a part in. No secret is in it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nixwright.errors import ToolError


@dataclass(slots=True)
class State:
    """Where an installation is. `formatted` maps a disk to its table's id, `done` has titles of steps."""

    host: str
    target: str
    layout: str = ""  # digest of what disko was told
    formatted: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    finished: bool = False


def _path(host: str) -> Path:
    return directory() / f"{host}.json"


def directory() -> Path:
    """Return where states are kept (XDG base directories)."""
    said = os.environ.get("XDG_STATE_HOME", "")
    return (Path(said) if said.startswith("/") else Path.home() / ".local/state") / "nixwright" / "install"


def load(host: str) -> State | None:
    """Read the state of a host's installation; None where there is none. Raises ToolError for one that is damaged."""
    path = _path(host)
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return State(**found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ToolError(f"{path} cannot be read: remove it to begin anew") from error


def save(state: State) -> None:
    """Write a state, whole or not at all. Raises ToolError."""
    path = _path(state.host)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise ToolError(f"{path} cannot be written: {error.strerror}") from error
