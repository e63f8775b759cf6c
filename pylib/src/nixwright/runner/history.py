"""How long each check took, from run to run: what the live view estimates from, and what is started first."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixwright.runner.results import CheckResult

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Past:
    """The last time that a check ran to an end of its own: seconds, whether it passed, when (ISO 8601, UTC)."""

    seconds: float
    passed: bool
    when: str
    derivation: str = ""


def state_directory() -> Path:
    """Return where we keep what may be lost: XDG's directory for state."""
    said = os.environ.get("XDG_STATE_HOME", "")
    base = Path(said) if said.startswith("/") else Path.home() / ".local" / "state"
    return base / "nixwright"


def read(file: Path) -> dict[str, Past]:
    """Return the history by title; empty where there is none, or what is there cannot be read (it is only a guide)."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data.get("format") != _FORMAT:
            return {}
        return {str(title): _past(entry) for title, entry in data["checks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def remember(file: Path, results: Iterable[CheckResult]) -> None:
    """Add what was run now. Where nothing can be written, nothing is remembered: that is no fault of a check."""
    ran = {
        r.title: Past(r.seconds, r.outcome.value == "passed", r.when, r.derivation)
        for r in results
        if r.seconds is not None and not r.built_before and r.outcome.value in {"passed", "failed"}
    }
    if not ran:
        return
    entries = {title: asdict(past) for title, past in sorted((read(file) | ran).items())}
    with contextlib.suppress(OSError):
        write_whole(file, json.dumps({"format": _FORMAT, "checks": entries}, indent=1) + "\n")


def write_whole(file: Path, text: str) -> None:
    """Write a file whole or not at all; raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            out.write(text)
        Path(beside).chmod(0o644)
        Path(beside).replace(file)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _past(entry: dict[str, Any]) -> Past:
    return Past(float(entry["seconds"]), bool(entry["passed"]), str(entry["when"]), str(entry["derivation"]))
