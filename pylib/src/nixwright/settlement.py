"""How the settings of a host come together: what is said twice, what contradicts, what the user's own word replaces."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nixwright.errors import Mistake
from nixwright.nix.values import Commented, Override
from nixwright.options.check import dotted
from nixwright.record import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nixwright.nix.values import Value
    from nixwright.options.schema import Schema
    from nixwright.options.settings import Path, Setting

_PLAIN = 100  # the priority of a value that says none (lib.defaultOverridePriority)
_GONE = object()
_LEAVES = frozenset({str, bool, int, list, tuple})


@dataclasses.dataclass(frozen=True, slots=True)
class Replaced:
    """A part's setting that the user's own took the place of, and so is not printed."""

    setting: Setting
    by: Setting


@dataclasses.dataclass(frozen=True, slots=True)
class Settlement:
    """The settings as they are printed, each option once, and what was replaced."""

    settings: tuple[Setting, ...]
    replaced: tuple[Replaced, ...]
    mistakes: tuple[Mistake, ...]


def settle(settings: Sequence[Setting], schema: Schema) -> Settlement:
    """Settle what was said, in the order in which it was said.

    Where a value is an attribute set, each attribute in it stands for itself. Of two values for one path, equal ones
    are said once; the stronger priority wins; the user's own wins over a part's; an option that merges keeps both;
    anything else is a mistake that names both origins.
    """
    kept: dict[int, Setting | None] = dict(enumerate(settings))
    said: dict[Path, list[int]] = {}
    replaced: list[Replaced] = []
    mistakes: list[Mistake] = []
    for index, setting in enumerate(settings):
        for path, value in leaves(setting.path, setting.value):
            for before in said.setdefault(path, []):
                earlier = kept[before]
                if earlier is None or (first := _at(earlier, path)) is _GONE:
                    continue
                plain = _plain(first) and _plain(value)
                verdict = _verdict(earlier, first, setting, value, merges=schema.merges(path, plain=plain))
                if verdict == "conflict":
                    mistakes.append(_conflict(earlier, first, setting, value, path))
                elif verdict == "first wins" and (left := kept[index]) is not None:
                    kept[index] = _without(left, path)
                    if earlier.user:
                        replaced.append(Replaced(dataclasses.replace(setting, path=path, value=value), earlier))
                elif verdict == "second wins":
                    kept[before] = _without(earlier, path)
                    if setting.user:
                        replaced.append(Replaced(dataclasses.replace(earlier, path=path, value=first), setting))
            said[path].append(index)
    return Settlement(tuple(s for s in kept.values() if s is not None), tuple(replaced), tuple(mistakes))


def _verdict(one: Setting, first: Value, other: Setting, second: Value, *, merges: bool) -> str:
    if _bare(first) == _bare(second) and type(_bare(first)) is type(_bare(second)):
        return "second wins" if other.user and not one.user else "first wins"
    strong, weak = _priority(first), _priority(second)
    if strong != weak:
        return "first wins" if strong < weak else "second wins"
    if merges:
        return "both"
    if one.user != other.user:
        return "first wins" if one.user else "second wins"
    return "conflict"


def _conflict(one: Setting, first: Value, other: Setting, second: Value, path: Path) -> Mistake:
    by = {one.field: shown(_bare(first)), other.field: shown(_bare(second))}
    given = ", ".join(f"{field}: {value}" for field, value in by.items()) if len(by) > 1 else shown(_bare(second))
    name = dotted(path)
    key = repr(name) if '"' in name else f'"{name}"'
    fix = f"say which: settings={{{key}: ...}}" if not other.user else "remove one of the two"
    return Mistake(other.field, f"{name} is set twice, differently", given, "one value", fix, other.origin, one.origin)


def _priority(value: Value) -> int:
    while isinstance(value, Commented):
        value = value.value
    return value.priority if isinstance(value, Override) else _PLAIN


def _plain(value: Value) -> bool:
    return isinstance(_bare(value), str | int | float)


def _bare(value: Value) -> Value:
    while isinstance(value, Commented | Override):
        value = value.value
    return value


def leaves(path: Path, value: Value) -> Iterator[tuple[Path, Value]]:
    """Every path that a value says something of."""
    if type(value) in _LEAVES:  # most are, and to ask what is a Mapping takes longer than all the rest
        yield path, value
    elif isinstance(value, Mapping) and value:
        for name, below in value.items():
            yield from leaves((*path, name), below)
    else:
        yield path, value


def _at(setting: Setting, path: Path) -> Any:
    """What a setting says of a path at or below its own; `_GONE` where that was taken out."""
    value: Value = setting.value
    for name in path[len(setting.path) :]:
        if not isinstance(value, Mapping) or name not in value:
            return _GONE
        value = value[name]
    return value


def _without(setting: Setting, path: Path) -> Setting | None:
    """The setting with one path taken out; None where nothing is left of it."""
    names = path[len(setting.path) :]
    value = _cut(setting.value, names) if names else None
    return dataclasses.replace(setting, value=value) if value else None


def _cut(value: Value, names: Path) -> Value:
    if not isinstance(value, Mapping):
        return value
    left = {k: v for k, v in value.items() if k != names[0]}
    if len(names) > 1 and names[0] in value and (below := _cut(value[names[0]], names[1:])):
        left = {k: (below if k == names[0] else v) for k, v in value.items()}
    return left
