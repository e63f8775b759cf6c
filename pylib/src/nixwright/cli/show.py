"""`nixwright show`: what a host is, on one screen or as a page to send to a friend."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.cli.device import Device, add_target
from nixwright.cli.hosts import add_limits, load_hosts, refuse, write_json
from nixwright.errors import NixwrightError
from nixwright.install.slot_state import rows
from nixwright.report.colour import Colours
from nixwright.report.show_text import screen

if TYPE_CHECKING:
    import argparse


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("show", help="what a host is: disks, what survives a boot, network, secrets, checks")
    parser.add_argument("hosts", nargs="*", type=Path, metavar="HOST.py", help="host files, or directories of them")
    parser.add_argument(
        "--html", nargs="?", const=Path(), type=Path, metavar="FILE", help="write one page instead (NAME.html)"
    )
    parser.add_argument("--json", action="store_true", help="everything that is known, as JSON")
    add_target(parser, needed=False)
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    """Show each host; return 0, or 2 for mistakes."""
    if args.html is not None and args.html.suffix == ".py":  # `--html HOST.py`: the file name was left out
        args.hosts, args.html = [args.html, *args.hosts], Path()
    if not args.hosts:
        raise NixwrightError("say which host, as in: nixwright show hosts/pibox.py")
    hosts = load_hosts(args, about=True)
    if hosts.told:
        return refuse(hosts, as_json=args.json)
    if args.target is not None:
        only, *more = hosts.loaded
        if more:
            raise NixwrightError("--target is one device: say which host runs on it")
        only.about["device"] = rows(Device.reached(args, hosts).ask())
    known = [[dataclasses.asdict(c) for c in host.checks] for host in hosts.loaded]
    if args.json:
        write_json({"hosts": [h.about | {"checks": c} for h, c in zip(hosts.loaded, known, strict=True)]})
        return 0
    pages = list(zip(hosts.loaded, known, strict=True))
    if args.html is not None:
        from nixwright.report.show_page import page, write_page  # noqa: PLC0415 - the terminal needs none of it

        if args.html != Path() and len(pages) > 1:
            raise NixwrightError("a page shows one host: leave the file name out, and each gets its own")
        for host, checks in pages:
            target = args.html if args.html != Path() else Path(f"{host.name}.html")
            write_page(target, page(host.about, checks, host.source))
            sys.stdout.write(f"{target} is written: one file, nothing of it is fetched from anywhere.\n")
        return 0
    texts = [screen(host.about, checks, host.source, Colours.of(sys.stdout)) for host, checks in pages]
    sys.stdout.write("\n".join(texts))
    return 0
