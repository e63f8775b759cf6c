"""Options to arguments, lines to records, Nix' errors to their messages, and what a machine can give."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from eval_programs import CASES
from hypothesis import given
from hypothesis import strategies as st
from nixwright.errors import MistakeError
from nixwright.tools.eval_machine import MIB, Machine, oom_kills
from nixwright.tools.eval_nix import nix_argv
from nixwright.tools.eval_options import FLAGS, EvalOptions, Expression, File, Flake, argv
from nixwright.tools.eval_records import (
    EvalFailure,
    EvalJob,
    LineError,
    dotted,
    options_named,
    places,
    read_line,
    short,
)

if TYPE_CHECKING:
    from pathlib import Path

ALL = EvalOptions(
    source=Flake(".", "hydraJobs"),
    workers=3,
    memory_mib=2048,
    select="jobs: jobs.x86_64-linux",
    apply="drv: { }",
    force_recurse=True,
    meta=True,
    cache_status=True,
    input_drvs=True,
    constituents=True,
    impure=True,
    show_trace=True,
    gc_roots="roots",
    arguments={"b": "2", "a": "1"},
    override_inputs={"nixpkgs": "path:/nixpkgs"},
    nix_options={"eval-cache": "false"},
)


def test_all_options_as_arguments() -> None:
    assert argv(ALL) == [
        *("nix-eval-jobs", "--workers", "3", "--max-memory-size", "2048", "--force-recurse", "--meta"),
        *("--check-cache-status", "--show-input-drvs", "--constituents", "--impure", "--show-trace"),
        *("--select", "jobs: jobs.x86_64-linux", "--apply", "drv: { }", "--gc-roots-dir", "roots"),
        *("--argstr", "a", "1", "--argstr", "b", "2", "--override-input", "nixpkgs", "path:/nixpkgs"),
        *("--option", "eval-cache", "false", "--option", "extra-experimental-features", "nix-command flakes"),
        *("--flake", ".#hydraJobs"),
    ]


@pytest.mark.parametrize(
    ("source", "end"),
    [
        (File("jobs.nix"), ["./jobs.nix"]),
        (File("-odd.nix"), ["./-odd.nix"]),
        (File("/etc/jobs.nix"), ["/etc/jobs.nix"]),
        (Expression("{ }"), ["--expr", "{ }"]),
    ],
)
def test_sources_as_arguments(source: File | Expression, end: list[str]) -> None:
    options = EvalOptions(source=source)
    assert argv(options) == ["nix-eval-jobs", "--workers", "1", "--max-memory-size", "4096", *end]
    assert argv(dataclasses.replace(options, instantiate=False))[5] == "--no-instantiate"


def test_the_real_program_knows_every_flag() -> None:
    """By its own --help, as it was recorded."""
    known = set(re.findall(r"^  (--[a-z-]+) ", CASES["18-help"]["stdout"], re.MULTILINE))
    assert known >= FLAGS
    assert {word for word in argv(ALL) if word.startswith("--")} <= FLAGS


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"workers": 0}, "EvalOptions.workers"),
        ({"memory_mib": -1}, "EvalOptions.memory_mib"),
        ({"instantiate": False, "cache_status": True}, "EvalOptions.cache_status"),
    ],
)
def test_options_that_would_be_taken_in_silence_are_refused(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(MistakeError) as told:
        EvalOptions(source=File("x.nix"), **wrong)
    assert [m.field for m in told.value.mistakes] == [field]
    with pytest.raises(MistakeError, match=r"Flake\.attribute"):
        Flake(".", "")


def line(**keys: Any) -> bytes:
    return json.dumps(keys).encode()


def test_versions_from_2_24_to_2_35() -> None:
    old = read_line(
        line(attr="a", attrPath=["a"], drvPath="/d", name="n", outputs={"out": "/o"}, system="s", isCached=True)
    )
    assert isinstance(old, EvalJob)
    assert (old.cache_status, old.required_features, old.warnings, old.extra_value) == ("", (), (), None)
    new = read_line(
        line(
            attr='"a b"',
            attrPath=["a b"],
            drvPath="d",
            name="n",
            outputs={"out": None},
            system="s",
            storeDir="/nix/store",
            requiredSystemFeatures=["kvm"],
            cacheStatus="notBuilt",
            constituents=[],
            warnings=["old option"],
            stats={"wallMs": 1},
            extraValue={"x": 1},
            somethingNew=[1],
        ),
    )
    assert isinstance(new, EvalJob)
    assert (new.attr_path, new.outputs, new.cache_status, new.required_features) == (
        ("a b",),
        {"out": None},
        "notBuilt",
        ("kvm",),
    )
    assert (new.warnings, new.extra_value, new.raw["somethingNew"]) == (("old option",), {"x": 1}, [1])
    failed = read_line(line(attr="a", attrPath=["a"], error="error: boom", fatal=True))
    assert isinstance(failed, EvalFailure)
    assert failed.fatal
    assert failed.short == "boom"


def test_a_failure_is_told_by_its_error_also_with_a_derivation() -> None:
    rows = CASES["05-constituents-broken"]["stdout"].encode().splitlines()
    both = [r for r in map(read_line, rows) if isinstance(r, EvalFailure) and r.drv_path]
    assert [(dotted(r.attr_path), r.short) for r in both] == [
        ("absent", "nosuch: does not exist"),
        ("failing", "broken constituent"),
        ("noglob", "x.*: constituent glob pattern had no matches"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b'"text"',
        b"{}",
        b"null",
        b"\xff",
        b"[" * 100_000,
        line(attrPath="a"),
        line(attrPath=[1], error="x"),
        line(attrPath=["a"], error=None),
        line(attrPath=["a"]),
        line(attrPath=["a"], name="n", system="s"),
        line(attrPath=["a"], name="n", system="s", drvPath=None),
    ],
)
def test_lines_that_are_no_record(wrong: bytes) -> None:
    with pytest.raises(LineError):
        read_line(wrong)


@given(
    st.binary()
    | st.recursive(st.none() | st.text() | st.integers(), lambda v: st.lists(v) | st.dictionaries(st.text(), v))
)
def test_any_line_is_a_record_or_a_line_error(value: Any) -> None:
    try:
        result = read_line(value if isinstance(value, bytes) else json.dumps(value).encode())
    except LineError:
        return
    assert result.attr_path is not None


@given(st.text())
def test_a_message_is_found_in_any_text(text: str) -> None:
    assert isinstance(short(text), str)
    assert (
        short(f"error: worker error: error:\n       … while doing\n       error: it is {text!r}") == f"it is {text!r}"
    )


def test_the_options_and_the_places_that_an_error_names() -> None:
    error = """error:
       … while evaluating the attribute 'value'
         at /nix/store/abc-source/lib/modules.nix:816:9:
       … while evaluating the option `systemd.services.fan.serviceConfig':
       … while evaluating definitions from `/nix/store/abc-source/modules/pibox/fan.nix':
       error: A definition for option `systemd.services.fan.enable' is not of type `boolean'. Definition values:
       - In `/nix/store/abc-source/modules/pibox/fan.nix': "yes"
         at /nix/store/abc-source/modules/pibox/fan.nix:3:5:
            2| {
            3|   systemd.services.fan.enable = "yes";
             |   ^"""
    assert options_named(error) == ("systemd.services.fan.serviceConfig", "systemd.services.fan.enable")
    assert [(p.file.rpartition("/")[2], p.line, p.column) for p in places(error)] == [
        ("modules.nix", 816, 9),
        ("fan.nix", 3, 5),
    ]
    assert short(error) == (
        "A definition for option `systemd.services.fan.enable' is not of type `boolean'. Definition values:\n"
        '- In `/nix/store/abc-source/modules/pibox/fan.nix\': "yes"'
    )


