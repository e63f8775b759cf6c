"""A whole run with programs in place of Nix: evaluations that break off, recorded builds, each end told apart."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from eval_programs import link, script
from nix_build_runs import RUNS
from nixwright.runner import history
from nixwright.runner.results import CheckResult, Outcome, Run, Why
from nixwright.runner.run import Request, Running
from nixwright.runner.selection import Wanted
from nixwright.tools.nix_build import builders, need_nix, not_built, version
from nixwright.tools.nix_log import BuildStarted, read_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nixwright.runner.history import Past
    from nixwright.runner.progress import Progress

NIX = "2.34.8"
SETTINGS = {
    "system": {"value": "x86_64-linux"},
    "extra-platforms": {"value": []},
    "system-features": {"value": ["nixos-test", "kvm"]},
    "max-jobs": {"value": 2},
    "builders": {"value": ""},
}


@dataclass(slots=True)
class Seen:
    """A watcher that remembers the order of things."""

    said: list[str] = field(default_factory=list)

    def begin(self, wanted: Sequence[Wanted], past: Mapping[str, Past]) -> None:
        self.said.append(f"begin {len(wanted)}")

    def evaluated(self, wanted: Wanted) -> None:
        self.said.append(f"evaluated {wanted.title}")

    def progress(self, wanted: Wanted, progress: Progress) -> None:
        if self.said[-1] != f"{wanted.title}: {progress.phase}":
            self.said.append(f"{wanted.title}: {progress.phase}")

    def done(self, result: CheckResult) -> None:
        self.said.append(f"done {result.title}: {result.outcome}")


def derivation(case: str) -> str:
    """Return the derivation that a recorded run built last, the one that was asked for."""
    events = [read_event(line.encode(errors="surrogateescape")) for line in RUNS[case, NIX]["stderr"]]
    started = [e.derivation for e in events if isinstance(e, BuildStarted)]
    return started[-1] if started else f"/nix/store/0-{case}.drv"


def job(name: str, case: str, system: str = "x86_64-linux", **extra: Any) -> dict[str, Any]:
    made = {"attr": name, "attrPath": [name], "name": name, "system": system, "drvPath": derivation(case)}
    return made | {"outputs": {"out": f"/no/such/store/{name}"}, "extraValue": {"mib": 100, "features": [], **extra}}


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs on PATH in place of Nix'; a build replays the recorded run that built the same derivation."""
    directory = tmp_path / "bin"
    link(directory, "sh", "cat", "sleep", "mkdir")
    runs = {derivation(case): run for (case, nix_version), run in RUNS.items() if nix_version == NIX}
    for number, (drv, run) in enumerate(runs.items()):
        (tmp_path / f"{number}.err").write_text(
            "".join(f"{line}\n" for line in run["stderr"]), errors="surrogateescape"
        )
        (tmp_path / f"{number}.case").write_text(f"{drv}^* {run['status']}\n")
    cases = "\n".join(
        f'  "{drv}^*") cat {tmp_path}/{number}.err >&2; exit {run["status"]};;'
        for number, (drv, run) in enumerate(runs.items())
    )
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    body = f'for last; do :; done\ncase "$*" in\n  --version) echo "nix (Nix) {NIX}"; exit 0;;\n'
    body += f'  *"config show --json") cat {tmp_path}/settings.json; exit 0;;\nesac\n'
    script(directory, "nix", f'{body}case "$last" in\n{cases}\nesac\necho "no such recorded build: $last" >&2; exit 99')
    script(directory, "nix-store", 'shift 2; for path; do echo "$path"; done')
    monkeypatch.setenv("PATH", str(directory))
    return directory


def evaluates(nix: Path, *jobs: dict[str, Any], end: str = "") -> None:
    lines = "".join(f"{json.dumps(j)}\n" for j in jobs)
    (nix.parent / "jobs.jsonl").write_text(lines)
    script(nix, "nix-eval-jobs", f"cat {nix.parent}/jobs.jsonl\n{end}")


