"""Block devices as `lsblk` tells of them, and why one must not be written to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright.errors import ToolError
from nixwright.tools.command import output_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COLUMNS = "NAME,PATH,TYPE,RM,HOTPLUG,RO,SIZE,TRAN,MODEL,SERIAL,FSTYPE,LABEL,MOUNTPOINTS,MAJ:MIN"
LSBLK = ("lsblk", "--json", "--bytes", "--output", _COLUMNS)
_TIMEOUT = 30.0
_WHOLE = ("disk", "loop")  # types that are written to as a whole
_POOLS = Path("/proc/spl/kstat/zfs")  # a directory for each imported pool (OpenZFS on Linux)


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A block device with what stands on it: partitions, and what they are opened as."""

    name: str
    path: str
    kind: str  # as lsblk's TYPE: disk, part, crypt, lvm, raid1, loop, rom
    size: int  # bytes
    removable: bool  # the medium or the device can be taken away: USB, card readers
    read_only: bool = False
    transport: str = ""
    model: str = ""
    serial: str = ""
    fs_type: str = ""
    label: str = ""
    mounted: tuple[str, ...] = ()  # "[SWAP]" for swap in use
    number: str = ""  # "8:16"
    children: tuple[BlockDevice, ...] = ()

    def walk(self) -> Iterator[BlockDevice]:
        """Yield it and all that stands on it."""
        yield self
        for child in self.children:
            yield from child.walk()


def block_devices() -> list[BlockDevice]:
    """Return this machine's block devices. Raises ToolError where lsblk cannot tell."""
    return parse(output_of(list(LSBLK), timeout=_TIMEOUT, needs="it tells what disks there are, and which are in use"))


def parse(text: str) -> list[BlockDevice]:
    """Read what LSBLK prints. Raises ToolError for anything else."""
    try:
        return [_device(d) for d in json.loads(text)["blockdevices"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ToolError("lsblk said something that is not understood; util-linux 2.37 or newer is needed") from error


def _device(data: dict[str, Any]) -> BlockDevice:
    transport = data["tran"] or ""
    return BlockDevice(
        data["name"],
        data["path"],
        data["type"],
        int(data["size"]),
        removable=data["rm"] or data["hotplug"] or transport == "usb",
        read_only=data["ro"],
        transport=transport,
        model=(data["model"] or "").strip(),
        serial=(data["serial"] or "").strip(),
        fs_type=data["fstype"] or "",
        label=data["label"] or "",
        mounted=tuple(m for m in data["mountpoints"] if m),
        number=data["maj:min"],
        children=tuple(_device(c) for c in data.get("children", ())),
    )


def find(devices: Sequence[BlockDevice], number: str) -> tuple[BlockDevice, BlockDevice | None] | None:
    """Return the device of a number (`8:16`) and the disk that it is on, which is None where it is one itself."""
    for disk in devices:
        for device in disk.walk():
            if device.number == number:
                return device, None if device is disk else disk
    return None


def imported_pools() -> set[str]:
    """Return the names of the ZFS pools that this machine has imported."""
    return {p.name for p in _POOLS.iterdir() if p.is_dir()} if _POOLS.is_dir() else set()


def refusals(device: BlockDevice, parent: BlockDevice | None, pools: set[str], *, fixed: bool = False) -> Iterator[str]:
    """Yield each reason why a device must not be overwritten, as the end of a sentence that begins with its path.

    `parent` is the disk that it is a part of, `pools` are those in use, `fixed` lets a disk that cannot be taken away.
    """
    if parent is not None or device.kind not in _WHOLE:
        whole = f" of {parent.path}: name the whole disk" if parent else ""
        yield f"is no disk but a {'partition' if device.kind == 'part' else device.kind}{whole}"
    if device.size == 0:
        yield "has no medium in it"
    if device.read_only:
        yield "is read-only (a lock on the card?)"
    for inside in device.walk():
        for at in inside.mounted:
            what = "is used as swap" if at == "[SWAP]" else f"is mounted at {at}"
            yield what if inside is device else f"holds {inside.path}, which {what}"
        if inside.fs_type == "zfs_member" and inside.label in pools:
            yield f"belongs to the ZFS pool {inside.label}, which is imported"
        for holder in inside.children:
            if holder.kind != "part":
                yield f"holds {inside.path}, which is open as {holder.path}"
    if not fixed and not device.removable:
        yield "is no removable disk"
