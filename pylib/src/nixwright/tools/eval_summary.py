"""What an evaluation came to: each trouble told apart, and never green on nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from nixwright.tools.eval_options import FLAGS
from nixwright.tools.eval_records import ESCAPE, EvalFailure, EvalJob, dotted, short

if TYPE_CHECKING:
    from nixwright.tools.eval_options import AttrPath
    from nixwright.tools.eval_process import Program
    from nixwright.tools.eval_records import EvalResult, LineError

MANY = 200  # failed attributes that are kept with their words; more are counted


class Kind(StrEnum):
    """What can be wrong, gravest first: the first of several names the outcome."""

    NOT_INSTALLED = "not installed"
    TOO_OLD = "too old"
    USAGE = "wrong command line"
    OUT_OF_MEMORY = "out of memory"
    KILLED = "killed"
    CRASHED = "crashed"
    STUCK = "stuck"
    TIMED_OUT = "timed out"
    INTERRUPTED = "interrupted"
    STORE_GONE = "store not reached"
    EVALUATION = "evaluation failed"
    HALF_LINE = "half a line"
    LONG_LINE = "line too long"
    BAD_LINE = "not a record"
    ALL_ALIKE = "every attribute failed alike"
    ATTRIBUTE = "attribute failed"
    NOTHING = "nothing came"
    NAME_LOST = "name lost"
    MISSING = "job missing"
    STOPPED = "stopped early"


_ORDER = {kind: position for position, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Problem:
    """One trouble: its kind, one sentence for people, Nix' own words, the attribute where it is of one."""

    kind: Kind
    what: str
    words: str = ""
    attr_path: AttrPath | None = None


@dataclass(frozen=True, slots=True)
class EvalSummary:
    """The end of an evaluation.

    `jobs` and `failed` are counts, `unexpected` the attributes that came beyond the expected (no fault), `stderr` the
    end of that stream without escape codes, where warnings stand. The list is whole only where `ok` or where every
    problem is of one attribute.
    """

    jobs: int
    failed: int
    problems: tuple[Problem, ...]
    unexpected: tuple[AttrPath, ...] = ()
    status: int | None = None
    seconds: float = 0.0
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """Whether there was a job, all came that were expected, and nothing else was wrong."""
        return not self.problems and self.jobs > 0

    @property
    def kind(self) -> Kind | None:
        """The gravest problem's kind, None where all is well."""
        return self.problems[0].kind if self.problems else None

    def __str__(self) -> str:
        """Return it for people: one line for each problem, Nix' words below it."""
        rows = [f"{self.jobs} evaluated, {self.failed} failed, {self.seconds:.1f} s"]
        for problem in self.problems:
            rows.append(f"{problem.kind}: {problem.what}")
            rows += [f"  {line}" for line in problem.words.splitlines()]
        return "\n".join(rows)


@dataclass(slots=True)
class End:
    """How the programs behind an evaluation ended; `problems` holds STOPPED until they have."""

    problems: list[Problem] = field(default_factory=lambda: [Problem(Kind.STOPPED, "not read to its end")])
    status: int | None = None
    stderr: str = ""


