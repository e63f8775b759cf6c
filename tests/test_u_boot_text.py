"""What is written for U-Boot: one record for its configuration and for Linux, one line for its command."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from nixwright.boards.rock64 import Rock64
from nixwright.boards.u_boot import Environment, fill, one_line
from programs import need

MODULE = Path(__file__).parent.parent / "modules/rock64"


def test_one_record_says_where_the_variables_are() -> None:
    place = Environment("/dev/mtd0", 0x140000, 0x2000, 0x1000)
    assert place.fw_env_config == "/dev/mtd0 0x140000 0x2000 0x1000\n/dev/mtd0 0x142000 0x2000 0x1000\n"
    known = dict(line.split("=") for line in place.kconfig if "=" in line)
    copies = [line.split()[1:] for line in place.fw_env_config.splitlines()]
    assert copies == [
        [known[offset], known["CONFIG_ENV_SIZE"], known["CONFIG_ENV_SECT_SIZE"]]
        for offset in ("CONFIG_ENV_OFFSET", "CONFIG_ENV_OFFSET_REDUND")
    ]


@pytest.mark.parametrize(("offset", "size"), [(0x140800, 0x2000), (0x140000, 0x1800)])
def test_copies_that_share_a_sector_are_refused(offset: int, size: int) -> None:
    with pytest.raises(ValueError, match="no multiples of the sector"):
        Environment("/dev/mtd0", offset, size, 0x1000)


def test_the_rock64s_files_say_the_same() -> None:
    """As they are committed: where the module looks for the variables is where its U-Boot keeps them."""
    board, loader = (MODULE / "board.nix").read_text(), (MODULE / "u-boot.nix").read_text()
    for offset in re.findall(r"/dev/mtd0 (0x\w+) 0x2000 0x1000", board):
        assert re.search(rf"CONFIG_ENV_OFFSET(_REDUND)?={offset}$", loader, re.MULTILINE)
    assert Rock64().module == "board"


def test_the_command_is_one_line_without_comments() -> None:
    command = one_line((MODULE / "select-slot.cmd").read_text())
    assert "\n" not in command
    assert "#" not in command
    assert "  " not in command.strip()
    assert not re.search(r"@\w+@", command)
    # every step ends as the shell needs it, where the next one follows on the same line
    lines = [line.strip() for line in (MODULE / "select-slot.cmd").read_text().splitlines() if not line.startswith("#")]
    assert all(line.endswith((";", "then", "do", "else")) or line == "reset" for line in lines if line)


def test_the_script_leaves_three_things_to_nix() -> None:
    text = (MODULE / "boot.cmd").read_text()
    assert set(re.findall(r"@(\w+)@", text)) == {"build", "init", "parameters"}
    assert fill(text, build="b", init="i", parameters="p").count("@") == 0
    named = set(re.findall(r"@(\w+)@", (MODULE / "boot-script.nix").read_text()))
    assert named == {"build", "init", "parameters"}


def test_nix_makes_the_same_line(tmp_path: Path) -> None:
    """u-boot.nix joins the lines by itself: with the few functions that it takes of nixpkgs' lib written out."""
    need("nix-instantiate")
    for name in ("u-boot.nix", "select-slot.cmd"):
        shutil.copy(MODULE / name, tmp_path)
    lib = """{
      filter = builtins.filter;
      hasPrefix = p: s: builtins.substring 0 (builtins.stringLength p) s == p;
      splitString = s: t: builtins.filter builtins.isString (builtins.split s t);
      fileContents = f: let t = builtins.readFile f; in builtins.substring 0 (builtins.stringLength t - 1) t;
      concatMapStringsSep = s: f: l: builtins.concatStringsSep s (map f l);
      trim = s: builtins.head (builtins.match "[ \\t]*(.*[^ \\t]|)[ \\t]*" s);
      escape = l: builtins.replaceStrings l (map (c: "\\\\" + c) l);
    }"""
    call = f"import {tmp_path}/u-boot.nix {{ lib = {lib}; ubootRock64.override = a: a.extraConfig; }}"
    argv = ["nix-instantiate", "--eval", "--strict", "--json", "--expr", call]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    command = one_line((MODULE / "select-slot.cmd").read_text()).replace('"', '\\\\\\"')
    assert f'CONFIG_BOOTCOMMAND=\\"{command}\\"' in text


@pytest.mark.parametrize("parameter", ["a'b", 'a"b', "a$b", "a;b", "a\\b"])
def test_parameters_that_u_boots_shell_would_take_apart_are_refused(parameter: str) -> None:
    need("nix-instantiate")
    pattern = re.search(r'builtins\.match (".*?[^\\]") parameters', (MODULE / "boot-script.nix").read_text())
    assert pattern is not None
    quoted = parameter.replace("\\", "\\\\").replace('"', '\\"')
    for value, wanted in ((quoted, "true"), ("console=ttyS2,1500000 loglevel=4", "false")):
        argv = ["nix-instantiate", "--eval", "--expr", f'builtins.match {pattern[1]} "{value}" == null']
        assert subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip() == wanted
