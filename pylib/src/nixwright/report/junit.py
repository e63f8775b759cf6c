"""The results of a run as JUnit's XML, which CI systems show: a suite a host, a case a check, and one a subtest."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from nixwright.report.checks import details
from nixwright.runner.results import Outcome

if TYPE_CHECKING:
    from nixwright.runner.results import CheckResult, Run

# XML 1.0 has no way to write these.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KINDS = {Outcome.FAILED: "failure", Outcome.ERROR: "error", Outcome.SKIPPED: "skipped"}


def junit_text(run: Run) -> str:
    """Return the file's text; what is wrong with the run itself is a case of its own."""
    root = ET.Element("testsuites", name="nixwright", time=f"{run.seconds:.3f}")
    for host, of_host in groupby(sorted(run.checks, key=lambda c: c.host), key=lambda c: c.host):
        _suite(root, host, list(of_host), run.started)
    if run.problems:
        suite = ET.SubElement(root, "testsuite", name="the run", tests="1", errors="1", failures="0", skipped="0")
        case = ET.SubElement(suite, "testcase", classname="nixwright", name="the run itself")
        ET.SubElement(case, "error", message=_clean(run.problems[0])).text = _clean("\n".join(run.problems))
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, host: str, checks: list[CheckResult], started: str) -> None:
    suite = ET.SubElement(root, "testsuite", name=host or "flake", timestamp=started.rstrip("Z"))
    for check in checks:
        seconds = 0.0 if check.seconds is None or check.built_before else check.seconds
        case = ET.SubElement(suite, "testcase", classname=host or "flake", name=check.title, time=f"{seconds:.3f}")
        if check.outcome in _KINDS:
            told = ET.SubElement(case, _KINDS[check.outcome], message=_clean(check.excerpt.message or str(check.why)))
            told.text = _clean("\n".join(details(check)))
        elif check.subtests:
            rows = [f"{s.name}: {s.seconds:.2f} s" for s in check.subtests if s.seconds is not None]
            ET.SubElement(case, "system-out").text = _clean("\n".join(rows))
    for key, outcome in (("failures", Outcome.FAILED), ("errors", Outcome.ERROR), ("skipped", Outcome.SKIPPED)):
        suite.set(key, str(sum(c.outcome is outcome for c in checks)))
    suite.set("tests", str(len(checks)))
    suite.set("time", f"{sum(c.seconds or 0.0 for c in checks if not c.built_before):.3f}")


def _clean(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
