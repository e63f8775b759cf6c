"""`nixwright flash`: an image onto a removable disk, and onto no other."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.cli import consent
from nixwright.errors import NixwrightError
from nixwright.report.progress import Progress, short
from nixwright.tools import image
from nixwright.tools.block_devices import BlockDevice, block_devices, find, imported_pools, refusals
from nixwright.tools.disk_writer import device_number, open_disk

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("flash", help="write an image to a removable disk, and read it back")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a disk image: plain, gz, xz, zst, bz2 or lz4")
    parser.add_argument("disk", nargs="?", metavar="DISK", help="the disk (default: the one that is removable)")
    parser.add_argument("--fixed", action="store_true", help="let it be a disk that is not removable")
    consent.add_arguments(parser, "DISK'S NAME")


def run(args: argparse.Namespace) -> int:
    """Write and verify; return 0. Raises NixwrightError for everything that stands against it."""
    kind = image.compression(args.image)
    device = _device(args.disk, fixed=args.fixed)
    size = _measured(args.image, kind)
    if size > device.size:
        raise NixwrightError(f"{args.image} has {short(size)}, and {device.path} only {short(device.size)}")
    if args.dry_run:
        sys.stdout.write(_told(args.image, kind, device, size))
        return 0
    sys.stderr.write(f"{_line(device)}\nEverything on {device.path} will be destroyed.\n")
    consent.ask(device.name, args)
    try:
        _write(args.image, device, size)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{device.path} is half written, and of no use until it is flashed again.\n")
        raise
    sys.stdout.write(f"{device.path} holds {args.image.name}: {short(size)} written, and read back alike.\n")
    return 0


def _write(path: Path, device: BlockDevice, size: int) -> None:
    with open_disk(device.path, writing=True) as disk:
        if disk.number != device.number or disk.size != device.size:
            raise NixwrightError(f"{device.path} has become another disk: nothing was written")
        total = -(-size // disk.sector) * disk.sector
        disk.write(image.blocks(path), Progress("writing", total, sys.stderr))
        disk.verify(Progress("verifying", total, sys.stderr))
        disk.reread()


def _measured(path: Path, kind: str) -> int:
    """Return the bytes that the image has, decompressed: read to its end before a disk is touched."""
    return image.measure(path, Progress("measuring", path.stat().st_size, sys.stderr) if kind else lambda _: None)


def _device(said: str | None, *, fixed: bool) -> BlockDevice:
    """Return the disk that was said, or the only one that it can be. Raises NixwrightError where it must not be."""
    devices, pools = block_devices(), imported_pools()
    if said is None:
        return _only([d for d in devices if d.kind == "disk" and not [*refusals(d, None, pools)]])
    found = find(devices, device_number(said))
    if found is None:
        raise NixwrightError(f"lsblk does not know {said}")
    device, parent = found
    why = list(refusals(device, parent, pools, fixed=fixed))
    if why:
        raise NixwrightError(f"{said} {'; it '.join(why)}. Nothing was written.")
    return device


def _only(able: Sequence[BlockDevice]) -> BlockDevice:
    if len(able) == 1:
        return able[0]
    if not able:
        raise NixwrightError("there is no removable disk that is not in use: plug one in, and unmount it")
    lines = "".join(f"\n  {_line(d)}" for d in able)
    raise NixwrightError(f"several disks can be meant, so say which:{lines}")


def _line(device: BlockDevice) -> str:
    about = " ".join(t for t in (device.transport, device.model, device.serial) if t)
    return f"{device.path}  {short(device.size)}  {about}".rstrip()


def _told(path: Path, kind: str, device: BlockDevice, size: int) -> str:
    program = image.command(kind)
    reads = f"{shlex.join(program)} < {shlex.quote(str(path))}" if program else f"read {path}"
    inside = f", {kind} by Python" if kind and not program else ""
    return (
        f"{reads}{inside}\nopen {device.path}: exclusively, past the page cache ({_line(device)})\n"
        f"write {size} bytes from its begin\nread them back from the disk and compare\n"
    )
