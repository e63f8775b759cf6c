"""What is proved of a host's own disks: an installer formats them by the host's own disko scripts.

The check keeps the images; another starts the host from copies of them (`nixwright.started_disks`). So what only
changes the host, as its sabotages do, formats nothing anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.checks.model import Check, Difference, Sabotage
from nixwright.layout import hooks
from nixwright.layout.content import Luks
from nixwright.layout.disk import places
from nixwright.layout.pool import DEFAULT_PROPERTIES
from nixwright.layout.sizes import SECTOR, GiB, MiB
from nixwright.nix.values import Apply, Ref, Text, force
from nixwright.reference import SecretFile, Use
from nixwright.scenarios import disks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.disk import Disk
    from nixwright.layout.model import Layout
    from nixwright.layout.pool import Zpool
    from nixwright.nix.values import Value
    from nixwright.parts.base import Context

_pkgs = Ref(("pkgs",))
_getExe = Ref(("lib", "getExe"))  # noqa: N816 - nixpkgs' name
_build = Ref(("config", "system", "build"))
FORMATS = "disks"
_ROOM = 64 * GiB.unit  # bytes for what takes the rest of a disk
_CHEAP = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")  # the fewest that cryptsetup takes
_CODE = 4  # characters of a type that is no GUID
_SCRIPTS = {
    "destroy-format-mount": "destroyFormatMount",
    "format-disks": "format",
    "mount-disks": "mount",
    "unmount-disks": "unmount",
}
_BYSTANDER = "bystander"  # the serial number of a disk that is no disk of the host
_UNSEEN = {"reservation", "canmount"}  # sizes have several spellings; who mounts what is seen by the mounts
_SHOWN = {("acltype", "posixacl"): "posix"}  # what zfs get shows where it is not what zfs set was told


def are_checked(layout: Layout) -> bool:
    """Tell whether the disks have checks: not without a description of them, or with what cannot be formatted here.

    Images that are written as a whole lie on the machine that installs, where no check has them.
    """
    images = any(raw.file for d in layout.disks for raw in d.table.raws)
    return bool(layout.partitioned) and not layout.slots and not layout.open and not images


def checks(context: Context) -> Iterator[Check]:
    """The checks of the disks, where they `are_checked`."""
    layout = context.layout
    yield from _formats(layout, context.host_id)
    yield from _left_alone(layout)
    yield from _written(context)
    yield Check(FORMATS, "the disks are left as they were installed", disks.keeps, {"images": images(layout)})


def _formats(layout: Layout, host_id: str | None) -> Iterator[Check]:
    settings: dict[str, Value] = {"disko.enableConfig": False, "environment.systemPackages": _tools(layout)}
    if layout.has_zfs:
        settings |= {
            "boot.supportedFilesystems": ["zfs"],
            "boot.zfs.forceImportRoot": False,
            "networking.hostId": host_id,
        }
    differences = [
        vm_disks(layout),
        Difference("an installer: it has the disks, and starts from none of them", settings),
    ]
    cheap = _cheap_keys(layout)
    if cheap:
        differences.append(Difference("a passphrase is tried in no time, for machines without KVM", cheap))
    nothing = Apply(_pkgs.writeShellScriptBin, ("nothing", ":"))
    idle: dict[str, Value] = {"system.build.destroyFormatMount": force(nothing)}
    sabotages = [Sabotage("not-formatted", "the script that formats does nothing", idle)]
    pool = next(iter(layout.pools), None)
    if pool is not None:
        changed = {f"disko.devices.zpool.{pool.name}.rootFsOptions.compression": force("off")}
        sabotages.append(Sabotage("property", "a property of the pool is another", changed))
    yield Check(
        FORMATS,
        "disko's scripts write the partition tables of the description, to the sector",
        disks.formats,
        {"passphrases": _passphrases(layout), "tables": {d.path: _table(d, layout) for d in layout.disks}},
        only=["disko"],
        differences=differences,
        sabotages=sabotages,
    )
    if layout.luks:
        yield Check(
            FORMATS,
            "each LUKS container opens with its keys and with no others",
            disks.opens,
            {"containers": _containers(layout)},
        )
    if layout.has_zfs:
        pools, datasets = _properties(layout)
        yield Check(
            FORMATS,
            "pools and datasets have their properties",
            disks.properties,
            {"pools": pools, "datasets": datasets},
        )
    kept = [m.path for m in layout.mounts if m.fs_type != "vfat"]
    yield Check(
        FORMATS,
        "what is formatted is mounted and formatted again without loss",
        disks.again,
        {"mounts": kept, "keys": hooks.KEYS},
    )


def _left_alone(layout: Layout) -> Iterator[Check]:
    """Another disk, with a pool of its own."""
    if not layout.has_zfs:
        return
    path = f"/dev/disk/by-id/virtio-{_BYSTANDER}"
    image: Value = {"size": 128, "driveConfig": {"deviceExtraOpts": {"serial": _BYSTANDER}}}
    named: Value = {"type": "disk", "device": path, "content": {"type": "swap"}}
    yield Check(
        FORMATS,
        "the pool of another disk is left alone, to the byte",
        disks.leaves_others_alone,
        {"bystander": path},
        differences=[
            Difference("a disk that the description does not name", {"virtualisation.emptyDiskImages": [image]})
        ],
        sabotages=[
            Sabotage("another-disk", "what is formatted is one disk more", {f"disko.devices.disk.{_BYSTANDER}": named})
        ],
    )


def _written(context: Context) -> Iterator[Check]:
    """The hashes of the users' passwords, where the description has them."""
    written = {
        u.name: "\n".join(step.commands for step in SecretFile(u.password_file).steps(_use(u.name), context.layout))
        for u in context.users
        if u.password_file
    }
    if written:
        yield Check(
            FORMATS,
            "the hashes of its users' passwords are written as the install steps say",
            disks.passwords_are_written,
            {"passwords": passwords(context), "written": written},
            differences=[Difference("what the install steps call", {"environment.systemPackages": [_pkgs.mkpasswd]})],
        )


