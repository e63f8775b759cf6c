"""What ended a build is told apart, on every recorded run of real Nix."""

from __future__ import annotations

import pytest
from nix_build_runs import RUNS, followed
from nixwright.runner.progress import Phase, Progress
from nixwright.runner.results import Outcome, Subtest, Why
from nixwright.runner.verdict import verdict
from nixwright.tools.nix_log import BuildStarted, CopyStarted, Ended, LogLine, Said, read_event

TOLD = {
    "dead-builder": Why.NO_BUILDER,
    "dependency": Why.BUILD,
    "driver-assert": Why.TEST,
    "driver-badbox": Why.TEST,
    "driver-box": Why.NONE,
    "driver-lint": Why.DRIVER,
    "driver-vm": Why.TEST,
    "fails": Why.TEST,
    "fixed": Why.NIX,
    "full": Why.DISK_FULL,
    "full-nix": Why.DISK_FULL,
    "impure-ref": Why.NIX,
    "interrupted": Why.INTERRUPTED,
    "killed": Why.NO_MEMORY,
    "many": Why.BUILD,
    "max-jobs-0": Why.NO_BUILDER,
    "missing-builder": Why.TEST,
    "no-daemon": Why.STORE_GONE,
    "no-output": Why.NIX,
    "only-other-builder": Why.NO_BUILDER,
    "passes": Why.NONE,
    "readonly": Why.READ_ONLY,
    "readonly-nix": Why.READ_ONLY,
    "readonly-nix2": Why.READ_ONLY,
    "remote-builder-killed": Why.NO_MEMORY,
    "remote-connection-dies": Why.BUILDER_LOST,
    "remote-dies": Why.BUILDER_LOST,
    "remote-dies-ssh": Why.BUILDER_LOST,
    "remote-fails": Why.TEST,
    "remote-no-nix": Why.NO_BUILDER,
    "remote-passes": Why.NONE,
    "remote-store": Why.TEST,
    "remote-store-dies": Why.BUILDER_LOST,
    "silent": Why.TIMED_OUT,
    "timeout": Why.TIMED_OUT,
    "wrong-feature": Why.NO_BUILDER,
    "wrong-system": Why.NO_BUILDER,
}


@pytest.mark.parametrize(("case", "nix"), RUNS, ids=str)
def test_a_recorded_build_is_told_apart(case: str, nix: str) -> None:
    found = verdict(followed(case, nix), RUNS[case, nix]["status"])
    assert found.why is TOLD[case], found
    expected = {Why.NONE: Outcome.PASSED, Why.TEST: Outcome.FAILED}.get(found.why, Outcome.ERROR)
    assert found.outcome is expected


@pytest.mark.parametrize("case", ["remote-dies", "remote-connection-dies", "remote-dies-ssh"])
def test_a_builder_that_goes_away_is_named(case: str) -> None:
    words = verdict(followed(case, "2.34.8"), 1).words
    assert "root@127.0.0.1:2222" in words
    assert "disconnected" in words or "end-of-file" in words


def test_builds_go_to_the_remote_builder() -> None:
    progress = followed("remote-passes", "2.34.8")
    assert progress.machine.startswith("ssh-ng://root@127.0.0.1:2222")
    assert progress.seconds is not None
    assert progress.outcome_of_subtests() == (Subtest("it is up", 0.01, ok=True),)


def test_what_a_machine_says_in_a_remote_log_is_not_nix() -> None:
    progress = Progress("/nix/store/0-a.drv")
    progress.feed(BuildStarted(1, progress.derivation, "ssh-ng://there"))
    said = "error: build of '/nix/store/0-a.drv' on 'ssh-ng://there' failed: Cannot build '/nix/store/0-a.drv'.\n"
    said += (
        "       Reason: builder failed with exit code 1.\n       Last 2 log lines:\n       > No space left on device\n"
    )
    progress.feed(Said(said, error=True))
    progress.feed(Said("error: Cannot build '/nix/store/0-a.drv'.\n       Reason: builder failed", error=True))
    assert verdict(progress, 1).why is Why.TEST


@pytest.mark.parametrize("limit", ["total", "silence"])
def test_our_own_limits_are_told(limit: str) -> None:
    assert verdict(Progress("a"), None, limit).why is Why.TIMED_OUT


def test_the_driver_says_how_far_it_is() -> None:
    progress = followed("driver-box", "2.34.8")
    assert [s.name for s in progress.outcome_of_subtests()] == ["it is up", "it greets"]
    assert all(s.ok and s.seconds is not None for s in progress.outcome_of_subtests())
    failed = followed("driver-badbox", "2.34.8").outcome_of_subtests()
    assert [(s.name, s.ok) for s in failed] == [("it is up", True), ("it greets", False)]


def test_a_subtest_that_never_ends_is_no_success() -> None:
    progress = Progress("a.drv")
    progress.feed(BuildStarted(1, "a.drv", ""))
    for line in (
        "subtest: outer",
        "subtest: inner",
        "machine # subtest: not ours",
        "(finished: subtest: inner, in 2.50 seconds)",
    ):
        progress.feed(LogLine(1, line))
    assert (progress.phase, progress.current) == (Phase.TESTING, "outer")
    assert progress.outcome_of_subtests() == (Subtest("inner", 2.5, ok=True), Subtest("outer", None, ok=False))


def test_phases_follow_the_events() -> None:
    progress = Progress("a.drv")
    seen = [progress.phase]
    for event in (
        CopyStarted(1, "x"),
        BuildStarted(2, "b.drv", ""),
        Ended(2),
        BuildStarted(3, "a.drv", ""),
        LogLine(3, "subtest: s"),
    ):
        progress.feed(event)
        seen.append(progress.phase)
    building, booting = Phase.BUILDING, Phase.BOOTING
    assert seen == [Phase.WAITING, Phase.FETCHING, building, building, booting, Phase.TESTING]


@pytest.mark.parametrize(
    "line", [b"@nix {", b"@nix []", b'@nix {"action":"start"}', b'@nix {"action":"dance"}', b"", b"@nix "]
)
def test_a_line_that_says_nothing_is_passed_over(line: bytes) -> None:
    assert read_event(line) is None


def test_what_ssh_says_is_kept() -> None:
    assert read_event(b"Connection closed.\n") == Said("Connection closed.", error=False)
