"""`nixwright serial`: a board's console on this terminal, kept in a file, and there again after every power cut."""

from __future__ import annotations

import os
import shlex
import sys
import termios
import tty
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nixwright.cli.hosts import add_arguments, load_hosts, refuse
from nixwright.errors import NixwrightError
from nixwright.tools.serial_line import candidates, speed, talk

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("serial", help="a board's serial console; Ctrl-] leaves it")
    add_arguments(parser, one=True)
    parser.add_argument("--device", type=Path, metavar="LINE", help="the serial adapter (default: the only one)")
    parser.add_argument("--baud", type=int, help="the speed (default: the board's)")
    parser.add_argument("--capture", type=Path, metavar="FILE", help="append what comes to a file, too")
    parser.add_argument("--dry-run", action="store_true", help="say what would be opened, and open nothing")


def run(args: argparse.Namespace) -> int:
    """Talk until Ctrl-] or Ctrl-C; return 0, or 2 for mistakes and failures."""
    hosts = load_hosts(args, about=True)
    if hosts.told:
        return refuse(hosts, as_json=False)
    baud = args.baud if args.baud is not None else _baud(hosts.loaded[0].about)
    speed(baud)
    device = args.device or _only(candidates())
    if args.dry_run:
        capture = f", kept in {shlex.quote(str(args.capture))}" if args.capture else ""
        sys.stdout.write(f"{device} at {baud} baud, 8N1, no flow control{capture}\n")
        return 0
    if not device.exists():
        sys.stderr.write(f"{device} is not there yet.\n")
    with ExitStack() as stack:
        kept = stack.enter_context(_opened(args.capture)) if args.capture else None
        keys = stack.enter_context(_raw_keys()) if sys.stdin.isatty() else None

        def take(data: bytes) -> None:
            if kept is not None:  # before it is seen: who has seen it may interrupt us
                kept.write(data)
                kept.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

        try:
            talk(device, baud, take, keys, _note)
        except KeyboardInterrupt:
            return 0
    return 0


def _note(text: str) -> None:
    sys.stderr.write(f"\r\n[{text}; Ctrl-] leaves]\r\n")
    sys.stderr.flush()


def _baud(host: dict[str, Any]) -> int:
    found = next((f for f in host["facts"] if f["kind"] == "SerialConsole"), None)
    if found is None:
        raise NixwrightError(f"{host['board']} has no serial console that is known: say its speed with --baud")
    return int(found["baud"])


def _only(found: list[Path]) -> Path:
    if len(found) != 1:
        listed = "".join(f"\n  {path}" for path in found)
        what = f"there are {len(found)} serial adapters:{listed}\nSay" if found else "there is no serial adapter: say"
        raise NixwrightError(f"{what} which with --device")
    return found[0]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("ab") as file:
            yield file
    except OSError as error:
        raise NixwrightError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _raw_keys() -> Iterator[int]:
    """Give the keyboard to the board, key by key, Ctrl-C too; after the block the terminal is as before."""
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    try:
        tty.setraw(keys)
        yield keys
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)
        os.write(sys.stderr.fileno(), b"\n")
