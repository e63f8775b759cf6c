"""The program `provision` on a device: what it is asked for, and what it says."""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from pathlib import Path

from nixwright.provisioning.activation import take
from nixwright.provisioning.bundle import LIMITS
from nixwright.provisioning.device import Device
from nixwright.provisioning.model import PAGE
from nixwright.provisioning.page import check, serve
from nixwright.provisioning.shape import RefusedError, read
from nixwright.provisioning.sources import import_first, seed_mark, told_wrong
from nixwright.provisioning.store import ActivationError, recover
from nixwright.provisioning.users import apply_users


def main() -> int:
    """Do what is asked for; return 0 where it is done, 1 where it is refused."""
    parser = argparse.ArgumentParser(prog="provision", description="Who this device is: checked, and put in force.")
    parser.add_argument("--device", type=Path, required=True, metavar="FILE", help="what the image says of the device")
    parser.add_argument("--run", type=Path, default=Path("/run/provision"), help="a directory in memory")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("validate", "look at a source"), ("import", "put a source in force")):
        command = commands.add_parser(name, help=text)
        command.add_argument("source", help="config.toml, or a bundle; - reads it from the standard input")
    first = commands.add_parser("first-boot", help="put in force what the boot partition or a USB stick has")
    first.add_argument("--wait", action="store_true", help="look again until the device was told")
    commands.add_parser("recover", help="decide what a power cut left undecided")
    users = commands.add_parser("apply", help="make the users that log in")
    users.add_argument("--records", type=Path, default=Path("/run/userdb"))
    users.add_argument("--homes", type=Path, default=Path("/home"))
    page = commands.add_parser("serve", help="the page on the LAN")
    page.add_argument("--address", default="")
    page.add_argument("--port", type=int, default=PAGE)
    args = parser.parse_args()
    try:
        return _run(args, read(Device, tomllib.loads(args.device.read_text("utf-8"))))
    except (RefusedError, ActivationError) as error:
        print(told_wrong(error), file=sys.stderr)  # noqa: T201
        return 1


def _run(args: argparse.Namespace, device: Device) -> int:
    args.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = Path(device.directory)
    if args.command in ("validate", "import"):
        with tempfile.NamedTemporaryFile(dir=args.run) as copy:
            source = Path(args.source)
            if args.source == "-":
                copy.write(sys.stdin.buffer.read(LIMITS.source + 1))
                copy.flush()
                source = Path(copy.name)
            if not source.is_file():
                _say(f"{source}: there is no such file")
                return 1
            if args.command == "validate":
                check(source, device, args.run)
                _say("the configuration is right")
            else:
                take(source, device, _say)
    elif args.command == "first-boot":
        return 0 if import_first(device, args.run, _say, wait=args.wait) else 1
    elif args.command == "recover":
        seed_mark(device)  # first of all, while the flash's own mark is there
        said = recover(directory)
        if said:
            _say(said)
    elif args.command == "apply":
        for line in apply_users(directory, device.shells, args.records, args.homes):
            _say(line)
    else:
        serve(device, args.run, args.address, args.port)
    return 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the journal
