"""The lines that nix-eval-jobs prints, as typed records, and the words of Nix' errors made short.

Lines are read by the standard `json`, into slots: some three times as fast as a pydantic union, and unknown keys stay.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nixwright.tools.eval_options import AttrPath

ESCAPE = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]")
# What may stand before the `error:` of a message, on its line: indent, and the aggregate's constituent that failed.
_BEFORE = re.compile(r"[ \t]*(?:\S+: )*")
_PLACE = re.compile(r"^\s*at (?P<file>\S.*?):(?P<line>\d+):(?P<column>\d+)", re.MULTILINE)
_OPTION = re.compile(r"\boption [`'](?P<path>[^`'\n]+)'")
_NOT_MESSAGE = re.compile(r"\s*(?:… |at \S.*:\d+:\d+|\d*\s*\||\(use '--show-trace')")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")
_GAP = re.compile(r"\n(?:[ \t]*\n){2,}")


class LineError(ValueError):
    """A line of output that is no record."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a Nix file, lines and columns from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class EvalJob:
    """An attribute that is a derivation.

    `outputs` maps names to store paths (None where the path is only known after a build); `raw` is the whole record,
    with keys that this version knows nothing of.
    """

    attr_path: AttrPath
    name: str
    system: str
    drv_path: str
    outputs: Mapping[str, str | None]
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def cache_status(self) -> str:
        """`local`, `cached` or `notBuilt`; empty where it was not asked for."""
        return str(self.raw.get("cacheStatus", ""))

    @property
    def extra_value(self) -> Any:
        """What `apply` gave, None without it."""
        return self.raw.get("extraValue")

    @property
    def required_features(self) -> tuple[str, ...]:
        """The system features that a builder must have (`kvm`, `nixos-test`)."""
        return tuple(self.raw.get("requiredSystemFeatures") or ())

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of this attribute (from 2.35 on; before, they stand on stderr and name no attribute)."""
        return tuple(self.raw.get("warnings") or ())


@dataclass(frozen=True, slots=True)
class EvalFailure:
    """An attribute that failed; `error` is Nix' own text, `drv_path` is there for broken aggregates."""

    attr_path: AttrPath
    error: str
    drv_path: str | None
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def fatal(self) -> bool:
        """Whether the whole evaluation ended with it (from 2.35 on)."""
        return bool(self.raw.get("fatal"))

    @property
    def short(self) -> str:
        """The message alone, in Nix' words."""
        return short(self.error)

    @property
    def places(self) -> tuple[Place, ...]:
        """The positions of the trace, outermost first."""
        return places(self.error)

    @property
    def options(self) -> tuple[str, ...]:
        """The NixOS options that the text names, outermost first: with them a caller finds the setting."""
        return options_named(self.error)


EvalResult = EvalJob | EvalFailure


def read_line(line: bytes) -> EvalResult:
    """Read one line; LineError says what is wrong with one that is no record.

    A failure is told by `error`, not by the lack of `drvPath`: both can be there.
    """
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as e:
        raise LineError(f"no JSON: {e}") from e
    try:
        parts = raw["attrPath"]
        if type(parts) is not list:
            raise LineError("attrPath is no list")
        for part in parts:
            if type(part) is not str:
                raise LineError("attrPath holds what is no text")
        path = tuple(parts)
        if "error" in raw:
            error, drv_path = raw["error"], raw.get("drvPath")
            if not isinstance(error, str) or not isinstance(drv_path, str | None):
                raise LineError("error or drvPath is no text")
            return EvalFailure(path, plain(error), drv_path, raw)
        job = EvalJob(path, raw["name"], raw["system"], raw["drvPath"], raw.get("outputs") or {}, raw)
    except (KeyError, TypeError) as e:
        raise LineError(f"no record: {'no key ' if isinstance(e, KeyError) else ''}{e}") from e
    if not (isinstance(job.drv_path, str) and isinstance(job.name, str) and isinstance(job.system, str)):
        raise LineError("name, system or drvPath is no text")
    return job


def short(error: str) -> str:
    """Return the message of an error without its trace: the last `error:` and the lines that belong to it.

    Words are Nix' own; what goes is the trace before, the source excerpt behind, and the indent.
    """
    error = plain(error)
    at = len(error)
    while (at := error.rfind("error:", 0, at)) >= 0:
        begin = error.rfind("\n", 0, at) + 1
        first, _, after = error[at + len("error:") :].partition("\n")
        if (first.strip() or _goes_on(after)) and _BEFORE.fullmatch(error, begin, at):
            rest = "\n".join(row for row in after.split("\n") if not _NOT_MESSAGE.match(row))
            return _GAP.sub("\n\n", f"{first.strip()}\n{textwrap.dedent(rest).rstrip()}").strip()
    return error.strip()


def _goes_on(after: str) -> bool:
    """Tell whether a message begins on the line after its `error:`, as that of assertions does; a trace does, too."""
    row = after.partition("\n")[0]
    return bool(row.strip()) and not _NOT_MESSAGE.match(row)


def plain(text: str) -> str:
    """Return a text without escape codes."""
    return ESCAPE.sub("", text) if "\x1b" in text else text


def places(error: str) -> tuple[Place, ...]:
    """Return the positions that an error names, in its order."""
    return tuple(Place(m["file"], int(m["line"]), int(m["column"])) for m in _PLACE.finditer(plain(error)))


def options_named(error: str) -> tuple[str, ...]:
    """Return the NixOS options that an error names, each once, in its order."""
    return tuple(dict.fromkeys(m["path"] for m in _OPTION.finditer(error)))


def dotted(path: AttrPath) -> str:
    """Return an attribute for people, quoted where Nix would need it; the top itself is `(the top)`."""
    return ".".join(p if _NAME.fullmatch(p) else json.dumps(p, ensure_ascii=False) for p in path) or "(the top)"
