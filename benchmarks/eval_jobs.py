"""What the wrapper costs on top of nix-eval-jobs: `python benchmarks/eval_jobs.py [--json]`.

Prints, each with its bar (and exits with 1 where one is missed):

- lines a second of CPU, from bytes to counted, typed results (the recorded lines, over and over);
- the CPU that the wrapper takes over 2,000 jobs, beside a plain pipe, in percent of what the real program was seen to
  take for them (0.73 s where it writes their derivations);
- the time over 2,000 jobs, of a program that prints them as fast as the real one was seen to (0.14 s with a warm store,
  the fastest of its runs and so the hardest case), read to the end by a plain pipe and by the wrapper; judged only
  where a processor is to spare, else it tells of the machine;
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
from dataclasses import dataclass
from pathlib import Path

from nixwright.tools.eval_jobs import evaluate
from nixwright.tools.eval_options import EvalOptions, File
from nixwright.tools.eval_process import leash
from nixwright.tools.eval_records import read_line
from nixwright.tools.eval_summary import Tally

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "tests/data/nix-eval-jobs/runs.jsonl"
JOBS, SECONDS = 2000, 0.14  # 22-many-one-worker, its fastest run
REAL_CPU = 0.34 + 0.39  # seconds, user and system, of its run on an empty store
RATE, PERCENT, GROWTH_KIB = 50_000, 5, 2048  # the bars
OPTIONS = EvalOptions(source=File("jobs.nix"))
# A stand-in: the recorded lines, numbered, each flushed as the real program does, so that all take the given time.
PROGRAM = """
import sys, time
count, seconds = int(sys.argv[1]), float(sys.argv[2])
line = open(sys.argv[3], "rb").read()
begin = time.monotonic()
for n in range(count):
    sys.stdout.buffer.write(line.replace(b"@N@", str(n).encode()))
    sys.stdout.buffer.flush()
    if n % 50 == 0:
        time.sleep(max(0.0, begin + seconds * n / count - time.monotonic()))
"""


def lines_a_second() -> float:
    """Return how many recorded lines are read and counted in a second of CPU (the best of five rounds)."""
    runs = [json.loads(text) for text in RUNS.read_text(encoding="utf-8").splitlines()]
    lines = [line for run in runs if run["case"] != "18-help" for line in run["stdout"].encode().splitlines()]
    best = 0.0
    for _ in range(5):
        tally, rounds = Tally(), 100
        begin = time.process_time()
        for _ in range(rounds):
            for line in lines:
                tally.add(read_line(line))
        best = max(best, rounds * len(lines) / (time.process_time() - begin))
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


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds over 2,000 jobs: of the clock, and of our own CPU; the least of many runs, to which others only add."""

    wall: float
    cpu: float


def costs(directory: Path, runs: int = 20) -> tuple[Cost, Cost]:
    """Return what 2,000 jobs cost by a plain pipe, and through the wrapper; taken in turns."""
    stand_in(directory, JOBS, SECONDS)
    plain: list[Cost] = []
    ours: list[Cost] = []

    async def measure() -> None:
        for _ in range(runs):
            begin, used = time.perf_counter(), time.process_time()
            done = subprocess.run([directory / "nix-eval-jobs"], check=True, capture_output=True)  # noqa: ASYNC221
            plain.append(Cost(time.perf_counter() - begin, time.process_time() - used))
            if done.stdout.count(b"\n") != JOBS:
                sys.exit("the stand-in lost lines")
            begin, used = time.perf_counter(), time.process_time()
            if await streamed(directory) != JOBS:
                sys.exit("the wrapper lost lines")
            ours.append(Cost(time.perf_counter() - begin, time.process_time() - used))

    asyncio.run(measure())
    return least(plain), least(ours)


def least(found: list[Cost]) -> Cost:
    """Return the least of each."""
    return Cost(min(c.wall for c in found), min(c.cpu for c in found))


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
        plain, ours = costs(Path(name))
    spare = os.getloadavg()[0] < (os.cpu_count() or 1)
    few, many = peak_kib(20_000), peak_kib(400_000)
    results = {
        "lines_a_second": (round(rate), rate >= RATE, f"at least {RATE}"),
        "overhead_cpu_percent": (
            round(100 * (ours.cpu - plain.cpu) / REAL_CPU, 2),
            100 * (ours.cpu - plain.cpu) <= PERCENT * REAL_CPU,
            f"at most {PERCENT}",
        ),
        "overhead_percent": (
            round(100 * (ours.wall / plain.wall - 1), 2),
            not spare or 100 * (ours.wall - plain.wall) <= PERCENT * plain.wall,
            f"at most {PERCENT}" if spare else f"at most {PERCENT}; not judged: other work fills the processors",
        ),
        "memory_growth_kib": (many - few, many - few <= GROWTH_KIB, f"at most {GROWTH_KIB}, from 20000 to 400000 jobs"),
    }
    if "--json" in sys.argv:
        print(json.dumps({key: value for key, (value, _, _) in results.items()}))
    else:
        print(f"2,000 jobs: plain {plain.wall * 1000:.1f} ms, ours {ours.wall * 1000:.1f} ms (leash: {bool(leash())})")
        print(f"of our CPU: plain {plain.cpu * 1000:.1f} ms, ours {ours.cpu * 1000:.1f} ms")
        print(f"peak memory: {few} KiB over 20,000 jobs, {many} KiB over 400,000")
        for key, (value, good, bar) in results.items():
            print(f"{'ok    ' if good else 'MISSED'} {key} {value} ({bar})")
    sys.exit(0 if all(good for _, good, _ in results.values()) else 1)


if __name__ == "__main__":
    main()
