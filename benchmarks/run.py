"""How fast, as ratios: `python benchmarks/run.py [--hosts N] [--nix COMMAND]`, from any directory.

Prints for each measure its time, what it is compared with, the ratio, and our aim. `--nix` is a shell command that
evaluates the PiBox's system derivation with real Nix, to be compared with `gen --check`.
"""

from __future__ import annotations

import argparse
import re
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIBOX = ROOT / "hosts" / "pibox.py"
GEN = [sys.executable, "-m", "nixwright.cli.main", "gen"]


def seconds(command: list[str] | str, directory: Path = ROOT, *, runs: int = 7) -> float:
    """Return the median time of a command in seconds; it must succeed."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, cwd=directory, shell=isinstance(command, str), check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def fleet(directory: Path, count: int) -> list[str]:
    """Write a fleet of PiBoxes, each with a name, a hostId and a disk of its own; return their paths."""
    (directory / "hosts").mkdir(parents=True)
    text = PIBOX.read_text()
    names = []
    for number in range(count):
        own = text.replace('name="pibox"', f'name="pibox-{number}"').replace("feeddead", f"{number + 1:08x}")
        own = re.sub(r"(ata-\w+_)\w+", rf"\g<1>S{number:07d}", own)
        (directory / "hosts" / f"pibox_{number}.py").write_text(own)
        names.append(f"hosts/pibox_{number}.py")
    return names


def peak(arguments: list[str], directory: Path) -> tuple[float, float]:
    """Return the time in seconds and the peak memory in MiB of one `gen` (its own, or its largest child's)."""
    code = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    start = time.perf_counter()
    command = [sys.executable, "-c", code, *GEN, *arguments]
    done = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return time.perf_counter() - start, int(done.stdout.split()[-1]) / unit


def line(what: str, measured: str, ratio: str, aim: str) -> None:
    """Print one row."""
    print(f"{what:<46} {measured:>18} {ratio:>16}   {aim}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000, help="size of the fleet")
    parser.add_argument("--nix", help="shell command that evaluates the same host with real Nix")
    args = parser.parse_args()

    line("measure", "time", "ratio", "aim")
    pydantic = seconds([sys.executable, "-c", "import pydantic"])
    line("import pydantic, cold", f"{pydantic * 1e3:.0f} ms", "1", "")
    check = seconds([*GEN, "--check", "hosts/pibox.py"])
    line("gen --check hosts/pibox.py, cold", f"{check * 1e3:.0f} ms", f"{check / pydantic:.1f} x pydantic", "under 5")
    if args.nix:
        nix = seconds(args.nix, runs=3)
        line("the same host evaluated by Nix", f"{nix * 1e3:.0f} ms", f"{nix / check:.1f} x gen --check", "at least 15")
    with tempfile.TemporaryDirectory() as temporary:
        for count in (args.hosts // 10, args.hosts):
            directory = Path(temporary) / str(count)
            names = fleet(directory, count)
            took, memory = peak(names, directory)
            again, _ = peak(["--check", *names], directory)
            line(
                f"gen of {count} hosts", f"{took * 1e3 / count:.1f} ms a host", f"{memory:.0f} MiB peak", "under 10 ms"
            )
            line(f"gen --check of {count} hosts", f"{again * 1e3 / count:.1f} ms a host", "", "under 10 ms")
    printer = Path(__file__).with_name("printer.py")
    if printer.exists():
        sys.argv = [str(printer)]
        runpy.run_path(str(printer), run_name="__main__")


if __name__ == "__main__":
    main()
