"""How fast, as ratios: `python benchmarks/run.py [--hosts N ...] [--nix COMMAND]`, from any directory.

Prints for each measure its time, what it is compared with, the ratio, and our aim; exits with 1 where an aim is missed.
Times are those of whole processes with all that they start: CPU (user and system), which other load on the machine
changes least, and wall clock. What is compared runs in turns, and the median of the ratios pair by pair counts.

`--nix` (or NIXWRIGHT_BENCH_NIX) is a shell command that evaluates the PiBox's system derivation with real Nix, as in
`nix eval .#nixosConfigurations.pibox.config.system.build.toplevel.drvPath`; in that row the wall clock counts.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIBOX = ROOT / "hosts" / "pibox.py"
GEN = [sys.executable, "-m", "nixwright", "gen"]
PYDANTIC = [sys.executable, "-c", "import pydantic"]
OTHERS = ("printer.py", "eval_jobs.py")  # benchmarks of their own, with aims of their own
PYDANTIC_AIM, NIX_AIM, HOST_AIM = 5.0, 15.0, 10.0  # times, times, ms
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a command took: seconds of CPU and of the clock, and bytes of the largest process in it."""

    cpu: float
    wall: float
    peak: int


def run(command: list[str] | str, directory: Path = ROOT) -> Run:
    """Run a command to its end and measure it. Raises CalledProcessError where it fails."""
    # without bytecode each run would compile all of nixwright, but not pydantic
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=directory, shell=isinstance(command, str), stdout=subprocess.DEVNULL, env=env
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    unit = 1 if sys.platform == "darwin" else 1 << 10
    return Run(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * unit)


def pairs(one: list[str] | str, other: list[str] | str, runs: int) -> list[tuple[Run, Run]]:
    """Run two commands in turns, each once before it counts."""
    run(one)
    run(other)
    return [(run(one), run(other)) for _ in range(runs)]


def fleet(directory: Path, count: int) -> None:
    """Write a fleet of PiBoxes, each with a name, a hostId and a disk of its own."""
    (directory / "hosts").mkdir(parents=True)
    text = PIBOX.read_text()
    for number in range(count):
        own = text.replace('name="pibox"', f'name="pibox-{number}"').replace("feeddead", f"{number + 1:08x}")
        own = re.sub(r"(ata-\w+_)\w+", rf"\g<1>S{number:07d}", own)
        (directory / "hosts" / f"pibox_{number}.py").write_text(own)


def text_in(directory: Path) -> int:
    """Return the bytes of all that was generated."""
    rooms = [directory / room for room in ("modules", "checks")]
    return sum(p.stat().st_size for room in rooms for p in room.rglob("*") if p.is_file())


def line(what: str, measured: str, ratio: str = "", aim: str = "") -> None:
    """Print one row."""
    print(f"{what:<40} {measured:<34} {ratio:<28} {aim}".rstrip(), flush=True)


def middle(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def told(runs: list[Run]) -> str:
    """Return the median times of runs."""
    return f"{middle([r.cpu for r in runs]) * 1e3:.0f} ms CPU, {middle([r.wall for r in runs]) * 1e3:.0f} ms"


def cold() -> bool:
    """One host, a process for it: against a bare import of pydantic."""
    check = [*GEN, "--check", "hosts/pibox.py"]
    found = pairs(check, PYDANTIC, runs=15)
    ratio = middle([a.cpu / b.cpu for a, b in found])
    line("import pydantic, cold", told([b for _, b in found]))
    line("gen --check hosts/pibox.py, cold", told([a for a, _ in found]), f"{ratio:.2f} x pydantic", "under 5 x")
    return ratio < PYDANTIC_AIM


def against_nix(command: str | None) -> bool:
    """The same host, evaluated by Nix."""
    what = "the same host evaluated by Nix"
    if not command:
        line(what, "skipped: no command given", "", "--nix COMMAND, or NIXWRIGHT_BENCH_NIX")
        return True
    found = pairs([*GEN, "--check", "hosts/pibox.py"], command, runs=5)
    ratio = middle([b.wall / a.wall for a, b in found])
    line(what, f"{middle([b.wall for _, b in found]) * 1e3:.0f} ms", f"{ratio:.1f} x gen --check", "at least 15 x")
    return ratio >= NIX_AIM


def fleets(sizes: list[int]) -> bool:
    """Fleets of PiBoxes: time a host, and what memory grows by with each."""
    good = True
    peaks: dict[int, int] = {}
    text = 0
    with tempfile.TemporaryDirectory() as temporary:
        for count in sizes:
            directory = Path(temporary) / str(count)
            fleet(directory, count)
            for what, options in (("gen", []), ("gen --check", ["--check"])):
                done = run([*GEN, *options, "hosts"], directory)
                each = done.wall * 1e3 / count
                cpu = f"{done.cpu * 1e3 / count:.1f} ms CPU, {each:.1f} ms a host"
                line(f"{what} of {count} hosts", cpu, f"{done.peak / _MIB:.0f} MiB at most", "under 10 ms a host")
                good &= count < max(sizes) or each < HOST_AIM
            peaks[count], text = done.peak, text_in(directory) // count
    least, most = min(sizes), max(sizes)
    if most > least:
        grown = (peaks[most] - peaks[least]) / (most - least) / 1024
        line(
            "memory of gen --check grows by",
            f"{grown:.0f} KiB a host",
            f"whose text is {text / 1024:.0f} KiB",
            "no more",
        )
    return good


def main() -> int:
    """Measure and print; return 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[100, 500, 1000], help="sizes of fleets")
    parser.add_argument("--nix", default=os.environ.get("NIXWRIGHT_BENCH_NIX"), help="shell command")
    args = parser.parse_args()
    good = [cold(), against_nix(args.nix), fleets(args.hosts)]
    for name in OTHERS:
        print(f"\n{name}", flush=True)
        good.append(subprocess.run([sys.executable, Path(__file__).with_name(name)], check=False).returncode == 0)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
