"""How the overlay root is proved: a machine starts from the very image that is flashed, on a larger disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.checks.model import Check, Difference, Sabotage
from nixwright.layout.disk import places
from nixwright.layout.image import spans
from nixwright.layout.sizes import SECTOR, GiB, Rest
from nixwright.nix.values import Apply, NixPath, Ref, Text, config, force
from nixwright.parts.facts import SlotBoot
from nixwright.scenarios import boots, flashed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.parts.base import Context

NAME = "flashed"
_SERIAL = "disk0"
_pkgs = Ref(("pkgs",))
_DISK = GiB(3)  # of the VM; the image is smaller, and the last partition takes the rest


def checks(context: Context, rules: str, lower: str, fresh: str) -> Iterator[Check]:
    """The check of a host's image; `rules` are udev's for the VM's disk, `lower` is where the root slot is mounted."""
    layout = context.layout
    if not layout.slots or context.fact(SlotBoot) is None:
        return
    (one, other), disk = layout.slots, layout.slots[0].boot.disk
    own = {"boot": one.boot.device, "root": one.root.device, "lower": lower}
    table = _table(layout)
    yield Check(
        NAME,
        "the image starts from its slot A on a larger disk; no unit fails, and systemd breaks no ordering cycle",
        boots.comes_up,
        keeps=["storage", "overlay-root"],
        differences=[_vm(context, rules)],
        sabotages=list(_sabotages(layout, fresh)),
    )
    yield Check(
        NAME, "the root is an overlay over the slot that booted, and /boot is its", flashed.starts_from_slot, own
    )
    yield Check(
        NAME,
        "the first boot makes slot B and what stays, to the sector, and spares the boot loader",
        flashed.makes_the_rest,
        {
            "device": disk.path,
            "table": table,
            "raws": {r.name: r.start.sectors for r in disk.table.raws},
            "fresh": fresh,
        },
    )
    yield Check(
        NAME,
        "after a power cut the root is blank, what stays is there, and it is no first boot",
        flashed.forgets,
        {"device": disk.path, "table": table, "fresh": fresh},
    )
    yield Check(
        NAME,
        "slot B starts as slot A does, with its own /boot",
        flashed.starts_from_other_slot,
        {
            "pairs": {one.boot.device: other.boot.device, one.root.device: other.root.device},
            "boot": other.boot.device,
            "root": other.root.device,
            "lower": lower,
        },
    )


def _table(layout: Layout) -> dict[str, list[int]]:
    """First sector and sectors of each partition by label; 0 for what takes the rest."""
    disk = layout.slots[0].boot.disk
    found = zip(disk.table.partitions, places(disk.table.slices), strict=True)
    return {p.label: [first, 0 if isinstance(p.size, Rest) else last - first + 1] for p, (first, last) in found}


def _vm(context: Context, rules: str) -> Difference:
    """The image on QEMU's disk, by the names that the description has for it, and the kernel that QEMU loads."""
    disk = context.layout.slots[0].boot.disk
    match = f'SUBSYSTEM=="block", ATTRS{{serial}}=="{_SERIAL}", ENV{{DEVTYPE}}'
    link = disk.path.removeprefix("/dev/")
    part = disk.partition_path(0).removeprefix("/dev/").removesuffix("0")
    names = f'{match}=="disk", SYMLINK+="{link}"\n{match}=="partition", SYMLINK+="{part}%n"\n'
    raws: list[str | Ref] = ["mkdir $out\n"]
    raws += [f"yes {r.name} | head -c 65536 >$out/{r.name} || true\n" for r in disk.table.raws]
    slot: Value = {
        "files": {"config.toml": Apply(_pkgs.writeText, ("config.toml", "version = 1\n"))},
        "size": next(iter(spans(disk).values()))[1] * SECTOR,
    }
    beside = f"../../modules/{context.name}"
    boot, root = NixPath(f"{beside}/boot-slot.nix"), NixPath(f"{beside}/squashfs.nix")
    quick: Value = {
        "toplevel": config.system.build.toplevel,
        "limit": list(spans(disk).values())[1][1] * SECTOR,
        "level": 1,
    }
    unpacked = Text(
        (
            "zstd -q -d ",
            config.system.build.image,
            " -o disk.img\nqemu-img convert -f raw -O qcow2 disk.img $out\n",
        ),
        indented=True,
    )
    tools: Value = {"nativeBuildInputs": [_pkgs.zstd, _pkgs["qemu-utils"]]}
    flash = Apply(_pkgs.runCommand, ("flashed.qcow2", tools, unpacked))
    qemu_img = Text((_pkgs["qemu-utils"], "/bin/qemu-img"))
    file = Text(
        (
            "$(test -e flashed.qcow2 || ",
            qemu_img,
            " create -q -f qcow2 -F qcow2 -b ",
            flash,
            f" flashed.qcow2 {_DISK.text}; echo flashed.qcow2)",
        )
    )
    drive: Value = {
        "name": "flashed",
        "file": file,
        "driveExtraOpts": {"format": "qcow2"},
        "deviceExtraOpts": {"serial": _SERIAL},
    }
    settings: dict[str, Value] = {
        "system.build.uboot": Apply(_pkgs.runCommand, ("made-up-u-boot", {}, Text(tuple(raws), indented=True))),
        "system.build.bootSlot": force(Apply(_pkgs.callPackage, (boot, slot))),
        "system.build.squashfs": force(Apply(_pkgs.callPackage, (root, quick))),
        # where QEMU emulates, the disks come late
        "boot.kernelParams": ["rauc.slot=boot.0", "systemd.default_device_timeout_sec=900"],
        "services.udev.extraRules": names + rules,
        "boot.initrd.services.udev.rules": names + rules,
        "virtualisation.useDefaultFilesystems": False,
        "virtualisation.diskImage": None,
        "virtualisation.mountHostNixStore": False,
        "virtualisation.fileSystems": force({}),
        "virtualisation.memorySize": 2048,
        "virtualisation.qemu.drives": [drive],
    }
    return Difference(
        "its disk is QEMU's, with the image on it, quickly packed; QEMU loads the kernel, and U-Boot is made up",
        settings,
    )


def _sabotages(layout: Layout, fresh: str) -> Iterator[Sabotage]:
    one = layout.slots[0]
    only_b: Value = {
        "30-boot-b": {"Type": "xbootldr", "Label": "boot-b", "Format": "vfat"},
        "50-data": {"Type": "linux-generic", "Label": "data", "Format": "f2fs"},
    }
    yield Sabotage(
        "slot-a-left-out",
        "systemd-repart is not told of slot A, and takes it for slot B",
        {"systemd.repart.partitions": force(only_b)},
    )
    always = f"mkdir -p $(dirname {fresh})\ntouch {fresh}\n"
    yield Sabotage(
        "always-fresh",
        "each boot counts as the first",
        {"boot.initrd.systemd.services.fresh-flash.script": force(always)},
    )
    yield Sabotage(
        "boot-is-slot-a", "/boot is slot A's, whichever booted", {'fileSystems."/boot".device': force(one.boot.device)}
    )
    yield Sabotage(
        "cycle",
        "what is to be there before the root waits for it",
        {"boot.initrd.systemd.services.root-memory.after": ["sysroot.mount"]},
    )
