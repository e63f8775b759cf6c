"""The project's own rules: what lint and types say, how big a module may grow, what may never stand in a file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest
from conftest import ALLOWED_SKIPS, unexpected
from programs import PROGRAMS, need

ROOT = Path(__file__).parent.parent
CONFIG = "pylib/pyproject.toml"
PYTHON = ["pylib/src", "hosts", "tests", "benchmarks", "docs/reference.py"]
MOST_LINES = 420


@lru_cache
def committed() -> list[Path]:
    """The files of the repository; every file there is where this is no git checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [p for name in listed.stdout.split("\0") if name and (p := ROOT / name).is_file()]
    return [p for p in ROOT.rglob("*") if p.is_file()]


def python_files(top: str) -> list[Path]:
    return [p for p in committed() if p.suffix == ".py" and p.is_relative_to(ROOT / top)]


def silent(*command: str, **variables: str) -> None:
    """Run a checker from the environment that runs the tests; it must be there, and find nothing."""
    program = shutil.which(command[0], path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert program, f"{command[0]} is not installed"
    done = subprocess.run(
        [program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | variables
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_check() -> None:
    silent("ruff", "check", "--no-cache", "--config", CONFIG, *PYTHON)


def test_ruff_format() -> None:
    silent("ruff", "format", "--no-cache", "--check", "--config", CONFIG, *PYTHON)


def test_programs_that_gen_writes_name_nothing_that_is_not_there() -> None:
    programs = [str(p) for p in committed() if p.match("modules/*/*.py")]
    assert len(programs) > 5
    silent("ruff", "check", "--no-cache", "--isolated", "--select", "F821,F823", *programs)


def test_mypy() -> None:
    silent("mypy", "--config-file", CONFIG, "--python-executable", sys.executable, *PYTHON)


def test_pyright() -> None:
    silent("pyright", "--project", CONFIG, "--pythonpath", sys.executable)


def test_shell_scripts() -> None:
    need("shellcheck")
    silent("shellcheck", "run", ".ci/run")


def test_a_module_stays_small() -> None:
    sizes = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in python_files("pylib/src")}
    assert len(sizes) > 10
    assert {name: size for name, size in sizes.items() if size > MOST_LINES} == {}


def test_every_module_says_what_it_is() -> None:
    assert [p for p in python_files("pylib/src") if not re.match(r'r?"""\S', p.read_text())] == []


# Secrets, and what was left behind.
FORBIDDEN = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/=\n]{200}",
    r"^<{7} |^>{7} ",
    r"\b(?:TODO|FIXME|XXX)\b:",
)


def test_nothing_forbidden_stands_in_a_file() -> None:
    found = []
    for path in committed():
        if path.suffix in {".xz", ".schema", ".png"} or path == Path(__file__):
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {m[0]}" for f in FORBIDDEN for m in re.finditer(f, text, re.MULTILINE)]
    assert found == []


@pytest.mark.parametrize(
    "text", ["-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b3Bl" * 60, "<<<<<<< ours", "# TODO: later"]
)
def test_what_is_forbidden_is_seen(text: str) -> None:
    assert any(re.search(f, text, re.MULTILINE) for f in FORBIDDEN)


def test_a_skip_that_is_not_named_is_seen() -> None:
    skips = {"tests/a.py::x": "needs sgdisk (Debian package gdisk)", "tests/a.py::y": "too slow"}
    assert list(unexpected(skips)) == [f"{node}: {reason}" for node, reason in skips.items()]


def test_a_skip_that_is_named_passes() -> None:
    assert list(unexpected({"tests/a.py::x": "needs nixfmt (no Debian package has it)"})) == []


def test_what_debian_has_is_never_an_allowed_skip() -> None:
    allowed = "\n".join(ALLOWED_SKIPS)
    assert not any(re.search(rf"needs {re.escape(p.name)} ", allowed) for p in PROGRAMS if p.package)


def test_an_unnamed_skip_fails_a_run_in_ci(tmp_path: Path) -> None:
    for name in ("conftest.py", "programs.py"):
        shutil.copy(Path(__file__).parent / name, tmp_path)
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_x(): pytest.skip('too slow')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    outside = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith("PYTEST")}
    run = [
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=outside | more)
        for more in ({}, {"CI": "true"})
    ]
    assert [r.returncode for r in run] == [0, 1]
    assert "skips that CI does not allow" in run[1].stdout
    assert "too slow" in run[1].stdout


def test_the_flake_has_one_address() -> None:
    pages = [p for p in committed() if p.suffix in {".md", ".nix"}]
    assert {u for p in pages for u in re.findall(r"github:[\w.-]+/nixwright\b", p.read_text("utf-8"))} == {
        "github:nixwright/nixwright"
    }
