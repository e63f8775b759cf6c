"""A run: all checks evaluated at once, those not built yet built as the machine allows, each end told apart.

    running = Running(wanted, request, watcher)
    run = await running.run()
    run.ok

Nothing that was started outlives it, however it is left; `running.so_far()` then tells what was over before.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from nixwright.errors import ToolError
from nixwright.nix.literals import quoted
from nixwright.runner import history, keep, logs, schedule
from nixwright.runner.judge import doubted, evaluated_failure, judged, missing, not_run
from nixwright.runner.progress import Phase, Progress
from nixwright.runner.results import CheckResult, Outcome, Run, Why
from nixwright.runner.verdict import Verdict, driver_verdict, verdict
from nixwright.tools.eval_jobs import evaluate
from nixwright.tools.eval_machine import Machine
from nixwright.tools.eval_options import EvalOptions, Flake
from nixwright.tools.eval_records import EvalFailure, EvalJob
from nixwright.tools.eval_summary import Kind
from nixwright.tools.nix_build import LIMITS, build_argv, builders, building, need_nix, not_built, version
from nixwright.tools.nix_log import BuildStarted, Ended, LogLine, Said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import IO

    from nixwright.runner.history import Past
    from nixwright.runner.selection import Wanted
    from nixwright.tools.eval_options import AttrPath
    from nixwright.tools.eval_process import Limits
    from nixwright.tools.eval_summary import EvalSummary
    from nixwright.tools.nix_build import Build, Builder

# What the evaluation says of a check beside its derivation: MiB of its machines, and what its builder must have.
_APPLY = """\
check:
let
  nodes = builtins.attrValues (check.nodes or { });
  containers = builtins.attrValues (check.containers or { });
  sum = builtins.foldl' builtins.add 0;
