"""`nixwright schema`, with a program in the place of nix; tests/components has the real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nixwright.cli.main import main
from nixwright.options.schema import Schema
from nixwright.tools.option_schema import EXPORTER, Source, expression

SMALL = {"$defs": {}, "properties": {"top": {"type": "integer", "x-option": True}}}


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A nix that prints a small schema, or fails where the expression asks for `broken`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "nix"
    program.write_text(
        '#!/bin/sh\ncase "$*" in *broken*) echo "error: no such file" >&2; exit 1;; esac\n'
        f"cat <<'END'\n{json.dumps(SMALL)}\nEND\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return program


@pytest.mark.usefixtures("nix")
def test_it_writes_what_nix_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.schema"
    assert main(["schema", str(out), "--nixpkgs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{out}: 1 options\n"
    assert Schema.load(out).nodes(("top",)) == [SMALL["properties"]["top"]]


@pytest.mark.usefixtures("nix")
def test_a_failure_of_nix_leaves_the_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.schema"
    out.write_text("old")
    assert main(["schema", str(out), "--nixpkgs", str(tmp_path / "broken")]) == 2
    assert "error: no such file" in capsys.readouterr().err
    assert out.read_text() == "old"


def test_without_nix_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["schema", str(tmp_path / "x.schema")]) == 2
    assert "nix is not installed: only Nix knows the options of a nixpkgs" in capsys.readouterr().err


def test_a_flake_is_asked_for_its_configuration() -> None:
    text = expression(Source(flake="github:me/mine#nixosConfigurations.pibox"))
    assert '(builtins.getFlake "github:me/mine").nixosConfigurations.pibox' in text


def test_the_exporter_is_the_one_in_nix() -> None:
    assert (Path(__file__).parents[1] / "nix" / "option-schema.nix").resolve() == EXPORTER.resolve()