@dataclass(slots=True)
class Tally:
    """What is counted while results pass: bounded, but for what is expected and has not come."""

    expected: frozenset[AttrPath] | None = None
    jobs: int = 0
    failed: int = 0
    problems: list[Problem] = field(default_factory=list)
    unexpected: list[AttrPath] = field(default_factory=list)
    _waiting: set[AttrPath] = field(default_factory=set)
    _alike: str | None = None  # the one shape of all failures so far, None once they differ
    _words: str = ""  # of the first failure
    _store_gone: str = ""

    def __post_init__(self) -> None:
        """Wait for all that is expected."""
        self._waiting = set(self.expected or ())

    def add(self, result: EvalResult) -> None:
        """Count one result."""
        path = result.attr_path
        if self.expected is not None:
            if path in self._waiting:
                self._waiting.remove(path)
            elif path in self.expected:
                if len(self.problems) < 2 * MANY:
                    self.problems.append(Problem(Kind.BAD_LINE, f"{dotted(path)} came twice", attr_path=path))
            elif len(self.unexpected) < MANY:
                self.unexpected.append(path)
        if isinstance(result, EvalJob):
            self.jobs += 1
            return
        self.failed += 1
        if "cannot connect to socket at " in result.error:
            self._store_gone = result.short
        if self.failed > MANY and self._alike is None:
            return
        words = result.short
        shape = re.sub(r"\"[^\"]*\"|'[^']*'", "", words)
        self._alike = shape if self.failed == 1 or shape == self._alike else None
        self._words = self._words or words
        if self.failed <= MANY:
            self.problems.append(self._problem(result, words))

    def _problem(self, result: EvalFailure, words: str) -> Problem:
        """Return what to say of a failed attribute."""
        what = f"{dotted(result.attr_path)} failed"
        if "exceeded the memory budget" in words:
            return Problem(Kind.OUT_OF_MEMORY, f"{what}: it took more memory than allowed", words, result.attr_path)
        if "in selection path" in words or "by the selection path" in words:
            # It reads its own joined path again, and trips over names with a quote and names that are numbers.
            what += ": nix-eval-jobs cannot handle such a name; give the attribute another"
        return Problem(Kind.ATTRIBUTE, what, words, result.attr_path)

    def summary(self, end: End, seconds: float) -> EvalSummary:
        """Return what it all came to; the gravest kind of problem first."""
        problems = [*end.problems, *self._found()]
        if not self.jobs and not self.failed and not end.problems:
            what = "no attribute was evaluated: the set is empty, or the output was lost"
            problems.append(Problem(Kind.NOTHING, what))
        problems.sort(key=lambda p: _ORDER[p.kind])
        return EvalSummary(
            jobs=self.jobs,
            failed=self.failed,
            problems=tuple(problems),
            unexpected=tuple(self.unexpected),
            status=end.status,
            seconds=seconds,
            stderr=ESCAPE.sub("", end.stderr),
        )

    def _found(self) -> list[Problem]:
        """Return the problems that the results themselves show."""
        problems = list(self.problems)
        if self.failed > MANY:
            problems.append(Problem(Kind.ATTRIBUTE, f"{self.failed - MANY} more failed"))
        if self._store_gone:
            problems.append(Problem(Kind.STORE_GONE, "Nix' daemon or store cannot be reached", self._store_gone))
        elif self._alike and self.failed > 1 and not self.jobs:
            what = f"all {self.failed} failed in the same way: the fault may be of the command line or this machine"
            problems.append(Problem(Kind.ALL_ALIKE, what, self._words))
        for path in sorted(self._waiting):
            if "" in path:
                what = f'{dotted(path)} did not come: nix-eval-jobs loses attributes named ""'
                problems.append(Problem(Kind.NAME_LOST, what, attr_path=path))
            else:
                problems.append(Problem(Kind.MISSING, f"{dotted(path)} was expected and did not come", attr_path=path))
        return problems


# The last message of stderr, when the status is 1: what it means, and who did it. Read in this order.
_WORKER = re.compile(
    r"while (?:reading result for attrPath '(?P<path>.*)'|sending exit)[^']*, "
    r"(?:evaluation )?worker (?P<how>(?:got killed|exited|pipe got closed).*)",
)
_NO_MEMORY = ("Out of memory", "Out of Memory", "Insufficient space", "std::bad_alloc", "Cannot allocate memory")
_USAGE = ("--help' for more information", "error: stoi", "error: vector::reserve")
_UNKNOWN_FLAG = re.compile(r"unrecognised flag '(?P<flag>--[a-z-]+)'")


