"""Bad output, limits, and the end of processes; and the same interface over plain `nix eval`."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from eval_programs import left_running, link, replaying, script
from nixwright.errors import ToolError
from nixwright.tools.eval_jobs import collect, evaluate
from nixwright.tools.eval_options import EvalOptions, Expression, File
from nixwright.tools.eval_process import Limits, NotInstalledError, has_dead_child, running
from nixwright.tools.eval_records import EvalFailure, EvalJob
from nixwright.tools.eval_summary import MANY, EvalSummary, Kind
from programs import need

if TYPE_CHECKING:
    from nixwright.tools.eval_options import AttrPath
    from nixwright.tools.eval_records import EvalResult

OPTIONS = EvalOptions(source=File("input.nix"))
FOREVER = "12-deep-values-two-workers-hang"


def job(name: str, **more: object) -> str:
    record = {"attr": name, "attrPath": [name], "drvPath": f"/nix/store/{name}.drv", "name": name, "system": "x"}
    return json.dumps(record | more) + "\n"


def run(tmp_path: Path, output: str | bytes, limits: Limits | None = None, **more: object) -> EvalSummary:
    """Evaluate with a nix-eval-jobs that prints this."""
    file = tmp_path / "stdout"
    file.write_bytes(output.encode() if isinstance(output, str) else output)
    env = replaying(tmp_path, "", stdout=file, **more)
    _, summary = asyncio.run(collect(OPTIONS, limits=limits or Limits(), env=env))
    assert left_running(tmp_path) == []
    return summary


def kinds(summary: EvalSummary) -> list[Kind]:
    return [problem.kind for problem in summary.problems]


def test_good_output_is_green(tmp_path: Path) -> None:
    summary = run(tmp_path, job("a") + job("b"))
    assert (summary.ok, summary.jobs, summary.kind, summary.status) == (True, 2, None, 0)


def test_half_a_line(tmp_path: Path) -> None:
    summary = run(tmp_path, job("a") + job("b")[:30])
    assert (summary.ok, summary.jobs, kinds(summary)) == (False, 1, [Kind.HALF_LINE])
    assert summary.problems[0].words == job("b")[:30]


@pytest.mark.parametrize("chunks", [1, 3])
def test_a_line_of_10_mib(tmp_path: Path, chunks: int) -> None:
    """It is named and left out; what comes after it is read."""
    long = job("long", meta="x" * (10 << 20))
    summary = run(tmp_path, (job("a") + long + job("b")) * chunks)
    assert (summary.ok, summary.jobs) == (False, 2 * chunks)
    assert kinds(summary) == [Kind.LONG_LINE] * chunks
    assert '"attr": "long"' in summary.problems[0].words
    assert run(tmp_path, long, Limits(line=11 << 20)).ok


@pytest.mark.parametrize("size", [1000, 1 << 18, (1 << 18) + 1])
def test_the_limit_is_exact(tmp_path: Path, size: int) -> None:
    line = job("a", meta="")
    line = job("a", meta="x" * (size - len(line) + 1))
    assert len(line) == size + 1
    assert run(tmp_path, line * 3, Limits(line=size)).ok
    assert kinds(run(tmp_path, line * 3, Limits(line=size - 1)))[0] is Kind.LONG_LINE


def test_a_long_line_without_end(tmp_path: Path) -> None:
    assert kinds(run(tmp_path, "x" * (9 << 20))) == [Kind.LONG_LINE]


def test_lines_that_are_none(tmp_path: Path) -> None:
    summary = run(tmp_path, job("a") + "\n" + "warning: hello\n" + job("b"))
    assert (summary.ok, summary.jobs, kinds(summary)) == (False, 2, [Kind.BAD_LINE] * 2)
    assert len(run(tmp_path, "x\n" * 1000).problems) < 30


def test_no_output(tmp_path: Path) -> None:
    summary = run(tmp_path, "")
    assert (summary.ok, kinds(summary)) == (False, [Kind.NOTHING])


def test_too_old_by_its_flags_or_its_lines(tmp_path: Path) -> None:
    usage = "error: unrecognised flag '--select'\nTry 'nix-eval-jobs --help' for more information.\n"
    summary = run(tmp_path, "", stderr=usage, status=1)
    assert kinds(summary) == [Kind.TOO_OLD]
    assert "--select" in summary.problems[0].what
    assert kinds(run(tmp_path, '{"attr":"a","drvPath":"/nix/store/a.drv"}\n')) == [Kind.TOO_OLD]


def test_neither_program_is_installed(tmp_path: Path) -> None:
    results, summary = asyncio.run(collect(OPTIONS, expected=[("a",)], env={"PATH": str(tmp_path)}))
    assert (results, summary.kind, summary.ok) == ({}, Kind.NOT_INSTALLED, False)
    assert "nix-eval-jobs" in summary.problems[0].what


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    script(tmp_path, "nix-eval-jobs", "")
    (tmp_path / "nix-eval-jobs").write_bytes(b"\x7fELF nothing")

    async def start() -> None:
        async with running(["nix-eval-jobs"], Limits(), {"PATH": str(tmp_path)}) as program:
            async for _ in program.lines():
                pass
        assert program.status != 0
        raise ToolError("it started and failed")  # with setpriv it is that which fails to start it

    with pytest.raises(ToolError):
        asyncio.run(start())
    with pytest.raises(NotInstalledError):
        asyncio.run(running(["no-such-program"], Limits()).__aenter__())


def test_what_the_kernel_ended_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([3, 4])
    monkeypatch.setattr("nixwright.tools.eval_jobs.oom_kills", lambda: next(counts))
    env = replaying(tmp_path, "15-worker-sigkill")
    _, summary = asyncio.run(collect(OPTIONS, env=env))
    assert kinds(summary) == [Kind.OUT_OF_MEMORY]


def test_a_job_over_the_memory_budget(tmp_path: Path) -> None:
    """As 2.35 says it."""
    error = "error: evaluation exceeded the memory budget of 100 MiB even when run alone"
    summary = run(tmp_path, job("a") + json.dumps({"attrPath": ["b"], "error": error, "fatal": False}) + "\n")
    assert kinds(summary) == [Kind.OUT_OF_MEMORY]
    assert summary.problems[0].attr_path == ("b",)


def test_what_is_expected(tmp_path: Path) -> None:
    file = tmp_path / "stdout"
    file.write_text(job("a") + job("a") + job("extra"))
    env = replaying(tmp_path, stdout=file)
    expected: list[AttrPath] = [("a",), ("b",), ("c", "")]
    _, summary = asyncio.run(collect(OPTIONS, expected=expected, env=env))
    assert kinds(summary) == [Kind.BAD_LINE, Kind.NAME_LOST, Kind.MISSING]
    assert summary.unexpected == (("extra",),)
    assert "b was expected" in str(summary)


def test_many_failures_are_counted_and_not_kept(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"attrPath": [str(n)], "error": f"error: {n}"}) + "\n" for n in range(1000))
    summary = run(tmp_path, rows + job("a"))
    assert (summary.failed, len(summary.problems)) == (1000, MANY + 1)
    assert summary.problems[-1].what == f"{1000 - MANY} more failed"


def test_the_total_is_a_limit_too(tmp_path: Path) -> None:
    """A program that never stops talking is ended as well."""
    script(tmp_path / "bin", "nix-eval-jobs", f"while :; do echo '{job('a').strip()}'; echo busy >&2; done")
    env = {"PATH": str(tmp_path / "bin"), "MARK": str(tmp_path)}
    begin = time.monotonic()
    _, summary = asyncio.run(collect(OPTIONS, limits=Limits(total=0.5, stderr=100), env=env))
    assert summary.kind is Kind.TIMED_OUT
    assert summary.jobs > 10
    assert len(summary.stderr) <= 100
    assert time.monotonic() - begin < 5
    assert left_running(tmp_path) == []


def test_a_caller_that_is_slow_is_no_silence(tmp_path: Path) -> None:
    file = tmp_path / "stdout"
    file.write_text(job("a") + job("b"))

    async def slowly() -> EvalSummary:
        env = replaying(tmp_path, stdout=file)
        async with evaluate(OPTIONS, limits=Limits(silence=0.3), env=env) as evaluation:
            async for _ in evaluation:
                await asyncio.sleep(0.5)
        return evaluation.summary

    assert asyncio.run(slowly()).ok


def test_leaving_early_ends_all_and_is_not_green(tmp_path: Path) -> None:
    async def start() -> tuple[EvalResult, EvalSummary]:
        async with evaluate(OPTIONS, env=replaying(tmp_path, FOREVER)) as evaluation:
            first = await anext(aiter(evaluation))
            assert left_running(tmp_path) != []
        return first, evaluation.summary

    result, summary = asyncio.run(start())
    assert isinstance(result, EvalJob)
    assert kinds(summary) == [Kind.STOPPED]
    assert left_running(tmp_path) == []


def test_an_error_of_the_caller_ends_all(tmp_path: Path) -> None:
    async def fail() -> None:
        async with evaluate(OPTIONS, env=replaying(tmp_path, FOREVER)) as evaluation:
            async for _ in evaluation:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(fail())
    assert left_running(tmp_path) == []


CHILD = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from eval_programs import replaying
from nixwright.tools.eval_jobs import collect
from nixwright.tools.eval_options import EvalOptions, File
from pathlib import Path
print("ready", flush=True)
asyncio.run(collect(EvalOptions(source=File("x.nix")), env=replaying(Path(sys.argv[2]), "24-sigint-main")))
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.5])
def test_nothing_is_left_when_we_are_ended(tmp_path: Path, sent: signal.Signals, after: float) -> None:
    """Ctrl-C leaves nothing; a kill of ours takes nix-eval-jobs with it, where the kernel has a leash."""
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        time.sleep(after)
        child.send_signal(sent)
        child.wait(10)
    deadline = time.monotonic() + 5
    while (left := left_running(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def test_a_dead_child_that_nobody_looks_at(tmp_path: Path) -> None:
    def process(pid: int, state: str, *children: int) -> None:
        (tmp_path / f"{pid}/task/{pid}").mkdir(parents=True)
        (tmp_path / f"{pid}/task/{pid}/children").write_text(" ".join(map(str, children)))
        (tmp_path / f"{pid}/stat").write_text(f"{pid} (a (b) Z) {state} 1 1")

    process(1, "S", 2, 3)
    process(2, "S")
    process(3, "R")
    assert not has_dead_child(1, tmp_path)
    process(4, "S", 2, 5)
    process(5, "Z")
    assert has_dead_child(4, tmp_path)
    assert not has_dead_child(99, tmp_path)


EXPRESSION = r"""
  let
    job = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; };
  in
  { all ? true }: {
    good = job "good";
    "odd \"name\".\${x}" = job "odd";
    "" = job "empty";
    "1" = job "digit";
    bad = throw "two\nlines";
    late = job "late-${1 + "one"}";
    nested = { recurseForDerivations = true; inner = job "inner"; called = { x ? 1 }: job "called"; };
    unmarked = { lost = job "lost"; };
    number = 3;
    list = [ (job "in-a-list") ];
  }
