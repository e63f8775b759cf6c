"""Many attributes evaluated at once: results while they come, and at the end what was wrong, told apart.

    async with evaluate(options, expected={("pibox", "boots")}) as evaluation:
        async for result in evaluation:
            ...
    evaluation.summary.ok

Status 0 of nix-eval-jobs is no success: it is also the status where all failed, where nothing was evaluated, and
where the output was lost. Hence a summary, limits of our own, and `expected`.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nixwright.tools.eval_machine import oom_kills
from nixwright.tools.eval_nix import nix_eval
from nixwright.tools.eval_options import argv
from nixwright.tools.eval_process import Limits, running
from nixwright.tools.eval_records import LineError, read_line
from nixwright.tools.eval_summary import End, Kind, Problem, Tally, judge_end, judge_line, judge_output

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
    from pathlib import Path

    from nixwright.tools.eval_options import AttrPath, EvalOptions
    from nixwright.tools.eval_records import EvalResult
    from nixwright.tools.eval_summary import EvalSummary

MANY = 20  # lines that are no record of which the words are kept
LIMITS = Limits()
INSTALL = "install nix-eval-jobs (nix shell nixpkgs#nix-eval-jobs), or Nix alone, which is slower"


@dataclass(slots=True)
class Evaluation:
    """A running evaluation: iterate over it once, then look at `summary` (before, that says `stopped early`)."""

    _batches: AsyncIterator[list[EvalResult]]
    _tally: Tally
    _end: End
    _started: float = field(default_factory=time.monotonic)
    _seconds: float = 0.0

    async def __aiter__(self) -> AsyncIterator[EvalResult]:
        """Yield each result when it comes, in no fixed order; key them on `attr_path`."""
        async for batch in self._batches:
            for result in batch:
                self._tally.add(result)
                yield result
        self._seconds = time.monotonic() - self._started

    @property
    def summary(self) -> EvalSummary:
        """What it came to."""
        return self._tally.summary(self._end, self._seconds or time.monotonic() - self._started)


@asynccontextmanager
async def evaluate(
    options: EvalOptions,
    *,
    expected: Iterable[AttrPath] | None = None,
    limits: Limits = LIMITS,
    env: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> AsyncIterator[Evaluation]:
    """Evaluate, by nix-eval-jobs where it is on PATH, else by `nix eval`, an attribute a process.

    `expected` are the attributes that must come; None: any, but at least one. Nothing that was started outlives the
    block, however it is left. Whatever goes wrong stands in the summary; ToolError only where a program cannot be
    started at all.
    """
    tally = Tally(None if expected is None else frozenset(expected))
    end = End()
    path = (os.environ if env is None else env).get("PATH", os.defpath)
    if shutil.which("nix-eval-jobs", path=path):
        batches = _nix_eval_jobs(options, limits, env, directory, end)
    elif shutil.which("nix", path=path):
        batches = nix_eval(options, limits, env, directory, end)
    else:
        batches = _nothing(end)
    async with aclosing(batches):
        yield Evaluation(batches, tally, end)


async def collect(
    options: EvalOptions,
    *,
    expected: Iterable[AttrPath] | None = None,
    limits: Limits = LIMITS,
    env: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> tuple[dict[AttrPath, EvalResult], EvalSummary]:
    """Evaluate as `evaluate` does, and return all results, sorted by attribute, and the summary."""
    async with evaluate(options, expected=expected, limits=limits, env=env, directory=directory) as evaluation:
        results = {result.attr_path: result async for result in evaluation}
    return dict(sorted(results.items())), evaluation.summary


async def _nix_eval_jobs(
    options: EvalOptions,
    limits: Limits,
    env: Mapping[str, str] | None,
    directory: Path | None,
    end: End,
) -> AsyncGenerator[list[EvalResult], None]:
    """Yield what nix-eval-jobs prints, and say in `end` how it ended."""
    bad: list[Problem] = []
    before = oom_kills()
    async with running(argv(options), limits, env, directory) as run:
        async for lines in run.lines():
            batch: list[EvalResult] = []
            for line in lines:
                try:
                    batch.append(read_line(line))
                except LineError as e:
                    if len(bad) < MANY:
                        bad.append(judge_line(line, e))
            yield batch
    end.status, end.stderr = run.status, run.stderr
    end.problems = [*judge_end(run, oom_killed=oom_kills() != before), *judge_output(run), *bad]


async def _nothing(end: End) -> AsyncGenerator[list[EvalResult], None]:
    """Yield nothing, and say what to install."""
    end.problems = [Problem(Kind.NOT_INSTALLED, f"neither nix-eval-jobs nor nix is on PATH: {INSTALL}")]
    yield []
