"""`nixwright ci-matrix`: the checks as a matrix of GitHub Actions, a job each."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from nixwright.cli.checks import add_arguments, checks_of, find_hosts, host_named
from nixwright.errors import NixwrightError

if TYPE_CHECKING:
    import argparse

MOST = 256  # jobs that GitHub runs of one matrix
# GitHub's own machines: those of x86_64 have KVM, once /dev/kvm is opened; those of aarch64 have none.
_RUNNERS = {"x86_64-linux": "ubuntu-24.04", "aarch64-linux": "ubuntu-24.04-arm"}


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("ci-matrix", help="print the checks as a matrix of GitHub Actions")
    add_arguments(parser)
    parser.add_argument("--sabotage", action="store_true", help="the checks under their sabotages")


def run(args: argparse.Namespace) -> int:
    """Print the matrix on one line, as `fromJSON` takes it. Raises NixwrightError where it is empty or too long."""
    from nixwright.cli.hosts import load_hosts, refuse  # noqa: PLC0415 - --help does without
    from nixwright.runner.selection import chosen  # noqa: PLC0415

    find_hosts(args)
    hosts = load_hosts(args)
    if hosts.told:
        return refuse(hosts, as_json=False)
    wanted = chosen(checks_of(hosts, sabotage=args.sabotage), host_named(hosts, args.host), args.pattern)
    if not wanted:
        raise NixwrightError("there is no check, and an empty matrix is green: GitHub would skip the job")
    if len(wanted) > MOST:
        raise NixwrightError(f"{len(wanted)} checks, and GitHub runs {MOST} jobs of a matrix: one a host, or with -k")
    output = f"legacyPackages.{args.system}.sabotages" if args.sabotage else f"checks.{args.system}"
    rows = [
        {
            "check": one.title,
            "host": one.host,
            "attribute": f"{output}.{one.attribute}",
            "command": f"nixwright test {one.host} -k {one.attribute}" + (" --sabotage" if one.sabotage else ""),
            "runner": _RUNNERS.get(args.system, args.system),
            "kvm": one.machines > 0 and not one.container,
            "container": one.container,
        }
        for one in wanted
    ]
    sys.stdout.write(json.dumps({"include": rows}, separators=(",", ":"), ensure_ascii=False) + "\n")
    return 0
