"""Mistakes as people read them: where, what, given, allowed, fix; on a terminal the source line and a caret too."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright.origin import line_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nixwright.errors import Mistake, Place

# A line that speaks of one of these may hold it, and is not shown.
_SECRET = re.compile(r"passw|psk|secret|token|private|credential", re.IGNORECASE)
_STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
HIDDEN = "(not shown)"
_NAMES_SHOWN = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Spot:
    """A line of a file that was looked up already; `chain` are the calls that led there, next innermost first."""

    file: str
    line: int
    chain: tuple[tuple[str, int], ...] = ()

    def place(self, field: str = "") -> tuple[str, int]:
        """Return file and line."""
        return self.file, self.line


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """A mistake and the host files that make it."""

    mistake: Mistake
    hosts: tuple[str, ...]


def told_once(mistakes: Iterable[tuple[str, Mistake]]) -> list[Told]:
    """Bring together what several hosts say alike: pairs of host file and mistake, in the order first told."""
    found: dict[tuple[object, ...], tuple[Mistake, list[str]]] = {}
    for host, m in mistakes:
        key = (m.field, m.what, m.given, m.allowed, m.fix, _where(m.origin), _where(m.other))
        _, hosts = found.setdefault(key, (m, []))
        if host not in hosts:
            hosts.append(host)
    return [Told(m, tuple(hosts)) for m, hosts in found.values()]


def text(told: Sequence[Told], root: Path, *, source_lines: bool = False) -> str:
    """Return what is printed, a blank line between two mistakes; files are named from `root`."""
    return "\n".join(_one(t, root, source_lines=source_lines) for t in told)


def count(told: Sequence[Told], kind: str = "mistake") -> str:
    """Return `1 mistake.` or `3 mistakes.`."""
    return f"{len(told)} {kind}{'' if len(told) == 1 else 's'}."


def data(told: Told, root: Path) -> dict[str, Any]:
    """Return a mistake as JSON has it."""
    m = told.mistake
    file, line = _where(m.origin)
    found: dict[str, Any] = {"file": _named(file, root), "line": line, "field": m.field, "what": m.what}
    found |= {"given": m.given, "allowed": m.allowed, "fix": m.fix, "hosts": list(told.hosts)}
    if m.other is not None:
        other, at = _where(m.other)
        found |= {"other": {"file": _named(other, root), "line": at}}
    return found


def _one(told: Told, root: Path, *, source_lines: bool) -> str:
    m = told.mistake
    file, line = _where(m.origin)
    lines = [f"{_at(file, line, root)}  {m.field}: {m.what}" if file else f"{m.field}: {m.what}"]
    if source_lines and file and m.given != HIDDEN:
        lines += _source(file, line, m.field)
    lines += [f"  {n:<7}  {t}" for n, t in (("given", m.given), ("allowed", m.allowed), ("fix", m.fix)) if t]
    if m.other is not None and _where(m.other) != ("", 0):
        lines.append(f"  other    {_at(*_where(m.other), root)}")
    if isinstance(m.origin, Spot):
        lines += [f"  through  {_at(*call, root)}" for call in m.origin.chain]
    if len(told.hosts) > 1:
        names = ", ".join(_named(h, root) for h in told.hosts[:_NAMES_SHOWN])
        lines.append(f"  in       {len(told.hosts)} hosts: {names}{', …' if len(told.hosts) > _NAMES_SHOWN else ''}")
    return plain("".join(f"{t}\n" for t in lines))


def plain(text: str) -> str:
    """Return text as a terminal can print it: what would steer it (colours, bells, going back) is spelled out."""
    return _STEERS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _source(file: str, line: int, field: str) -> list[str]:
    """Return the source line and a caret below what is meant; nothing where the line may hold a secret."""
    source = line_of(file, line).rstrip().expandtabs(4)
    bare = source.lstrip()
    if not bare or _SECRET.search(source):
        return []
    names = re.split(r"[.\[]", field.replace("]", ""))
    start, length = 0, len(bare)
    keys = (f'"{".".join(names[i:j])}"' for i in range(len(names)) for j in range(len(names), i + 1, -1))
    if key := next((k for k in keys if k in bare), ""):  # an option's path, as `settings` has it
        return [f"    {bare}", f"    {' ' * bare.index(key)}{'^' * len(key)}"]
    for name in names:
        found = re.search(rf"(?<!\w)[\"']?{re.escape(name)}[\"']?\s*(?==[^=]|:|\()", bare[start:]) if name else None
        if found:
            start, length = start + found.start(), found.end() - found.start()
    return [f"    {bare}", f"    {' ' * start}{'^' * max(1, length)}"]


def _where(place: Place | None) -> tuple[str, int]:
    return ("", 0) if place is None else place.place()


def _at(file: str, line: int, root: Path) -> str:
    return f"{_named(file, root)}:{line}" if line else _named(file, root)


def _named(file: str, root: Path) -> str:
    path = Path(file)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else file
