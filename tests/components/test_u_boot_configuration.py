"""Real U-Boot's own configuration takes every line that is written for it, and builds every command that our steps use.

Where NIXWRIGHT_U_BOOT names U-Boot's source. Its `make` drops a line whose conditions do not hold, and says nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from nixwright.boards.u_boot import one_line
from programs import u_boot_source

MODULE = Path(__file__).parents[2] / "modules/rock64"
OLDER = {"CONFIG_ENV_REDUNDANT": "CONFIG_SYS_REDUNDAND_ENVIRONMENT"}  # before 2025.07
BUILT_IN = {"echo", "setenv", "reset", "test"}
COMMANDS = {
    "booti": "CONFIG_CMD_BOOTI",
    "gpio": "CONFIG_CMD_GPIO",
    "load": "CONFIG_CMD_FS_GENERIC",
    "saveenv": "CONFIG_CMD_SAVEENV",
    "sleep": "CONFIG_CMD_SLEEP",
    "source": "CONFIG_CMD_SOURCE",
    "ums": "CONFIG_CMD_USB_MASS_STORAGE",
}


def wanted() -> list[str]:
    """The lines of u-boot.nix, with the command in its place."""
    (text,) = re.findall(r"extraConfig = ''\n(.*?)''", (MODULE / "u-boot.nix").read_text(), re.DOTALL)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    command = one_line((MODULE / "select-slot.cmd").read_text()).replace('"', '\\"')
    return [f'CONFIG_BOOTCOMMAND="{command}"' if line.startswith("CONFIG_BOOTCOMMAND=") else line for line in lines]


def settings(lines: list[str]) -> dict[str, str]:
    """Return a configuration's lines by their names; `n` for what is not set."""
    off = {m[1]: "n" for line in lines if (m := re.fullmatch(r"# (CONFIG_\w+) is not set", line))}
    return off | dict(line.split("=", 1) for line in lines if line.startswith("CONFIG_"))


def configured(build: Path, lines: list[str]) -> dict[str, str]:
    """Return what U-Boot's make makes of the board's configuration with these lines after it, added as nixpkgs adds."""
    make = ["make", "-s", f"O={build}", "-C", str(u_boot_source())]
    cross = dict(os.environ)
    if shutil.which("aarch64-linux-gnu-gcc"):
        cross["CROSS_COMPILE"] = "aarch64-linux-gnu-"
    older = [line.replace(new, old) for line in lines for new, old in OLDER.items() if new in line]
    for goal, added in (("rock64-rk3328_defconfig", [*lines, *older]), ("syncconfig", [])):
        ended = subprocess.run(
            [*make, goal], env=cross, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        with (build / ".config").open("a") as file:
            file.write("\n".join(added))
    return settings((build / ".config").read_text().splitlines())


def not_taken(build: Path, lines: list[str]) -> list[str]:
    """Return the names of those lines that U-Boot did not take."""
    found, asked = configured(build, lines), settings(lines)
    return [n for n, value in asked.items() if value not in (found.get(n, "n"), found.get(OLDER.get(n, ""), ""))]


def test_every_line_is_taken(tmp_path: Path) -> None:
    lines = wanted()
    assert not_taken(tmp_path / "whole", lines) == []
    fewer = [line for line in lines if line != "CONFIG_USB_GADGET_DOWNLOAD=y"]
    assert not_taken(tmp_path / "fewer", fewer) == ["CONFIG_CMD_USB_MASS_STORAGE"]


@pytest.mark.parametrize("script", ["select-slot.cmd", "boot.cmd"])
def test_every_command_is_built(tmp_path: Path, script: str) -> None:
    text = "\n".join(li for li in (MODULE / script).read_text().splitlines() if not li.startswith("#"))
    steps = re.split(r";|\n|&&|\|\||\b(?:if|then|elif|else|do)\b", re.sub(r'"[^"]*"', "said", text))
    firsts = {step.split()[0] for step in steps if step.strip()}
    used = {name for name in firsts if re.fullmatch("[a-z]+", name)} - BUILT_IN - {"fi", "for", "done"}
    assert used >= {"load"}
    found = configured(tmp_path, wanted())
    assert {name: found.get(COMMANDS[name], "n") for name in used} == dict.fromkeys(used, "y")
