"""One row of what was compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """What was looked at, what the host file says of it (or why it could not be seen), and what else is there."""

    state: Literal["holds", "differs", "not seen"]
    subject: str
    expected: str
    found: str = ""


def holds(subject: str, what: str) -> Row:
    """Return a row for what is as the host file says."""
    return Row("holds", subject, what)


def differs(subject: str, expected: str, found: str) -> Row:
    """Return a row for what is not as the host file says."""
    return Row("differs", subject, expected, found)


def unseen(subject: str, why: str) -> Row:
    """Return a row for what could not be seen."""
    return Row("not seen", subject, why)
