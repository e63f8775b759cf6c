"""What stands against an installation, told before it begins: the dead ends that others went into.

Each rule is a function of the host's description and of what the two machines say of themselves. Sources: the field
reports of the headless Pi 4 (kexec, binfmt, files that Git does not know), disko's and OpenZFS' manuals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.report.progress import short
from nixwright.tools.block_devices import find, refusals

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from nixwright.install.state import State
    from nixwright.install.target import Target
    from nixwright.tools.nix_machine import NixMachine

Data = dict[str, Any]

_MACHINES = {"aarch64-linux": "aarch64", "x86_64-linux": "x86_64"}
_BACKUP_TABLE = 34 * 512  # bytes
_LITTLE_MEMORY = 1 << 30  # bytes: below, nix itself is at its limit


@dataclass(frozen=True, slots=True)
class Objection:
    """What stands against it, and what to do. A `warning` is told and no more."""

    what: str
    fix: str = ""
    warning: bool = False


def of_build(host: Data, here: NixMachine, *, on_target: bool) -> Iterator[Objection]:
    """Whether this machine can build for the host's processor."""
    system = host["system"]
    if on_target or system == here.system or system in here.builders:
        return
    if system in here.emulated:
        yield Objection(
            f"this machine builds {system} by emulation: what no cache has takes hours (a kernel: more than two)",
            "--build-on target, or a builder in nix.conf; the sandbox needs binfmt's fixBinary "
            "(boot.binfmt.registrations.*.fixBinary) or /run/binfmt among extra-sandbox-paths",
            warning=True,
        )
        return
    fix = "--build-on target; or a builder (nix.conf, builders); or boot.binfmt.emulatedSystems, and patience"
    yield Objection(f"this machine is {here.system or 'without Nix'} and cannot build for {system}", fix)


def of_files(unknown: Collection[str], stale: Collection[str]) -> Iterator[Objection]:
    """Whether what Nix will see is what the host file says."""
    for path in sorted(stale):
        yield Objection(f"{path} is not what gen writes from the host file now", "nixwright gen")
    for path in sorted(unknown):
        fix = f"git add {path} (a secret is no file of a flake: path: would copy it to the store, which all can read)"
        yield Objection(f"Git does not know {path}, so Nix will not see it", fix)


def of_machine(host: Data, target: Target) -> Iterator[Objection]:
    """Whether the target is a machine that can install."""
    machine = _MACHINES[host["system"]]
    if target.user != 0:
        yield Objection("the target does not let root in", "root's key into /root/.ssh/authorized_keys there")
    if target.machine != machine:
        yield Objection(f"the target is {target.machine}, and {host['name']} is {machine}", "another target")
    if target.system != "nixos" or "nixos-install" not in target.programs:
        fix = (
            "start the target from a NixOS installer or an SD image of its own. Not by kexec: a Raspberry Pi 4 locks"
            " up in it, and other systems' kernels often have none"
        )
        yield Objection(f"the target runs {target.system or 'something else'}, not NixOS with nixos-install", fix)
    if host["pools"] and not target.zfs:
        yield Objection("the target has no ZFS", 'an installer with boot.supportedFilesystems = [ "zfs" ]')
    esp = any((p["content"] or {}).get("esp") and p["content"]["at"] for d in host["disks"] for p in d["partitions"])
    if esp and host["system"] == "x86_64-linux" and not target.efi:
        yield Objection("the target was not started by UEFI, which the boot loader needs", "UEFI in its firmware")
    if target.memory < _LITTLE_MEMORY:
        what = f"the target has {short(target.memory)} of memory: the system is copied to its disk, not to memory"
        yield Objection(f"{what}, but building there may fail", "build here", warning=True)


def of_disks(host: Data, target: Target, state: State | None) -> Iterator[Objection]:
    """Whether the disks are those of the host file, and free. Disks that this installation formatted may be in use."""
    if not host["disks"]:
        yield Objection(f"{host['name']} has no disks in its host file", "disks=[...]")
    ours = state is not None and is_formatted(host, target, state)
    numbers: dict[str, str] = {}
    for disk in host["disks"]:
        device = disk["device"]
        there = target.disks.get(device)
        if there is None:
            seen = ", ".join(f"{d.path} ({short(d.size)})" for d in target.devices if d.kind == "disk") or "none"
            fix = "ls -l /dev/disk/by-id there: another port or adapter gives another name"
            yield Objection(f"the target has no disk {device}; it has {seen}", fix)
            continue
        other = numbers.setdefault(there.number, device)
        if other != device:
            yield Objection(f"{device} and {other} are one and the same disk", "name each by its own serial number")
        needed = disk["size"] or _needed(disk)
        if there.size < needed:
            yield Objection(f"{device} has {short(there.size)}, and the layout needs {short(needed)}", "a larger disk")
    if not ours:
        yield from _in_use(host, target)


def _in_use(host: Data, target: Target) -> Iterator[Objection]:
    for there in target.disks.values():
        found = find(target.devices, there.number)
        for why in refusals(*found, set(target.pools), fixed=True) if found else ():
            yield Objection(f"{there.device} {why}", "another disk, or free it: it would be destroyed")
    for path in sorted(target.mounted):
        yield Objection(f"something is mounted at {path} on the target", f"umount -R {path}")
    for pool in (p["name"] for p in host["pools"] if p["name"] in target.pools):
        yield Objection(f"the target has a pool {pool} imported", f"zpool export {pool}, or another name")
    yield from _pools_elsewhere(host, target)


def _pools_elsewhere(host: Data, target: Target) -> Iterator[Objection]:
    """Other disks that hold a pool of a name of ours: disko imports a pool by its name before it would create one."""
    names, numbers = {p["name"] for p in host["pools"]}, {d.number for d in target.disks.values()}
    for disk in (d for d in target.devices if d.number not in numbers):
        for inside in disk.walk():
            if inside.fs_type == "zfs_member" and inside.label in names - target.pools:
                what = f"{inside.path} holds another pool {inside.label}, which would be taken instead of a new one"
                yield Objection(what, f"unplug {disk.path}, or another name for the pool")


def is_formatted(host: Data, target: Target, state: State) -> bool:
    """Tell whether all disks are the ones that were formatted: they have the tables that they got then."""
    tables = {d["device"]: target.disks[d["device"]].table for d in host["disks"] if d["device"] in target.disks}
    return bool(state.formatted) and tables == state.formatted


def _needed(disk: Data) -> int:
    return max((int(p["start"] + (p["size"] or 0)) for p in disk["partitions"]), default=0) + _BACKUP_TABLE