def test_names_for_people() -> None:
    assert [dotted(p) for p in ((), ("a", "b.c"), ("",), ("üml",))] == ["(the top)", 'a."b.c"', '""', '"üml"']


def test_nix_gets_names_quoted_as_nix_has_them() -> None:
    ask = nix_argv(EvalOptions(source=File("x.nix")), ('a"b', "${x}", "c\\d"))
    assert r'[ "a\"b" "\${x}" "c\\d" ]' in ask[ask.index("--apply") + 1]


def machine(root: Path, files: dict[str, str]) -> Machine:
    files = {"proc/meminfo": f"MemTotal: {64 << 20} kB\nMemAvailable: {32 << 20} kB\n", **files}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Machine.here(root)


def test_a_machine_without_limits(tmp_path: Path) -> None:
    assert machine(tmp_path, {}) == Machine(len(os.sched_getaffinity(0)), 32 << 10)


def test_the_tightest_cgroup_counts(tmp_path: Path) -> None:
    found = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/job\n",
            "sys/fs/cgroup/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user.slice/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/user.slice/memory.max": f"{8 << 30}\n",
            "sys/fs/cgroup/user.slice/memory.current": f"{3 << 30}\n",
            "sys/fs/cgroup/user.slice/memory.stat": f"anon 5\ninactive_file {1 << 30}\n",
            "sys/fs/cgroup/user.slice/job/memory.max": "max\n",
        },
    )
    assert found == Machine(1, 6 << 10)


def test_cgroups_of_the_first_version(tmp_path: Path) -> None:
    found = machine(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/box\n1:cpu,cpuacct:/box\n",
            "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{2 << 30}\n",
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": f"{512 * MIB}\n",
        },
    )
    assert found.memory_mib == 1536


@given(st.integers(1, 256), st.integers(0, 1 << 20), st.none() | st.integers(1, 1000))
def test_a_share_fits_the_machine(processors: int, memory_mib: int, jobs: int | None) -> None:
    workers, each = Machine(processors, memory_mib).share(jobs)
    assert 1 <= workers <= processors
    assert workers <= (jobs or processors)
    assert each >= 1024
    if memory_mib >= 2048:
        assert workers * each <= memory_mib
    if workers > 1:  # a worker holds its limit and a job more
        assert workers * (each + 1024) <= memory_mib


def test_a_small_machine_and_a_large_one() -> None:
    assert Machine(2, 24 << 10).share() == (2, 8192)
    assert Machine(64, 128 << 10).share(10) == (10, 8806)
    assert Machine(8, 2048).share() == (1, 1024)


def test_the_count_of_memory_kills(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 3\noom_kill 7\noom_kill_disable 1\n")
    assert oom_kills(tmp_path) == 7
