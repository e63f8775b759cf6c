"""`nixwright new`: a first host file, with what can be known filled in and a comment where a person must decide."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.errors import NixwrightError, ToolError
from nixwright.host import HOST_NAME, is_host_name
from nixwright.record import nearest
from nixwright.tools.disks import FoundDisk, disks

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

RELEASE = "26.05"
_GB = 10**9
_BOARDS = {
    "pi4": ("from nixwright.boards.pi4 import Pi4", "Pi4()", "", "eth0"),
    "pibox": ("from nixwright.boards.pibox import PiBox", 'PiBox(firmware_volume_id="{volume}")', "at=None", "eth0"),
    "qemu-vm": ("from nixwright.boards.qemu_vm import QemuVm", "QemuVm()", "", "eth0"),
}


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("new", help="write a first host file")
    parser.add_argument("name", metavar="NAME", help="the host's name")
    parser.add_argument("--board", required=True, help=f"what hardware it is: {', '.join(sorted(_BOARDS))}")
    parser.add_argument("--machine", metavar="USER@ADDRESS", help="offer the disks of this machine, asked by ssh")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's directory (default: here)")


def run(args: argparse.Namespace) -> int:
    """Write hosts/NAME.py; never over a file that is there."""
    _check(args.name, args.board)
    path = args.root / "hosts" / f"{args.name}.py"
    try:
        found = disks(args.machine)
    except ToolError:
        if args.machine:
            raise
        found = []  # a machine without /sys is no reason to write nothing
    text = host_text(args.name, args.board, found, secrets.token_hex(4), secrets.token_hex(4).upper())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise NixwrightError(f"{path} is there already, and stays as it is") from error
    except OSError as error:
        raise NixwrightError(f"cannot write {path}: {error.strerror}") from error
    sys.stdout.write(f"{path} is written. Where it says DECIDE, decide; then: nixwright gen {path}\n")
    return 0


def _check(name: str, board: str) -> None:
    """Raise NixwrightError for what is no host name, and for a board that there is not."""
    if not is_host_name(name):
        raise NixwrightError(f"{name!r} is no host name: {HOST_NAME}")
    if board not in _BOARDS:
        near = nearest(board, _BOARDS)
        meant = f"did you mean {near}? " if near else ""
        raise NixwrightError(f"there is no board {board!r}: {meant}There are {', '.join(sorted(_BOARDS))}")


def host_text(name: str, board: str, found: Sequence[FoundDisk], host_id: str, volume: str) -> str:
    """Return the text of a first host file. `host_id` and `volume` are 8 hexadecimal digits, fresh."""
    import_line, made, esp, interface = _BOARDS[board]
    made = made.format(volume=f"{volume[:4]}-{volume[4:]}")
    offered = "".join(f'#   "{d.device}"  {d.size / _GB:.0f} GB\n' for d in found)
    seen = f"# DECIDE: which disk? Everything on it will be destroyed. Seen:\n{offered}" if found else _NO_DISK
    device = found[0].device if len(found) == 1 else "DECIDE"
    return f'''"""{name}: DECIDE: one line on what this host is for."""

from nixwright import Host, User
{import_line}
from nixwright.layout import ESP, GPT, REST, Dataset, Disk, GiB, Luks, Partition, Passphrase, Zpool
from nixwright.parts.ethernet import Ethernet
from nixwright.parts.ssh import Ssh

tank = Zpool(
    "tank",
    datasets=[
        Dataset("root", at="/"),  # DECIDE: wiped=True empties it at every boot; then give /persist a dataset too
        Dataset("nix", at="/nix"),
        Dataset("home", at="/home", snapshots=True),
    ],
)
{seen}disk = Disk(
    "{device}",
    GPT(
        Partition("EFI system partition", GiB(1), ESP({esp})),
        Partition("root", REST, Luks("cryptroot", opens_with=[Passphrase()], content=tank.member())),
    ),
)
host = Host(
    name="{name}",
    host_id="{host_id}",  # fresh: it tells ZFS which machine a pool belongs to
    state_version="{RELEASE}",
    board={made},
    disks=[disk],
    parts=[
        Ethernet("{interface}", dhcp=True),
        Ssh(),
    ],
    users=[
        # DECIDE: who you are, and the line of your ~/.ssh/id_ed25519.pub
        User("admin", groups=["wheel"], ssh_keys=["DECIDE"]),
    ],
)
'''


_NO_DISK = "# DECIDE: which disk? Everything on it will be destroyed. On the machine: ls -l /dev/disk/by-id\n"
