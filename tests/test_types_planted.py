"""mypy and pyright find each of these mistakes in a host file at its line, and nothing in the file as it is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host_project import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = Path(__file__).parent.parent / "pylib/pyproject.toml"

# What is replaced in hosts/pibox.py, by what. Each is found on the line where it was written.
PLANTED = {
    "a field that is not there": ("RemoteUnlock(port=9999", "RemoteUnlock(prot=9999"),
    "a number as text": ("port=9999", 'port="9999"'),
    "text as a number": ('host_id="feeddead"', "host_id=0xFEEDDEAD"),
    "a release as a number": ('state_version="26.05"', "state_version=26.05"),
    "a field that is missing": ('board=PiBox(firmware_volume_id="1A2B-3C4D")', "board=PiBox()"),
    "a board's name for a board": ('board=PiBox(firmware_volume_id="1A2B-3C4D")', 'board="pibox"'),
    "a class for an instance": ("        PiBoxLcd(),", "        PiBoxLcd,"),
    "a part among the disks": ("disks=[ssd]", "disks=[PiBoxLcd()]"),
    "a disk that is in no list": ("disks=[ssd]", "disks=ssd"),
    "no unit": ("MiB(32), Luks", "32, Luks"),
    "a size as text": ("GiB(8), Luks", '"8 GiB", Luks'),
    "a unit of text": ("GiB(200)", 'GiB("200")'),
    "a unit of a fraction": ("MiB(1023)", "MiB(1023.5)"),
    "half a size": ("size=8192", "size=MiB(8)"),
    "a pool for its member": ("content=tank.member()", "content=tank"),
    "a member that is not asked for": ("content=tank.member()", "content=tank.member"),
    "a word for a content": ("content=Swap()", 'content="swap"'),
    "a key that is no key": ("opens_with=[key], content=Swap()", 'opens_with=["/keyfile"], content=Swap()'),
    "a literal": ("ashift=13,", 'ashift=13, mounts="automatic",'),
    "a literal of a content": ("content=Swap()", 'content=Swap(discard="always")'),
    "yes for True": ("dhcp=True", 'dhcp="yes"'),
    "a mount point that is none": ('Dataset("local/nix", at="/nix")', 'Dataset("local/nix", at=True)'),
    "a misspelt field of a dataset": ("wiped=True", "wipe=True"),
    "a curve that is a list": ("{45: 0, 55: 30, 65: 60, 75: 100}", "[45, 55, 65, 75]"),
    "a speed as text": ("{45: 0, 55: 30, 65: 60, 75: 100}", '{45: 0, 55: "30 %"}'),
    "a group that is a number": ('groups=["wheel"]', "groups=[100]"),
    "a password in clear": ('password=SecretFile("/persist/passwords/ivan")', 'password="hunter2"'),
    "settings that are a list": ('settings={"services.tailscale.enable": True}', 'settings=["services.tailscale"]'),
    "a user that is a name": ("    users=[\n", '    users=[\n        "eva",\n'),
    "one argument too many": ("Passphrase()], content=Ext4", 'Passphrase("hunter2")], content=Ext4'),
}


def planted(name: str) -> tuple[str, int]:
    """The host file with the mistake, and the line that it is on."""
    old, new = PLANTED[name]
    assert EXAMPLE.count(old) == 1, old
    at = EXAMPLE.index(old) + len(new) - len(new.lstrip("\n"))
    line = EXAMPLE[:at].count("\n") + 1 + new.rstrip("\n").count("\n")
    return EXAMPLE.replace(old, new), line


def mypy(files: list[Path]) -> dict[str, set[int]]:
    """The lines of each file where mypy finds something."""
    argv: list[str | Path] = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        CONFIG,
        "--no-incremental",
        "--no-namespace-packages",
        *files,
    ]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode in {0, 1}, run.stdout + run.stderr
    found: dict[str, set[int]] = {}
    for name, line in re.findall(r"^(\S+\.py):(\d+): error", run.stdout, re.MULTILINE):
        found.setdefault(Path(name).stem, set()).add(int(line))
    return found


def pyright(files: list[Path]) -> dict[str, set[int]]:
    """The lines of each file where pyright finds something."""
    program = shutil.which("pyright", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert program, "pyright is not installed"
    argv: list[str | Path] = [program, "--outputjson", "--pythonpath", sys.executable, *files]
    run = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=files[0].parent)
    found: dict[str, set[int]] = {}
    for entry in json.loads(run.stdout)["generalDiagnostics"]:
        assert entry["severity"] == "error", entry
        found.setdefault(Path(entry["file"]).stem, set()).add(entry["range"]["start"]["line"] + 1)
    return found


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_each_is_found_at_its_line(checker: Callable[[list[Path]], dict[str, set[int]]], tmp_path: Path) -> None:
    files, lines = [tmp_path / "as_it_is.py"], {}
    files[0].write_text(EXAMPLE)
    for number, name in enumerate(PLANTED):
        text, line = planted(name)
        path = tmp_path / f"planted_{number}.py"
        path.write_text(text)
        files.append(path)
        lines[path.stem] = (name, line)
    found = checker(files)
    assert "as_it_is" not in found
    assert len(PLANTED) >= 30
    missed = {
        name: (line, found.get(stem)) for stem, (name, line) in lines.items() if line not in found.get(stem, set())
    }
    assert missed == {}
