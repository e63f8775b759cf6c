"""Which machines builds may go to, read from Nix' own settings, and the command lines that build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nixwright.runner.judge import not_run
from nixwright.runner.results import Outcome
from nixwright.runner.selection import Wanted
from nixwright.tools.nix_build import Builder, build_argv, builders, link_argv, parse_machines

if TYPE_CHECKING:
    from typing import Any

# As Nix 2.34.8 prints them (`nix config show --json`), and 2.8.0, which has lists where the other has, too.
SETTINGS: dict[str, Any] = {
    "system": "x86_64-linux",
    "extra-platforms": ["i686-linux", "x86_64-v1-linux"],
    "system-features": ["benchmark", "big-parallel", "kvm", "nixos-test"],
    "max-jobs": 2,
    "builders": "",
}
ARM = "ssh://root@arm aarch64-linux /root/.ssh/id 4 2 nixos-test,big-parallel - -"


def test_this_machine_comes_first() -> None:
    (here,) = builders(SETTINGS)
    assert here.takes("x86_64-linux", ["nixos-test", "kvm"])
    assert here.takes("i686-linux", [])
    assert not here.takes("aarch64-linux", [])
    assert not here.takes("x86_64-linux", ["uid-range"])


def test_no_jobs_is_no_builder() -> None:
    (here,) = builders(SETTINGS | {"max-jobs": 0})
    assert not here.takes("x86_64-linux", [])


def test_remote_builders(tmp_path: Path) -> None:
    machines = tmp_path / "machines"
    machines.write_text(f"# the board\n{ARM}\n\nssh://odd riscv64-linux,x86_64-linux - - - - benchmark\n")
    here, arm, odd = builders(SETTINGS | {"builders": f"@{machines}"})
    assert (here.name, arm.name, arm.jobs) == ("", "ssh://root@arm", 4)
    assert arm.takes("aarch64-linux", ["nixos-test"])
    assert not arm.takes("aarch64-linux", ["kvm"])
    assert odd.jobs == 1
    assert odd.takes("riscv64-linux", ["benchmark"])
    assert not odd.takes("riscv64-linux", []), "it takes only what asks for its mandatory feature"


def test_machines_by_semicolon_and_defaults() -> None:
    one, two = parse_machines("ssh://a ; ssh://b aarch64-linux", "x86_64-linux")
    assert one == Builder("ssh://a", frozenset({"x86_64-linux"}), frozenset())
    assert two.systems == {"aarch64-linux"}
    assert parse_machines("@/no/such/file", "x86_64-linux") == []


@pytest.mark.parametrize(
    ("system", "features", "words"),
    [
        ("aarch64-linux", [], "this machine is x86_64-linux"),
        ("x86_64-linux", ["kvm"], "this machine lacks kvm"),
        ("x86_64-linux", ["uid-range"], "this machine lacks uid-range (containers: auto-allocate-uids = true"),
        ("x86_64-linux", ["apple-virt"], "this machine lacks apple-virt"),
    ],
)
def test_what_each_builder_lacks_is_said(system: str, features: list[str], words: str) -> None:
    here = Builder("", frozenset({"x86_64-linux"}), frozenset({"nixos-test"}))
    told = not_run(Wanted("a", "h", "a"), system, features, [here], "", skip=False)
    assert told.outcome is Outcome.ERROR
    assert words in told.words
    assert not_run(Wanted("a", "h", "a"), system, features, [here], "", skip=True).outcome is Outcome.SKIPPED


def test_a_builder_without_jobs_or_with_demands_says_so() -> None:
    idle = Builder("", frozenset({"x86_64-linux"}), frozenset(), jobs=0)
    picky = Builder("ssh://a", frozenset({"x86_64-linux"}), frozenset(), frozenset({"benchmark"}))
    words = not_run(Wanted("a", "h", "a"), "x86_64-linux", [], [idle, picky], "", skip=False).words
    assert "this machine builds nothing (max-jobs = 0)" in words
    assert "ssh://a builds only what needs benchmark" in words


def test_command_lines_follow_nix_version() -> None:
    new, old = build_argv("/nix/store/a.drv", "2.34.8"), build_argv("/nix/store/a.drv", "2.8.0", {"cores": "2"})
    assert new[-1] == "/nix/store/a.drv^*"
    assert old[-4:] == ["--option", "cores", "2", "/nix/store/a.drv"]
    assert new[:6] == [
        "nix",
        "--extra-experimental-features",
        "nix-command flakes",
        "build",
        "--no-link",
        "--log-format",
    ]
    line = link_argv(".#checks.x", Path("/s/driver"), {"nixpkgs": "path:/n"}, impure=True)
    assert line[3:] == [
        *("build", "--print-build-logs", "--out-link", "/s/driver"),
        *("--override-input", "nixpkgs", "path:/n", "--impure", ".#checks.x"),
    ]
