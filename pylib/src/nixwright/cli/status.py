"""`nixwright status`: what a device with slots runs, and what it would go back to."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from typing import TYPE_CHECKING

from nixwright.cli.device import MISTAKES, Device, add_device
from nixwright.cli.hosts import write_json
from nixwright.install.slot_state import told

if TYPE_CHECKING:
    import argparse


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("status", help="which slot a device runs, which is good, what is provisioned")
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--dry-run", action="store_true", help="print exactly what would run, and run nothing")


def run(args: argparse.Namespace) -> int:
    """Ask and tell; return 0 where the slot that runs is good, 1 where not (yet), 2 for mistakes and failures."""
    device = Device.of(args)
    if device is None:
        return MISTAKES
    if args.dry_run:
        sys.stdout.write(f"{shlex.join(device.question)}\n")
        return 0
    state = device.ask()
    if args.json:
        write_json(dataclasses.asdict(state))
    else:
        sys.stdout.write(told(device.name, device.remote.target, state))
    return 0 if state.decided else 1