def run(nix: Path, *names: str, watcher: Seen | None = None, **request: Any) -> Run:
    wanted = [Wanted(name, "a", name, proves=(("Host", name),)) for name in names]
    made = Request("path:/project", "checks.x86_64-linux", nix.parent / "state", **request)
    return asyncio.run(Running(wanted, made, watcher or Seen()).run())


def told(found: Run) -> dict[str, tuple[Outcome, Why]]:
    return {c.title: (c.outcome, c.why) for c in found.checks}


def test_all_that_can_happen_in_one_run(nix: Path) -> None:
    evaluates(
        nix,
        job("good", "passes"),
        job("bad", "fails"),
        job("gone", "remote-dies"),
        job("far", "passes", "riscv64-linux"),
    )
    seen = Seen()
    found = run(nix, "good", "bad", "gone", "far", watcher=seen)
    assert told(found) == {
        "good": (Outcome.PASSED, Why.NONE),
        "bad": (Outcome.FAILED, Why.TEST),
        "gone": (Outcome.ERROR, Why.BUILDER_LOST),
        "far": (Outcome.ERROR, Why.NO_BUILDER),
    }
    assert not found.ok
    assert seen.said[0] == "begin 4"
    first_build = next(n for n, said in enumerate(seen.said) if said.endswith((": booting", ": waiting")))
    assert seen.said.index("done far: error") < first_build
    assert {c.derivation for c in found.checks} >= {derivation("passes"), derivation("fails")}
    log = (nix.parent / "state/logs/bad.log").read_text()
    assert "nothing here" in log


def test_a_real_tests_log_gives_subtests_and_an_excerpt(nix: Path) -> None:
    evaluates(nix, job("box", "driver-badbox"))
    (check,) = run(nix, "box").checks
    assert [s.name for s in check.subtests] == ["it is up", "it greets"]
    assert check.excerpt.units == ("greet.service",)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("exit 0", "was expected and did not come"),
        ("exit 1", "status 1"),
        ("kill -9 $$", "signal 9"),
        ("""printf '{"attr": "b", "attrP'""", "within a line"),
        ("echo not json", "no record"),
        ("echo 'error: cannot connect to socket at /x' >&2; exit 1", "cannot be reached"),
    ],
)
def test_an_evaluation_that_breaks_off_is_never_green(end: str, words: str, nix: Path) -> None:
    evaluates(nix, job("good", "passes"), end=end)
    found = run(nix, "good", "late")
    assert told(found)["good"] == (Outcome.PASSED, Why.NONE)
    assert told(found)["late"][0] is Outcome.ERROR
    assert not found.ok
    if "expected" in words:
        assert told(found)["late"][1] is Why.MISSING
    else:
        assert words in "\n".join(found.problems)


def test_an_evaluation_that_says_nothing(nix: Path) -> None:
    evaluates(nix)
    found = run(nix, "good")
    assert told(found) == {"good": (Outcome.ERROR, Why.MISSING)}
    assert "no attribute was evaluated" in found.problems[0]


def test_nothing_asked_for_is_no_success(nix: Path) -> None:
    evaluates(nix)
    found = run(nix)
    assert not found.ok
    assert "nothing is proved" in found.problems[-1]


def test_what_was_not_asked_for_is_named(nix: Path) -> None:
    evaluates(nix, job("good", "passes"), job("drift", "passes"))
    found = run(nix, "good")
    assert found.ok
    assert found.notes == ("left to nix flake check: drift",)


def test_what_is_built_is_not_built_again(nix: Path) -> None:
    script(nix, "nix-store", "exit 0")
    evaluates(nix, job("good", "fails"))
    (check,) = run(nix, "good").checks
    assert (check.outcome, check.built_before, check.seconds) == (Outcome.PASSED, True, None)


