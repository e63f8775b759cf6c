"""What the commands about checks have in common: the hosts of the project, and the checks that they bring."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.errors import NixwrightError
from nixwright.load import Limits
from nixwright.runner.selection import all_checks, sabotaged

if TYPE_CHECKING:
    import argparse

    from nixwright.cli.hosts import Hosts
    from nixwright.runner.selection import Wanted

_MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the project is and what of it is meant."""
    parser.add_argument("host", nargs="?", metavar="HOST", help="checks of this host alone (default: of all)")
    parser.add_argument(
        "-k", dest="pattern", metavar="PATTERN", help="checks whose name holds this (a regular expression)"
    )
    parser.add_argument(
        "--hosts", type=Path, nargs="+", metavar="HOST.py", help="host files (default: those in hosts/)"
    )
    parser.add_argument("--root", type=Path, help="the project's directory (default: here)")
    parser.add_argument("--system", default=this_system(), help="where the checks run (default: %(default)s)")
    limits = Limits()
    parser.set_defaults(time_limit=limits.seconds, memory_limit=limits.memory >> 20)


def find_hosts(args: argparse.Namespace) -> None:
    """Fill in where the host files are. Raises NixwrightError where there are none."""
    args.root = (args.root or Path()).absolute()
    if args.hosts is None:
        if not (args.root / "hosts").is_dir():
            raise NixwrightError(f"{args.root} has no directory hosts/: say where the project is with --root")
        args.hosts = [args.root / "hosts"]


def checks_of(hosts: Hosts, *, sabotage: bool = False) -> list[Wanted]:
    """Return the checks of the hosts as the flake has them, or those under their sabotages."""
    facts = [fact for host in hosts.loaded for fact in host.checks]
    return sabotaged(facts) if sabotage else all_checks(facts, [host.name for host in hosts.loaded])


def host_named(hosts: Hosts, said: str | None) -> str | None:
    """Return a host's name, also where its file was given for it (`hosts/pibox.py`)."""
    if said is None or not said.endswith(".py"):
        return said
    file = Path(said).absolute()
    return next((h.name for h in hosts.loaded if hosts.root / h.source == file), said)


def this_system() -> str:
    """Return Nix' name for this machine as Linux has it: VMs run on Linux, on a Mac in its Linux builder."""
    machine = platform.machine().lower()
    return f"{_MACHINES.get(machine, machine)}-linux"
