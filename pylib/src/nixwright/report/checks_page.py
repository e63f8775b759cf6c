"""The results of a run as one page: a matrix of part and check for each host, then each check, its times, its pictures.

The page is one file that needs nothing else: no script, no font, no picture from elsewhere.
"""

from __future__ import annotations

import base64
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.report.checks import MARKS, clock, machine
from nixwright.runner.results import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nixwright.runner.results import CheckResult, Run

_NOT_REACHED = "…"
_MOST_PICTURE = 4 << 20  # bytes of a picture that is put into the page
_STYLE = """\
:root { color-scheme: light dark; --page: #fff; --text: #1c2024; --soft: #60646c; --line: #d9d9e0; --card: #f7f7f9;
  --passed: #18794e; --failed: #c62a2f; --error: #ad4f00; --skipped: #60646c; --bar: #9bc9b0; }
@media (prefers-color-scheme: dark) { :root { --page: #111113; --text: #edeef0; --soft: #b0b4ba; --line: #363a3f;
  --card: #18191b; --passed: #3dd68c; --failed: #ff9592; --error: #ffa057; --skipped: #b0b4ba; --bar: #20573e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 0; }
.soft { color: var(--soft); } .passed { color: var(--passed); } .failed { color: var(--failed); }
.error { color: var(--error); } .skipped { color: var(--skipped); }
.wide { overflow-x: auto; } table { border-collapse: collapse; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td.mark { text-align: center; font-weight: bold; }
td.mark a { color: inherit; text-decoration: none; padding: .2rem .5rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem;
  margin: .7rem 0; }
pre { overflow-x: auto; background: var(--page); border: 1px solid var(--line); border-radius: .3rem; padding: .6rem;
  font: 13px/1.45 ui-monospace, monospace; margin: .5rem 0; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
.row { display: flex; gap: .6rem; justify-content: space-between; flex-wrap: wrap; }
.bar { height: .4rem; background: var(--bar); border-radius: .2rem; margin: .15rem 0 .5rem; min-width: 2px; }
img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: .3rem; }
summary { cursor: pointer; } code { font: 14px ui-monospace, monospace; overflow-wrap: anywhere; }
"""


