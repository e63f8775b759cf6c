"""What a user may have meant by an option that does not exist."""

from __future__ import annotations

from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nixwright.options.schema import Schema
    from nixwright.options.settings import Path

NEAR = 0.7  # how alike two names must be to be taken for one another
FAR = 0.6  # the same of two whole paths


def similar(schema: Schema, path: Path, known: int) -> Path | None:
    """Return the option that a path may mean whose first `known` names are right, or None.

    A name misspelt in its place is tried first, then the option moved elsewhere: the same last name, or nearly, under
    other sets.
    """
    parent, name, rest = path[:known], path[known], path[known + 1 :]
    for near in closest(name, schema.siblings(parent), 5):
        candidate = (*parent, near, *rest)
        if schema.nodes(candidate):
            return candidate
        if rest:
            below = similar(schema, candidate, known + 1) if schema.nodes((*parent, near)) else None
            if below:
                return below
    return None if known > 2 and _is_inside(schema, parent) else moved(schema, path)  # noqa: PLR2004


def closest(name: str, names: set[str], number: int = 1) -> list[str]:
    """Return names that are nearly the one given, the nearest first; another case or separator counts little."""
    folded: dict[str, str] = {}
    for each in sorted(names):
        folded.setdefault(_fold(each), each)
    return [folded[near] for near in get_close_matches(_fold(name), list(folded), number, NEAR)]


def moved(schema: Schema, path: Path) -> Path | None:
    """Return the option elsewhere that is most like a path and shares its last name, or nearly; None without one."""
    last = _fold(path[-1])
    best: tuple[float, Path] | None = None
    wanted = set(map(_fold, path[:-1])) - {"services", "programs", "settings"}
    for candidate in _all(schema):
        end = _fold(candidate[-1])
        if end != last and not (end[:1] == last[:1] and SequenceMatcher(None, end, last).ratio() > 0.85):  # noqa: PLR2004
            continue
        shared = wanted & set(map(_fold, candidate[:-1]))
        # without a set in common only a short path is near enough: boot.hostName, networking.hostName
        if wanted and not shared and not (end == last and len(candidate) == 2):  # noqa: PLR2004
            continue
        score = SequenceMatcher(None, ".".join(path), ".".join(candidate)).ratio() + 0.1 * len(shared)
        if score >= FAR and (best is None or (score, best[1]) > (best[0], candidate)):
            best = (score, candidate)
    return best[1] if best else None


def _is_inside(schema: Schema, parent: Path) -> bool:
    """Tell whether a path leads into a submodule: what is missing there was not moved out of it."""
    return any(node.get("x-option") for end in range(1, len(parent) + 1) for node in schema.nodes(parent[:end]))


@lru_cache(maxsize=2)
def _all(schema: Schema) -> list[Path]:
    return sorted(schema.paths())


def _fold(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
