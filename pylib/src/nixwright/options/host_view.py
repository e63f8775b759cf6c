"""All settings of a host as one configuration, as far as it can be known without Nix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.nix.values import Commented, Expr, Merge, NixPath, Order, Override, Text
from nixwright.options.settings import parse_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nixwright.options.settings import Path, Setting

UNKNOWN = object()  # a value that only Nix knows
_WRAPPERS = (Override, Order, Commented)
NORMAL = 100  # the priority of a plain definition


@dataclass(frozen=True, slots=True)
class Definition:
    """One definition of one option, or of one field of it."""

    path: Path
    value: Any  # plain data, a NixPath, or UNKNOWN
    priority: int
    setting: Setting
    raw: Any  # the value as it was given, without priority and comment


class HostView:
    """What a host's settings come to."""

    def __init__(self, settings: Sequence[Setting], *, complete: bool) -> None:
        """Take the settings apart; `complete` where no module of the user's own can add to them."""
        self.complete = complete
        self.definitions = [d for s in settings for d in _apart(s.path, s.value, NORMAL, s)]
        self._by_path: dict[Path, list[Definition]] = {}
        self._below: dict[Path, dict[str, Definition]] = {}
        for definition in self.definitions:
            path = definition.path
            self._by_path.setdefault(path, []).append(definition)
            for end in range(len(path)):
                self._below.setdefault(path[:end], {}).setdefault(path[end], definition)

    def all(self, *path: str) -> list[Definition]:
        """Return the definitions of just that option which no other outranks; `path` dotted, then names as they are."""
        found = self._by_path.get((*parse_path(path[0]), *path[1:]), [])
        best = min((d.priority for d in found), default=NORMAL)
        return [d for d in found if d.priority == best]

    def one(self, *path: str) -> Definition | None:
        """Return the first of `all`, or None."""
        return next(iter(self.all(*path)), None)

    def value(self, *path: str, default: Any = None) -> Any:
        """Return the value of an option that takes one definition; `default` where nothing defines it."""
        found = self.one(*path)
        return default if found is None else found.value

    def elements(self, *path: str) -> list[Any]:
        """Return the elements of all definitions of a list; UNKNOWN among them where only Nix knows."""
        found: list[Any] = []
        for definition in self.all(*path):
            found += definition.value if isinstance(definition.value, list) else [definition.value]
        return found

    def below(self, path: str) -> dict[str, Definition]:
        """Return each attribute name below a path with the first definition in it."""
        return self._below.get(parse_path(path), {})


def _apart(path: Path, value: Any, priority: int, setting: Setting) -> Iterator[Definition]:
    while isinstance(value, _WRAPPERS):
        priority = value.priority if isinstance(value, Override) else priority
        value = value.value
    if isinstance(value, Merge):
        for each in value.values:
            yield from _apart(path, each, priority, setting)
    elif isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _apart((*path, str(name)), each, priority, setting)
    else:
        yield Definition(path, known(value), priority, setting, value)


def known(value: Any) -> Any:
    """Return a value without wrappers and comments, all the way down; UNKNOWN for what only Nix knows."""
    while isinstance(value, _WRAPPERS):
        value = value.value
    if type(value) in {str, bool, int}:
        return value
    if isinstance(value, Text) and all(isinstance(part, str) for part in value.parts):
        return "".join(str(part) for part in value.parts)
    if isinstance(value, Expr):
        return value if isinstance(value, NixPath) else UNKNOWN
    if isinstance(value, Mapping):
        return {name: known(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [known(each) for each in value]
    return value
