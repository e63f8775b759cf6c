"""Scenarios of the two hosts, on machines that answer from a table: each is seen to pass, and to fail."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from fake_machine import fake_machine
from nixwright.scenarios import persist, wifi

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

ID = "0123456789abcdef0123456789abcdef"


pytestmark = pytest.mark.usefixtures("driver_of_26_05")


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

    def get_console_log(self) -> str:
        return "Reached target multi-user.target"

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


def test_keys_that_are_roots() -> None:
    wifi.keys_are_roots(machine(("find /a", "600 root /a/x\n")), directories=["/a"])


@pytest.mark.parametrize("line", ["644 root /a/x", "600 bas /a/x", "600 root /a/x\n640 root /a/y"])
def test_keys_that_others_read(line: str) -> None:
    with pytest.raises(AssertionError, match="others could read"):
        wifi.keys_are_roots(machine(("find /a", f"{line}\n")), directories=["/a"])


JOINED = [
    ("multi-user", ""),
    ("access-point", ""),
    ("iw dev wlan0 link", ""),
    ("ip -4 route", ""),
    ("ping", ""),
    ("Power save: off", ""),
]


def test_a_network_that_is_joined() -> None:
    wifi.joins_by_itself(machine(*JOINED), interface="wlan0", gateway="10.44.0.1", power_save="off")


@pytest.mark.parametrize("index", range(len(JOINED)))
def test_a_network_that_is_not(index: int) -> None:
    some = [*JOINED[:index], *JOINED[index + 1 :]]
    with pytest.raises(AssertionError):
        wifi.joins_by_itself(machine(*some), interface="wlan0", gateway="10.44.0.1", power_save="off")


PROFILE: dict[str, Any] = {
    "interface": "wlan0",
    "gateway": "10.44.0.1",
    "profile": "/etc/wifi.nmconnection",
    "key": "the key",
}


def test_a_profile_that_is_put_right() -> None:
    box = fake_machine({"ip -4 route": [False, True]})
    wifi.joins_once_put_right(box, **PROFILE)
    wrong, right = [c for c in box.commands if c.startswith("sed")]
    profile = "[wifi-security]\npsk=the key\n"
    other = run_sed(wrong, profile)
    assert other == "[wifi-security]\npsk=not the key\n"
    assert run_sed(right, other) == profile
    assert box.commands.index("nmcli connection reload") == box.commands.index(right) + 1


def run_sed(command: str, text: str) -> str:
    """What the command of a scenario, which changes a file in place, makes of a text."""
    script = command.split("'")[1]
    return subprocess.run(["sed", script], input=text, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"POSSIBLE-PSK-MISMATCH": False, "ip -4 route": [False, True]}, "never succeeded: journalctl"),
        ({"ip -4 route": True}, "must fail: ip -4 route"),
        ({"ip -4 route": False}, "never succeeded: ip -4 route"),
        ({"ip -4 route": [False, True], "ping": False}, "never succeeded: ping"),
    ],
)
def test_a_profile_that_is_not(answers: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        wifi.joins_once_put_right(fake_machine(answers), **PROFILE)


def test_the_profile_of_the_check_is_lines_as_nixos_escapes_them_itself() -> None:
    test = (Path(__file__).parent.parent / "checks/pi4/wifi.nix").read_text(encoding="utf-8")
    profile = test.partition("argument = ''\n")[2].partition("''")[0]
    assert [line.strip() for line in profile.splitlines()][:3] == ["[connection]", "id=Home", "type=wifi"]
    assert "\\n" not in profile
