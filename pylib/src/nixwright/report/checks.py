"""What came of checks, as people read it on a terminal: a line each, the part of a failure that matters, the sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.runner.results import CheckResult, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nixwright.runner.history import Past
    from nixwright.runner.results import Run
    from nixwright.runner.selection import Wanted

MARKS = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.ERROR: "!", Outcome.SKIPPED: "-"}
COLOURS = {Outcome.PASSED: "32", Outcome.FAILED: "31", Outcome.ERROR: "31", Outcome.SKIPPED: "33"}
_MINUTE = 60
_HOUR = 3600
_WORDS = 12  # lines of Nix' words that are shown; the log has them all


def clock(seconds: float) -> str:
    """Return a time for people: `4.2 s`, `48 s`, `1:12`, `1:02:03`."""
    if seconds < 10:  # noqa: PLR2004 - below that, tenths say something
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    minutes = f"{whole % _HOUR // _MINUTE:02d}" if whole >= _HOUR else f"{whole // _MINUTE}"
    return (f"{whole // _HOUR}:" if whole >= _HOUR else "") + f"{minutes}:{whole % _MINUTE:02d}"


def machine(store: str) -> str:
    """Return a remote builder without the parameters of its store's address."""
    return store.partition("?")[0]


def headline(result: CheckResult) -> str:
    """Return the one line of a result."""
    took = "" if result.seconds is None else clock(result.seconds)
    if result.built_before:
        took = f"built before{f' ({took})' if took else ''}"
    told = f"{result.outcome}: {result.why}" if result.why else str(result.outcome)
    if result.sabotage and result.outcome is Outcome.PASSED:
        told = "seen"
    where = f"on {machine(result.builder)}" if result.builder else ""
    return "  ".join(t for t in (f"{MARKS[result.outcome]} {result.title}", told, took, where) if t)


def details(result: CheckResult) -> list[str]:
    """Return what a person needs of a check that did not pass; nothing for one that did."""
    if result.outcome is Outcome.PASSED:
        return []
    cut = result.excerpt
    lines = [f"at        {place}" for place in result.places]
    lines += _block("but" if result.sabotage else "nix", result.words)
    if cut.subtest:
        lines.append(f"subtest   {cut.subtest}")
    lines += _block("message", cut.message)
    lines += [f"  {line}" for line in cut.lines]
    if cut.journal:
        lines.append(f"journal   {', '.join(cut.units)}".rstrip())
        lines += [f"  {line}" for line in cut.journal]
    lines += [f"picture   {shot}" for shot in result.screenshots]
    if result.log:
        lines.append(f"log       {result.log}")
    if result.rerun:
        lines.append(f"again     {result.rerun}")
    return lines


def summary(run: Run) -> list[str]:
    """Return the end of a run."""
    lines = [f"problem   {line}" if n == 0 else f"          {line}" for p in run.problems for n, line in _rows(p)]
    lines += [f"note      {note}" for note in run.notes]
    counts = [f"{run.count(o)} {o}" for o in Outcome if run.count(o)]
    lines.append(f"{', '.join(counts) or 'nothing was run'}, in {clock(run.seconds)}")
    return lines


def listing(wanted: Sequence[Wanted], past: Mapping[str, Past]) -> list[str]:
    """Return the checks with what they prove, how long they took last time, and their sabotages."""
    lines = []
    for one in wanted:
        known = past.get(one.title)
        took = f"  ({clock(known.seconds)} last time{'' if known.passed else ', failed'})" if known else ""
        lines.append(f"{one.title}{took}")
        lines += [f"  {part}: {sentence}" for part, sentence in one.proves]
        if one.instead:
            lines.append(f"  the same for {', '.join(one.instead)}")
        if one.sabotage:
            lines.append(f"  must fail: {one.why}")
        if one.sabotages:
            lines.append(f"  sabotages: {', '.join(one.sabotages)}")
    return lines


def _block(name: str, words: str) -> list[str]:
    rows = words.splitlines()
    if len(rows) > _WORDS:
        rows = [*rows[: _WORDS // 2], f"... {len(rows) - _WORDS} lines ...", *rows[-_WORDS // 2 :]]
    return [f"{name if n == 0 else '':<10}{row}" for n, row in enumerate(rows)]


def _rows(text: str) -> list[tuple[int, str]]:
    return list(enumerate(text.splitlines()))
