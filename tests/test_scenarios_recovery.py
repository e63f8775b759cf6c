"""The scenario of the way in by the serial console, at a real socket in place of QEMU's."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from fake_machine import fake_machine
from nixwright.scenarios import recovery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nixwright.scenarios.driver import QemuMachine

ABOUT = {"terminal": "ttyS2", "variable": "_RUT_OH_"}
FINE: dict[str, Any] = {
    "console log": "Reached target multi-user.target",
    "fw_printenv": True,
    "is-active": False,
    "grep -qx '0 /dev/ttyS2'": [False, True],
}


pytestmark = pytest.mark.usefixtures("driver_of_26_05")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look three times, at once."""

    def retry(found: Callable[[bool], bool], timeout: Any) -> None:
        assert timeout
        if not any(found(n == 2) for n in range(3)):
            raise TimeoutError

    monkeypatch.setattr(recovery, "retry", retry)
    monkeypatch.setattr("nixwright.scenarios.boots.retry", retry)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "line"))
        server.listen()
        yield server


def machine(tmp_path: Path, answers: dict[str, Any]) -> QemuMachine:
    made: QemuMachine = fake_machine(answers)
    made.state_dir = tmp_path
    return made


def test_the_shell_reads_what_is_typed_until_it_is_left(tmp_path: Path, line: socket.socket) -> None:
    recovery.opens_once(machine(tmp_path, FINE), **ABOUT)
    with line.accept()[0] as ours:
        typed = ours.recv(1000).decode().split("\r")
    assert typed == ["echo $(id -u) $(tty) >/run/who", "echo $(id -u) $(tty) >/run/who", "exit", ""]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"fw_printenv": False}, "must succeed: test -z .*fw_printenv"),
        ({"fw_printenv": [True, False]}, "must succeed: test -z .*fw_printenv"),
        ({"is-active": [False, True]}, "must fail: systemctl is-active serial-root@ttyS2"),
    ],
)
@pytest.mark.usefixtures("line")
def test_a_shell_that_would_come_again(other: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=told):
        recovery.opens_once(machine(tmp_path, FINE | other), **ABOUT)


@pytest.mark.usefixtures("line")
def test_a_shell_that_does_not_come(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        recovery.opens_once(machine(tmp_path, FINE | {"grep -qx '0 /dev/ttyS2'": False}), **ABOUT)


@pytest.mark.usefixtures("line")
def test_a_shell_that_nobody_asked_for(tmp_path: Path) -> None:
    answers = FINE | {"is-active": [True]}
    with pytest.raises(AssertionError, match="must fail: systemctl is-active serial-root@ttyS2"):
        recovery.opens_once(machine(tmp_path, answers), **ABOUT)
