"""Logs are there whole or not at all, and pictures of a check that failed are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from nixwright.runner import keep
from nixwright.runner.history import write_whole
from nixwright.runner.logs import file_name, keep_screenshots, pictures, whole_file
from nixwright.runner.selection import Wanted

if TYPE_CHECKING:
    from pathlib import Path


def test_a_log_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "logs/a.log"
    with whole_file(file) as out:
        out.write("half")
        assert not file.exists()
    assert file.read_text() == "half"
    assert file.stat().st_mode & 0o777 == 0o644


def broken_off(file: Path, error: type[BaseException]) -> None:
    with whole_file(file) as out:
        out.write("half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_log_that_breaks_off_leaves_the_earlier_one(error: type[BaseException], tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text("earlier")
    with pytest.raises(error):
        broken_off(file, error)
    assert file.read_text() == "earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["a.log"]


def test_a_file_that_cannot_take_its_name_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(OSError, match=r"run\.json"):
        write_whole(tmp_path / "run.json", "{}")
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_pictures_of_a_check_that_failed_are_copied(tmp_path: Path) -> None:
    output, kept = tmp_path / "store/a", tmp_path / "logs/a.screenshots"
    (output / "deep").mkdir(parents=True)
    (output / "deep/desk.png").write_bytes(b"picture")
    (output / "empty.png").touch()
    (output / "log.txt").write_text("no picture")
    assert pictures([str(output)]) == (str(output / "deep/desk.png"),)
    assert keep_screenshots([str(output)], kept) == (str(kept / "desk.png"),)
    assert (kept / "desk.png").read_bytes() == b"picture"
    assert keep_screenshots([str(tmp_path / "gone")], kept) == ()
    assert not kept.exists(), "those of an earlier run would be taken for this one's"


@pytest.mark.parametrize(
    ("title", "name"), [("a-b", "a-b"), ("a-b (sabotage: c)", "a-b-sabotage-c"), ("../x/y", "..-x-y"), ("ü.1", "ü.1")]
)
def test_a_title_as_a_file_name(title: str, name: str) -> None:
    assert file_name(title) == name


def test_what_is_kept_is_made_anew(tmp_path: Path) -> None:
    one = Wanted("a-b", "a", "b")
    directory = keep.directory_of(one, tmp_path)
    assert directory == tmp_path / "kept/a-b"
    for _ in range(2):
        keep.fresh(directory)
        assert [p.name for p in directory.iterdir()] == [keep.OUTPUT]
        (directory / "vm-state-machine").mkdir()
    assert keep.environment(directory)["TMPDIR"] == str(directory)
