"""How a rule tells what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from nixwright.errors import Mistake
from nixwright.options.check import dotted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nixwright.options.host_view import Definition, HostView

Rule: TypeAlias = "Callable[[HostView], Iterator[Mistake]]"


def wrong(definition: Definition, what: str, *, given: str = "", allowed: str = "", fix: str = "") -> Mistake:
    """Return a mistake at a definition: by its option for a user's setting, by the part's field for a part's."""
    option, setting = dotted(definition.path), definition.setting
    if setting.field and not setting.user:
        return Mistake(setting.field, f"sets {option}: {what}", given, allowed, fix, setting.origin)
    return Mistake(option, what, given, allowed, fix, setting.origin)


def missing(option: str, what: str, *, allowed: str = "", fix: str, because: Definition | None = None) -> Mistake:
    """Return a mistake about what nothing defines, at the definition that wants it."""
    return Mistake(option, what, "", allowed, fix, because.setting.origin if because else None)
