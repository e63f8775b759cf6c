"""`nixwright verify-disk`: does the disk in front of me hold what the host file says."""

from __future__ import annotations

import dataclasses
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright.cli.hosts import add_arguments, load_hosts, refuse, write_json
from nixwright.errors import NixwrightError
from nixwright.probe.compare import Look, compare
from nixwright.probe.reader import Reader, open_reader
from nixwright.report.disk_rows import summary, table
from nixwright.tools.boot_files import boot_files
from nixwright.tools.signatures import datasets, kind_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_DIFFERS = 1
_MAPPED = Path("/dev/mapper")


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
        rows = compare(about, disk, reader, _look(block=Path(args.device).is_block_device()))
    if args.json:
        write_json({"host": about["name"], "disk": disk["name"], "rows": [dataclasses.asdict(r) for r in rows]})
    else:
        sys.stdout.write(f"{about['name']}, disk {disk['name']}: {args.device}\n\n{table(rows)}\n{summary(rows)}\n")
    return _DIFFERS if any(r.state == "differs" for r in rows) else 0


def _look(*, block: bool) -> Look:
    """What programs there are to look with; a file's containers and pools are open nowhere."""
    return Look(
        kind_of=lambda r: kind_of(r.path, r.start, r.size),
        opened=_opened if block else _closed,
        boot_files=lambda r: boot_files(r.path, r.start),
        datasets=datasets if block else lambda _: None,
    )


@contextmanager
def _opened(name: str, uuid: str) -> Iterator[Reader | None]:
    """Give the inside of a container where it is open, and is no other of the same name: the kernel knows its UUID."""
    path = _MAPPED / name
    if not path.exists() or uuid.replace("-", "") not in _dm_uuid(path):
        yield None
        return
    with open_reader(str(path)) as reader:
        yield reader


@contextmanager
def _closed(_name: str, _uuid: str) -> Iterator[Reader | None]:
    yield None


def _dm_uuid(path: Path) -> str:
    number = os.stat(path).st_rdev  # noqa: PTH116 - a device node, links followed
    file = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/dm/uuid")
    return file.read_text(encoding="ascii") if file.exists() else ""


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
