"""What of a disk holds, as a table for 80 columns."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nixwright.probe.row import Row

_WIDTH = 80
_STATE = 10  # characters
_NAMES = {"holds": "holds", "differs": "DIFFERS", "not seen": "not seen"}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text, what differs with both sides."""
    return "".join(f"{line}\n" for row in rows for line in _lines(row))


def summary(rows: Sequence[Row]) -> str:
    """Return how many hold, differ, and were not seen."""
    count = {state: sum(r.state == state for r in rows) for state in _NAMES}
    verb = "differs" if count["differs"] == 1 else "differ"
    return f"{count['holds']} hold, {count['differs']} {verb}, {count['not seen']} not seen."


def _lines(row: Row) -> list[str]:
    head = f"{_NAMES[row.state]:<{_STATE}}"
    if row.state != "differs":
        text = f"{row.subject}: {row.expected}"
        return wrap(text, _WIDTH, initial_indent=head, subsequent_indent=" " * (_STATE + 2), break_on_hyphens=False)
    return [f"{head}{row.subject}", *_side("host file", row.expected), *_side("disk", row.found)]


def _side(name: str, text: str) -> list[str]:
    indent = " " * (_STATE + 2)
    first = f"{indent}{name:<11}"
    return wrap(text, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)
