"""A layout as settings: `disko.devices` for disko alone (module "disko"), the rest for NixOS (module "storage").

disko is told of what it makes: not of a disk that an image is written to, nor of what systemd-repart makes later.

What disko gets wrong is avoided here, each with a test in tests/test_layout_lower.py:

* formatting goes by priority, then by name: every partition says its priority, which is its number;
* one key file for formatting and for boot: `initrdUnlock` is off, and `nixwright.layout.boot` says how boot opens them;
* the mount script opens only one container of a table, unmounting closes only one: hooks open and close them all;
* `additionalKeyFiles` adds a slot at every run, `keyFileSize` cuts passphrases too: neither is used;
* sgdisk starts at the largest free space, not at the next: after a gap, every start is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.layout import hooks
from nixwright.layout.boot import storage
from nixwright.layout.content import FileSystem, Luks, Squashfs, Swap
from nixwright.layout.disk import starts
from nixwright.layout.first_boot import first_boot
from nixwright.layout.pool import DEFAULT_PROPERTIES, Dataset, Member, Zpool
from nixwright.layout.sizes import Rest, Sectors
from nixwright.options.settings import Setting
from nixwright.record import origin_of

if TYPE_CHECKING:
    from nixwright.layout.content import Content
    from nixwright.layout.disk import Disk
    from nixwright.layout.model import Container, Layout
    from nixwright.nix.values import Value

Attrs = dict[str, "Value"]


def settings(layout: Layout) -> list[Setting]:
    """Return every setting of a layout without mistakes: first the disks, then the pools, then what boot needs."""
    found = []
    for name, disk in zip(layout.names, layout.disks, strict=True):
        if disk.flashed:
            continue
        path = ("disko", "devices", "disk", name)
        found.append(Setting(path, _disk(layout, disk), origin_of(disk), "Disk", module="disko"))
    for pool in layout.pools:
        path = ("disko", "devices", "zpool", pool.name)
        found.append(Setting(path, _pool(pool), origin_of(pool), "Zpool", module="disko"))
    return found + storage(layout) + first_boot(layout)


def _disk(layout: Layout, disk: Disk) -> Attrs:
    containers = [c for c in layout.containers if c.disk is disk]
    partitions: Attrs = {}
    for number, (part, attrs) in enumerate(zip(disk.table.partitions, partition_attrs(disk), strict=True), 1):
        if part.at_first_boot:  # it comes last
            break
        if part.content is not None and not isinstance(part.content, Squashfs):
            attrs["content"] = _content(layout, part.content, disk.partition_path(number))
        partitions[part.name] = attrs
    whole: Attrs = {"type": "disk", "device": disk.path}
    if disk.size is not None:
        whole["imageSize"] = disk.size.text if disk.size.suffix else f"{-(-disk.size.bytes // 1024)}K"
    whole["content"] = {"type": "gpt", "partitions": partitions}
    if containers:
        whole["preMountHook"] = hooks.open_all(layout, containers)
        whole["postUnmountHook"] = hooks.close_all(containers)
    written = "".join(hooks.write_raw(raw, disk.path) for raw in disk.table.raws if raw.file is not None)
    if written:
        whole["postCreateHook"] = written
    return whole


def partition_attrs(disk: Disk) -> list[Attrs]:
    """Return what disko is told of every partition, but for its content."""
    found: list[Attrs] = []
    for number, (part, start) in enumerate(starts(disk.table.slices), 1):
        attrs: Attrs = {"priority": number, "label": part.label, "device": disk.partition_path(number)}
        if start is not None:
            attrs["start"] = f"{start.count}s" if isinstance(start, Sectors) else start.text
        attrs["size"] = "100%" if isinstance(part.size, Rest) else part.size.text
        if part.code != "8300":
            attrs["type"] = part.code
        found.append(attrs)
    return found


def _content(layout: Layout, content: Content, device: str) -> Attrs:
    if isinstance(content, Luks):
        return _luks(layout, next(c for c in layout.containers if c.device == device))
    if isinstance(content, Member):
        return {"type": "zfs", "pool": content.pool.name}
    if isinstance(content, Swap):
        swap: Attrs = {"type": "swap"}
        if content.discard is not None:
            swap["discardPolicy"] = content.discard
        if content.priority is not None:
            swap["priority"] = content.priority
        return swap
    return _file_system(content)


def _file_system(content: FileSystem) -> Attrs:
    attrs: Attrs = {"type": "filesystem", "format": content.kind}
    if content.format:
        attrs["extraArgs"] = list(content.format)
    if content.at is not None:
        attrs["mountpoint"] = content.at
        if content.options:
            attrs["mountOptions"] = list(content.options)
    return attrs


def _luks(layout: Layout, container: Container) -> Attrs:
    luks = container.luks
    attrs: Attrs = {"type": "luks", "name": luks.name, "initrdUnlock": False}
    given: Attrs = {}
    if luks.version == 1:
        attrs["extraFormatArgs"] = ["--type", "luks1"]
    if luks.asks:
        attrs["preCreateHook"] = hooks.before_format(container)
        attrs["passwordFile"] = hooks.passphrase_file(luks)
        if luks.key is not None:
            attrs["postCreateHook"] = hooks.add_key(layout, container, luks.key)
    elif luks.key is not None:
        given["keyFile"] = hooks.key_copy(layout, luks.key)
    if luks.discards:
        given["allowDiscards"] = True
    if given:
        attrs["settings"] = given
    content = _content(layout, luks.content, luks.device)
    if container.keys is not None:
        content["postCreateHook"] = hooks.make_keys(layout, container)
    attrs["content"] = content
    return attrs


def _pool(pool: Zpool) -> Attrs:
    """A pool; every value is a string, as disko wants it. Its own file system is never mounted."""
    options = {"ashift": str(pool.ashift), "autotrim": "on" if pool.autotrim else "off", **pool.options}
    properties = {**DEFAULT_PROPERTIES, "canmount": "off", "mountpoint": "legacy", **pool.properties}
    if pool.encryption == "native":
        file = f"file://{hooks.pool_passphrase_file(pool.name)}"
        properties |= {"encryption": "aes-256-gcm", "keyformat": "passphrase", "keylocation": file}
    if any(d.snapshots for d in pool.datasets):
        properties.setdefault("com.sun:auto-snapshot", "false")
    datasets: Attrs = {}
    if pool.reserved is not None:
        text = pool.reserved.text if pool.reserved.suffix else str(pool.reserved.bytes)
        space: Attrs = {"canmount": "off", "quota": text, "reservation": text}
        datasets["reserved"] = {"type": "zfs_fs", "options": space}
    datasets |= {d.name: _dataset(pool, d) for d in pool.datasets}
    attrs: Attrs = {"type": "zpool"}
    if pool.mode:
        attrs["mode"] = pool.mode
    attrs |= {
        "options": dict(sorted(options.items())),
        "rootFsOptions": dict(sorted(properties.items())),
        "datasets": datasets,
    }
    if pool.encryption == "native":
        attrs["preCreateHook"] = hooks.before_pool(pool.name)
        attrs["postCreateHook"] = hooks.after_pool(pool.name)
        attrs["preMountHook"] = hooks.open_pool(pool.name)
    return attrs


def _dataset(pool: Zpool, dataset: Dataset) -> Attrs:
    attrs: Attrs = {"type": "zfs_fs"}
    options = dict(dataset.properties)
    if dataset.at is None:
        options.setdefault("canmount", "off")
    else:
        attrs["mountpoint"] = dataset.at
        if pool.mounts == "legacy":
            options["mountpoint"] = "legacy"
    if dataset.snapshots:
        options["com.sun:auto-snapshot"] = "true"
    if options:
        attrs["options"] = dict(sorted(options.items()))
    if dataset.options:
        attrs["mountOptions"] = list(dataset.options)
    if dataset.wiped:
        attrs["postCreateHook"] = hooks.blank_snapshot(f"{pool.name}/{dataset.name}")
    return attrs
