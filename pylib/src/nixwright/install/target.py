"""The machine to install on, as it is: asked by one script that changes nothing."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nixwright.errors import ToolError
from nixwright.tools import block_devices
from nixwright.tools.block_devices import LSBLK, BlockDevice

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAMS = ("nixos-install", "nix", "bash", "install")
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class TargetDisk:
    """A disk of the layout as the target has it. `table` is the id of its partition table, empty without one."""

    device: str
    number: str
    size: int
    table: str


@dataclass(frozen=True, slots=True)
class Target:
    """What the target says of itself."""

    machine: str = ""  # as uname -m says it
    user: int = -1
    system: str = ""  # ID of os-release
    boot: str = ""  # differs from boot to boot
    efi: bool = False
    zfs: bool = False
    memory: int = 0  # bytes
    programs: frozenset[str] = frozenset()
    disks: dict[str, TargetDisk] = field(default_factory=dict)
    mounted: frozenset[str] = frozenset()  # mount points at and below /mnt
    present: frozenset[str] = frozenset()  # of the files that were asked after
    devices: tuple[BlockDevice, ...] = ()
    pools: frozenset[str] = frozenset()


def script(disks: Sequence[str], files: Sequence[str]) -> str:
    """Return the script. `disks` are stable names, `files` paths whose being there matters."""
    tests = "\n".join(f"if test -s {shlex.quote(f)}; then echo present={shlex.quote(f)}; fi" for f in files)
    lines = "\n".join(_disk(d) for d in disks)
    return f"""\
echo machine="$(uname -m)"
echo user="$(id -u)"
echo system="$(. /etc/os-release && echo "$ID")"
echo boot="$(cat /proc/sys/kernel/random/boot_id)"
echo memory="$(awk '/^MemTotal:/ {{ print $2 }}' /proc/meminfo)"
if test -d /sys/firmware/efi; then echo efi=1; fi
if test -d /sys/module/zfs || modprobe --dry-run zfs 2>/dev/null; then echo zfs=1; fi
for program in {" ".join(PROGRAMS)}; do
  if command -v "$program" >/dev/null; then echo program="$program"; fi
done
awk '$5 == "/mnt" || index($5, "/mnt/") == 1 {{ print "mounted=" $5 }}' /proc/self/mountinfo
for pool in /proc/spl/kstat/zfs/*/; do
  if test -d "$pool"; then echo pool="$(basename "$pool")"; fi
done
{tests}
{lines}
echo lsblk=
{shlex.join(LSBLK)}
"""


def _disk(device: str) -> str:
    quoted = shlex.quote(device)
    return f"""\
if test -b {quoted}; then
  name=$(basename "$(readlink -f {quoted})")
  echo disk={quoted} "$(cat "/sys/class/block/$name/dev")" "$(cat "/sys/class/block/$name/size")" \\
    "$(lsblk --nodeps --noheadings --output PTUUID {quoted})"
fi"""


def parse(text: str) -> Target:
    """Read what the script prints. Raises ToolError for anything else."""
    lines, found, listed = text.split("\n"), dict[str, list[str]](), ""
    for index, line in enumerate(lines):
        key, equals, value = line.partition("=")
        if key == "lsblk" and equals:
            listed = "\n".join(lines[index + 1 :])
            break
        found.setdefault(key, []).append(value.strip())
    if not listed.strip() or not found.get("user"):
        raise ToolError("the target did not say what it is: is its shell bash, and does it print nothing by itself?")
    disks = {}
    for row in found.get("disk", []):
        device, number, size, *table = row.split()
        disks[device] = TargetDisk(device, number, int(size) * _SECTOR, table[0] if table else "")
    return Target(
        machine=found["machine"][0],
        user=int(found["user"][0]),
        system=found["system"][0],
        boot=found["boot"][0],
        efi="efi" in found,
        zfs="zfs" in found,
        memory=int(found["memory"][0] or 0) * 1024,
        programs=frozenset(found.get("program", [])),
        disks=disks,
        mounted=frozenset(found.get("mounted", [])),
        present=frozenset(found.get("present", [])),
        devices=tuple(block_devices.parse(listed)),
        pools=frozenset(found.get("pool", [])),
    )
