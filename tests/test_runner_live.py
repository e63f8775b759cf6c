"""The live view: what stands on the terminal at any moment, of whatever size it is."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nixwright.report.live import Live, _width, cut, pad
from nixwright.runner.history import Past
from nixwright.runner.progress import Progress
from nixwright.runner.selection import Wanted
from nixwright.tools.nix_log import BuildStarted, LogLine
from runner_example import FAILED, PASSED


class Terminal:
    """As much of a terminal as the view uses: rows that wrap, cursor up, clearing below, the cursor hidden."""

    def __init__(self, columns: int) -> None:
        self.columns, self.rows, self.at, self.hidden = columns, [""], 0, False

    def feed(self, text: str) -> None:
        for piece in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|[^\x1b]", text):
            self._piece(piece)

    def resize(self, columns: int) -> None:
        """Wrap what is shown anew, as terminals do."""
        parts = [[row[n : n + columns] for n in range(0, len(row), columns)] or [""] for row in self.rows]
        self.at = sum(len(p) for p in parts[: self.at])
        self.columns, self.rows = columns, [row for p in parts for row in p]

    def _piece(self, piece: str) -> None:
        if piece in {"\x1b[?25l", "\x1b[?25h"}:
            self.hidden = piece.endswith("l")
        elif piece.endswith("A") and piece.startswith("\x1b"):
            self.at = max(0, self.at - int(piece[2:-1]))
        elif piece == "\x1b[J":
            self.rows[self.at :] = [""]
        elif piece == "\n":
            self.at += 1
            self.rows += [""] * (self.at + 1 - len(self.rows))
        elif not piece.startswith("\x1b") and piece != "\r":
            if _width(self.rows[self.at] + piece) > self.columns:
                self._piece("\n")
            self.rows[self.at] += piece


def live(columns: int = 80, rows: int = 24) -> tuple[Live, StringIO]:
    stream = StringIO()
    return Live(stream, lambda: (columns, rows), colour=False), stream


def shown(stream: StringIO, columns: int = 80) -> Terminal:
    terminal = Terminal(columns)
    terminal.feed(stream.getvalue())
    return terminal


def going(title: str, *events: BuildStarted | LogLine) -> tuple[Wanted, Progress]:
    progress = Progress(f"/nix/store/{'0' * 32}-{title}.drv")
    for event in events:
        progress.feed(event)
    return Wanted(title, "a", title), progress


def test_what_is_over_stays_and_what_runs_is_below() -> None:
    view, stream = live()
    one, progress = going("a-boots")
    view.begin([one, one, one], {"a-boots": Past(100, passed=True, when="")})
    progress.feed(BuildStarted(1, progress.derivation, ""))
    progress.feed(LogLine(1, "subtest: it is up"))
    view.progress(one, progress)
    view.draw()
    view.done(PASSED)
    view.draw()
    rows = shown(stream).rows
    assert rows[0] == "✓ pibox-boots  passed  1:12"
    assert re.fullmatch(r". a-boots  ░{10} 0\.\d s of about 1:40  it is up", rows[1])
    assert re.fullmatch(r"  1 of 3 done, 1 running, 1 waiting, about 1:40 left, 0\.\d s", rows[2])


def test_a_failure_is_told_above_and_the_end_leaves_nothing_behind() -> None:
    view, stream = live()
    view.begin([Wanted("pibox-network", "pibox", "network")], {})
    assert shown(stream).hidden
    assert shown(stream).rows[0] == "  evaluating: 0 of 1, 0.0 s"
    view.done(FAILED)
    view.end()
    terminal = shown(stream)
    assert not terminal.hidden
    assert terminal.rows[0] == "✗ pibox-network  failed: the test failed  55 s"
    assert "    subtest   keys alone" in terminal.rows
    assert terminal.rows[-1] == ""
    assert not any("running" in row for row in terminal.rows)


def test_each_phase_has_its_words() -> None:
    view, _ = live()
    view.begin([], {})
    dependency = "/nix/store/00000000000000000000000000000000-nixos-system-a.drv"
    cases = {
        "waits": (),
        "builds": (BuildStarted(1, dependency, ""),),
        "boots": (BuildStarted(1, f"/nix/store/{'0' * 32}-boots.drv", ""),),
        "tests": (BuildStarted(1, f"/nix/store/{'0' * 32}-tests.drv", ""), LogLine(1, "subtest: lamp")),
    }
    for title, events in cases.items():
        view.progress(*going(title, *events))
    rows = "\n".join(view.rows(80, 24))
    for words in ("waits   waiting", "builds  building nixos-system-a", "s  booting", "s  lamp"):
        assert words in rows


def test_more_checks_than_rows() -> None:
    view, _ = live()
    view.begin([], {})
    for n in range(30):
        view.progress(*going(f"a-{n}"))
    rows = view.rows(80, 10)
    assert len(rows) == 9
    assert rows[-2] == "  and 23 more"


@pytest.mark.parametrize("columns", [20, 37, 80])
def test_a_terminal_that_shrinks_is_cleared_all_the_same(columns: int) -> None:
    size = [80, 24]
    stream = StringIO()
    view = Live(stream, lambda: (size[0], size[1]), colour=False)
    view.begin([Wanted("a", "a", "a")], {})
    view.progress(*going("a-check-with-a-rather-long-name", LogLine(0, "x")))
    view.draw()
    before = stream.getvalue()
    size[0] = columns
    view.end()
    terminal = Terminal(80)
    terminal.feed(before)
    terminal.resize(columns)
    terminal.feed(stream.getvalue()[len(before) :])
    assert [row for row in terminal.rows if row] == []


@given(st.text(st.characters(exclude_categories=["C", "Z"])), st.integers(20, 100))
def test_a_row_never_fills_the_terminal(text: str, columns: int) -> None:
    assert _width(cut(text, columns)) < columns
    assert cut(text, 10_000) == text
    assert _width(pad(text, columns)) >= columns or _width(pad(text, columns)) == _width(text) or text == ""
