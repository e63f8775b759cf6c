"""From Nix' words to the lines of a host file that made what they speak of: `hosts/pibox.py:44  PwmFan.curve`.

Nix names options (`The option `a.b' ...`), positions in generated files (`at ...-source/modules/pibox/fan.nix:12:3`),
or, in an assertion's message, options by their plain names. Each leads to settings, and a setting knows its origin.
What a check says of its machines (`checks/pibox/services.nix`, and the sabotages of it) leads to whoever brings the
check: the user's own `Check`, a part, or the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from nixwright.options.settings import parse_path
from nixwright.record import origin_of
from nixwright.tools.eval_records import options_named, plain, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    from nixwright.checks.model import Check, Difference, Node, Sabotage
    from nixwright.host import Host
    from nixwright.options.settings import Path

_MOST = 5  # lines that are told
# Without a name: default.nix.
_MODULE = r"(?P<room>modules|checks)/(?P<host>[^/\s'`:]+)(?:/(?P<name>(?:sabotages/)?[\w.-]+\.nix))?"
_CHECKS = "checks/"  # begins the module of what a check says
_NODES = {"nodes", "containers"}  # below which the options of a check's machines are, by the machines' names
_AT = re.compile(rf"{_MODULE}:(?P<line>\d+)")
_IN = re.compile(rf"In `[^']*?{_MODULE}'")
# A step of the trace: an option, and the file whose definitions were at work.
_STEP = re.compile(
    rf"evaluating the option [`'](?P<option>[^\n]*)':\s+… while evaluating definitions from `[^']*?{_MODULE}'"
)
_BINDING = re.compile(
    r"""^(?P<indent>\s*)(?P<path>(?:[\w'-]+|"(?:[^"\\]|\\.)*")(?:\.(?:[\w'-]+|"(?:[^"\\]|\\.)*"))*)\s*=(?!=)"""
)
_FILE = re.compile(rf"{_MODULE}(?!:\d)")
_QUOTED = re.compile(r"[\u2018`'](?P<option>[\w.-]+)['\u2019]")
# Options that others are made into.
_MADE_FROM: dict[Path, Path] = {("fileSystems",): ("disko", "devices"), ("swapDevices",): ("disko", "devices")}
_WORD = re.compile(r"[A-Za-z][\w-]*(?:\.(?:[\w'-]+|\"[^\"]*\"))+")


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


def question(host: Host, module: ModuleType) -> dict[str, Any]:
    """Answer, in the process that loaded a host, where each of its settings comes from, and those of its checks."""
    from nixwright.proofs import gather  # noqa: PLC0415 - asked in the child alone
    from nixwright.survey import said_by  # noqa: PLC0415

    context = host.context(host.layout())
    found = [[s.path, s.field, s.module, *s.origin.place()] for s in said_by(host, context)]
    for test in gather(host, host.members, context):
        for owned in test.checks:
            found += _of_check(owned.check, owned.owner, host, str(module.__file__))
    return {"settings": found}


def _of_check(check: Check, owner: str, host: Host, file: str) -> Iterator[list[Any]]:
    """Yield what a check says of its machines: by the user's own line, else by the part's that brings it.

    What our code made has no call of the host's `file` behind it.
    """
    part = next((p for p in host.members if type(p).__name__ == owner), host)
    says: list[Difference | Node | Sabotage] = [*check.differences, *check.nodes, *check.sabotages]
    for thing in says:
        users = next((o for o in map(origin_of, (thing, check)) if any(call.file == file for call in o.calls)), None)
        origin, field = (users, "Host.checks") if users else (origin_of(part), owner)
        for text in thing.settings:
            yield [parse_path(text), field, f"{_CHECKS}{check.name}", *origin.place()]


def settings_of(answer: Mapping[str, Any], named: Callable[[str], str]) -> list[Said]:
    """Read the answer; `named` tells how a file is shown."""
    return [
        Said(tuple(path), field, module, named(file) if file else "", line)
        for path, field, module, file, line in answer.get("settings", ())
    ]


