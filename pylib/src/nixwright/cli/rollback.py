"""`nixwright rollback`: a device goes back to its other slot, and says whether it did."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from nixwright.cli import consent
from nixwright.cli.device import MISTAKES, Device, add_device, add_patience
from nixwright.errors import NixwrightError
from nixwright.install.slot_state import told
from nixwright.install.slot_update import other_first, restart
from nixwright.install.work import StoppedError
from nixwright.tools.command import run_here

if TYPE_CHECKING:
    import argparse

    from nixwright.install.slot_state import DeviceState


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("rollback", help="restart a device into its other slot")
    add_device(parser)
    add_patience(parser)
    consent.add_arguments(parser, "HOST'S NAME")


def run(args: argparse.Namespace) -> int:
    """Look, ask, switch, wait; return 0 where the other slot runs and is good, 1 where it does not, 2 otherwise."""
    device = Device.of(args)
    if device is None:
        return MISTAKES
    if args.dry_run:
        steps = (device.question, other_first(device.remote), restart(device.remote), device.question)
        sys.stdout.write("".join(f"{shlex.join(argv)}\n" for argv in steps))
        return 0
    before = device.ask()
    other = before.other
    if other.marked != "good" or other.tries == "0":
        why = "has no try left" if other.tries == "0" else f"is marked {other.marked or 'nothing'}"
        raise NixwrightError(f"slot {other.name} of {device.remote.target} {why}: there is nothing to go back to")
    version = other.version or "what was flashed"
    sys.stderr.write(f"{device.remote.target} would restart from slot {before.slot} to {other.name} ({version}).\n")
    consent.ask(device.name, args)
    status, _ = run_here(other_first(device.remote))
    if status:
        raise StoppedError(f"slot {other.name} could not be made the first (exit status {status}): nothing was changed")
    after = device.restart(before, args.wait)
    sys.stdout.write(told(device.name, device.remote.target, after))
    return outcome(after, other.name)


def outcome(after: DeviceState, wanted: str) -> int:
    """Say what became of a restart to a slot; return 0 where it runs and is good, 1 where not."""
    if after.slot != wanted:
        sys.stdout.write(f"Slot {wanted} did not start, or not well: the device went back to slot {after.slot}.\n")
    elif not after.decided:
        gate = f" (health gate: {after.gate_told})" if after.failures else ""
        sys.stdout.write(f"Slot {wanted} runs, and is not marked good{gate}: if it fails, the device goes back.\n")
    else:
        sys.stdout.write(f"Slot {wanted} runs and is good.\n")
        return 0
    return 1
