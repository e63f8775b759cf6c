"""Programs for the tests of evaluation: directories with a `nix-eval-jobs` that replays, and what is left running."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

RUNS = Path(__file__).parent / "data/nix-eval-jobs/runs.jsonl"
CASES = {run["case"]: run for run in map(json.loads, RUNS.read_text(encoding="utf-8").splitlines())}
REPLAY = Path(__file__).parent / "replay_eval_jobs.py"


def script(directory: Path, name: str, text: str) -> None:
    """Write a program for /bin/sh."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (directory / name).chmod(0o755)


def replaying(tmp_path: Path, case: str = "", **more: object) -> dict[str, str]:
    """Return an environment where nix-eval-jobs replays a recorded case, or what REPLAY_* say, and there is no nix."""
    directory = tmp_path / "bin"
    # exec: the process that is started is the one that is replayed
    script(directory, "nix-eval-jobs", f'exec {sys.executable} -S {REPLAY} "$@"')
    env = {"PATH": str(directory), "REPLAY": str(RUNS), "REPLAY_CASE": case, "MARK": str(tmp_path)}
    return env | {f"REPLAY_{name.upper()}": str(value) for name, value in more.items()}


def left_running(tmp_path: Path) -> list[str]:
    """Return the command lines of processes that an environment of `replaying` started and that still run."""
    mark = f"MARK={tmp_path}".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (directory / "environ").read_bytes().split(b"\0"):
                found.append((directory / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # gone meanwhile, or another's
            continue
    return found


def link(directory: Path, *programs: str) -> None:
    """Put programs of this machine into a directory."""
    directory.mkdir(exist_ok=True)
    for program in programs:
        path = shutil.which(program)
        assert path, program
        (directory / program).symlink_to(path)
