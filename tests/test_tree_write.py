"""Writing a generated tree: whole files, nobody's edits lost, nothing stale."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nixwright.errors import NixwrightError
from nixwright.tree import Kind, changes, comment_suffixes, read_stamp, stamp, write

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "hosts/a.py"
ROOMS = ("modules",)


def tree_of(root: Path, texts: dict[str, str], source: str = SOURCE) -> dict[str, str]:
    files = {f"modules/a/{n}": stamp(n, t, source) for n, t in texts.items()}
    write(root, changes(root, files, {source}, ROOMS))
    return files


@given(st.text().filter(lambda t: "\r" not in t), st.sampled_from(comment_suffixes()))
def test_a_stamp_is_read_back_and_notices_an_edit(text: str, suffix: str) -> None:
    stamped = stamp(f"x{suffix}", text, SOURCE)
    found = read_stamp(stamped)
    assert found is not None
    assert (found.source, found.untouched) == (SOURCE, True)
    edited = read_stamp(stamped + "x")
    assert edited is not None
    assert not edited.untouched


def test_a_script_keeps_its_first_line() -> None:
    assert stamp("run.py", "#!/usr/bin/python3\nprint()\n", SOURCE).splitlines()[0] == "#!/usr/bin/python3"


def test_what_is_written_is_current(tmp_path: Path) -> None:
    files = tree_of(tmp_path, {"x.nix": "{ }\n", "INSTALL.md": "# a\n"})
    assert changes(tmp_path, files, {SOURCE}, ROOMS) == []
    assert sorted(p.name for p in (tmp_path / "modules/a").iterdir()) == ["INSTALL.md", "x.nix"]


def test_an_edited_file_is_told_from_a_changed_one(tmp_path: Path) -> None:
    tree_of(tmp_path, {"x.nix": "{ }\n", "y.nix": "{ }\n"})
    edited = tmp_path / "modules/a/x.nix"
    edited.write_text(edited.read_text() + "# mine\n")
    files = {f"modules/a/{n}": stamp(n, "{ a = 1; }\n", SOURCE) for n in ("x.nix", "y.nix")}
    assert [(c.path, c.kind) for c in changes(tmp_path, files, {SOURCE}, ROOMS)] == [
        ("modules/a/x.nix", Kind.EDITED),
        ("modules/a/y.nix", Kind.CHANGED),
    ]


def test_a_file_that_a_person_made_is_theirs(tmp_path: Path) -> None:
    mine = tmp_path / "modules/a/x.nix"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"\xff mine\n")
    files = {"modules/a/x.nix": stamp("x.nix", "{ }\n", SOURCE)}
    assert [c.kind for c in changes(tmp_path, files, {SOURCE}, ROOMS)] == [Kind.EDITED]


def test_a_host_that_went_away_leaves_nothing_but_edits(tmp_path: Path) -> None:
    tree_of(tmp_path, {"x.nix": "{ }\n", "y.nix": "{ }\n"})
    kept = tmp_path / "modules/a/y.nix"
    kept.write_text(kept.read_text() + "# mine\n")
    own = tmp_path / "modules/own.nix"
    own.write_text("{ }\n")
    found = changes(tmp_path, {}, set(), ROOMS)
    assert [(c.path, c.kind) for c in found] == [("modules/a/x.nix", Kind.REMOVED), ("modules/a/y.nix", Kind.EDITED)]
    write(tmp_path, [c for c in found if c.kind is Kind.REMOVED])
    assert not (tmp_path / "modules/a/x.nix").exists()
    assert kept.exists()
    assert own.exists()


def test_a_host_that_is_not_part_of_this_run_stays(tmp_path: Path) -> None:
    tree_of(tmp_path, {"x.nix": "{ }\n"})
    (tmp_path / "hosts").mkdir()
    (tmp_path / SOURCE).touch()
    assert changes(tmp_path, {}, {"hosts/b.py"}, ROOMS) == []
    assert [c.kind for c in changes(tmp_path, {}, {SOURCE}, ROOMS)] == [Kind.REMOVED]


def test_the_directory_of_a_host_that_went_away_goes_too(tmp_path: Path) -> None:
    tree_of(tmp_path, {"x.nix": "{ }\n"})
    write(tmp_path, changes(tmp_path, {}, set(), ROOMS))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said_and_changes_nothing(tmp_path: Path) -> None:
    tree_of(tmp_path, {"x.nix": "{ }\n"})
    (tmp_path / "modules/a/y.nix").mkdir()
    files = {f"modules/a/{n}": stamp(n, "{ a = 1; }\n", SOURCE) for n in ("x.nix", "z.nix")}
    todo = changes(tmp_path, files, {SOURCE}, ROOMS)
    blocked = tmp_path / "modules/b"
    blocked.write_text("a file where a directory must be")
    more = {"modules/b/x.nix": stamp("x.nix", "{ }\n", SOURCE)}
    with pytest.raises(NixwrightError, match="cannot write"):
        write(tmp_path, [*todo, *changes(tmp_path, more, set(), ())])
    assert "a = 1" not in (tmp_path / "modules/a/x.nix").read_text()


WRITER = """
import sys
from pathlib import Path
from nixwright.tree import changes, stamp, write
root, first = Path(sys.argv[1]), int(sys.argv[2])
for turn in range(first, first + 10_000):
    text = stamp("x.nix", f"# {turn}\\n" * 400, "hosts/a.py")
    files = {f"modules/h{n}/x{m}.nix": text for n in range(3) for m in range(4)}
    write(root, changes(root, files, {"hosts/a.py"}, ("modules",)))
    print(turn, flush=True)
"""


def test_a_kill_at_any_moment_leaves_every_file_old_or_new(tmp_path: Path) -> None:
    """A hundred kills, each at a random moment of a write."""
    chance = random.Random(7)  # noqa: S311 - no secret
    turn, kills, mixed = 0, 0, 0
    while kills < 100:
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(turn)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            last = int(writer.stdout.readline())  # it writes now, again and again
            time.sleep(chance.uniform(0, 0.03))
            writer.send_signal(signal.SIGKILL)
            last = max([last, *map(int, writer.stdout.read().split())])
        kills += 1
        found = set()
        for path in (tmp_path / "modules").rglob("x*.nix"):
            if path.name.startswith("."):
                continue
            read = read_stamp(path.read_text())
            assert read is not None
            assert read.untouched, path
            found.add(int(read.body.split()[1]))
        assert found <= {last, last + 1}
        mixed += len(found) > 1
        turn = last + 2
    assert mixed, "no kill came between two renames: this proved nothing"
    files = {f"modules/h{n}/x{m}.nix": stamp("x.nix", "# end\n", SOURCE) for n in range(3) for m in range(4)}
    write(tmp_path, changes(tmp_path, files, {SOURCE}, ROOMS))
    assert sorted(os.listdir(tmp_path / "modules/h0")) == ["x0.nix", "x1.nix", "x2.nix", "x3.nix"]  # noqa: PTH208 - all