def test_a_subset_is_selected_by_its_names(nix: Path) -> None:
    evaluates(nix, job("good", "passes"), end=f'for a; do echo "$a"; done > {nix.parent}/argv')
    run(nix, "good", whole=False)
    assert 'all: builtins.intersectAttrs { "good" = null; } all' in (nix.parent / "argv").read_text()


def test_settings_that_cannot_be_read_are_a_note(nix: Path) -> None:
    evaluates(nix, job("good", "passes", "riscv64-linux"))
    (nix.parent / "settings.json").write_text("{")
    found = run(nix, "good")
    assert "whether there is a builder for each check is not known" in found.notes[0]


@pytest.mark.parametrize("case", ["full-nix", "readonly", "wrong-system", "timeout", "killed"])
def test_trouble_of_the_machine_is_no_failure_of_the_check(case: str, nix: Path) -> None:
    evaluates(nix, job("check", case))
    (check,) = run(nix, "check").checks
    assert check.outcome is Outcome.ERROR
    assert check.why not in {Why.TEST, Why.NIX, Why.NONE}
    assert check.words


def test_a_sabotage_that_a_machines_trouble_hides_is_not_seen(nix: Path) -> None:
    evaluates(nix, job("a-s", "remote-dies"))
    wanted = [Wanted("a-s", "a", "a", sabotage="s", why="it is broken")]
    request = Request("path:/project", "sabotages", nix.parent / "state")
    (check,) = asyncio.run(Running(wanted, request, Seen()).run()).checks
    assert (check.outcome, check.why) == (Outcome.ERROR, Why.BUILDER_LOST)


@pytest.mark.parametrize(
    ("error", "outcome", "why"),
    [
        (
            "error: Failed assertions:\n- keys alone: services.openssh.enable is not as described",
            Outcome.PASSED,
            Why.NONE,
        ),
        ("error: something else", Outcome.ERROR, Why.EVALUATION),
        ("error: Failed assertions:\n- it could not be evaluated before, either", Outcome.ERROR, Why.EVALUATION),
        ("", Outcome.FAILED, Why.UNSEEN),
    ],
)
def test_a_sabotage_that_evaluation_judges_boots_nothing(error: str, outcome: Outcome, why: Why, nix: Path) -> None:
    line = {"attr": "a-s", "attrPath": ["a-s"], "error": error} if error else job("a-s", "passes")
    evaluates(nix, line)
    wanted = [Wanted("a-s", "a", "a", sabotage="s", why="it is broken", judged="evaluation")]
    seen = Seen()
    found = asyncio.run(Running(wanted, Request("path:/p", "sabotages", nix.parent / "state"), seen).run())
    assert [(c.outcome, c.why) for c in found.checks] == [(outcome, why)]
    assert not any("booting" in said for said in seen.said)


@pytest.mark.parametrize(
    ("before", "outcome", "why"),
    [(Outcome.PASSED, Outcome.PASSED, Why.NONE), (Outcome.FAILED, Outcome.ERROR, Why.ANYWAY)],
)
def test_a_sabotage_shows_nothing_of_a_check_that_fails_anyway(
    before: Outcome, outcome: Outcome, why: Why, nix: Path
) -> None:
    state = nix.parent / "state"
    base = CheckResult("a", "a", "a", before, seconds=1.0)
    history.remember(state / "history.json", [base])
    evaluates(nix, job("a-s", "fails"))
    wanted = [Wanted("a-s", "a", "a", sabotage="s", why="it is broken")]
    (check,) = asyncio.run(Running(wanted, Request("path:/p", "sabotages", state), Seen()).run()).checks
    assert (check.outcome, check.why) == (outcome, why)


@pytest.mark.usefixtures("nix")
def test_questions_to_nix() -> None:
    need_nix()
    assert version() == NIX
    assert builders()[0].takes("x86_64-linux", ["kvm"])
    assert not_built(["/a", "/b"]) == {"/a", "/b"}
    assert not_built([]) == set()
