"""`nixwright verify-disk`: does the disk in front of me hold what the host file says."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright.cli.hosts import add_arguments, load_hosts, refuse, write_json
from nixwright.errors import NixwrightError
from nixwright.probe.compare import compare
from nixwright.probe.looks import looks
from nixwright.probe.reader import open_reader
from nixwright.report.disk_rows import summary, table

if TYPE_CHECKING:
    import argparse

_DIFFERS = 1


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("verify-disk", help="compare a disk, or an image of one, with a host file")
    add_arguments(parser, one=True)
    parser.add_argument("device", metavar="DEVICE", help="the disk, or a file with an image of it")
    parser.add_argument("--disk", metavar="NAME", help="which disk of the host it is, where that has several")
    parser.add_argument("--json", action="store_true", help="say everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Compare, print, and return 0, or 1 where something differs, or 2 for mistakes."""
    hosts = load_hosts(args, about=True)
    if hosts.told:
        return refuse(hosts, as_json=args.json)
    about = hosts.loaded[0].about
    disk = _disk(about, args.disk, args.device)
    with open_reader(args.device) as reader:
        rows = compare(about, disk, reader, looks(block=Path(args.device).is_block_device()))
    if args.json:
        write_json({"host": about["name"], "disk": disk["name"], "rows": [dataclasses.asdict(r) for r in rows]})
    else:
        sys.stdout.write(f"{about['name']}, disk {disk['name']}: {args.device}\n\n{table(rows)}\n{summary(rows)}\n")
    return _DIFFERS if any(r.state == "differs" for r in rows) else 0


def _disk(about: dict[str, Any], name: str | None, device: str) -> dict[str, Any]:
    """Return which of the host's disks is meant: said, by its stable name, or the only one."""
    disks: list[dict[str, Any]] = about["disks"]
    names = ", ".join(d["name"] for d in disks)
    if not disks:
        raise NixwrightError(f"{about['name']} has no disks in its host file")
    if name is not None:
        found = [d for d in disks if d["name"] == name]
        if not found:
            raise NixwrightError(f"{about['name']} has no disk {name}: it has {names}")
        return found[0]
    same = [d for d in disks if os.path.realpath(d["device"]) == os.path.realpath(device)]
    found = same or (disks if len(disks) == 1 else [])
    if not found:
        raise NixwrightError(f"{about['name']} has several disks: say --disk with one of {names}")
    return found[0]
