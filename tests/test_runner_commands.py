"""`test --list`, `ci-matrix` and what they answer to names that are none: no Nix is asked."""

from __future__ import annotations

import json

import pytest
from host_project import SMALLEST, Project, project  # noqa: F401 - a fixture
from nixwright.cli import ci_matrix
from nixwright.cli.checks import this_system


@pytest.fixture(autouse=True)
def _no_programs(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:  # noqa: F811
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("XDG_STATE_HOME", str(project.root / "state"))
    monkeypatch.chdir(project.root)
    project.host(SMALLEST, "vm")


def test_the_list_says_what_each_check_proves(project: Project) -> None:  # noqa: F811
    answer = project.run("test", "--list")
    assert answer.status == 0
    assert answer.out.startswith("host-vm\n  Host: its system evaluates\n")
    assert "vm-boots\n  Host: it boots" in answer.out


@pytest.mark.parametrize("said", ["vm", "hosts/vm.py"])
def test_a_host_by_its_name_or_its_file(said: str, project: Project) -> None:  # noqa: F811
    answer = project.run("test", said, "--list", "-k", "boots")
    assert answer.status == 0
    assert answer.out.startswith("vm-boots\n")


@pytest.mark.parametrize("command", [("test", "--list"), ("ci-matrix",)])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vn",), "no host vn has checks here: did you mean vm?"),
        (("-k", "boost"), "no check's name holds 'boost': did you mean vm-boots"),
    ],
)
def test_names_that_are_none(
    command: tuple[str, ...],
    arguments: tuple[str, ...],
    words: str,
    project: Project,  # noqa: F811
) -> None:
    answer = project.run(*command, *arguments)
    assert answer.status == 2
    assert answer.err.startswith(f"nixwright: {words}")


def test_without_host_files(project: Project) -> None:  # noqa: F811
    answer = project.run("test", "--root", str(project.root / "hosts"))
    assert answer.status == 2
    assert "has no directory hosts/" in answer.err


def test_a_host_file_with_mistakes_runs_nothing(project: Project) -> None:  # noqa: F811
    project.host(SMALLEST.replace('"26.05"', "26"), "vm")
    for command in (("test",), ("ci-matrix",), ("verification",)):
        answer = project.run(*command)
        assert answer.status == 2
        assert "hosts/vm.py:7  Host.state_version" in answer.err


def test_the_matrix_is_one_line_of_json(project: Project) -> None:  # noqa: F811
    answer = project.run("ci-matrix", "--system", "aarch64-linux")
    assert answer.out.count("\n") == 1
    rows = json.loads(answer.out)["include"]
    assert rows[0]["check"] == "host-vm"
    assert next(r for r in rows if r["check"] == "vm-boots") == {
        "check": "vm-boots",
        "host": "vm",
        "attribute": "checks.aarch64-linux.vm-boots",
        "command": "nixwright test vm -k vm-boots",
        "runner": "ubuntu-24.04-arm",
        "kvm": True,
        "container": False,
    }


def test_the_matrix_of_sabotages(project: Project) -> None:  # noqa: F811
    rows = json.loads(project.run("ci-matrix", "--sabotage").out)["include"]
    assert rows
    assert all(r["attribute"].startswith(f"legacyPackages.{this_system()}.sabotages.vm-") for r in rows)
    assert all(r["command"].endswith(" --sabotage") for r in rows)


def test_a_matrix_that_github_would_cut_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(ci_matrix, "MOST", 1)
    answer = project.run("ci-matrix")
    assert answer.status == 2
    assert " checks, and GitHub runs 1 jobs of a matrix" in answer.err


def test_the_command_of_a_row_finds_its_check(project: Project) -> None:  # noqa: F811
    for sabotage in ((), ("--sabotage",)):
        for row in json.loads(project.run("ci-matrix", *sabotage).out)["include"]:
            words = row["command"].split()[1:]
            listed = project.run(*words, "--list")
            assert listed.status == 0
            assert row["check"] in listed.out.splitlines()
