"""`nixwright schema`: the option schema of one's own nixpkgs and modules."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.errors import ToolError
from nixwright.options.shards import write
from nixwright.tools.option_schema import Source, schema_of

if TYPE_CHECKING:
    import argparse


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("schema", help="make the option schema of a nixpkgs and modules of your own")
    parser.add_argument("file", type=Path, metavar="FILE", help="where to write it")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--flake", default="", metavar="REF#ATTR", help="a configuration: .#nixosConfigurations.pibox")
    which.add_argument("--nixpkgs", default="<nixpkgs>", metavar="PATH", help="a nixpkgs (default: <nixpkgs>)")
    parser.add_argument("--module", type=Path, action="append", default=[], help="a module beside NixOS' own")
    parser.add_argument("--omit", action="append", default=[], metavar="OPTION", help="leave out an option")
    parser.add_argument("--system", default="aarch64-linux", help="the system (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Ask Nix and write the file; return 0."""
    if args.flake and args.module:
        raise ToolError("--module is for --nixpkgs: a flake's configuration has its modules")
    found = schema_of(Source(args.flake, args.nixpkgs, tuple(args.module), tuple(args.omit), args.system))
    if not args.file.parent.is_dir():
        raise ToolError(f"{args.file.parent} is no directory")
    handle, beside = tempfile.mkstemp(dir=args.file.parent, prefix=".schema-")
    os.close(handle)
    try:
        number = write(found, Path(beside))
        Path(beside).chmod(0o644)
        Path(beside).replace(args.file)
    finally:
        Path(beside).unlink(missing_ok=True)
    print(f"{args.file}: {number} options")  # noqa: T201
    return 0
