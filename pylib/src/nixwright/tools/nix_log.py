"""What `nix build --log-format internal-json` says while it builds, as typed events.

The format is that of Nix' JSONLogger (src/libutil/logging.cc): lines that begin with `@nix `, each an object with an
`action`. Activities have ids and types; a build is 105 with the fields derivation and machine (empty: this one), a line
of a build's log is a result of type 101. Anything else on the stream (ssh, a hook) comes as it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from nixwright.tools.eval_records import plain

PREFIX = b"@nix "
_COPY, _BUILD, _SUBSTITUTE = 100, 105, 108  # types of activities
_LINE, _POST_LINE = 101, 107  # types of results
_ERROR = 0  # the level of messages that are errors


@dataclass(frozen=True, slots=True)
class BuildStarted:
    """A derivation begins to build; `machine` is the store of a remote builder, empty where it is this machine."""

    activity: int
    derivation: str
    machine: str


@dataclass(frozen=True, slots=True)
class CopyStarted:
    """A path is fetched or sent."""

    activity: int
    path: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log of a build, without escape codes."""

    activity: int
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """An activity is over, well or not."""

    activity: int


@dataclass(frozen=True, slots=True)
class Said:
    """A message of Nix itself; `error` where it is one, at the end or on the way."""

    text: str
    error: bool


Event = BuildStarted | CopyStarted | LogLine | Ended | Said


def read_event(line: bytes) -> Event | None:
    """Read one line; None for what says nothing to us (counts of progress, other activities)."""
    if not line.startswith(PREFIX):
        text = plain(line.decode(errors="replace")).strip()
        return Said(text, error=False) if text else None
    try:
        raw = json.loads(line[len(PREFIX) :])
        return _EVENTS[raw["action"]](raw)
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def _started(raw: dict[str, Any]) -> Event | None:
    kind, fields = raw["type"], raw.get("fields") or []
    if kind == _BUILD:
        return BuildStarted(raw["id"], str(fields[0]), str(fields[1]))
    if kind in {_COPY, _SUBSTITUTE}:
        return CopyStarted(raw["id"], str(fields[0]))
    return None


def _result(raw: dict[str, Any]) -> Event | None:
    if raw["type"] in {_LINE, _POST_LINE}:
        return LogLine(raw["id"], plain(str(raw["fields"][0])))
    return None


def _ended(raw: dict[str, Any]) -> Event | None:
    return Ended(raw["id"])


def _said(raw: dict[str, Any]) -> Event | None:
    text = plain(str(raw["msg"]))
    return Said(text, error=raw.get("level") == _ERROR and ("error" in text or "cannot build on" in text))


_EVENTS = {"start": _started, "result": _result, "stop": _ended, "msg": _said}
