"""The checks that are committed: what the driver's build looks for in their scripts, and that Nix can read them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from programs import need

ROOT = Path(__file__).parent.parent
SYMBOLS = json.loads((ROOT / "tests/data/test-driver/interface.json").read_text())["symbols"]
CHECKS = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "checks").glob("*/*.nix"))
SCRIPTS = [c for c in CHECKS if (ROOT / c).with_suffix(".py").exists()]


def lint(script: str, nodes: set[str]) -> subprocess.CompletedProcess[str]:
    """Look at a script as the driver's build does: ruff's rules F, the driver's names and the nodes known."""
    names = json.dumps([*SYMBOLS, *sorted(nodes)])
    options = ["--isolated", "--no-cache", "--select", "F", "--config", f"builtins = {names}"]
    command = [sys.executable, "-m", "ruff", "check", *options, "-"]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False)


def nodes_of(text: str) -> set[str]:
    return set(re.findall(r"^(?:  (?:nodes|containers)\.|    )(\w+) =", text, re.MULTILINE))


def test_there_are_checks() -> None:
    assert len(SCRIPTS) == len(CHECKS) > 0


@pytest.mark.parametrize("check", SCRIPTS)
def test_the_drivers_lint_finds_nothing(check: str) -> None:
    text = (ROOT / check).read_text()
    nodes = nodes_of(text)
    assert "machine" in nodes
    # what Nix puts above the script: the other check that it starts from
    nodes |= set(re.findall(r'testScript = "([A-Z]+) = ', text, re.MULTILINE))
    done = lint((ROOT / check).with_suffix(".py").read_text(), nodes)
    assert done.returncode == 0, done.stdout


def test_the_lint_finds_what_is_wrong() -> None:
    assert "F821" in lint("start_all()\nmachin.succeed('true')\n", {"machine"}).stdout
    assert "F401" in lint("import json\n", set()).stdout


def test_nix_reads_every_check_and_its_sabotages() -> None:
    need("nix-instantiate")
    files = sorted((ROOT / "checks").rglob("*.nix"))
    done = subprocess.run(["nix-instantiate", "--parse", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_has_a_sabotage(check: str) -> None:
    path = ROOT / check
    assert (path.parent / "sabotages" / path.name).exists()


@pytest.mark.parametrize("check", SCRIPTS)
def test_a_script_stands_by_itself(check: str) -> None:
    text = (ROOT / check).with_suffix(".py").read_text()
    imported = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("check", SCRIPTS)
def test_a_machine_with_a_screen_is_pictured_where_it_fails(check: str) -> None:
    script, text = (ROOT / check).with_suffix(".py").read_text(), (ROOT / check).read_text()
    container = re.search(r"^  containers\b", text, re.MULTILINE)
    (call,) = set(re.findall(r"^with (.*)subtest\(", script, re.MULTILINE))
    assert call == "" if container else re.fullmatch(r"pictured\(machine(, \w+)*\), ", call)
    assert set(re.findall(r"\w+", call)) - {"pictured"} <= nodes_of(text)


@pytest.mark.parametrize("check", SCRIPTS)
def test_imports_are_as_isort_has_them(check: str) -> None:
    script = (ROOT / check).with_suffix(".py")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "I", str(script)]
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0
