"""What people and machines read of a run: lines, JSON, JUnit's XML, a page, and docs/verification.md."""

from __future__ import annotations

import dataclasses
import json
import struct
import zlib
from html.parser import HTMLParser
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from nixwright.cli.main import main
from nixwright.report.checks import clock, details, headline, listing, summary
from nixwright.report.checks_page import page
from nixwright.report.junit import junit_text
from nixwright.report.plain import Plain
from nixwright.report.verification import page as verification_page
from nixwright.runner.history import Past
from nixwright.runner.progress import Progress
from nixwright.runner.results import Excerpt, Outcome, Run, from_data, to_data
from nixwright.runner.selection import Wanted
from nixwright.tools.flake_lock import locked
from nixwright.tools.nix_log import BuildStarted, LogLine
from runner_example import ERROR, FAILED, PASSED, RUN, SEEN, SKIPPED, UNSEEN
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion


class Text(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "txt"


class Markdown(Text):
    file_extension = "md"


class Html(Text):
    file_extension = "html"


class Xml(Text):
    file_extension = "xml"


# Green


def test_only_what_passed_is_green() -> None:
    assert Run((PASSED,)).ok
    assert Run((PASSED, SEEN, SKIPPED)).ok
    for checks in ((), (SKIPPED,), (PASSED, FAILED), (PASSED, ERROR), (PASSED, UNSEEN)):
        assert not Run(checks).ok
    assert not Run((PASSED,), problems=("nothing came",)).ok


# JSON


def test_json_comes_back_as_it_was() -> None:
    data = json.loads(json.dumps(to_data(RUN)))
    assert data["ok"] is False
    assert from_data(data) == RUN


@pytest.mark.parametrize("data", [{}, {"format": 2}, {"format": 1}, {"format": 1, "checks": [{}]}])
def test_what_is_no_result_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"format|record"):
        from_data(data)


# Lines


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (48, "48 s"), (59.6, "1:00"), (72, "1:12"), (3723, "1:02:03")],
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_run_as_lines(snapshot: SnapshotAssertion) -> None:
    text = "".join(f"{line}\n" for c in RUN.checks for line in (headline(c), *(f"    {d}" for d in details(c))))
    assert text + "".join(f"{line}\n" for line in summary(RUN)) == snapshot(extension_class=Text)


def test_long_words_are_cut_in_the_middle() -> None:
    told = details(dataclasses.replace(ERROR, words="\n".join(f"row {n}" for n in range(100))))
    assert "          ... 88 lines ..." in told
    assert "nix       row 0" in told
    assert "          row 99" in told


def test_a_listing_says_what_is_proved_and_how_long_it_took() -> None:
    one = Wanted("a-boots", "a", "boots", proves=(("Host", "it boots"),), sabotages=("x", "y"), instead=("b",))
    assert listing([one], {"a-boots": Past(72, passed=False, when="")}) == [
        "a-boots  (1:12 last time, failed)",
        "  Host: it boots",
        "  the same for b",
        "  sabotages: x, y",
    ]


def test_plain_lines_say_each_thing_once() -> None:
    stream = StringIO()
    view, one, progress = Plain(stream), Wanted("a-boots", "a", "boots"), Progress("a.drv")
    view.begin([one], {})
    for event in (
        BuildStarted(1, "b.drv", ""),
        BuildStarted(2, "a.drv", "ssh://far"),
        LogLine(2, "x"),
        LogLine(2, "subtest: s"),
    ):
        progress.feed(event)
        view.progress(one, progress)
    view.done(dataclasses.replace(PASSED, check="a-boots"))
    assert stream.getvalue().splitlines() == [
        "evaluating 1 check",
        "a-boots: building what it needs",
        "a-boots: booting on ssh://far",
        "a-boots: subtest: s",
        "✓ a-boots  passed  1:12",
    ]


# JUnit


def test_junit(snapshot: SnapshotAssertion) -> None:
    text = junit_text(RUN)
    root = ET.fromstring(text)  # noqa: S314 - our own
    assert {k: root.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "7",
        "failures": "2",
        "errors": "2",
        "skipped": "1",
    }
    assert text == snapshot(extension_class=Xml)


def test_what_xml_cannot_hold_is_replaced() -> None:
    odd = dataclasses.replace(ERROR, words="\x1b[31mred\x00 \ud800 ]]> &")
    text = junit_text(Run((odd,)))
    assert ET.fromstring(text).find(".//error") is not None  # noqa: S314 - our own
    text.encode()


# The page


