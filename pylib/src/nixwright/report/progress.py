"""How far long work is: a bar on a terminal, a plain line for each tenth elsewhere."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WIDTH = 30  # characters of the bar
_EVERY = 0.2  # seconds between two bars
_STEP = 10  # per cent between two lines


class Progress:
    """One piece of work of `total` bytes, told on `stream`. Call it with the bytes that are done."""

    def __init__(self, what: str, total: int, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        """Say nothing yet."""
        self.what, self.total, self.stream, self.clock = what, max(total, 1), stream, clock
        self.started, self.shown, self.percent = clock(), 0.0, 0
        self.bar = stream.isatty()

    def __call__(self, done: int) -> None:
        """Tell that `done` bytes are done."""
        now, percent = self.clock(), min(100, 100 * done // self.total)
        if self.bar and (now - self.shown >= _EVERY or done >= self.total):
            self.shown = now
            full = "█" * (_WIDTH * percent // 100)
            self.stream.write(f"\r\033[K{self.what:<10} {full:·<{_WIDTH}} {percent:3} %{self._rate(done, now)}")
            self.stream.write("\n" if done >= self.total else "")
            self.stream.flush()
        elif not self.bar and percent // _STEP > self.percent // _STEP:
            self.stream.write(f"{self.what}: {percent // _STEP * _STEP} % of {short(self.total)}\n")
            self.stream.flush()
        self.percent = percent

    def _rate(self, done: int, now: float) -> str:
        passed = now - self.started
        if passed < 1 or not done:
            return ""
        rate = done / passed
        left = max(0, round((self.total - done) / rate))
        return f"  {short(round(rate))}/s  {left // 60}:{left % 60:02} left"


def short(size: int) -> str:
    """Return bytes in the largest unit that leaves at least one, to a tenth: `3.7 GiB`."""
    for power, name in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            return f"{size / (1 << power):.1f} {name}"
    return f"{size} B"
