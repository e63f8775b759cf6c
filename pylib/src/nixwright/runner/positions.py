"""From Nix' words to the lines of a host file that made what they speak of: `hosts/pibox.py:44  PwmFan.curve`.

Nix names options (`The option `a.b' ...`), positions in generated files (`at ...-source/modules/pibox/fan.nix:12:3`),
or, in an assertion's message, options by their plain names. Each leads to settings, and a setting knows its origin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.options.settings import parse_path
from nixwright.tools.eval_records import options_named, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    from nixwright.host import Host
    from nixwright.options.settings import Path

_MOST = 5  # lines that are told
_FILE = re.compile(r"(?P<path>modules/(?P<host>[^/\s'`:]+)/(?P<name>[\w.-]+\.nix))(?::(?P<line>\d+))?")
_BINDING = re.compile(
    r"""^(?P<indent>\s*)(?P<path>(?:[\w'-]+|"(?:[^"\\]|\\.)*")(?:\.(?:[\w'-]+|"(?:[^"\\]|\\.)*"))*)\s*=(?!=)"""
)
_WORD = re.compile(r"[A-Za-z][\w-]*(?:\.(?:[\w'-]+|\"[^\"]*\"|<name>))+")


@dataclass(frozen=True, slots=True)
class Said:
    """A setting of a host, as far as a message can lead to it: its option, its field, its file and line."""

    path: Path
    field: str
    module: str
    file: str
    line: int

    def __str__(self) -> str:
        """Return it as mistakes are told."""
        return f"{self.file}:{self.line}  {self.field}" if self.field else f"{self.file}:{self.line}"


def question(host: Host, _module: ModuleType) -> dict[str, Any]:
    """Answer, in the process that loaded a host, where each of its settings comes from."""
    from nixwright.generation import said_by  # noqa: PLC0415 - asked in the child alone

    context = host.context(host.layout())
    return {"settings": [[s.path, s.field, s.module, *s.origin.place()] for s in said_by(host, context)]}


def settings_of(answer: Mapping[str, Any], named: Callable[[str], str]) -> list[Said]:
    """Read the answer; `named` tells how a file is shown."""
    return [
        Said(tuple(path), field, module, named(file) if file else "", line)
        for path, field, module, file, line in answer.get("settings", ())
    ]


def lines_behind(words: str, settings: Mapping[str, Sequence[Said]], files: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines of host files that a message of Nix leads to, the surest first, each once, at most five.

    `settings` are those of each host by its name, `files` the generated files (path below the project to text).
    """
    text = plain(words)
    found: dict[str, None] = {}
    for said in (*_by_position(text, settings, files), *_by_option(text, settings)):
        if said.file:
            found.setdefault(str(said))
    return tuple(found)[:_MOST]


def _by_position(text: str, settings: Mapping[str, Sequence[Said]], files: Mapping[str, str]) -> Iterator[Said]:
    """Yield the settings that are bound where Nix points to, innermost first."""
    marks = [(m["path"], m["host"], m["name"], int(m["line"] or 0)) for m in _FILE.finditer(text)]
    paths = _paths_named(text)
    for path, host, name, line in reversed(marks):
        of_module = [s for s in settings.get(host, ()) if s.module == name.removesuffix(".nix")]
        if line and path in files:
            yield from _nearest(binding_at(files[path], line), of_module)
        elif paths:  # a definition's file is named without a line, beside the option
            yield from (s for p in paths for s in _nearest(p, of_module))


def _by_option(text: str, settings: Mapping[str, Sequence[Said]]) -> Iterator[Said]:
    """Yield the settings of the options that are named: those that Nix calls options, then those in plain words."""
    for path in _paths_named(text):
        for said in settings.values():
            yield from _nearest(path, said)
    for match in _WORD.finditer(text):
        path = _parsed(match[0].rstrip("."))
        if len(path) > 1:
            for said in settings.values():
                yield from _nearest(path, said)


def _nearest(path: Path, settings: Sequence[Said]) -> list[Said]:
    """Return the settings of that option, or of what is in it, or of the set that holds it."""
    if not path:
        return []
    exact = [s for s in settings if s.path == path]
    below = [s for s in settings if s.path[: len(path)] == path]
    above = [s for s in settings if path[: len(s.path)] == s.path]
    longest = max((len(s.path) for s in above), default=0)
    return exact or below or [s for s in above if len(s.path) == longest]


def _paths_named(text: str) -> list[Path]:
    """Return the options that Nix names as such, innermost last said first."""
    return [p for p in (_parsed(t) for t in reversed(options_named(text))) if p]


def _parsed(text: str) -> Path:
    try:
        return parse_path(text)
    except ValueError:
        return ()


def binding_at(text: str, line: int) -> Path:
    """Return the attribute path that a line of a generated module binds, or is inside of (lines from 1).

    The files are laid out by RFC 166, so that the bindings around a line are those before it with less indentation.
    """
    rows = text.splitlines()
    found: list[Path] = []
    indent = -1
    for row in reversed(rows[: max(0, min(line, len(rows)))]):
        match = _BINDING.match(row)
        if match is None or not row.strip():
            continue
        width = len(match["indent"])
        if indent < 0 or width < indent:
            # the first counts only where it holds the line: a sibling before a closing bracket does not
            if indent < 0 and width > _width(rows[line - 1]):
                continue
            found.append(_parsed(match["path"]))
            indent = width
    return tuple(name for path in reversed(found) for name in path)


def _width(row: str) -> int:
    return len(row) - len(row.lstrip())
