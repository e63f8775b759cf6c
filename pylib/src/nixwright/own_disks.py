"""What is proved of a host's own disks: an installer formats them, and the host starts from them.

Two checks: `disks` formats by the host's own disko scripts and keeps the images, `installed` starts the host from
copies of them. So what only changes the host, as its sabotages do, formats nothing anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.checks.model import Check, Difference, Sabotage
from nixwright.layout import hooks
from nixwright.layout.content import Luks, Swap
from nixwright.layout.disk import places
from nixwright.layout.pool import DEFAULT_PROPERTIES
from nixwright.layout.sizes import SECTOR, GiB, MiB
from nixwright.nix.values import Apply, Ref, Text, force
from nixwright.parts.facts import KeptPath
from nixwright.scenarios import boots, disks, installed, persist

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nixwright.layout.disk import Disk
    from nixwright.layout.model import Layout
    from nixwright.layout.pool import Zpool
    from nixwright.nix.values import Value
    from nixwright.parts.base import Context

_pkgs = Ref(("pkgs",))
_getExe = Ref(("lib", "getExe"))  # noqa: N816 - nixpkgs' name
_build = Ref(("config", "system", "build"))
FORMATS, INSTALLED = "disks", "installed"
_ROOM = 64 * GiB.unit  # bytes for what takes the rest of a disk
_CHEAP = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")  # the fewest that cryptsetup takes
_CODE = 4  # characters of a type that is no GUID
_SCRIPTS = {
    "destroy-format-mount": "destroyFormatMount",
    "format-disks": "format",
    "mount-disks": "mount",
    "unmount-disks": "unmount",
}
_UNSEEN = {"reservation", "canmount"}  # sizes have several spellings; who mounts what is seen by the mounts
_SHOWN = {("acltype", "posixacl"): "posix"}  # what zfs get shows where it is not what zfs set was told


def checks(context: Context) -> Iterator[Check]:
    """The checks of the disks; none for a host without a description of them, or with what cannot be formatted here.

    Images that are written as a whole lie on the machine that installs, where no check has them.
    """
    layout = context.layout
    if (
        not layout.partitioned
        or layout.slots
        or layout.open
        or any(raw.file for d in layout.disks for raw in d.table.raws)
    ):
        return
    yield from _formats(layout, context.host_id)
    yield from _installed(layout)
    yield from _kept_paths(layout, context.all(KeptPath))


def _formats(layout: Layout, host_id: str | None) -> Iterator[Check]:
    settings: dict[str, Value] = {"disko.enableConfig": False, "environment.systemPackages": _tools(layout)}
    if layout.has_zfs:
        settings |= {
            "boot.supportedFilesystems": ["zfs"],
            "boot.zfs.forceImportRoot": False,
            "networking.hostId": host_id,
        }
    differences = [
        _vm_disks(layout),
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
    yield Check(FORMATS, "the disks are left as they were installed", disks.keeps, {"images": _images(layout)})


def _installed(layout: Layout) -> Iterator[Check]:
    own: dict[str, Value] = {
        "virtualisation.useDefaultFilesystems": False,
        "virtualisation.diskImage": None,
        "virtualisation.fileSystems": force({}),
        "virtualisation.writableStore": False,
        'fileSystems."/nix/.ro-store"': {
            "device": "nix-store",
            "fsType": "9p",
            "neededForBoot": True,
            "options": [
                "trans=virtio",
                "version=9p2000.L",
                "cache=loose",
                "x-systemd.requires=modprobe@9pnet_virtio.service",
            ],
        },
        'fileSystems."/nix/store"': {"device": "/nix/.ro-store", "fsType": "none", "options": ["bind"]},
    }
    questions = _questions(layout)
    yield Check(
        INSTALLED,
        "it starts from its own disks" + (", though somebody types slowly and wrongly first" if questions else ""),
        installed.starts,
        {"images": _images(layout), "questions": questions},
        keeps=["disko", "storage"],
        after=FORMATS,
        differences=[
            _vm_disks(layout),
            Difference("its own file systems, but for the store, which is the builder's", own),
        ],
    )
    yield Check(
        INSTALLED, "no unit fails, and systemd breaks no ordering cycle", boots.comes_up, sabotages=[_failing()]
    )
    swaps = sum(isinstance(p.content, Swap) for p in layout.places)
    yield Check(
        INSTALLED,
        "its file systems are mounted where they belong, and its swap is on",
        installed.mounted,
        {"mounts": {m.path: m.device for m in layout.mounts}, "swaps": swaps},
        sabotages=list(_misplaced(layout)),
    )
    if layout.luks:
        yield Check(
            INSTALLED,
            "what is there for its key files alone is closed, and TRIM reaches the disk",
            installed.closed,
            {
                "closed": [c.luks.name for c in layout.containers if c.only_keys],
                "trimmed": [c.luks.name for c in layout.containers if c.luks.discards and not c.only_keys],
            },
            sabotages=list(_left_open(layout)),
        )
    blank = [m.path for m in layout.mounts if m.wiped]
    kept = [m.path for m in layout.mounts if not m.wiped and m.fs_type != "vfat"]
    yield Check(
        INSTALLED,
        "after a power cut what is kept is there" + (", and what is wiped is blank" if blank else ""),
        installed.wiped,
        {
            "wiped": [
                f"{p.rstrip('/')}{below}" for p in blank for below in (["", "/etc", "/root"] if p == "/" else [""])
            ],
            "kept": kept,
            "pools": [p.name for p in layout.pools],
            "questions": questions,
        },
        sabotages=list(_not_wiped(layout)),
    )


def _kept_paths(layout: Layout, paths: Sequence[KeptPath]) -> Iterator[Check]:
    """Single paths that stay on a wiped root, after the boots of the checks before."""
    directories = {p.path: _bound(layout, p.source) for p in paths if not p.is_file}
    files = {p.path: p.source for p in paths if p.is_file}
    if paths:
        lost = {f'fileSystems."{d}".enable': force(value=False) for d in list(directories)[:1]}
        yield Check(
            INSTALLED,
            "each path that stays on its own lies where it is kept",
            persist.lies_where_it_is_kept,
            {"directories": directories, "files": files},
            sabotages=[Sabotage("not-kept", "a kept directory is forgotten", lost)] if lost else [],
        )
    if "/etc/machine-id" in files and ("/var/log/journal" in directories or layout.survives("/var/log/journal")):
        yield Check(INSTALLED, "it is the same machine after a boot", persist.is_the_same_machine)


def _bound(layout: Layout, source: str) -> str:
    """What findmnt says of a bind mount of a path: the file system, and the path in it."""
    mount = layout.mount_of(source)
    return source if mount is None else f"{mount.device}[{source.removeprefix(mount.path.rstrip('/'))}]"


def _failing() -> Sabotage:
    fails: Value = {"wantedBy": ["multi-user.target"], "serviceConfig": {"Type": "oneshot"}, "script": "false"}
    return Sabotage("failed-unit", "a unit fails at boot", {"systemd.services.broken": fails})


def _misplaced(layout: Layout) -> Iterator[Sabotage]:
    late = next((m.path for m in layout.mounts if not m.needed_for_boot and m.fs_type != "vfat"), None)
    if late is not None:
        elsewhere: dict[str, Value] = {f'fileSystems."{late}".mountPoint': force("/elsewhere")}
        if any(p.mounts != "legacy" for p in layout.pools):  # zfs mount -a would put it in its place all the same
            elsewhere["systemd.services.zfs-mount.enable"] = force(value=False)
        yield Sabotage("elsewhere", "a file system is mounted elsewhere", elsewhere)
    if any(isinstance(p.content, Swap) for p in layout.places):
        yield Sabotage("no-swap", "swap is off", {"swapDevices": force([])})


def _left_open(layout: Layout) -> Iterator[Sabotage]:
    for container in layout.containers:
        if container.only_keys:
            off: dict[str, Value] = {f"systemd.services.{container.luks.name}-close.enable": force(value=False)}
            yield Sabotage("stays-open", "the container of the key files stays open", off)


def _not_wiped(layout: Layout) -> Iterator[Sabotage]:
    for pool in layout.pools:
        if any(d.wiped for d in pool.datasets):
            off: dict[str, Value] = {f"boot.initrd.systemd.services.rollback-{pool.name}.enable": force(value=False)}
            yield Sabotage("no-rollback", "nothing is rolled back", off)


def _vm_disks(layout: Layout) -> Difference:
    """The disks of a VM, by the names that the description has for them."""
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


def _images(layout: Layout) -> list[str]:
    """What QEMU's files of the disks are called in a machine's directory."""
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


def _questions(layout: Layout) -> dict[str, str]:
    """What stage 1 asks at the console, as a pattern, with the answer: not for a container that a key file opens."""
    asked = {rf"lease enter passphrase .*\({c.name}\)": f"opens {c.name}" for c in layout.luks if c.key is None}
    native = [p for p in layout.root_pools if p.encryption == "native"]
    return asked | {f"Enter key for {p.name}": f"opens {p.name}" for p in native}


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
