"""docs/verification.md: every check, what it proves, its sabotages, and when, where and with what it ran, if at all."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from nixwright.checks.model import NOT_AS_DESCRIBED
from nixwright.report.checks import clock, machine
from nixwright.runner.results import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nixwright.runner.results import CheckResult, Run
    from nixwright.runner.selection import Wanted

_HEAD = """\
# What was proved

Written by `nixwright verification`, from the results of `nixwright test --json`. A check that did not run says so.
Under each of its sabotages a check must fail: *seen* means that it did.
"""


def page(checks: Sequence[Wanted], sabotages: Sequence[Wanted], runs: Sequence[Run]) -> str:
    """Return the page. `checks` and `sabotages` are all there are; of two results of one the later counts.

    What came of checks that are no more is left out.
    """
    known = {w.title for w in (*checks, *sabotages)}
    ran = {title: result for title, result in _latest(runs).items() if title in known}
    ran_with = {c.title: dict(run.versions) for run in _in_order(runs) for c in run.checks}
    lines = [_HEAD, _sum(checks, sabotages, ran), "", *_machines(ran_with, ran)]
    for host, of_host in groupby(checks, key=lambda w: w.host):
        lines += ["", f"## {host}", ""]
        for one in of_host:
            hosts = {one.host, *one.instead}
            mine = [s for s in sabotages if s.name == one.name and hosts & {s.host, *s.instead}]
            lines += _check(one, mine, ran, hosts)
    return "\n".join(lines).rstrip("\n") + "\n"


def _in_order(runs: Sequence[Run]) -> list[Run]:
    return sorted(runs, key=lambda r: r.started)


def _latest(runs: Sequence[Run]) -> dict[str, CheckResult]:
    """Return the last result of each; one that was built before does not hide when it really ran."""
    found: dict[str, CheckResult] = {}
    for run in _in_order(runs):
        for check in run.checks:
            earlier = found.get(check.title)
            if check.built_before and earlier and earlier.derivation == check.derivation:
                continue
            found[check.title] = check
    return found


def _sum(checks: Sequence[Wanted], sabotages: Sequence[Wanted], ran: Mapping[str, CheckResult]) -> str:
    passed = sum(
        w.title in ran and ran[w.title].outcome is Outcome.PASSED and not _new(w, ran[w.title]) for w in checks
    )
    seen = sum(w.title in ran and ran[w.title].outcome is Outcome.PASSED for w in sabotages)
    return f"{passed} of {len(checks)} checks passed; {seen} of {len(sabotages)} sabotages were seen."


def _machines(ran_with: Mapping[str, Mapping[str, str]], ran: Mapping[str, CheckResult]) -> list[str]:
    """Return what the results came from: each set of versions once, with how many results."""
    counted: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for title in ran:
        counted.setdefault(tuple(ran_with[title].items()), []).append(ran[title].when[:10])
    lines = []
    for versions, days in counted.items():
        when = sorted({d for d in days if d})
        span = f", {when[0]}" + (f" to {when[-1]}" if when[-1] != when[0] else "") if when else ""
        told = ", ".join(f"{name} {value}" for name, value in versions)
        lines.append(f"- {len(days)} result{'' if len(days) == 1 else 's'} with {told}{span}")
    return lines


def _check(
    one: Wanted, sabotages: Sequence[Wanted], ran: Mapping[str, CheckResult], hosts: Collection[str]
) -> list[str]:
    """Return what is told of a check of some hosts, and of its sabotages, which may have been run on another's."""
    lines = [f"### {one.check}", ""]
    new = _new(one, ran.get(one.title))
    lines += [
        f"- {_cell(sentence)} ({part}){': **new, not run**' if (part, sentence) in new else ''}"
        for part, sentence in one.proves
    ]
    if one.instead:
        lines.append(f"- the same for {', '.join(one.instead)}")
    lines += ["", _told(one, ran.get(one.title))]
    if sabotages:
        lines += ["", "| sabotage | the check | time |", "| --- | --- | --- |"]
        for sabotage in sabotages:
            result = ran.get(sabotage.title)
            whose = (
                "" if sabotage.host in hosts or result is None else f" (of {sabotage.host}, where it shows the same)"
            )
            lines.append(f"| {sabotage.sabotage}: {_cell(sabotage.why)} | {_seen(result)}{whose} | {_time(result)} |")
    return [*lines, ""]


def _new(one: Wanted, result: CheckResult | None) -> list[tuple[str, str]]:
    """Return what a check proves today, and did not when it passed."""
    if result is None or result.outcome is not Outcome.PASSED:
        return []
    return [each for each in one.proves if each not in result.proves]


def _told(one: Wanted, result: CheckResult | None) -> str:
    """Return one sentence on how a check came out."""
    if result is None:
        return "**Not run.**"
    where = f" on {machine(result.builder)}" if result.builder else ""
    kind = "container" if one.container else "VM" if one.machines else "evaluation"
    if result.outcome is Outcome.PASSED:
        steps = f", {len(result.subtests)} steps" if result.subtests else ""
        took = f" in {_time(result)}" if result.seconds is not None else ""
        when = f", {result.when[:10]}" if result.when else ""
        return f"**Passed**{took}{steps} ({kind}, {result.system}{where}{when})."
    reason = result.excerpt.message or result.words.partition("\n")[0]
    return f"**{str(result.outcome).capitalize()}**: {result.why}{f' ({_cell(reason)})' if reason else ''}."


def _seen(result: CheckResult | None) -> str:
    if result is None:
        return "not run"
    if result.outcome is Outcome.PASSED:
        said = result.excerpt.message.splitlines() or [""]
        # an evaluation that says no has a line for each option
        what = result.excerpt.subtest or next((m for m in said if m.endswith(NOT_AS_DESCRIBED)), said[0]).lstrip("- ")
        return f"seen{f': {_cell(what)}' if what else ''}"
    return f"**{'not seen' if result.outcome is Outcome.FAILED else f'{result.outcome}: {result.why}'}**"


def _time(result: CheckResult | None) -> str:
    return "" if result is None or result.seconds is None else clock(result.seconds)


def _cell(text: str) -> str:
    """Return a text that breaks no table and is no HTML."""
    return text.replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
