"""What the wrapper costs on top of nix-eval-jobs: `python benchmarks/eval_jobs.py [--json]`.

Prints, each with its bar (and exits with 1 where one is missed):

- lines a second, from bytes to counted, typed results (the recorded lines, over and over);
- the time over 2,000 jobs, of a program that prints them as fast as the real one was seen to (0.14 s with a warm store,
  the fastest of its runs and so the hardest case), read to the end by a plain pipe and by the wrapper;
- the peak of our memory over 20,000 and over 400,000 jobs that are streamed.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nixwright.tools.eval_jobs import evaluate
from nixwright.tools.eval_options import EvalOptions, File
from nixwright.tools.eval_process import leash
from nixwright.tools.eval_records import read_line
from nixwright.tools.eval_summary import Tally

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "tests/data/nix-eval-jobs/runs.jsonl"
JOBS, SECONDS = 2000, 0.14  # 22-many-one-worker, its fastest run
RATE, PERCENT, GROWTH_KIB = 50_000, 5, 2048  # the bars
OPTIONS = EvalOptions(source=File("jobs.nix"))
# A stand-in: the recorded lines, numbered, in bursts so that all take the given time.
PROGRAM = """
import sys, time
count, seconds = int(sys.argv[1]), float(sys.argv[2])
line = open(sys.argv[3], "rb").read()
begin = time.monotonic()
for n in range(count):
    sys.stdout.buffer.write(line.replace(b"@N@", str(n).encode()))
    if n % 50 == 0:
        sys.stdout.buffer.flush()
        time.sleep(max(0.0, begin + seconds * n / count - time.monotonic()))
"""


def lines_a_second() -> float:
    """Return how many recorded lines are read and counted in a second (the best of five rounds)."""
    runs = [json.loads(text) for text in RUNS.read_text(encoding="utf-8").splitlines()]
    lines = [line for run in runs if run["case"] != "18-help" for line in run["stdout"].encode().splitlines()]
    best = 0.0
    for _ in range(5):
        tally, rounds = Tally(), 100
        begin = time.perf_counter()
        for _ in range(rounds):
            for line in lines:
                tally.add(read_line(line))
        best = max(best, rounds * len(lines) / (time.perf_counter() - begin))
    return best


def stand_in(directory: Path, jobs: int, seconds: float) -> list[str]:
    """Write a `nix-eval-jobs` into the directory; return the command that it runs."""
    record = next(r for r in map(json.loads, RUNS.open(encoding="utf-8")) if r["case"] == "22-many-one-worker")
    line = directory / "line"
    line.write_text(record["stdout"].splitlines()[0].replace('"job-0000"', '"job-@N@"') + "\n", encoding="utf-8")
    (directory / "program.py").write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-IS", str(directory / "program.py"), str(jobs), str(seconds), str(line)]
    (directory / "nix-eval-jobs").write_text(f"#!/bin/sh\nexec {' '.join(command)}\n", encoding="utf-8")
    (directory / "nix-eval-jobs").chmod(0o755)
    return command


async def streamed(directory: Path) -> int:
    """Return the number of jobs of one run through the wrapper, none of which is kept."""
    env = {"PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}
    async with evaluate(OPTIONS, env=env) as evaluation:
        async for _ in evaluation:
            pass
    if not evaluation.summary.ok:
        sys.exit(f"the stand-in failed: {evaluation.summary}")
    return evaluation.summary.jobs


def overhead(directory: Path, runs: int = 20) -> tuple[float, float]:
    """Return the seconds over 2,000 jobs by a plain pipe, and through the wrapper; taken in turns.

    The least of each: whatever else the machine does only adds to a run.
    """
    stand_in(directory, JOBS, SECONDS)
    plain, ours = [], []

    async def measure() -> None:
        for _ in range(runs):
            begin = time.perf_counter()
            done = subprocess.run([directory / "nix-eval-jobs"], check=True, capture_output=True)  # noqa: ASYNC221
            plain.append(time.perf_counter() - begin)
            if done.stdout.count(b"\n") != JOBS:
                sys.exit("the stand-in lost lines")
            begin = time.perf_counter()
            if await streamed(directory) != JOBS:
                sys.exit("the wrapper lost lines")
            ours.append(time.perf_counter() - begin)

    asyncio.run(measure())
    return min(plain), min(ours)


def peak_kib(jobs: int) -> int:
    """Return the peak memory in KiB of a process of its own that streams so many jobs."""
    command = [sys.executable, __file__, "--stream", str(jobs)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure, print, and judge."""
    with tempfile.TemporaryDirectory() as name:
        if "--stream" in sys.argv:
            stand_in(Path(name), int(sys.argv[-1]), 0)
            asyncio.run(streamed(Path(name)))
            unit = 1 << 10 if sys.platform == "darwin" else 1
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit)
            return
        rate = lines_a_second()
        plain, ours = overhead(Path(name))
    few, many = peak_kib(20_000), peak_kib(400_000)
    results = {
        "lines_a_second": (round(rate), rate >= RATE, f"at least {RATE}"),
        "overhead_percent": (
            round(100 * (ours / plain - 1), 2),
            100 * (ours - plain) <= PERCENT * plain,
            f"at most {PERCENT}",
        ),
        "memory_growth_kib": (many - few, many - few <= GROWTH_KIB, f"at most {GROWTH_KIB}, from 20000 to 400000 jobs"),
    }
    if "--json" in sys.argv:
        print(json.dumps({key: value for key, (value, _, _) in results.items()}))
    else:
        print(f"2,000 jobs: plain {plain * 1000:.1f} ms, ours {ours * 1000:.1f} ms (leash: {bool(leash())})")
        print(f"peak memory: {few} KiB over 20,000 jobs, {many} KiB over 400,000")
        for key, (value, good, bar) in results.items():
            print(f"{'ok    ' if good else 'MISSED'} {key} {value} ({bar})")
    sys.exit(0 if all(good for _, good, _ in results.values()) else 1)


if __name__ == "__main__":
    main()
