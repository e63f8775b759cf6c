"""Mistakes by the thousand and kills by the hundred: a few in the tests, all by this command.

    python tests/provisioning_trials.py --files 10000 --kills 200

Each prints a line of JSON; a trial that shows a fault raises.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import tomllib
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import jsonschema
from nixwright.provisioning import activation
from nixwright.provisioning.activation import _digest, take
from nixwright.provisioning.bundle import Limits, read_source
from nixwright.provisioning.derived import DERIVED, WrongConfigError, parse
from nixwright.provisioning.json_schema import config_schema
from nixwright.provisioning.shape import RefusedError
from nixwright.provisioning.sources import told_wrong
from nixwright.provisioning.store import ActivationError, current, recover
from provisioning_example import DEVICE, FILES, SECRET, SMALL, WHOLE, archive, bundle_mutant, mutant, packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from nixwright.provisioning.device import Device

LIMITS = Limits(source=1 << 20, unpacked=4 << 20, members=64, member=1 << 20, seconds=5)
SLOWEST = 5.0  # seconds of processor for one answer
MEMORY = 256 << 20  # bytes that a run may take beyond what it began with


def mutations(count: int, seed: int) -> dict[str, Any]:
    """Give the device so many files and bundles with mistakes at random: it takes what the schema takes, or refuses."""
    judge = jsonschema.Draft202012Validator(config_schema())
    taken, refused, slowest = 0, 0, 0.0
    began = time.monotonic()
    before = _memory()
    for number in range(seed, seed + count):
        how = ("toml", "toml", "toml", "gz", "zst")[number % 5]
        data = mutant(number, (SMALL, WHOLE)[number % 2]) if how == "toml" else bundle_mutant(number, how)
        start = time.process_time()
        with tempfile.TemporaryDirectory() as room:
            source, into = Path(room, "source"), Path(room, "into")
            into.mkdir()
            source.write_bytes(data)
            try:
                text = read_source(source, into, LIMITS)
                parse(text, DEVICE)
            except RefusedError as error:
                refused += 1
                _refusal(error, number)
            else:
                taken += 1
                judge.validate(tomllib.loads(text.decode()))
                _inside(into, number)
            if sorted(path.name for path in Path(room).iterdir()) != ["into", "source"]:
                raise AssertionError(f"{number}: something was written outside")
        slowest = max(slowest, time.process_time() - start)
    grown = _memory() - before
    if slowest > SLOWEST or grown > MEMORY:
        raise AssertionError(f"{slowest} s, {grown} bytes")
    return {
        "files": count,
        "taken": taken,
        "refused": refused,
        "slowest_s": round(slowest, 3),
        "memory_grown_MiB": round(grown / 2**20, 1),
        "wall_s": round(time.monotonic() - began, 1),
    }


def _refusal(error: RefusedError, number: int) -> None:
    told = told_wrong(error)
    if not told.strip() or SECRET in told:
        raise AssertionError(f"{number}: {told!r}")
    if isinstance(error, WrongConfigError) and not all(line >= 0 for line in error.lines):
        raise AssertionError(f"{number}: {error.lines}")


def _inside(into: Path, number: int) -> None:
    """What was unpacked is plain files and directories below files/."""
    for path in into.rglob("*"):
        if path.is_symlink() or path.relative_to(into).parts[0] != "files":
            raise AssertionError(f"{number}: {path}")


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def kills(count: int, seed: int, below: str | None = None) -> dict[str, Any]:
    """Kill promotions, first provisionings and recoveries at random moments; what is in force is whole each time."""
    rng = random.Random(seed)  # noqa: S311 - the same for the same seed
    seen = {"old": 0, "new": 0, "none": 0, "cut": 0}
    with tempfile.TemporaryDirectory(dir=below) as room:
        sources = {}
        plain = WHOLE.replace("${FILES_DIR}", "/srv").replace("${CONFIG_DIR}", "/srv")  # alike wherever it lies
        for name, text in (("one", plain), ("two", plain.replace("timeout_seconds = 20", "timeout_seconds = 21"))):
            sources[name] = Path(room, f"{name}.tar.gz")
            sources[name].write_bytes(packed(archive({"config.toml": text.encode(), **FILES}), "gz"))
        whole = {name: _promoted(Path(room, f"whole-{name}"), path) for name, path in sources.items()}
        longest = max(_timed(Path(room, f"timed-{n}"), sources["one"]) for n in range(3))
        directory = Path(room, "config")
        for number in range(count):
            device = replace(DEVICE, directory=str(directory))
            first = number % 4 == 0
            if first:
                directory = Path(room, f"first-{number}")
                device = replace(DEVICE, directory=str(directory))
            before = _state(directory, whole)
            target = "two" if before == "one" else "one"
            works = number % 3 != 0
            cut = _killed(partial(_take, sources[target], device, works=works), rng.uniform(0, longest * 1.3))
            if number % 2:
                _killed(partial(recover, directory), rng.uniform(0, longest * 0.2))
            recover(directory)
            after = _state(directory, whole)
            if after not in (before, target):
                raise AssertionError(f"{number}: {before} became {after}")
            if (directory / "pending").exists() or (not cut and works and after != target):
                raise AssertionError(f"{number}: undecided")
            if not cut and not works and after != before:
                raise AssertionError(f"{number}: what does not work stayed")
            seen["cut"] += cut
            seen["none" if after == "none" else "new" if after == target else "old"] += 1
            if first and after == "none":
                _take(sources["one"], device, works=True)
            directory = directory if not first else Path(room, "config")
            if not directory.exists():
                _take(sources["one"], replace(DEVICE, directory=str(directory)), works=True)
    return {"kills": count, **seen}


def _take(source: Path, device: Device, *, works: bool) -> None:
    """Put a source in force on a machine without systemd: units come up at once, or not at all."""

    def systemctl(_user: str, *words: str, seconds: float = 0) -> str | None:
        time.sleep(0.002 + seconds * 0)
        if "--property=ActiveState" in words:
            return "ActiveState=active\n"
        return "" if works or words[0] != "restart" else None

    with (
        mock.patch.object(activation, "_systemctl", systemctl),
        mock.patch.object(activation, "_failed", str),
        mock.patch.object(activation, "_STEP", 0.002),
        suppress(ActivationError),
    ):
        take(source, device, lambda _text: None)


def _promoted(directory: Path, source: Path) -> str:
    _take(source, replace(DEVICE, directory=str(directory)), works=True)
    return _digest(directory / "current")


def _timed(directory: Path, source: Path) -> float:
    start = time.monotonic()
    _promoted(directory, source)
    return time.monotonic() - start


def _state(directory: Path, whole: dict[str, str]) -> str:
    """Return which configuration is in force, by every byte of it; each name of it leads there."""
    number = current(directory)
    if number is None:
        if (directory / "config.toml").exists():
            raise AssertionError("told, and not told")
        return "none"
    digest = _digest(directory / "generations" / str(number))
    names = [name for name, known in whole.items() if known == digest]
    if len(names) != 1:
        raise AssertionError(f"half of a configuration is in force: {digest}")
    for name in DERIVED:
        if (directory / name).resolve() != (directory / "generations" / str(number) / name).resolve():
            raise AssertionError(f"{name} leads elsewhere")
    return names[0]


def _killed(work: Callable[[], object], seconds: float) -> bool:
    """Do something in a process of its own and kill that after a while; return whether it was killed in time."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError("it failed by itself")
    return os.WIFSIGNALED(status)


def main() -> None:
    """Run the trials that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=0)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--below", help="where kills leave their files: a directory of the file system to be tried")
    args = parser.parse_args()
    if args.files:
        sys.stdout.write(json.dumps(mutations(args.files, args.seed)) + "\n")
    if args.kills:
        sys.stdout.write(json.dumps(kills(args.kills, args.seed, args.below)) + "\n")


if __name__ == "__main__":
    main()
