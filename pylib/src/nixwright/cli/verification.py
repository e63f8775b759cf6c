"""`nixwright verification`: the page that says what was proved, where and with what, from the runner's own JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.cli.checks import checks_of, find_hosts, this_system
from nixwright.errors import NixwrightError
from nixwright.load import Limits

if TYPE_CHECKING:
    import argparse

    from nixwright.runner.results import Run


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("verification", help="write what was proved, from the results of `test --json`")
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN.json", help="results; of two of a check the later counts"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page there (default: print it)")
    parser.add_argument(
        "--hosts", type=Path, nargs="+", metavar="HOST.py", help="host files (default: those in hosts/)"
    )
    parser.add_argument("--root", type=Path, help="the project's directory (default: here)")
    limits = Limits()
    parser.set_defaults(system=this_system(), time_limit=limits.seconds, memory_limit=limits.memory >> 20)


def run(args: argparse.Namespace) -> int:
    """Write the page; return 0, or 2 for mistakes."""
    from nixwright.cli.hosts import load_hosts, refuse  # noqa: PLC0415 - --help does without
    from nixwright.report.verification import page  # noqa: PLC0415
    from nixwright.runner.history import write_whole  # noqa: PLC0415

    runs = [_read(file) for file in args.runs]
    find_hosts(args)
    hosts = load_hosts(args)
    if hosts.told:
        return refuse(hosts, as_json=False)
    text = page(checks_of(hosts), checks_of(hosts, sabotage=True), runs)
    if args.write is None:
        sys.stdout.write(text)
        return 0
    try:
        write_whole(args.write, text)
    except OSError as error:
        raise NixwrightError(f"cannot write {args.write}: {error.strerror}") from error
    return 0


def _read(file: Path) -> Run:
    """Read the results of a run. Raises NixwrightError where the file is none."""
    from nixwright.runner.results import from_data  # noqa: PLC0415

    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return from_data(data if isinstance(data, dict) else {})
    except OSError as error:
        raise NixwrightError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise NixwrightError(f"{file} is no result of `test --json`: {error}") from error
