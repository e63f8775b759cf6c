"""`nixwright new`: what it refuses, and that its file is a host once the person has decided."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from host_project import KEY, Project, project  # noqa: F401 - a fixture
from nixwright.cli.new import host_text
from nixwright.tools.disks import FoundDisk, argv, parse

CONFIG = Path(__file__).parent.parent / "pylib/pyproject.toml"
SSD = "/dev/disk/by-id/ata-Samsung_SSD_870_QVO_1TB_S5RRNF0R123456"
BOARDS = ["pi4", "pibox", "qemu-vm"]


def decided(text: str) -> str:
    """The file as a person leaves it."""
    text = text.replace('Disk(\n    "DECIDE"', f'Disk(\n    "{SSD}"').replace(
        'ssh_keys=["DECIDE"]', f'ssh_keys=["{KEY}"]'
    )
    return text.replace("DECIDE: one line on what this host is for.", "The box in the attic.")


@pytest.mark.parametrize("board", BOARDS)
def test_the_file_generates_once_one_has_decided(board: str, project: Project) -> None:  # noqa: F811
    path = project.host(decided(host_text("box", board, [], "feedcafe", "1A2B3C4D")), "box")
    answer = project.run("gen", path)
    assert (answer.status, answer.err) == (0, "")
    assert 'hostId = "feedcafe"' in project.text("modules/box/default.nix")


def test_the_file_is_typed_and_laid_out(tmp_path: Path) -> None:
    for board in BOARDS:
        path = tmp_path / f"{board.replace('-', '_')}.py"
        path.write_text(host_text("box", board, [], "feedcafe", "1A2B3C4D"))
        for check in (["mypy", "--config-file", CONFIG], ["ruff", "format", "--check", "--config", CONFIG]):
            done = subprocess.run(
                [sys.executable, "-m", *map(str, check), path], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Box", "my_box", "-box", "../box", "a/b", "", "b" * 64, "box.py"])
def test_a_name_that_no_host_can_have(name: str, project: Project) -> None:  # noqa: F811
    answer = project.run("new", "--board=pibox", "--", name)
    assert (answer.status, (project.root / "hosts").exists()) == (2, False)
    assert f"{name!r} is no host name: up to 63 of a-z, 0-9 and -" in answer.err


def test_a_board_that_there_is_not(project: Project) -> None:  # noqa: F811
    answer = project.run("new", "box", "--board", "pybox")
    assert (answer.status, (project.root / "hosts").exists()) == (2, False)
    assert answer.err == "nixwright: there is no board 'pybox': did you mean pibox? There are pi4, pibox, qemu-vm\n"
    assert "did you mean" not in project.run("new", "box", "--board", "mainframe").err


def test_disks_are_offered_by_the_names_that_stay(project: Project) -> None:  # noqa: F811
    found = parse(f"1953525168 {SSD}\n1953525168 /dev/disk/by-id/wwn-0x5002538f4\n0 /dev/disk/by-id/usb-Card_Reader\n")
    assert found == [FoundDisk(SSD, 1000204886016)]
    one = host_text("box", "pibox", found, "feedcafe", "1A2B3C4D")
    assert f'#   "{SSD}"  1000 GB\n' in one
    assert f'Disk(\n    "{SSD}",' in one
    two = host_text("box", "pibox", [*found, FoundDisk("/dev/disk/by-id/usb-Stick", 8 * 10**9)], "feedcafe", "1A2B3C4D")
    assert 'Disk(\n    "DECIDE",' in two
    assert project.run("gen", project.host(two, "box")).status == 2


@pytest.mark.parametrize("machine", ["-oProxyCommand=x", "root@box; reboot", "a b"])
def test_a_machine_that_is_no_address(machine: str, project: Project) -> None:  # noqa: F811
    answer = project.run("new", "box", "--board", "pibox", f"--machine={machine}")
    assert (answer.status, (project.root / "hosts").exists()) == (2, False)


def test_a_machine_is_asked_by_ssh() -> None:
    assert argv("root@192.168.1.4")[-2] == "root@192.168.1.4"
