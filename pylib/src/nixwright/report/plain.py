"""A run of checks as plain lines, one for each thing that happens: for a pipe, a file, CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.report.checks import details, headline, machine
from nixwright.runner.progress import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

    from nixwright.runner.history import Past
    from nixwright.runner.progress import Progress
    from nixwright.runner.results import CheckResult
    from nixwright.runner.selection import Wanted

_WORDS = {Phase.FETCHING: "fetching what it needs", Phase.BUILDING: "building what it needs", Phase.BOOTING: "booting"}


class Plain:
    """Writes to a stream; each line names the check that it is about."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._last: dict[str, str] = {}

    def begin(self, wanted: Sequence[Wanted], past: Mapping[str, Past]) -> None:
        """Say how many are evaluated."""
        self._say(f"evaluating {len(wanted)} check{'' if len(wanted) == 1 else 's'}")

    def evaluated(self, wanted: Wanted) -> None:
        """Say nothing: the lines of what is built follow."""

    def progress(self, wanted: Wanted, progress: Progress) -> None:
        """Say where a check is, when that changes."""
        now = f"subtest: {progress.current}" if progress.current else _WORDS.get(progress.phase, "")
        if now and self._last.get(wanted.title) != now:
            self._last[wanted.title] = now
            where = f" on {machine(progress.machine)}" if now == _WORDS[Phase.BOOTING] and progress.machine else ""
            self._say(f"{wanted.title}: {now}{where}")

    def done(self, result: CheckResult) -> None:
        """Say what came of it."""
        self._say(headline(result))
        for line in details(result):
            self._say(f"    {line}")

    def draw(self) -> None:
        """Nothing moves here."""

    def end(self) -> None:
        """Nothing is to be put away."""

    def _say(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()
