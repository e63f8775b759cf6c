"""What can be wrong, told once: a `Mistake` says where, what was given, what is allowed, and the fix."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Place(Protocol):
    """A line of a file, as an origin gives it (`nixwright.origin.Origin`)."""

    def place(self, field: str = "") -> tuple[str, int]:
        """Return the file and the line, of the named field where it has one of its own."""
        ...


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake of a user.

    `field` is the path as the user wrote it (`PwmFan.curve`), `what` one short sentence without a full stop; `given`,
    `allowed` and `fix` are one line each and may be empty. A secret never stands in any of them.
    """

    field: str
    what: str
    given: str = ""
    allowed: str = ""
    fix: str = ""
    origin: Place | None = None
    other: Place | None = None  # a second place that has part in it, as in a conflict


class NixwrightError(Exception):
    """The base of all that nixwright raises on purpose; its text is for the user, without a traceback."""


class MistakeError(NixwrightError):
    """One or more mistakes in what the user wrote."""

    def __init__(self, *mistakes: Mistake) -> None:
        """Hold the mistakes, first found first."""
        super().__init__("; ".join(f"{m.field}: {m.what}" for m in mistakes))
        self.mistakes = mistakes


class ToolError(NixwrightError):
    """An outside program is missing, failed, or said something that cannot be understood."""


_collector: ContextVar[list[Mistake] | None] = ContextVar("nixwright_collector", default=None)


@contextmanager
def collecting() -> Iterator[list[Mistake]]:
    """Within this block `report` records mistakes in the list given, and does not raise."""
    found: list[Mistake] = []
    token = _collector.set(found)
    try:
        yield found
    finally:
        _collector.reset(token)


def report(*mistakes: Mistake) -> None:
    """Record the mistakes where someone is collecting them (as `gen` does), else raise `MistakeError`."""
    found = _collector.get()
    if found is None:
        raise MistakeError(*mistakes)
    found.extend(m for m in mistakes if m not in found)
