"""From what happened to what it means for a check, or for a sabotage of it, under which the check must fail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nixwright.checks.model import NOT_AS_DESCRIBED
from nixwright.runner.results import CheckResult, Excerpt, Outcome, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nixwright.runner.selection import Wanted
    from nixwright.runner.verdict import Verdict
    from nixwright.tools.eval_records import EvalFailure
    from nixwright.tools.nix_build import Builder


def result(wanted: Wanted, outcome: Outcome, why: Why = Why.NONE, words: str = "", rerun: str = "") -> CheckResult:
    """Return a bare result."""
    return CheckResult(
        check=wanted.check,
        host=wanted.host,
        name=wanted.name,
        outcome=outcome,
        why=why,
        sabotage=wanted.sabotage,
        proves=wanted.proves,
        words=words,
        container=wanted.container,
        rerun=rerun,
    )


def judged(wanted: Wanted, verdict: Verdict, rerun: str = "") -> CheckResult:
    """Return what a build's end means. Under a sabotage only the check's own no is a success."""
    made = replace(result(wanted, verdict.outcome, verdict.why, verdict.words, rerun), excerpt=verdict.excerpt)
    if not wanted.sabotage:
        return made
    if verdict.outcome is Outcome.PASSED:
        words = f"the check stays green although {wanted.why}: it does not prove what it says"
        return replace(made, outcome=Outcome.FAILED, why=Why.UNSEEN, words=words)
    if verdict.outcome is Outcome.FAILED:
        return replace(made, outcome=Outcome.PASSED, why=Why.NONE, words="")
    return made


def doubted(made: CheckResult, *, fails_anyway: bool) -> CheckResult:
    """Return a result again, where a sabotage was seen only because the check fails without it, too."""
    if not made.sabotage or made.outcome is not Outcome.PASSED or not fails_anyway:
        return made
    words = f"{made.check} itself failed when it last ran: first that must pass"
    return replace(made, outcome=Outcome.ERROR, why=Why.ANYWAY, words=words)


def evaluated_failure(
    wanted: Wanted, failure: EvalFailure, places: Callable[[str], tuple[str, ...]], rerun: str = ""
) -> CheckResult:
    """Return what it means that an attribute does not evaluate.

    Under a sabotage that is a success where the check's own assertions (`Check.holds`) say no, and nothing else is:
    what does not evaluate for another reason proves nothing.
    """
    words = failure.short
    if wanted.sabotage and any(line.endswith(NOT_AS_DESCRIBED) for line in words.splitlines()):
        return replace(result(wanted, Outcome.PASSED, rerun=rerun), excerpt=Excerpt(message=words))
    return replace(result(wanted, Outcome.ERROR, Why.EVALUATION, words, rerun), places=places(failure.error))


def missing(wanted: Wanted, rerun: str, *, whole_fault: str) -> CheckResult:
    """Return what it means that an attribute did not come: the evaluation broke off, or the flake has none."""
    if whole_fault:
        return result(wanted, Outcome.ERROR, Why.EVALUATION, whole_fault, rerun)
    words = f"{wanted.attribute} is not in the flake: run gen, and let git know new files (git add)"
    return result(wanted, Outcome.ERROR, Why.MISSING, words, rerun)


def not_run(  # noqa: PLR0913 - all that the sentence says
    wanted: Wanted, system: str, features: Sequence[str], there: Sequence[Builder], rerun: str, *, skip: bool
) -> CheckResult:
    """Return what it means that no builder can run it, with what each lacks."""
    needs = " with ".join(t for t in (system, ", ".join(sorted(features))) if t)
    rows = [f"it needs {needs}"]
    for builder in there:
        name = builder.name or "this machine"
        if builder.jobs < 1:
            rows.append(f"{name} builds nothing (max-jobs = 0)")
        elif system not in builder.systems:
            rows.append(f"{name} is {', '.join(sorted(builder.systems))}")
        elif lacks := sorted(set(features) - builder.features - builder.demands):
            rows.append(f"{name} lacks {', '.join(lacks)}{_advice(lacks) if not builder.name else ''}")
        else:
            rows.append(f"{name} builds only what needs {', '.join(sorted(builder.demands))}")
    outcome = Outcome.SKIPPED if skip else Outcome.ERROR
    return result(wanted, outcome, Why.NO_BUILDER, "\n".join(rows), rerun)


def _advice(lacks: Sequence[str]) -> str:
    """Say what to do for a feature of this machine."""
    if "uid-range" in lacks:
        return " (containers: auto-allocate-uids = true, experimental-features += auto-allocate-uids cgroups)"
    return ""
