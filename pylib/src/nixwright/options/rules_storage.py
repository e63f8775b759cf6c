"""Rules of ZFS, swap and file systems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nixwright.nix.values import Ref
from nixwright.options.rules_kit import Rule, missing, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.errors import Mistake
    from nixwright.options.host_view import Definition, HostView

NEWEST = ("linuxPackages_latest", "linuxPackages_testing", "linuxPackages-libre_latest")


def _zfs(view: HostView) -> Definition | None:
    """Return the first definition that brings ZFS, or None."""
    for option in ("boot.supportedFilesystems", "boot.initrd.supportedFilesystems"):
        for definition in view.all(option):
            if isinstance(definition.value, list) and "zfs" in definition.value:
                return definition
        as_set = view.one(option, "zfs")
        if as_set and as_set.value is True:
            return as_set
    for definition in view.definitions:
        if definition.path[0] == "fileSystems" and definition.path[-1] == "fsType" and definition.value == "zfs":
            return definition
        if definition.path[:3] == ("disko", "devices", "zpool"):
            return definition
    return None


def zfs_host_id(view: HostView) -> Iterator[Mistake]:
    """tasks/filesystems/zfs.nix and tasks/network-interfaces.nix: by it ZFS knows whose a pool is."""
    host_id, zfs = view.one("networking.hostId"), _zfs(view)
    if host_id and isinstance(host_id.value, str) and not re.fullmatch("[0-9a-fA-F]{8}", host_id.value):
        yield wrong(host_id, "is no host id", given=host_id.value, allowed="8 hexadecimal digits, as feeddead")
    if zfs and view.complete and (host_id is None or host_id.value is None):
        what = "is missing: by it ZFS knows that a pool is this host's"
        fix = "set 8 hexadecimal digits that no other host has: head -c4 /dev/urandom | od -A none -t x4"
        yield missing("networking.hostId", what, fix=fix, because=zfs)


def zfs_import(view: HostView) -> Iterator[Mistake]:
    """tasks/filesystems/zfs.nix: forced imports and hibernation."""
    every, sleeps = view.one("boot.zfs.forceImportAll"), view.one("boot.zfs.unsafeAllowHibernation")
    root = view.value("boot.zfs.forceImportRoot", default=True)  # the default of every release before 26.11
    if every and every.value is True and root is False:
        yield wrong(every, "needs boot.zfs.forceImportRoot too", fix="set boot.zfs.forceImportRoot = True")
    if sleeps and sleeps.value is True and (root is True or (every and every.value is True)):
        what = "together with a forced import corrupts the pool"
        yield wrong(sleeps, what, fix="set boot.zfs.forceImportRoot and forceImportAll = False")


def zfs_kernel(view: HostView) -> Iterator[Mistake]:
    """The ZFS module is marked as broken for kernels newer than it knows: the host would stop building some day."""
    for definition in view.definitions:
        if definition.path == ("boot", "kernelPackages") and _zfs(view):
            value = definition.raw
            if isinstance(value, Ref) and value.path[-1] in NEWEST:
                what = "is newer than ZFS knows, sooner or later, and then does not build"
                fix = "use pkgs.linuxPackages, or a kernel that is named by its version"
                yield wrong(definition, what, given=".".join(value.path), fix=fix)


def swap(view: HostView) -> Iterator[Mistake]:
    """config/swap.nix; and swap on a zvol, which OpenZFS warns of: it locks up when memory is short."""
    for definition in view.all("swapDevices"):
        for entry in definition.value if isinstance(definition.value, list) else ():
            device = entry.get("device") if isinstance(entry, dict) else None
            if not isinstance(device, str):
                continue
            if device.startswith(("/dev/zvol/", "/dev/zd")):
                what = "is swap on a ZFS volume, which locks up when memory is short"
                yield wrong(definition, what, given=device, fix="give swap a partition of its own")
            random = entry.get("randomEncryption")
            encrypted = random is True or (isinstance(random, dict) and random.get("enable") is True)
            if encrypted and re.match("/dev/disk/by-(uuid|label)/", device):
                what = "is encrypted anew at each boot, which erases its UUID and label"
                yield wrong(definition, what, given=device, allowed="/dev/disk/by-partuuid/... or by-partlabel")
    for definition in view.definitions:
        path = definition.path
        if (
            path[:3] == ("disko", "devices", "zpool")
            and path[-2:] == ("content", "type")
            and definition.value == "swap"
        ):
            what = "is swap on a ZFS volume, which locks up when memory is short"
            yield wrong(definition, what, fix="give swap a partition of its own")


def root_file_system(view: HostView) -> Iterator[Mistake]:
    """system/boot/systemd/initrd.nix: something must be mounted at /."""
    if not view.complete or view.value("boot.initrd.systemd.root", default="fstab") != "fstab":
        return
    if view.value("boot.isContainer") is True or "/" in view.below("fileSystems"):
        return
    if any(d.path[:2] == ("disko", "devices") and _mounts_root(d.path[-1], d.value) for d in view.definitions):
        return
    what = "is missing: the host has no root file system"
    yield missing('fileSystems."/"', what, fix='mount something at "/": at="/" in the layout')


def _mounts_root(name: str, value: Any) -> bool:
    if name == "mountpoint":
        return bool(value == "/")
    if isinstance(value, dict):
        return any(_mounts_root(key, each) for key, each in value.items())
    return isinstance(value, list) and any(_mounts_root("", each) for each in value)


def file_systems(view: HostView) -> Iterator[Mistake]:
    """tasks/filesystems.nix and tasks/encrypted-devices.nix."""
    for name in view.below("fileSystems"):

        def at(*names: str, mount: str = name) -> Definition | None:
            return view.one("fileSystems", mount, *names)

        label, device = at("label"), at("device")
        if label and device and isinstance(label.value, str) and device.value != f"/dev/disk/by-label/{label.value}":
            yield wrong(label, "says another device than `device` does", given=label.value, fix="keep one of the two")
        options = at("formatOptions")
        if options and options.value is not None:
            yield wrong(options, "has been removed: systemd-makefs takes no options", fix="remove it")
        encrypted = at("encrypted", "enable")
        if encrypted and encrypted.value is True and at("encrypted", "label") is None:
            yield wrong(encrypted, "needs encrypted.label beside it", fix="name the opened device by encrypted.label")


STORAGE: tuple[Rule, ...] = (zfs_host_id, zfs_import, zfs_kernel, swap, root_file_system, file_systems)