def lines_behind(words: str, settings: Mapping[str, Sequence[Said]], files: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines of host files that a message of Nix leads to, each once, at most five.

    `settings` are those of each host by its name, `files` the generated files (path below the project to text). The
    surest way that leads anywhere is taken: what the message itself names, then the innermost step of the trace that
    was in a generated file, then a generated file that the message names, then its words that are an option's.
    """
    text = plain(words)
    message = short(text)
    for way in (
        _named(message, settings),
        _pointed(text, settings, files),
        _steps(text, settings),
        _filed(message, settings),
        _worded(message, settings),
    ):
        found = dict.fromkeys(str(said) for said in way if said.file)
        if found:
            return tuple(found)[:_MOST]
    return ()


def _named(message: str, settings: Mapping[str, Sequence[Said]]) -> Iterator[Said]:
    """Yield the settings of the option that the message is about, first those in the files that it names beside it."""
    paths = [_in_node(p) for p in map(_parsed, options_named(message)) if p]
    for path in paths[:1]:  # those that follow are offered instead
        for match in _IN.finditer(message):
            own = _of_module(settings, match)
            yield from _nearest(path, own) or _kin(path, own)
    for path in paths[:1]:
        for said in settings.values():
            yield from _nearest(path, _of_host(said))


def _pointed(text: str, settings: Mapping[str, Sequence[Said]], files: Mapping[str, str]) -> Iterator[Said]:
    """Yield the settings that are bound at the last position that lies in a generated file."""
    for match in list(_AT.finditer(text))[-1:]:
        file = f"{match['room']}/{match['host']}/{match['name'] or 'default.nix'}"
        if file in files:
            yield from _nearest(_in_node(binding_at(files[file], int(match["line"]))), _of_module(settings, match))


def _steps(text: str, settings: Mapping[str, Sequence[Said]]) -> Iterator[Said]:
    """Yield the settings of the innermost option whose definitions in a generated file were at work."""
    for match in list(_STEP.finditer(text))[-1:]:
        yield from _nearest(_in_node(_parsed(match["option"])), _of_module(settings, match))


def _worded(message: str, settings: Mapping[str, Sequence[Said]]) -> Iterator[Said]:
    """Yield the settings of options that stand in the message as plain words (assertions are written so)."""
    words = [m["option"] for m in _QUOTED.finditer(message)] + [m[0] for m in _WORD.finditer(message)]
    for path in dict.fromkeys(_parsed(word.rstrip(".")) for word in words):
        for said in map(_of_host, settings.values()):
            yield from _nearest(path, said) or _nearest(_MADE_FROM.get(path[:1], ()), said) or _kin(path, said)


def _filed(message: str, settings: Mapping[str, Sequence[Said]]) -> Iterator[Said]:
    """Yield the first setting of each generated file that the message names: the part that it is of."""
    for match in _FILE.finditer(message):
        yield from _of_module(settings, match)[:1]


def _of_host(settings: Sequence[Said]) -> list[Said]:
    """Return what the host says of itself, without what its checks say of their machines."""
    return [s for s in settings if not s.module.startswith(_CHECKS)]


def _in_node(path: Path) -> Path:
    """Return the option of a machine where a path is of a check: `nodes.machine.a.b`, below a sabotage or not."""
    at = next((n for n, name in enumerate(path[:2]) if name in _NODES), None)
    return path if at is None else path[at + 2 :]


def _of_module(settings: Mapping[str, Sequence[Said]], match: re.Match[str]) -> list[Said]:
    module = (match["name"] or "default.nix").removesuffix(".nix")
    if match["room"] == "checks":
        module = _CHECKS + module.rpartition("/")[2]
    return [s for s in settings.get(match["host"], ()) if s.module == module]


def _nearest(path: Path, settings: Sequence[Said]) -> list[Said]:
    """Return the settings of that option, or of what is in it, or of the set that holds it."""
    if not path:
        return []
    exact = [s for s in settings if s.path == path]
    below = [s for s in settings if s.path[: len(path)] == path]
    above = [s for s in settings if path[: len(s.path)] == s.path]
    longest = max((len(s.path) for s in above), default=0)
    return exact or below or [s for s in above if len(s.path) == longest]


def _kin(path: Path, settings: Sequence[Said]) -> list[Said]:
    """Return the first of the settings that share the most of the path: a neighbour in the same set."""
    shared = [(sum(1 for _ in takewhile(lambda p: p[0] == p[1], zip(path, s.path, strict=False))), s) for s in settings]
    most = max((n for n, _ in shared), default=0)
    return [s for n, s in shared if n == most and n > 1][:1]


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
    line = min(line, len(rows))
    found: list[Path] = []
    indent = -1
    for row in reversed(rows[:line]):
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