def page(run: Run) -> str:
    """Return the page's text."""
    checks = [c for c in run.checks if not c.sabotage]
    sabotaged = [c for c in run.checks if c.sabotage]
    parts = [_head(run)]
    for host, of_host in groupby(sorted(checks, key=lambda c: c.host), key=lambda c: c.host):
        parts.append(_matrix(host, list(of_host)))
    if checks:
        parts.append("<h2>Each check</h2>")
        parts += [_check(c) for c in sorted(checks, key=_gravity)]
    if sabotaged:
        parts.append("<h2>Sabotages</h2><p class=soft>Under each the check must fail, or it proves nothing.</p>")
        parts += [_check(c) for c in sorted(sabotaged, key=_gravity)]
    body = "\n".join(parts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Checks: {escape(_count(run))}</title>
<style>
{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _head(run: Run) -> str:
    state = "passed" if run.ok else "failed"
    versions = ", ".join(f"{name} {value}" for name, value in run.versions)
    told = "".join(f'<pre class="failed">{escape(p)}</pre>' for p in run.problems)
    notes = "".join(f"<p class=soft>{escape(n)}</p>" for n in run.notes)
    return (
        f'<h1>Checks: <span class="{state}">{escape(_count(run))}</span></h1>\n'
        f"<p class=soft>{escape(run.started)}, {escape(clock(run.seconds))}, {escape(versions)}</p>\n{told}{notes}"
    )


def _count(run: Run) -> str:
    return ", ".join(f"{run.count(o)} {o}" for o in Outcome if run.count(o)) or "nothing was run"


def _matrix(host: str, checks: Sequence[CheckResult]) -> str:
    """Return a table: a row for each part that has a say, a column for each check."""
    names = list(dict.fromkeys(part for c in checks for part, _ in c.proves)) or ["Host"]
    head = "".join(f"<th><a href='#{_anchor(c)}'>{escape(c.name)}</a></th>" for c in checks)
    rows = [f"<tr><th>{escape(part)}</th>{''.join(_cell(part, c) for c in checks)}</tr>" for part in names]
    return (
        f"<h2>{escape(host or 'flake')}</h2>\n<div class=wide><table>\n"
        f"<tr><th></th>{head}</tr>\n" + "\n".join(rows) + "\n</table></div>"
    )


def _cell(part: str, check: CheckResult) -> str:
    said = [sentence for name, sentence in check.proves if name == part]
    if not said and check.proves:
        return "<td></td>"
    title = escape("; ".join(said) or str(check.outcome), quote=True)
    mark, kind = _of_part(said, check)
    return f'<td class="mark {kind}"><a href="#{_anchor(check)}" title="{title}">{mark}</a></td>'


def _of_part(said: Sequence[str], check: CheckResult) -> tuple[str, str]:
    """Return the mark and class of a part's say in a check: of one that failed, what its own steps came to.

    A scenario's step bears the sentence that it proves. What the check did not reach has a mark of its own.
    """
    ended = {step.name: step.ok for step in check.subtests}
    if check.outcome is not Outcome.FAILED or not any(sentence in ended for _, sentence in check.proves):
        return MARKS[check.outcome], str(check.outcome)
    if not all(sentence in ended for sentence in said):
        return _NOT_REACHED, str(Outcome.SKIPPED)
    own = Outcome.PASSED if all(ended[sentence] for sentence in said) else Outcome.FAILED
    return MARKS[own], str(own)


def _check(check: CheckResult) -> str:
    """Return all that is known of one check."""
    took = "" if check.seconds is None else clock(check.seconds)
    if check.built_before:
        took = f"built before{f' ({took})' if took else ''}"
    told = f"{check.outcome}{f': {check.why}' if check.why else ''}"
    title = f"<h3><span class={check.outcome}>{MARKS[check.outcome]}</span> {escape(check.title)}</h3>"
    about = escape(" · ".join(t for t in (told, took, machine(check.builder)) if t))
    rows = [f"<article id='{_anchor(check)}'>", f"<div class=row>{title}<span class=soft>{about}</span></div>"]
    if check.proves:
        sentences = "".join(
            f"<li>{escape(text)} <span class=soft>({escape(part)})</span></li>" for part, text in check.proves
        )
        rows.append(f"<ul>{sentences}</ul>")
    rows += _failure(check)
    rows += _subtests(check)
    rows += [_picture(shot) for shot in check.screenshots]
    return "\n".join([*rows, "</article>"])


def _failure(check: CheckResult) -> list[str]:
    if check.outcome is Outcome.PASSED:
        return []
    cut = check.excerpt
    rows = [f"<p><code>{escape(place)}</code></p>" for place in check.places]
    if check.words:
        rows.append(f"<pre>{escape(check.words)}</pre>")
    if cut.message or cut.subtest:
        title = f"<b>{escape(cut.subtest)}</b>\n" if cut.subtest else ""
        rows.append(f'<pre class="failed">{title}{escape(cut.message)}</pre>')
    if cut.lines:
        rows.append(f"<pre>{escape(chr(10).join(cut.lines))}</pre>")
    if cut.journal:
        rows.append(f"<p class=soft>What {escape(', '.join(cut.units) or 'failed')} said:</p>")
        rows.append(f"<pre>{escape(chr(10).join(cut.journal))}</pre>")
    if check.rerun:
        rows.append(f"<p class=soft>Again: <code>{escape(check.rerun)}</code></p>")
    return rows


def _subtests(check: CheckResult) -> list[str]:
    """Return the steps with their times, each with a bar as long as its share."""
    if not check.subtests:
        return []
    whole = max((s.seconds or 0.0 for s in check.subtests), default=0.0) or 1.0
    rows = [
        f"<details{'' if check.outcome is Outcome.PASSED else ' open'}><summary>{len(check.subtests)} steps</summary>"
    ]
    for step in check.subtests:
        mark = f"<span class={'passed' if step.ok else 'failed'}>{'✓' if step.ok else '✗'}</span>"
        took = "" if step.seconds is None else clock(step.seconds)
        share = 100 * (step.seconds or 0.0) / whole
        rows.append(f"<div class=row><span>{mark} {escape(step.name)}</span><span class=soft>{took}</span></div>")
        rows.append(f"<div class=bar style='width:{share:.1f}%'></div>")
    return [*rows, "</details>"]


def _picture(name: str) -> str:
    """Return a picture, in the page itself; one that is gone or very large is named."""
    path = Path(name)
    try:
        if path.stat().st_size <= _MOST_PICTURE:
            data = base64.b64encode(path.read_bytes()).decode()
            caption = escape(path.stem)
            shown = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
            return f"<figure>{shown}<figcaption class=soft>{caption}</figcaption></figure>"
    except OSError:
        pass
    return f"<p class=soft>picture: <code>{escape(name)}</code></p>"


def _gravity(check: CheckResult) -> tuple[int, str]:
    """Order what needs a person first."""
    order = (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED, Outcome.PASSED)
    return order.index(check.outcome), check.title


def _anchor(check: CheckResult) -> str:
    return escape(f"{check.check}-{check.sabotage}" if check.sabotage else check.check, quote=True)