def _use(user: str) -> Use:
    return Use(f"the password of `{user}`", "User.password", hashed=True)


def passwords(context: Context) -> dict[str, str]:
    """Return a password of each user whose hash lies on the disk."""
    return {u.name: f"gets {u.name} in" for u in context.users if u.password_file}


def vm_disks(layout: Layout) -> Difference:
    """Return the disks of a VM, by the names that the description has for them."""
    rules = ""
    images: list[Value] = []
    for index, disk in enumerate(layout.disks):
        serial = f"disk{index}"
        match = f'SUBSYSTEM=="block", ATTRS{{serial}}=="{serial}", ENV{{DEVTYPE}}'
        link = disk.path.removeprefix("/dev/")
        part = disk.partition_path(0).removeprefix("/dev/").removesuffix("0")
        rules += f'{match}=="disk", SYMLINK+="{link}"\n{match}=="partition", SYMLINK+="{part}%n"\n'
        images.append({"size": _size(disk, layout) // MiB.unit, "driveConfig": {"deviceExtraOpts": {"serial": serial}}})
    return Difference(
        "its disks are QEMU's, by the names that the description has for them",
        {
            "virtualisation.emptyDiskImages": images,
            "virtualisation.memorySize": 1536,
            "services.udev.extraRules": rules,
            "boot.initrd.services.udev.rules": rules,
        },
    )


def images(layout: Layout) -> list[str]:
    """Return what QEMU's files of the disks are called in a machine's directory."""
    return [f"empty{index}.qcow2" for index in range(len(layout.disks))]


def _size(disk: Disk, layout: Layout) -> int:
    """Bytes of a VM's disk: as large as it is said to be, or with room for what takes the rest. Images are sparse."""
    if disk.size is not None:
        return disk.size.bytes // MiB.unit * MiB.unit
    (*_, (_, last)) = places(disk.table.slices)
    reserved = sum(p.reserved.bytes for p in layout.pools if p.reserved is not None)
    return -(-(last * SECTOR + reserved + _ROOM) // MiB.unit) * MiB.unit


def _table(disk: Disk, layout: Layout) -> list[list[str]]:
    """The rows of the partition table: number, first and last sector, type, label."""
    sectors = places(disk.table.slices, _size(disk, layout))
    return [
        [str(number), str(first), str(last), part.code.upper() if len(part.code) == _CODE else "GUID", part.label]
        for number, (part, (first, last)) in enumerate(zip(disk.table.partitions, sectors, strict=True), 1)
    ]


def _tools(layout: Layout) -> list[Value]:
    """What the scenario calls: disko's own scripts under short names, and what looks at the disks."""
    scripts: list[Value] = [
        Apply(_pkgs.writeShellScriptBin, (name, Text(("exec ", Apply(_getExe, (_build[script],)), ' "$@"'))))
        for name, script in _SCRIPTS.items()
    ]
    return [*scripts, _pkgs.gptfdisk, *([_pkgs.cryptsetup] if layout.luks else [])]


def _passphrases(layout: Layout) -> dict[str, str]:
    """A passphrase for each that the installer would ask for, by the file in which it looks first."""
    asked = {hooks.passphrase_file(luks): f"opens {luks.name}" for luks in layout.luks if luks.asks}
    native = [p for p in layout.pools if p.encryption == "native"]
    return asked | {hooks.pool_passphrase_file(p.name): f"opens {p.name}" for p in native}


def _containers(layout: Layout) -> dict[str, dict[str, list[str]]]:
    """What opens each container, and what does not."""
    files = {c.name: [hooks.passphrase_file(c)] if c.asks else [] for c in layout.luks}
    for luks in layout.luks:
        if luks.key is not None:
            files[luks.name].append(hooks.key_copy(layout, luks.key))
    every = sorted({f for those in files.values() for f in those})
    return {
        c.device: {
            "version": [str(c.luks.version)],
            "opens": files[c.luks.name],
            "refuses": [f for f in every if f not in files[c.luks.name]],
        }
        for c in layout.containers
    }


def _cheap_keys(layout: Layout) -> dict[str, Value]:
    """Options of disko by which trying a passphrase takes no time."""
    found: dict[str, Value] = {}
    for name, disk in zip(layout.names, layout.disks, strict=True):
        for part in disk.table.partitions:
            if isinstance(part.content, Luks):
                at = f'disko.devices.disk.{name}.content.partitions."{part.name}".content'
                found[at] = {"type": "luks", "extraFormatArgs": list(_CHEAP)}
    return found


def _properties(layout: Layout) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """The properties of the pools, and of their datasets."""
    pools = {p.name: {"ashift": str(p.ashift), "autotrim": "on" if p.autotrim else "off"} for p in layout.pools}
    return pools, {name: kept for p in layout.pools for name, kept in _of_pool(p) if kept}


def _of_pool(pool: Zpool) -> Iterator[tuple[str, dict[str, str]]]:
    said = {**DEFAULT_PROPERTIES, **pool.properties}
    yield pool.name, {k: _SHOWN.get((k, v), v) for k, v in said.items() if k not in _UNSEEN}
    if pool.reserved is not None:
        size = str(pool.reserved.bytes)
        yield f"{pool.name}/reserved", {"quota": size, "reservation": size}
    any_snapshots = any(d.snapshots for d in pool.datasets)
    for dataset in pool.datasets:
        own = {k: _SHOWN.get((k, v), v) for k, v in dataset.properties.items() if k not in _UNSEEN}
        if dataset.snapshots or (any_snapshots and not _below_snapshots(pool, dataset.name)):
            own["com.sun:auto-snapshot"] = "true" if dataset.snapshots else "false"
        yield f"{pool.name}/{dataset.name}", own


def _below_snapshots(pool: Zpool, name: str) -> bool:
    """Tell whether a dataset above, which passes it on, is taken snapshots of."""
    return any(d.snapshots and name.startswith(f"{d.name}/") for d in pool.datasets)
