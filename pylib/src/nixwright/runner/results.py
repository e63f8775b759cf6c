"""What came of checks, as data: what the reports show, and what is written as JSON and read again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

FORMAT = 1  # of the JSON; a reader refuses another


class Outcome(StrEnum):
    """What came of one check, or of one sabotage of it."""

    PASSED = "passed"  # of a sabotage: the check failed, as it must
    FAILED = "failed"  # the check ran and says no; of a sabotage: nobody saw it
    ERROR = "error"  # nothing was proved: it could not be evaluated, or built, or its machine went away
    SKIPPED = "skipped"  # no builder can run it, and the caller said that this may be


class Why(StrEnum):
    """Why a check did not pass."""

    NONE = ""
    TEST = "the test failed"
    UNSEEN = "the sabotage was not seen"
    ANYWAY = "the check fails without the sabotage, too"
    EVALUATION = "it does not evaluate"
    MISSING = "the flake has no such check"
    BUILD = "something that it needs does not build"
    DRIVER = "its script is not accepted"
    BUILDER_LOST = "the builder went away"
    NO_BUILDER = "no builder can run it"
    DISK_FULL = "the disk is full"
    READ_ONLY = "the store is read-only"
    STORE_GONE = "Nix' daemon or store cannot be reached"
    NO_MEMORY = "it was killed, as for want of memory"
    TIMED_OUT = "it took too long"
    INTERRUPTED = "it was interrupted"
    NIX = "Nix failed"


@dataclass(frozen=True, slots=True)
class Subtest:
    """One named step of a check; `seconds` is None where it did not come to its end."""

    name: str
    seconds: float | None
    ok: bool


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The part of a failed run that matters, in the programs' own words."""

    subtest: str = ""
    message: str = ""
    lines: tuple[str, ...] = ()  # a traceback, shortened, or the end of a build's log
    units: tuple[str, ...] = ()  # that failed, as far as the log says
    journal: tuple[str, ...] = ()  # what these said


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of one check (`pibox-network`), or of one sabotage of it (`sabotage` is its name).

    `seconds` is the time of the build itself; `built_before` says that its output was there already, and `seconds` then
    comes from an earlier run (None where nobody remembers). `places` are lines of host files that Nix' words lead to.
    """

    check: str
    host: str
    name: str
    outcome: Outcome
    why: Why = Why.NONE
    sabotage: str = ""
    proves: tuple[tuple[str, str], ...] = ()
    words: str = ""
    excerpt: Excerpt = field(default_factory=Excerpt)
    places: tuple[str, ...] = ()
    subtests: tuple[Subtest, ...] = ()
    seconds: float | None = None
    built_before: bool = False
    builder: str = ""
    system: str = ""
    container: bool = False
    derivation: str = ""
    when: str = ""  # ISO 8601, UTC: when it was built
    log: str = ""  # the file with its whole log
    screenshots: tuple[str, ...] = ()
    rerun: str = ""

    @property
    def title(self) -> str:
        """The name for people: `pibox-network`, or `pibox-network (sabotage: psk)`."""
        return f"{self.check} (sabotage: {self.sabotage})" if self.sabotage else self.check


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run: its checks in the order asked for, what is wrong with the run itself, and with what it ran."""

    checks: tuple[CheckResult, ...]
    problems: tuple[str, ...] = ()  # of the run, not of one check
    notes: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    started: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether something passed and nothing is wrong. A skip is one only where it was asked for."""
        fine = {Outcome.PASSED, Outcome.SKIPPED}
        return not self.problems and self.count(Outcome.PASSED) > 0 and all(c.outcome in fine for c in self.checks)

    def count(self, outcome: Outcome) -> int:
        """Return how many came out that way."""
        return sum(c.outcome is outcome for c in self.checks)


def to_data(run: Run) -> dict[str, Any]:
    """Return a run as JSON has it."""
    return {"format": FORMAT, "ok": run.ok, **asdict(run)}


def from_data(data: dict[str, Any]) -> Run:
    """Read a run again; raises ValueError where it is none, or of another format."""
    if data.get("format") != FORMAT:
        raise ValueError(f"format {data.get('format')!r}, where {FORMAT} is understood")
    try:
        return Run(
            checks=tuple(_check(c) for c in data["checks"]),
            problems=tuple(data["problems"]),
            notes=tuple(data["notes"]),
            versions=tuple((str(a), str(b)) for a, b in data["versions"]),
            started=str(data["started"]),
            seconds=float(data["seconds"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no record of a run: {error}") from error


def _check(data: dict[str, Any]) -> CheckResult:
    cut = data["excerpt"]
    made = {
        "outcome": Outcome(data["outcome"]),
        "why": Why(data["why"]),
        "excerpt": Excerpt(
            cut["subtest"], cut["message"], tuple(cut["lines"]), tuple(cut["units"]), tuple(cut["journal"])
        ),
        "subtests": tuple(Subtest(**s) for s in data["subtests"]),
        "proves": tuple((str(a), str(b)) for a, b in data["proves"]),
        "places": tuple(data["places"]),
        "screenshots": tuple(data["screenshots"]),
    }
    return CheckResult(**(data | made))
