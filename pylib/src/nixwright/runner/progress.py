"""How far a check is, read from the events of its build and the lines of the NixOS test driver.

The driver says `subtest: NAME`, and at its end `(finished: subtest: NAME, in 1.23 seconds)` or, where it fails,
`!!! Test "NAME" failed with error: "..."` (nixos/lib/test-driver of 26.05: driver.py, logger.py).
"""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from nixwright.runner.results import Subtest
from nixwright.tools.nix_log import BuildStarted, CopyStarted, Ended, LogLine, Said

if TYPE_CHECKING:
    from nixwright.tools.nix_log import Event

KEPT = 20_000  # lines of a log that are kept to look at; the file has them all
ERRORS = 50  # messages of Nix that are kept
_SUBTEST = re.compile(r"^subtest: (?P<name>.*)$")
_FINISHED = re.compile(r"^\(finished: subtest: (?P<name>.*), in (?P<seconds>[0-9.]+) seconds\)$")
_FAILED = re.compile(r'^!!! Test "(?P<name>.*?)" failed with error: "(?P<error>.*)"?$')
_SERIAL = re.compile(r"^(?P<machine>\S+) # ")


class Phase(StrEnum):
    """What a check is at."""

    WAITING = "waiting"
    EVALUATING = "evaluating"
    FETCHING = "fetching"
    BUILDING = "building"
    BOOTING = "booting"
    TESTING = "testing"
    DONE = "done"


@dataclass(slots=True)
class Progress:
    """The state of one build of a check; feed it every event. Times are of `time.monotonic`."""

    derivation: str
    script: str = ""  # the file of the scenario, from the project's directory
    phase: Phase = Phase.WAITING
    building: dict[int, str] = field(default_factory=dict)  # activity to derivation
    built: int = 0
    machine: str = ""  # the remote builder of the check itself, empty for this machine
    started: float | None = None  # when the check itself began to be built
    ended: float | None = None
    current: str = ""  # the innermost subtest that runs
    subtests: list[Subtest] = field(default_factory=list)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=ERRORS))
    said: deque[str] = field(default_factory=lambda: deque(maxlen=ERRORS))  # by ssh and hooks, and warnings
    elsewhere: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=KEPT))  # derivation, line of its log
    machines: dict[str, str] = field(default_factory=dict)  # derivation to the remote builder that it went to
    _open: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """How long the check itself was built, None where it was not."""
        if self.started is None:
            return None
        return (time.monotonic() if self.ended is None else self.ended) - self.started

    def feed(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case BuildStarted():
                self._begin(event)
            case CopyStarted() if self.phase is Phase.WAITING:
                self.phase = Phase.FETCHING
            case LogLine(activity, text):
                self._log(self.building.get(activity, ""), text)
            case Ended(activity):
                if self.building.pop(activity, None) == self.derivation:
                    self.ended = time.monotonic()
                self.built += 1
            case Said(text, error):
                (self.errors if error else self.said).append(text)
            case _:
                pass

    def _begin(self, event: BuildStarted) -> None:
        self.building[event.activity] = event.derivation
        if event.machine:
            self.machines[event.derivation] = event.machine
        if event.derivation == self.derivation:
            self.machine = event.machine or self.machine  # over ssh-ng the other machine's own start follows
            self.started = self.started or time.monotonic()
            self.phase = Phase.BOOTING
        elif self.started is None:
            self.phase = Phase.BUILDING

    def _log(self, derivation: str, text: str) -> None:
        if derivation == self.derivation:
            self.lines.append(text)
            self._line(text)
        else:
            self.elsewhere.append((derivation, text))

    def _line(self, text: str) -> None:
        """Read a line of the check's own log."""
        if _SERIAL.match(text):
            return
        if started := _SUBTEST.match(text):
            self.current, self.phase = started["name"], Phase.TESTING
            self._open.append(started["name"])
        elif finished := _FINISHED.match(text):
            self._close(finished["name"], float(finished["seconds"]), ok=True)
        elif failed := _FAILED.match(text):
            self._close(failed["name"], None, ok=False)

    def _close(self, name: str, seconds: float | None, *, ok: bool) -> None:
        """A subtest is over; subtests nest, and of two of one name the inner is over first."""
        if name in self._open:
            del self._open[len(self._open) - 1 - self._open[::-1].index(name)]
        self.current = self._open[-1] if self._open else ""
        self.subtests.append(Subtest(name, seconds, ok))

    def outcome_of_subtests(self) -> tuple[Subtest, ...]:
        """Return the subtests in the order in which they ended, and those that never did."""
        return (*self.subtests, *(Subtest(name, None, ok=False) for name in self._open))