def judge_end(run: Program, *, oom_killed: bool) -> list[Problem]:
    """Return what the end of the program says; `oom_killed`: the kernel ended some process for memory meanwhile."""
    text = ESCAPE.sub("", run.stderr)
    last = last_message(text)
    limited = {
        "silence": (Kind.TIMED_OUT, f"nothing came for {run.limits.silence:g} s"),
        "total": (Kind.TIMED_OUT, f"not done after {run.limits.total:g} s"),
        "stuck": (Kind.STUCK, "a worker died and nix-eval-jobs waits for it for ever; fewer workers make that rarer"),
    }
    if run.why:
        return [Problem(*limited[run.why], last)]
    if run.status == 0:
        return []
    no_memory = oom_killed or any(word in text for word in _NO_MEMORY)
    if run.status is not None and run.status < 0:
        if no_memory:
            return [Problem(Kind.OUT_OF_MEMORY, "the kernel ended it for want of memory", last)]
        return [Problem(Kind.KILLED, f"it was ended by signal {-run.status}", last)]
    if worker := _WORKER.search(last):
        return [_judge_worker(worker, last, no_memory=no_memory)]
    return [_judge_words(run, text, last, no_memory=no_memory)]


def _judge_worker(worker: re.Match[str], last: str, *, no_memory: bool) -> Problem:
    """Return what the death of a worker means."""
    where = f"at attribute {worker['path']}" if worker["path"] is not None else "while it had nothing to do"
    after = "; attributes that come later may be missing"
    how = worker["how"]
    if no_memory:
        return Problem(Kind.OUT_OF_MEMORY, f"a worker ran out of memory {where}{after}", last)
    if "SIGKILL" in how:
        return Problem(Kind.KILLED, f"a worker was killed {where}, by a person or for want of memory{after}", last)
    if "SIGSEGV" in how or "infinite recursion" in how:
        return Problem(Kind.CRASHED, f"a worker crashed {where}, as endless recursion makes it{after}", last)
    return Problem(Kind.CRASHED, f"a worker died {where}{after}", last)


def _judge_words(run: Program, text: str, last: str, *, no_memory: bool) -> Problem:
    """Return what the last message means where no worker died."""
    if "interrupted by the user" in last:
        return Problem(Kind.INTERRUPTED, "it was asked to stop", last)
    unknown = _UNKNOWN_FLAG.search(text)
    if unknown and unknown["flag"] in FLAGS:
        return Problem(Kind.TOO_OLD, f"this nix-eval-jobs has no {unknown['flag']}", last)
    if any(word in text for word in _USAGE):
        return Problem(Kind.USAGE, "nix-eval-jobs does not take these arguments", last)
    if no_memory:
        return Problem(Kind.OUT_OF_MEMORY, "it ran out of memory", last)
    if "cannot connect to socket at " in last:
        return Problem(Kind.STORE_GONE, "Nix' daemon or store cannot be reached", short(last))
    return Problem(Kind.EVALUATION, f"Nix ended the evaluation with status {run.status}", short(last))


def last_message(stderr: str) -> str:
    """Return the last message of stderr with the lines that belong to it: the one that says why a run ended."""
    rows = stderr.rstrip().splitlines()
    starts = [n for n, row in enumerate(rows) if row.startswith("error:")]
    return "\n".join(rows[starts[-1] :] if starts else rows[-1:])


def judge_output(run: Program) -> list[Problem]:
    """Return what is wrong with the form of the output: a line over the limit, or one that breaks off."""
    problems = [
        Problem(Kind.LONG_LINE, f"a line of output has more than {run.limits.line} bytes", _begin(line))
        for line in run.too_long
    ]
    if run.unfinished:
        problems.append(Problem(Kind.HALF_LINE, "the output breaks off within a line", _begin(run.unfinished)))
    return problems


def judge_line(line: bytes, error: LineError) -> Problem:
    """Return what a line means that is no record."""
    if "attrPath" in str(error) and line.startswith(b'{"attr":'):
        return Problem(Kind.TOO_OLD, "this nix-eval-jobs gives no attrPath; 2.24 and later do", _begin(line))
    return Problem(Kind.BAD_LINE, f"a line of output is no record ({error})", _begin(line))


def _begin(line: bytes) -> str:
    """Return the begin of a line, for people."""
    return line[:200].decode(errors="replace")
