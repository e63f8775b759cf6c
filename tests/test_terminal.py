"""What a terminal shows and a pipe does not: the source line with a caret, and how far a fleet is."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from host_project import EXAMPLE, SMALLEST, Project, project  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from pathlib import Path


def on_a_terminal(*argv: str, directory: Path) -> str:
    """Run a command whose standard error is a terminal, and return what that shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "nixwright", *argv]
    child = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = bytearray()
    while True:
        try:
            read = os.read(ours, 1 << 16)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not read:
            break
        shown += read
    os.close(ours)
    child.wait()
    return shown.decode().replace("\r\n", "\n")


WRONG = [
    ("PwmFan(curve={45: 0, 55: 30, 65: 60, 75: 100})", "PwmFan(curve={55: 30, 45: 60})", "curve"),
    ("port=9999", 'port="9999"', "port"),
    ('    host_id="feeddead",', '\thost_id="feed",', "host_id"),
    ('{"services.tailscale.enable": True}', '{"services.tailscale.enable": "on"}', '"services.tailscale.enable"'),
    ('name="pibox"', 'name="Pi_Bö"', "name"),
]


@pytest.mark.parametrize(("old", "new", "marked"), WRONG)
def test_a_caret_below_what_is_meant(old: str, new: str, marked: str, project: Project) -> None:  # noqa: F811
    text = EXAMPLE.replace(old, new)
    project.host(text)
    shown = on_a_terminal("gen", "hosts/pibox.py", directory=project.root).splitlines()
    number = int(shown[0].partition(":")[2].partition(" ")[0])
    source, caret = shown[1], shown[2]
    assert source.strip() == text.splitlines()[number - 1].strip().expandtabs(4)
    at, length = caret.index("^"), caret.count("^")
    assert caret.strip("^ ") == ""
    assert source[at : at + length].rstrip(":= ") == marked
    assert shown[3].startswith("  given")


def test_a_pipe_gets_no_source_line(project: Project) -> None:  # noqa: F811
    answer = project.run("gen", project.host(EXAMPLE.replace("port=9999", 'port="9999"')))
    assert "RemoteUnlock(" not in answer.err
    assert "^" not in answer.err


def test_a_line_that_may_hold_a_secret_is_not_shown(project: Project) -> None:  # noqa: F811
    project.host(EXAMPLE.replace('SecretFile("/persist/passwords/ivan")', '"hunter2"'))
    shown = on_a_terminal("gen", "hosts/pibox.py", directory=project.root)
    assert "User.password" in shown
    assert "hunter2" not in shown


def test_a_fleet_shows_how_far_it_is_and_cleans_up(project: Project) -> None:  # noqa: F811
    for number in range(24):
        project.host(SMALLEST.replace('"vm"', f'"vm{number}"'), f"vm{number}")
    shown = on_a_terminal("gen", "hosts", directory=project.root)
    counts = [int(n) for n in re.findall(r"\r(\d+) of 24 hosts", shown)]
    assert counts == list(range(1, 24))
    assert shown.endswith("\r\x1b[K")
    written = sum(p.is_file() for room in ("modules", "checks") for p in (project.root / room).rglob("*"))
    quiet = project.run("gen", "hosts")
    assert (quiet.out, quiet.err) == (f"24 hosts: {written} files, all current.\n", "")


def test_a_few_hosts_need_no_progress(project: Project) -> None:  # noqa: F811
    project.host(SMALLEST)
    assert on_a_terminal("gen", "hosts", directory=project.root) == ""
