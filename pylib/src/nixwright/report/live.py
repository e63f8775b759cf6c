"""A run of checks on a terminal: what is over stays above, and below a few rows say what each running check does."""

from __future__ import annotations

import shutil
import time
import unicodedata
from typing import TYPE_CHECKING

from nixwright.report.checks import COLOURS, clock, details, headline
from nixwright.runner.progress import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    from nixwright.runner.history import Past
    from nixwright.runner.progress import Progress
    from nixwright.runner.results import CheckResult
    from nixwright.runner.selection import Wanted

_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_LEAST = 20  # columns: below that nothing can be read anyway
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_BAR = 10  # cells of the bar of a check whose last time is known


class Live:
    """Draws on a terminal. Call `draw` a few times a second, and `end` however the run ends."""

    def __init__(
        self, stream: TextIO, size: Callable[[], tuple[int, int]] | None = None, *, colour: bool = True
    ) -> None:
        """Draw on `stream`; `size` gives columns and rows of the terminal."""
        self._stream = stream
        self._size = size or (lambda: tuple(shutil.get_terminal_size()))  # type: ignore[return-value]
        self._colour = colour
        self._drawn: list[str] = []
        self._running: dict[str, Progress] = {}
        self._past: Mapping[str, Past] = {}
        self._total = self._evaluated = self._over = 0
        self._started = time.monotonic()

    def begin(self, wanted: Sequence[Wanted], past: Mapping[str, Past]) -> None:
        """Remember how many there are."""
        self._total, self._past, self._started = len(wanted), past, time.monotonic()
        self._stream.write(_HIDE)
        self.draw()

    def evaluated(self, wanted: Wanted) -> None:
        """Count."""
        self._evaluated += 1

    def progress(self, wanted: Wanted, progress: Progress) -> None:
        """Remember; it is drawn with the next `draw`."""
        self._running[wanted.title] = progress

    def done(self, result: CheckResult) -> None:
        """Write what came of it, to stay."""
        self._running.pop(result.title, None)
        self._over += 1
        self._erase()
        self._stream.write(f"{self._paint(headline(result), COLOURS[result.outcome])}\n")
        for line in details(result):
            self._stream.write(f"    {line}\n")
        self.draw()

    def draw(self) -> None:
        """Draw the rows at the bottom anew."""
        columns, rows = self._size()
        wanted = self.rows(max(columns, _LEAST), max(rows, 4))
        self._erase()
        self._stream.write("".join(f"{row}\n" for row in wanted))
        self._stream.flush()
        self._drawn = wanted

    def end(self) -> None:
        """Take the rows away and give the cursor back."""
        self._erase()
        self._stream.write(_SHOW)
        self._stream.flush()

    def rows(self, columns: int, rows: int) -> list[str]:
        """Return what stands at the bottom: a row for each running check, as many as fit, and the sum."""
        spin = _SPIN[int((time.monotonic() - self._started) * 10) % len(_SPIN)]
        shown = list(self._running.items())[: rows - 3]
        width = max((_width(title) for title, _ in shown), default=0)
        found = [cut(f"{spin} {pad(title, width)}  {self._state(title, p)}", columns) for title, p in shown]
        hidden = len(self._running) - len(shown)
        if hidden > 0:
            found.append(cut(f"  and {hidden} more", columns))
        return [*found, cut(self._sum(), columns)]

    def _state(self, title: str, progress: Progress) -> str:
        """Return how far one is: its time, of what was needed last time, and what it does."""
        spent = progress.seconds
        past = self._past.get(title)
        doing = str(progress.phase)
        if progress.phase is Phase.BUILDING and progress.building:
            names = [d.rpartition("/")[2][33:].removesuffix(".drv") for d in progress.building.values()]
            doing = f"building {names[-1]}"
        elif progress.current:
            doing = progress.current
        elif progress.phase is Phase.TESTING and progress.subtests:
            doing = f"after: {progress.subtests[-1].name}"
        if spent is None:
            return doing
        if past is None:
            return f"{clock(spent)}  {doing}"
        done = min(1.0, spent / past.seconds) if past.seconds else 1.0
        bar = "█" * round(done * _BAR) + "░" * (_BAR - round(done * _BAR))
        return f"{bar} {clock(spent)} of about {clock(past.seconds)}  {doing}"

    def _sum(self) -> str:
        spent = time.monotonic() - self._started
        if not self._over and not self._running:
            return f"  evaluating: {self._evaluated} of {self._total}, {clock(spent)}"
        waiting = self._total - self._over - len(self._running)
        counts = [f"{self._over} of {self._total} done", f"{len(self._running)} running"]
        if waiting > 0:
            counts.append(f"{waiting} waiting")
        left = self._left()
        if left:
            counts.append(f"about {clock(left)} left")
        return f"  {', '.join(counts)}, {clock(spent)}"

    def _left(self) -> float | None:
        """Return the longest time that a running check still needs, as far as its last time tells."""
        known = [(self._past[t].seconds - (p.seconds or 0.0)) for t, p in self._running.items() if t in self._past]
        return max(known, default=0.0) if known and max(known) > 1 else None

    def _erase(self) -> None:
        """Go back to the first of the rows drawn last, however the terminal has wrapped them since, and clear below."""
        if self._drawn:
            columns = max(self._size()[0], 1)
            height = sum(max(1, -(-_width(row) // columns)) for row in self._drawn)
            self._stream.write(f"\x1b[{height}A\r\x1b[J")
            self._drawn = []

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text


def pad(text: str, width: int) -> str:
    """Fill a text with blanks to a width in columns."""
    return text + " " * (width - _width(text))


def cut(text: str, columns: int) -> str:
    """Shorten a text so that it stays on one row; a row that is filled to its end may wrap."""
    if _width(text) < columns:
        return text
    kept = ""
    for letter in text:
        if _width(kept + letter) > columns - 2:
            break
        kept += letter
    return f"{kept}…"


def _width(text: str) -> int:
    """Return the columns that a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