class Outline(HTMLParser):
    """Every tag is closed, nothing is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img", "link"}:
            self.open.append(tag)
        for name, value in attrs:
            if name in {"src", "href"} and not (value or "").startswith(("data:", "#")):
                self.fetched.append(f"{tag} {value}")
            if name == "href":
                self.links.append((value or "")[1:])
            if name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    return found


def test_the_page_is_whole_and_needs_nothing_else(snapshot: SnapshotAssertion) -> None:
    text = page(RUN)
    found = outline(text)
    assert (found.open, found.fetched) == ([], [])
    assert set(found.links) <= set(found.ids)
    assert len(set(found.ids)) == len(found.ids)
    assert text == snapshot(extension_class=Html)


def test_each_part_has_its_own_mark_in_a_check_that_failed() -> None:
    text = page(Run((FAILED,)))
    marks = {row.split("</th>")[0]: row for row in text.split("<tr><th>")[1:]}
    assert ">✗</a>" in marks["Ssh"]
    assert ">✓</a>" in marks["Host"]
    assert ">…</a>" in marks["Lcd"], "the check did not come to it"
    unnamed = page(Run((dataclasses.replace(FAILED, subtests=()),)))
    assert unnamed.count(">✗</a>") == 3


def test_pictures_are_in_the_page(tmp_path: Path) -> None:
    picture = tmp_path / "desk.png"
    body = zlib.compress(b"\0\0\0\0")
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(body)) + body)
    text = page(Run((dataclasses.replace(PASSED, screenshots=(str(picture),)),)))
    assert 'alt="desk" src="data:image/png;base64,iVBOR' in text
    assert outline(text).fetched == []


def test_nothing_that_ran_is_said() -> None:
    assert "nothing was run" in page(Run(()))


# docs/verification.md

CHECKS = [
    Wanted("host-pibox", "pibox", "evaluates", proves=(("Host", "its system evaluates"),), machines=0),
    Wanted("pibox-boots", "pibox", "boots", proves=PASSED.proves, instead=("spare",)),
    Wanted("pibox-network", "pibox", "network", proves=FAILED.proves),
    Wanted("pibox-zfs", "pibox", "zfs", proves=(("Zfs", "it rolls back"),), container=True),
]
SABOTAGES = [
    Wanted(f"pibox-network-{name}", "pibox", "network", name, why)
    for name, why in (
        ("password-login", "passwords | are taken"),
        ("open-port", "a port is open"),
        ("later", "never ran"),
    )
]


def test_the_verification_page(snapshot: SnapshotAssertion) -> None:
    assert verification_page(CHECKS, SABOTAGES, [RUN]) == snapshot(extension_class=Markdown)


def test_of_two_results_the_later_counts_but_one_of_before_hides_none() -> None:
    before = dataclasses.replace(PASSED, built_before=True, seconds=None, when="")
    later = Run((before,), started="2026-11-22T00:00:00Z", versions=(("nix", "2.35.0"),))
    text = verification_page(CHECKS[1:2], [], [later, RUN])
    assert "**Passed** in 1:12" in text
    red = dataclasses.replace(PASSED, outcome=Outcome.FAILED)
    text = verification_page(CHECKS[1:2], [], [RUN, Run((red,), started="2026-11-23T00:00:00Z")])
    assert "**Failed**" in text


def test_what_came_of_checks_that_are_no_more_is_left_out() -> None:
    gone = dataclasses.replace(PASSED, check="pibox-gone", name="gone")
    text = verification_page(CHECKS, SABOTAGES, [RUN, Run((gone,), started=RUN.started, versions=(("nix", "2.3"),))])
    assert "gone" not in text
    assert "nix 2.3," not in text
    assert text == verification_page(CHECKS, SABOTAGES, [RUN])


def test_what_a_check_did_not_prove_yet_when_it_ran_is_marked() -> None:
    grown = dataclasses.replace(CHECKS[1], proves=(*PASSED.proves, ("Host", "it sings")))
    text = verification_page([grown], [], [RUN])
    assert "- it sings (Host): **new, not run**" in text
    assert text.count("new, not run") == 1
    assert "0 of 1 checks passed" in text
    assert "1 of 1 checks passed" in verification_page(CHECKS[1:2], [], [RUN])


def test_what_did_not_run_says_so() -> None:
    text = verification_page(CHECKS, SABOTAGES, [])
    assert text.count("**Not run.**") == len(CHECKS)
    assert text.count("| not run |") == len(SABOTAGES)
    assert "0 of 4 checks passed; 0 of 3 sabotages were seen." in text


def test_a_sabotage_that_evaluation_sees_names_the_option() -> None:
    said = "Failed assertions:\n- services.openssh.enable is not as described"
    seen = dataclasses.replace(SEEN, excerpt=Excerpt(message=said))
    text = verification_page([CHECKS[2]], SABOTAGES, [Run((seen,))])
    assert "| seen: services.openssh.enable is not as described |" in text


def test_a_sabotage_that_was_run_on_another_host_says_so() -> None:
    network = dataclasses.replace(CHECKS[2], attribute="attic-network", host="attic")
    shared = dataclasses.replace(SABOTAGES[0], instead=("attic",))
    row = "(of pibox, where it shows the same)"
    assert row in verification_page([network], [shared], [RUN])
    assert row not in verification_page([network], [shared], [])
    assert row not in verification_page([CHECKS[2]], [shared], [RUN])
    assert "password-login" not in verification_page([network], SABOTAGES, [RUN])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_file_that_is_no_result(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.json"
    file.write_text(text)
    assert main(["verification", str(file)]) == 2
    assert "is no result of `test --json`" in capsys.readouterr().err
    assert main(["verification", str(tmp_path / "none.json")]) == 2


def test_a_lock_says_what_it_pins(tmp_path: Path) -> None:
    lock = {"nodes": {"root": {"inputs": {"nixpkgs": "n"}}, "n": {"locked": {"rev": "0123456789abcdef"}}}}
    file = tmp_path / "flake.lock"
    file.write_text(json.dumps(lock))
    assert locked(file, "nixpkgs") == "0123456789ab"
    assert locked(file, "disko") == ""
    assert locked(tmp_path / "none", "nixpkgs") == ""
