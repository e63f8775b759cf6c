"""The disks of this machine, or of one that ssh reaches, by their stable names."""

from __future__ import annotations

from dataclasses import dataclass

from nixwright.errors import ToolError
from nixwright.tools.command import output_of

# Links in /dev/disk/by-id to whole disks, each with its size in sectors of 512 bytes, as the kernel counts them.
_SCRIPT = """
for link in /dev/disk/by-id/*; do
  name=$(basename "$(readlink -f "$link")")
  if [ -r "/sys/block/$name/size" ]; then
    echo "$(cat "/sys/block/$name/size") $link"
  fi
done
"""
_SECTOR = 512
_TIMEOUT = 30.0
# Names of the same disk: a person knows it by model and serial, not by its world-wide number.
_NUMBERS = ("wwn-", "nvme-eui.", "nvme-nvme.", "scsi-3", "scsi-S")
_NO_DISKS = ("dm-", "md-", "lvm-", "raid-")


@dataclass(frozen=True, slots=True)
class FoundDisk:
    """A disk's stable name and its size in bytes."""

    device: str
    size: int


def argv(machine: str | None) -> list[str]:
    """Return the command that lists the disks: here, or on `user@address`. Raises ToolError for what is no address."""
    if machine is None:
        return ["sh", "-c", _SCRIPT]
    if machine.startswith("-") or any(c.isspace() for c in machine):
        raise ToolError(f"{machine!r} is no machine: say user@address")
    return ["ssh", "-o", "ConnectTimeout=10", "--", machine, _SCRIPT]


def parse(text: str) -> list[FoundDisk]:
    """Read what the command prints; names by world-wide number are left out."""
    found: dict[str, FoundDisk] = {}
    for line in text.splitlines():
        size, _, device = line.partition(" ")
        name = device.rpartition("/")[2]
        if size.isdigit() and int(size) and not name.startswith((*_NUMBERS, *_NO_DISKS)):
            found[device] = FoundDisk(device, int(size) * _SECTOR)
    return sorted(found.values(), key=lambda d: d.device)


def disks(machine: str | None = None) -> list[FoundDisk]:
    """Return the disks. Raises ToolError where the machine cannot be asked."""
    return parse(output_of(argv(machine), timeout=_TIMEOUT, needs="it asks the machine for its disks"))