in
{
  mib =
    check.mib
      or (sum (map (n: (n.virtualisation.memorySize or 1024) + 128) nodes) + 256 * builtins.length containers);
  features = check.requiredSystemFeatures or [ ];%(driver)s
}"""
_APPLY_DRIVER = """
  driver = if check ? driver then { derivation = check.driver.drvPath; path = check.driver.outPath; } else null;"""
_KVM = "kvm"
_OF_ONE = {Kind.ATTRIBUTE, Kind.MISSING, Kind.NAME_LOST, Kind.ALL_ALIKE}  # problems that stand beside their checks


class Watcher(Protocol):
    """Whoever looks on: a live view, plain lines, nobody."""

    def begin(self, wanted: Sequence[Wanted], past: Mapping[str, Past]) -> None:
        """All that is going to be evaluated."""

    def evaluated(self, wanted: Wanted) -> None:
        """One of them is evaluated."""

    def progress(self, wanted: Wanted, progress: Progress) -> None:
        """Something happened in one that is built."""

    def done(self, result: CheckResult) -> None:
        """One is over, in whatever way."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is evaluated, where, and with what limits.

    `output` is the flake's attribute that holds the checks (`checks.x86_64-linux`); `places` turns Nix' words into
    lines of host files; `may_skip` tells which checks may be skipped where no builder can run them.
    """

    flake: str
    output: str
    state: Path
    whole: bool = True  # all that the output holds is wanted: no need to select
    keep: bool = False  # run the drivers outside of the sandbox, and keep their machines
    jobs: int | None = None
    override_inputs: Mapping[str, str] = field(default_factory=dict)
    impure: bool = False
    nix_options: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] | None = None
    limits: Limits = LIMITS
    places: Callable[[str], tuple[str, ...]] = lambda _: ()
    may_skip: Callable[[Wanted], bool] = lambda _: False
    rerun: Callable[[Wanted], str] = lambda _: ""


@dataclass(slots=True)
class Running:
    """A run, and its state."""

    wanted: Sequence[Wanted]
    request: Request
    watcher: Watcher
    results: dict[str, CheckResult] = field(default_factory=dict)
    jobs: dict[str, EvalJob] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    past: dict[str, Past] = field(default_factory=dict)
    builders: list[Builder] = field(default_factory=list)  # this machine first
    emulated: set[str] = field(default_factory=set)  # run here although they ask for KVM, which is not here
    nix: str = ""
    started: str = ""
    begun: float = 0.0

    async def run(self) -> Run:
        """Run the checks. Raises ToolError where there is no Nix; whatever else goes wrong stands in the run."""
        need_nix()
        self.started, self.begun = now(), time.monotonic()
        self.past = history.read(self._history)
        self.nix = version()
        self.watcher.begin(self.wanted, self.past)
        await self._evaluate()
        self._already_built()
        self._without_builder()
        try:
            await self._build([w for w in self.wanted if w.title not in self.results])
        finally:
            history.remember(self._history, self.results.values())
        if not self.wanted:
            self.problems.append("no check was asked for: nothing is proved")
        return self._over(self.problems)

    def so_far(self) -> Run:
        """Return what came of a run that was left before its end: the checks that were over."""
        left = len(self.wanted) - len(self.results)
        return self._over(
            [*self.problems, f"interrupted: {left} of {len(self.wanted)} checks did not come to their end"]
        )

    def _over(self, problems: Sequence[str]) -> Run:
        return Run(
            tuple(self.results[w.title] for w in self.wanted if w.title in self.results),
            tuple(problems),
            tuple(self.notes),
            (("nix", self.nix),),
            self.started,
            time.monotonic() - self.begun,
        )

    @property
    def _history(self) -> Path:
        return self.request.state / "history.json"

    def _done(self, result: CheckResult) -> None:
        self.results[result.title] = result
        self.watcher.done(result)

    async def _evaluate(self) -> None:
        """Evaluate all in one go; what fails, or does not come, is over with that."""
        by_path: dict[AttrPath, Wanted] = {(w.attribute,): w for w in self.wanted}
        async with evaluate(self._options(), expected=by_path, env=self.request.env) as evaluation:
            async for found in evaluation:
                one = by_path.get(found.attr_path)
                if one is None or one.title in self.results:
                    continue
                if isinstance(found, EvalFailure):
                    self._done(evaluated_failure(one, found, self.request.places, self._rerun(one)))
                    continue
                self.jobs[one.title] = found
                self.watcher.evaluated(one)
                if one.judged == "evaluation":
                    self._done(self._of(one, judged(one, Verdict(Outcome.PASSED), self._rerun(one))))
        summary = evaluation.summary
        self._problems(summary)
        for one in self.wanted:
            if one.title not in self.jobs and one.title not in self.results:
                self._done(missing(one, self._rerun(one), whole_fault=self._fault(summary)))
        others = [".".join(path) for path in summary.unexpected]
        if others:
            self.notes.append(f"left to nix flake check: {', '.join(sorted(others))}")

    def _options(self) -> EvalOptions:
        workers, memory = Machine.here().share(len(self.wanted))
        names = " ".join(f"{quoted(w.attribute)} = null;" for w in self.wanted)
        return EvalOptions(
            source=Flake(self.request.flake, self.request.output),
            workers=workers,
            memory_mib=memory,
            select="" if self.request.whole else f"all: builtins.intersectAttrs {{ {names} }} all",
            apply=_APPLY % {"driver": _APPLY_DRIVER if self.request.keep else ""},
            impure=self.request.impure,
            override_inputs=self.request.override_inputs,
            nix_options=self.request.nix_options,
        )

    def _problems(self, summary: EvalSummary) -> None:
        """Note what is wrong with the evaluation itself, and not with one check."""
        for problem in summary.problems:
            if problem.kind not in _OF_ONE:
                words = "".join(f"\n{line}" for line in problem.words.splitlines())
                places = "".join(f"\n{line}" for line in self.request.places(problem.words))
                self.problems.append(f"{problem.kind}: {problem.what}{words}{places}")

    def _fault(self, summary: EvalSummary) -> str:
        found = [p for p in summary.problems if p.kind not in {*_OF_ONE, Kind.NOTHING}]
        return found[0].what if found else ""

    def _already_built(self) -> None:
        """What is built has passed, or it would not be there."""
        if self.request.keep:  # there is something to be kept of a run alone
            return
        paths = {path: title for title, job in self.jobs.items() for path in job.outputs.values() if path}
        gone = {paths[path] for path in not_built(list(paths)) if path in paths}
        gone |= {title for title, job in self.jobs.items() if not all(job.outputs.values())}
        for one in self.wanted:
            if one.title in self.jobs and one.title not in gone and one.title not in self.results:
                past = self.past.get(one.title)
                known = past if past and past.derivation == self.jobs[one.title].drv_path else None
                made = judged(one, Verdict(Outcome.PASSED), self._rerun(one))
                self._done(
                    replace(
                        self._of(one, made),
                        built_before=True,
                        seconds=known.seconds if known else None,
                        when=known.when if known else "",
                        screenshots=logs.pictures([p for p in self.jobs[one.title].outputs.values() if p]),
                    )
                )

    def _without_builder(self) -> None:
        """Say of which no machine can build it, before anything is built."""
        left = [w for w in self.wanted if w.title not in self.results]
        if not left:
            return
        try:
            self.builders = builders()
        except ToolError as error:
            self.notes.append(f"whether there is a builder for each check is not known: {error}")
            return
        emulating = replace(self.builders[0], features=self.builders[0].features | {_KVM})
        for one in left:
            job = self.jobs[one.title]
            features = _features(job)
            if any(b.takes(job.system, features) for b in self.builders):
                continue
            if emulating.takes(job.system, features):
                self.emulated.add(one.title)
            else:
                skip = self.request.may_skip(one)
                self._done(
                    self._of(one, not_run(one, job.system, features, self.builders, self._rerun(one), skip=skip))
                )
        if self.emulated:
            self.notes.append(f"no builder has KVM: QEMU emulates {len(self.emulated)} of the checks, ten times slower")

    async def _build(self, todo: list[Wanted]) -> None:
        """Build what is left, the longest first, as many at once as there is room for."""
        waiting = schedule.order(todo, self.past)
        limit = schedule.room(Machine.here(), self.builders, self.request.jobs)
        running: dict[asyncio.Task[CheckResult], int] = {}
        try:
            while waiting or running:
                for one in list(waiting):
                    memory = schedule.memory_of(one, _mib(self.jobs[one.title]))
                    if schedule.fits(list(running.values()), memory, limit):
                        waiting.remove(one)
                        running[asyncio.create_task(self._one(one))] = memory
                over, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in over:
                    del running[task]
                    self._done(task.result())
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _one(self, one: Wanted) -> CheckResult:
        """Build one check, or run its driver, and say what came of it."""
        job = self.jobs[one.title]
        progress = Progress(job.drv_path, one.script)
        log = self.request.state / "logs" / f"{logs.file_name(one.title)}.log"
        driver = _driver(job) if self.request.keep else None
        outputs = [path for path in job.outputs.values() if path]
        with logs.whole_file(log) as file:
            end = await self._built(one, driver["derivation"] if driver else job.drv_path, progress, file)
            if driver and end.outcome is Outcome.PASSED:
                outputs = [str(keep.directory_of(one, self.request.state) / keep.OUTPUT)]
                end = await self._driven(one, driver["path"], progress, file)
        progress.phase = Phase.DONE
        pictures = logs.pictures(outputs)
        if end.outcome is not Outcome.PASSED and not driver:
            pictures = logs.keep_screenshots(outputs, log.with_suffix(".screenshots"))
        base = self.past.get(one.check)
        made = doubted(judged(one, end, self._rerun(one)), fails_anyway=base is not None and not base.passed)
        return replace(
            self._of(one, made),
            subtests=progress.outcome_of_subtests(),
            seconds=progress.seconds,
            built_before=progress.started is None and end.outcome is Outcome.PASSED,
            builder=progress.machine,
            when=now(),
            log=str(log),
            screenshots=pictures,
            places=self.request.places(end.words) if end.why is Why.BUILD else (),
        )

    async def _built(self, one: Wanted, derivation: str, progress: Progress, file: IO[str]) -> Verdict:
        """Build a derivation."""
        options = dict(self.request.nix_options)
        if one.title in self.emulated:  # the driver falls back to emulation by itself; Nix alone insists
            options["system-features"] = " ".join(sorted(self.builders[0].features | {_KVM}))
        argv = build_argv(derivation, self.nix, options)
        async with building(argv, limits=self.request.limits, env=self.request.env) as build:
            await self._follow(one, build, progress, file)
        return verdict(progress, build.status, build.limit)

    async def _driven(self, one: Wanted, driver: str, progress: Progress, file: IO[str]) -> Verdict:
        """Run a check's driver, outside of the sandbox, and keep what its machines leave."""
        kept = keep.directory_of(one, self.request.state)
        keep.fresh(kept)
        progress.feed(BuildStarted(0, progress.derivation, ""))
        line = keep.driver_argv(driver, kept)
        async with building(line, limits=self.request.limits, env=keep.environment(kept), log_alone=True) as build:
            await self._follow(one, build, progress, file)
        progress.feed(Ended(0))
        return driver_verdict(progress, build.status, build.limit)

    async def _follow(self, one: Wanted, build: Build, progress: Progress, file: IO[str]) -> None:
        """Read what is said to its end."""
        async for event in build.events():
            progress.feed(event)
            if isinstance(event, LogLine):
                file.write(f"{event.text}\n")
            elif isinstance(event, Said) and event.error:
                file.write(f"nix: {event.text}\n")
            self.watcher.progress(one, progress)

    def _of(self, one: Wanted, result: CheckResult) -> CheckResult:
        job = self.jobs[one.title]
        return replace(result, system=job.system, derivation=job.drv_path)

    def _rerun(self, one: Wanted) -> str:
        return self.request.rerun(one)


def now() -> str:
    """Return the time as ISO 8601, UTC, whole seconds."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _mib(job: EvalJob) -> int | None:
    extra = job.extra_value
    return extra.get("mib") if isinstance(extra, dict) and isinstance(extra.get("mib"), int) else None


def _driver(job: EvalJob) -> dict[str, str] | None:
    extra = job.extra_value
    return extra.get("driver") if isinstance(extra, dict) else None


def _features(job: EvalJob) -> tuple[str, ...]:
    extra = job.extra_value
    said = extra.get("features") if isinstance(extra, dict) else None
    return tuple(str(f) for f in said) if isinstance(said, list) else job.required_features
