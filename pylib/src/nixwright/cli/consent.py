"""A typed yes: whoever destroys or replaces something types its name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nixwright.errors import NixwrightError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """Add --yes and --dry-run. `name` says what is typed: NAME of what."""
    parser.add_argument("--yes", metavar=name, help=f"go on without being asked; say the {name.lower()} here")
    parser.add_argument("--dry-run", action="store_true", help="print exactly what would run, and run nothing")


def ask(name: str, args: argparse.Namespace) -> None:
    """Let the name be typed, unless --yes has it. Raises NixwrightError for anything else."""
    given = args.yes
    if given is None:
        sys.stderr.write(f"Type {name} to go on: ")
        sys.stderr.flush()
        given = sys.stdin.readline()
    if given.strip() != name:
        raise NixwrightError(f"that is not {name}: nothing was done")
