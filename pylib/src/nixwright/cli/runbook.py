"""`nixwright runbook`: the install steps of a host, printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nixwright.cli.hosts import add_arguments, load_hosts, refuse
from nixwright.tree import read_stamp

if TYPE_CHECKING:
    import argparse


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    add_arguments(subparsers.add_parser("runbook", help="print the install steps of hosts, as Markdown"))


def run(args: argparse.Namespace) -> int:
    """Print INSTALL.md of each host, as gen would write it now."""
    hosts = load_hosts(args)
    if hosts.told:
        return refuse(hosts, as_json=False)
    for host in hosts.loaded:
        text = host.files[f"modules/{host.name}/INSTALL.md"]
        stamped = read_stamp(text)
        sys.stdout.write(text if stamped is None else stamped.body)
    return 0
