"""Every recorded run of nix-eval-jobs, replayed by a real process, is told apart."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from eval_programs import CASES, left_running, replaying
from nixwright.tools.eval_jobs import collect
from nixwright.tools.eval_options import EvalOptions, File
from nixwright.tools.eval_process import Limits
from nixwright.tools.eval_records import EvalFailure
from nixwright.tools.eval_summary import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from nixwright.tools.eval_options import AttrPath

OPTIONS = EvalOptions(source=File("input.nix"))
QUICK = Limits(silence=3, stuck=0.3, total=60)


def told(*kinds: Kind, cases: str) -> dict[str, set[Kind]]:
    """Return one verdict for several cases."""
    return dict.fromkeys(cases.split(), set(kinds))  # noqa: RUF024 - nobody changes it


TOLD = {
    **told(
        cases="""
        01-ok 01-ok-argstr 01-ok-expr 01-ok-flake 01-ok-flake-git-dirty 01-ok-two-workers 02-meta
        03-check-cache-status 03-check-cache-status-cache-gone 04-show-input-drvs 05-constituents
        05-constituents-off 06-apply 07-select-flake 07-select-flake-fragment 08-no-instantiate
        09-force-recurse 09-recurse-not-forced 13-top-derivation 13-top-function-auto 16-max-memory-restarts
        16-max-memory-restarts-debug 18-flag-memory-unit 18-flag-memory-zero 18-flag-unknown-setting
        18-flag-workers-trailing 19-other-system 19-other-system-cache-status 21-gc-roots-dir
        22-many-one-worker 22-many-two-workers 23-large-extra-value 23-large-meta 26-impure-flake
        26-not-derivations 26-same-derivation-twice 27-daemon-ok 27-direct-ok
        """,
    ),
    **told(
        Kind.ATTRIBUTE,
        cases="""
        02-meta-throws 05-constituents-broken 05-constituents-cycle 06-apply-throws 10-errors 10-errors-flake
        10-errors-other 10-errors-show-trace 11-infinite-recursion 12-deep-calls 20-abort-on-warn
        20-log-internal-json 20-warnings 21-gc-roots-errors 26-import-from-derivation-off 26-no-color
        """,
    ),
    **told(Kind.BAD_LINE, cases="18-help"),
    **told(
        Kind.CRASHED,
        cases="""
        12-deep-values 12-deep-values-four-workers 12-deep-values-two-workers 15-worker-sigabrt 25-not-utf8
        """,
    ),
    **told(
        Kind.EVALUATION,
        cases="""
        07-select-missing 07-select-not-a-set 13-top-function-missing-argument 13-top-throws
        13-top-throws-show-trace 13-top-throws-two-workers 14-file-missing 14-flake-attribute-missing
        14-flake-bad-ref 14-flake-dir-missing 14-flake-file-missing 14-flake-input-not-locked
        14-flake-registry 14-flake-syntax-error 14-flakes-off 14-syntax-error
        """,
    ),
    **told(
        Kind.INTERRUPTED,
        cases="""
        24-sighup-main-short-job 24-sigint-group-short-job 24-sigint-main-short-job
        24-sigint-main-two-workers-short-job 24-sigint-many 24-sigterm-main-short-job
        """,
    ),
    **told(
        Kind.KILLED,
        cases="""
        15-idle-worker-sigkill 15-worker-sigkill 15-worker-sigkill-two-workers 24-sigkill-main
        """,
    ),
    **told(Kind.MISSING, cases="17-stdout-head-1"),
    **told(
        Kind.NOTHING,
        cases="""
        01-ok-flake-whole 13-top-empty-set 13-top-function-plain 13-top-list 13-top-string
        18-flag-workers-zero
        """,
    ),
    **told(Kind.OUT_OF_MEMORY, cases="16-address-space-limit"),
    **told(Kind.STUCK, cases="12-deep-values-two-workers-hang"),
    **told(
        Kind.TIMED_OUT,
        cases="""
        15-worker-sigint 15-worker-sigsegv 15-worker-sigterm 24-sighup-group 24-sighup-main 24-sigint-group
        24-sigint-group-two-workers 24-sigint-main 24-sigint-main-twice 24-sigint-main-two-workers
        24-sigterm-group 24-sigterm-main
        """,
    ),
    **told(
        Kind.USAGE,
        cases="""
        08-no-instantiate-incompatible 18-flag-memory-text 18-flag-no-expression 18-flag-two-expressions
        18-flag-unknown 18-flag-unknown-short 18-flag-value-missing 18-flag-version 18-flag-workers-huge
        18-flag-workers-negative 18-flag-workers-text
        """,
    ),
    **told(Kind.ALL_ALIKE, Kind.ATTRIBUTE, cases="06-apply-not-a-set 06-apply-syntax-error 21-gc-roots-dir-file"),
    **told(Kind.ATTRIBUTE, Kind.NAME_LOST, cases="01-odd-names"),
    **told(Kind.ATTRIBUTE, Kind.STORE_GONE, cases="27-daemon-gone"),
    **told(Kind.MISSING, Kind.NOTHING, cases="17-stdout-closed 17-stdout-full 17-stdout-head-0"),
}
# What was to come, where that alone tells that something is lost.
THREE: set[AttrPath] = {("dotted.name.v1",), ("nested", "inner"), ("with two spaces",)}
EXPECTED: dict[str, set[AttrPath]] = {
    "01-ok": THREE,
    "01-odd-names": {("",), (" ",), ("1",), ("a/b",), ("a.b", "c.d"), ('a"b',), ('a"b.c',), ("a\\b",), ("a\nb",)}
    | {("${x}",), ("üml",), ("中",), ("if",)},
    **{case: THREE for case in TOLD if case.startswith("17-")},
}


def test_every_recorded_run_has_a_verdict() -> None:
    assert set(TOLD) == set(CASES)
    assert len(CASES) == 126


@pytest.mark.parametrize("case", sorted(CASES))
def test_recorded_run(case: str, tmp_path: Path) -> None:
    env = replaying(tmp_path, case)
    results, summary = asyncio.run(collect(OPTIONS, expected=EXPECTED.get(case), limits=QUICK, env=env))
    assert {p.kind for p in summary.problems} == TOLD[case], summary
    assert summary.ok == (not TOLD[case])
    assert summary.status == CASES[case]["status"]
    if case != "18-help":
        lines = CASES[case].get("lines") or CASES[case]["stdout"].splitlines()
        assert summary.jobs + summary.failed == len(lines) == len(results)
    assert left_running(tmp_path) == []


def test_without_knowing_what_is_expected_a_lost_record_cannot_be_told(tmp_path: Path) -> None:
    _, summary = asyncio.run(collect(OPTIONS, env=replaying(tmp_path, "17-stdout-head-1")))
    assert summary.ok
    _, summary = asyncio.run(collect(OPTIONS, expected=THREE, env=replaying(tmp_path, "17-stdout-head-1")))
    assert summary.kind is Kind.MISSING


def test_nix_own_words_are_kept(tmp_path: Path) -> None:
    results, summary = asyncio.run(collect(OPTIONS, env=replaying(tmp_path, "10-errors")))
    words = {p.attr_path: p.words for p in summary.problems}
    assert words["b-throw",] == "expected a positive number\nbut got 0\n\n  hint: give another number"
    assert words["f-missing",] == "attribute 'name' missing\nDid you mean one of name2 or nane?"
    assert words["i-nested", "bad"] == "nested failure"
    failure = results["b-throw",]
    assert isinstance(failure, EvalFailure)
    assert [(p.file, p.line, p.column) for p in failure.places] == [
        ("@DIR@/input.nix", 13, 28),
        ("@DIR@/input.nix", 9, 52),
    ]
    _, summary = asyncio.run(collect(OPTIONS, env=replaying(tmp_path, "13-top-throws-two-workers")))
    assert [p.words for p in summary.problems] == ["the whole file throws\non two lines"]
    _, summary = asyncio.run(collect(OPTIONS, env=replaying(tmp_path, "12-deep-values-two-workers")))
    assert "at attribute b-chain" in summary.problems[0].what


def test_words_that_are_no_utf8_do_no_harm(tmp_path: Path) -> None:
    _, summary = asyncio.run(collect(OPTIONS, env=replaying(tmp_path, "25-not-utf8")))
    assert "caf\N{REPLACEMENT CHARACTER}" in summary.stderr


def test_both_texts_of_one_event_are_read(tmp_path: Path) -> None:
    """The same death of a worker is told in two ways (see the notes of the runs); both are a crash or a kill."""
    for how, kind in (
        ("evaluation worker got killed by SIGSEGV, (possible infinite recursion)", Kind.CRASHED),
        ("evaluation worker exited with exit code 1, (possible infinite recursion)", Kind.CRASHED),
        ("evaluation worker got killed by SIGKILL, maybe memory limit reached?", Kind.KILLED),
    ):
        output = tmp_path / "out"
        output.write_text(json.dumps({"attrPath": ["a"], "error": "error: x"}) + "\n")
        text = f"error: while reading result for attrPath 'it's', {how}"
        env = replaying(tmp_path, stdout=output, stderr=text, status=1)
        _, summary = asyncio.run(collect(OPTIONS, env=env))
        assert summary.kind is kind
        assert "at attribute it's" in summary.problems[0].what
