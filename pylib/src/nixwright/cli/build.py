"""`nixwright build`: what a host with slots is flashed with, and what it is updated with."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.cli.device import need_slots
from nixwright.cli.hosts import add_arguments, load_hosts, refuse
from nixwright.cli.install import add_flake, object_to, objections_here
from nixwright.errors import NixwrightError, ToolError
from nixwright.report.progress import short
from nixwright.tools.command import run_here
from nixwright.tools.nix_build import link_argv, need_nix

if TYPE_CHECKING:
    import argparse

# What each is called in `system.build`.
ARTIFACTS = {"image": "image", "squashfs": "squashfs", "bundle": "bundle", "boot-script": "bootScript"}
_NEXT = {
    "image": "Flash it: nixwright flash {path}",
    "bundle": "It is not signed yet: nixwright update does that, or `rauc bundle` (docs/updates.md)",
}


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("build", help="build a host's image, root, update bundle or boot script")
    add_arguments(parser, one=True)
    parser.add_argument("--artifact", choices=ARTIFACTS, default="image", help="what to build (%(default)s)")
    parser.add_argument("-o", "--out-link", type=Path, metavar="LINK", help="where (default: result-HOST-ARTIFACT)")
    add_flake(parser)
    parser.add_argument("--dry-run", action="store_true", help="print exactly what would run, and run nothing")


def run(args: argparse.Namespace) -> int:
    """Build; return 0 where done, 2 for mistakes and failures."""
    hosts = load_hosts(args, about=True)
    if hosts.told:
        return refuse(hosts, as_json=False)
    host = hosts.loaded[0].about
    need_slots(host)
    link = args.out_link or Path(f"result-{host['name']}-{args.artifact}")
    if link.exists() and not link.is_symlink():
        raise NixwrightError(f"{link} is there already, is no link of ours, and stays as it is: say another with -o")
    flake = args.flake or str(hosts.root)
    attribute = f"{flake}#nixosConfigurations.{host['name']}.config.system.build.{ARTIFACTS[args.artifact]}"
    argv = link_argv(attribute, link)
    if args.dry_run:
        sys.stdout.write(f"{shlex.join(argv)}\n")
        return 0
    need_nix()
    object_to(objections_here(hosts, host, on_target=False))
    status, _ = run_here(argv, terminal=True)  # Nix shows its own progress
    if status:
        raise ToolError(f"nix failed (exit status {status}): {args.artifact} of {host['name']} was not built")
    path = _file(link)
    sys.stdout.write(f"{path}{f' ({short(path.stat().st_size)})' if path.is_file() else ''}\n")
    if args.artifact in _NEXT:
        sys.stderr.write(f"{_NEXT[args.artifact].format(path=path)}\n")
    return 0


def _file(link: Path) -> Path:
    """Return the file that was built: itself, or the only one in its directory."""
    inside = [p for p in link.iterdir() if p.is_file()] if link.is_dir() else []
    return inside[0] if len(inside) == 1 else link
