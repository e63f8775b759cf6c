"""The scenarios of kept paths, on machines that answer from a table: each is seen to pass, and to fail."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import pytest
from nixwright.scenarios import persist

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def driver_of_26_05(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenarios run inside a package that has no module for durations."""
    package = ModuleType("test_driver")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "test_driver", package)


class Machine:
    """Answers commands by the first pattern that fits; a command that none fits fails."""

    def __init__(self, *answers: tuple[str, str]) -> None:
        self.answers = answers

    def succeed(self, command: str, timeout: Any = None) -> str:
        for pattern, answer in self.answers:
            if re.search(pattern, command):
                return answer
        raise AssertionError(f"command failed: {command}")

    wait_until_succeeds = succeed

    def wait_for_console_text(self, text: str) -> None:
        """What the console says is not in the table."""

    def wait_for_unit(self, unit: str) -> None:
        self.succeed(unit)


def machine(*answers: tuple[str, str]) -> QemuMachine:
    return cast("QemuMachine", Machine(*answers))


DIRECTORIES = {"/srv": "rpool/persist[/srv]"}
FILES = {"/etc/machine-id": "/persist/etc/machine-id"}
IN_PLACE = [("findmnt .* /srv$", "rpool/persist[/srv]\n"), ("readlink -f", "/persist/etc/machine-id\n")]


def test_kept_paths_in_their_place() -> None:
    persist.lies_where_it_is_kept(machine(*IN_PLACE), directories=DIRECTORIES, files=FILES)


@pytest.mark.parametrize(
    "wrong", [("findmnt", "rpool/local/root\n"), ("readlink", "/etc/machine-id\n"), ("findmnt", "rpool/persist[/x]\n")]
)
def test_kept_paths_elsewhere(wrong: tuple[str, str]) -> None:
    with pytest.raises(AssertionError, match="not"):
        persist.lies_where_it_is_kept(machine(wrong, *IN_PLACE), directories=DIRECTORIES, files=FILES)


SAME = [("cat /etc/machine-id", f"{ID}\n"), (f"systemd-id128 machine-id\\) = {ID}", ""), ("list-boots", "2\n")]


def test_the_same_machine() -> None:
    persist.is_the_same_machine(machine(*SAME))


@pytest.mark.parametrize(
    "answers",
    [
        [("cat /etc/machine-id", "uninitialized\n")],
        SAME[:1],  # systemd has another one
        [*SAME[:2], ("list-boots", "1\n")],
    ],
)
def test_another_machine(answers: list[tuple[str, str]]) -> None:
    with pytest.raises(AssertionError):
        persist.is_the_same_machine(machine(*answers))