"""
NAMES: set[AttrPath] = {("good",), ('odd "name".${x}',), ("",), ("1",), ("nested", "inner"), ("nested", "called")}


@pytest.fixture
def only_nix(tmp_path: Path) -> dict[str, str]:
    """An environment with nix and a store of its own, and no nix-eval-jobs."""
    need("nix-instantiate")
    link(tmp_path / "bin", "nix", "git")
    names = {"NIX_STORE_DIR": "store", "NIX_STATE_DIR": "state", "NIX_LOG_DIR": "log", "HOME": "home"}
    for name in names.values():
        (tmp_path / name).mkdir()
    return {"PATH": str(tmp_path / "bin"), "MARK": str(tmp_path)} | {k: str(tmp_path / v) for k, v in names.items()}


def test_plain_nix_gives_the_same(only_nix: dict[str, str], tmp_path: Path) -> None:
    options = EvalOptions(source=Expression(EXPRESSION), workers=2, apply="drv: { n = drv.name; }")
    results, summary = asyncio.run(collect(options, expected=[*NAMES, ("gone",)], env=only_nix))
    assert {path for path, r in results.items() if isinstance(r, EvalJob)} == NAMES, summary
    assert {path: r.short for path, r in results.items() if isinstance(r, EvalFailure)} == {
        ("bad",): "two\nlines",
        ("late",): "cannot add a string to an integer",
    }
    assert kinds(summary) == [Kind.ATTRIBUTE, Kind.ATTRIBUTE, Kind.MISSING]
    good = results["good",]
    assert isinstance(good, EvalJob)
    assert (good.name, good.system, good.extra_value) == ("good", "x86_64-linux", {"n": "good"})
    assert good.drv_path.startswith(str(tmp_path / "store"))
    assert good.drv_path.endswith("-good.drv")
    assert list(good.outputs) == ["out"]
    assert (tmp_path / "store" / good.drv_path.rpartition("/")[2]).is_file()


def test_plain_nix_goes_deeper_when_forced(only_nix: dict[str, str]) -> None:
    options = EvalOptions(source=Expression(EXPRESSION), select="all: { inherit (all) unmarked; }", workers=2)
    _, summary = asyncio.run(collect(options, env=only_nix))
    assert kinds(summary) == [Kind.NOTHING]
    options = EvalOptions(source=options.source, select=options.select, force_recurse=True, instantiate=False)
    results, summary = asyncio.run(collect(options, env=only_nix))
    assert summary.ok, summary
    assert list(results) == [("unmarked", "lost")]


def test_plain_nix_when_the_top_fails(only_nix: dict[str, str]) -> None:
    _, summary = asyncio.run(collect(EvalOptions(source=Expression("{ x = 1 }")), env=only_nix))
    assert kinds(summary) == [Kind.EVALUATION]
    assert summary.problems[0].words.startswith("syntax error")


def test_plain_nix_cannot_do_all(tmp_path: Path) -> None:
    script(tmp_path, "nix", "exit 3")
    options = EvalOptions(source=File("x.nix"), cache_status=True)
    _, summary = asyncio.run(collect(options, env={"PATH": str(tmp_path)}))
    assert kinds(summary) == [Kind.NOT_INSTALLED]
    assert "cache_status" in summary.problems[0].what


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('echo \'{"job":{"name":"a\'', Kind.HALF_LINE),
        ('echo \'{"job":{"name":"a"}}\'', Kind.BAD_LINE),
        ("true", Kind.HALF_LINE),
        ("kill -KILL $$", Kind.KILLED),
        ("while :; do :; done", Kind.TIMED_OUT),
        ("echo \"error: cannot connect to socket at '/x': refused\" >&2; exit 1", Kind.STORE_GONE),
        ("echo 'error: out of it' >&2; exit 1", Kind.EVALUATION),
        ("echo '{}'", Kind.NOTHING),
    ],
)
def test_a_nix_that_goes_wrong(tmp_path: Path, text: str, kind: Kind) -> None:
    script(tmp_path / "bin", "nix", text)
    env = {"PATH": str(tmp_path / "bin"), "MARK": str(tmp_path)}
    _, summary = asyncio.run(collect(OPTIONS, limits=Limits(silence=0.5), env=env))
    assert kinds(summary) == [kind]
    assert not summary.ok
    assert left_running(tmp_path) == []


def test_leaving_plain_nix_early_ends_all(tmp_path: Path) -> None:
    names = '\'{"names":["a","b","c"]}\''
    top = "'((all: all) (call root)) [ ];'"
    text = f'for word; do case "$word" in *{top}*) echo {names}; exit;; esac; done\nwhile :; do :; done'
    script(tmp_path / "bin", "nix", text)
    env = {"PATH": str(tmp_path / "bin"), "MARK": str(tmp_path)}

    async def cancelled() -> None:
        evaluation = asyncio.create_task(collect(EvalOptions(source=File("x.nix"), workers=3), env=env))
        while len(left_running(tmp_path)) < 3:  # noqa: ASYNC110 - a process sets no event
            await asyncio.sleep(0.05)
        evaluation.cancel()
        with pytest.raises(asyncio.CancelledError):
            await evaluation

    asyncio.run(asyncio.wait_for(cancelled(), 20))
    assert left_running(tmp_path) == []
