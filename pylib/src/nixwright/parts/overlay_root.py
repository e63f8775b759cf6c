"""The root of a host with slots A and B: what is written lies in memory, over the squashfs of the slot that booted.

The kernel parameter `rauc.slot=boot.0` or `boot.1` says which slot that is; udev gives its two partitions the names
/dev/disk/by-slot/boot and /dev/disk/by-slot/root, in stage 1 and after it. So /boot is never the other slot's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from nixwright.bounds import Ge, Le
from nixwright.checks.model import Check, Difference
from nixwright.errors import Mistake
from nixwright.layout.image import image_size, spans, table_script
from nixwright.layout.sizes import SECTOR
from nixwright.nix.values import Apply, NixPath, Text, config, pkgs
from nixwright.parts import overlay_root_checks
from nixwright.parts.base import Context, File, Part
from nixwright.parts.facts import RootOverlay, SlotBoot, StateMount
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

BOOT, ROOT = "/dev/disk/by-slot/boot", "/dev/disk/by-slot/root"
LOWER, MEMORY = "/run/root/slot", "/run/root/memory"
KEPT = "/data"
FRESH = "/run/nixwright/fresh-flash"  # there at the first boot after flashing, and at no other
_NO_STATE = {"vfat": "has no links and no owners", "squashfs": "is read-only"}
_SLOTS_OWN = ("/nix", "/nix/store", "/etc", "/usr", "/bin")
_VM_DISK = 'ATTRS{serial}=="disk0"'  # by the serial that the checks give it
_BEFORE_ROOT: dict[str, Value] = {
    "requiredBy": ["sysroot.mount"],
    "before": ["sysroot.mount"],
    "unitConfig": {"DefaultDependencies": False},
}
# By what the kernel knows of the disk: udev's links of partitions come later than the disk's.
_FRESH = f"""\
disk=$(readlink -f {{disk}})
for number in "/sys/class/block/${{{{disk##*/}}}}"/*/partition; do
  if test "$(cat "$number")" = {{number}}; then
    exit 0
  fi
done
mkdir -p {Path(FRESH).parent}
touch {FRESH}
"""
_PROGRAMS = ("squashfs.nix", "squashfs.sh", "boot-slot.nix", "image.nix")


@record
class OverlayRoot(Part):
    """A root that is the same at every boot: read-only in its slot, with what is written over it in memory.

    `memory` is how much of the machine's memory that may take, in percent. `emergency_shell` gives whoever is at the
    console a root shell, unasked, where stage 1 fails; without it the board starts again, and a slot that fails runs
    out of tries. `level` is zstd's, of the squashfs.
    """

    memory: Annotated[int, Ge(5), Le(90)] = 40
    emergency_shell: bool = False
    level: Annotated[int, Ge(1), Le(22)] = 19

    module: ClassVar[str] = "overlay-root"

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """That the root is in memory, and what stays."""
        stays = (m.path for m in layout.mounts if not m.wiped and m.fs_type != "vfat")
        return (RootOverlay(FRESH, KEPT), *(StateMount(path) for path in stays))

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to stage 1's mounts, /boot, and what builds the image; nothing of it without slots."""
        if not context.layout.slots:
            return
        yield from self._stage_1(context.layout)
        yield self.set(
            'fileSystems."/"',
            {
                "device": "overlay",
                "fsType": "overlay",
                "options": [f"lowerdir={LOWER}", f"upperdir={MEMORY}/upper", f"workdir={MEMORY}/work"],
            },
            comment="Not by `overlay.lowerdir`: its mounts would wait for the root, and the root for them.",
        )
        own: Value = {"device": BOOT, "fsType": "vfat", "options": ["ro", "umask=0077", "nofail"]}
        yield self.set('fileSystems."/boot"', own, comment="Of the slot that booted. An update writes the other's.")
        why = "An overlay cannot be told its layers again."
        yield self.set("systemd.services.systemd-remount-fs.enable", value=False, comment=why)
        why = "The system is replaced as a whole: nothing is built, installed or switched on the device."
        yield self.set("nix.enable", value=False, comment=why)
        yield self.set("system.switch.enable", value=False)
        yield self.set("system.disableInstallerTools", value=True)
        yield self.set("boot.loader.grub.enable", value=False)
        why = "Accounts are made anew at every boot: what the device is told of lies beside them, on /data."
        yield self.set("users.mutableUsers", value=False, comment=why)
        yield self.set("users.users.root.hashedPassword", "!", comment="No password is root's.")
        if self.emergency_shell:
            why = "Whoever is at the console becomes root where stage 1 fails."
            yield self.set("boot.initrd.systemd.emergencyAccess", value=True, field="emergency_shell", comment=why)
        yield from self._products(context)

    def _stage_1(self, layout: Layout) -> Iterator[Setting]:
        rules = slot_rules(layout)
        yield self.set("services.udev.extraRules", rules, comment="The partitions of the slot that booted, by name.")
        yield self.set("boot.initrd.services.udev.rules", rules)
        yield self.set("boot.initrd.availableKernelModules", ["overlay", "squashfs"])
        memory = f"mode=0755,size={self.memory}%"
        mounts: list[Value] = [
            {"what": ROOT, "where": LOWER, "type": "squashfs", "options": "ro"} | _BEFORE_ROOT,
            {"what": "tmpfs", "where": MEMORY, "type": "tmpfs", "options": memory} | _BEFORE_ROOT,
        ]
        yield self.set("boot.initrd.systemd.mounts", mounts, field="memory")
        unit: dict[str, Value] = _BEFORE_ROOT | {
            "description": "Make room for what is written over the root slot",
            "unitConfig": {"DefaultDependencies": False, "RequiresMountsFor": MEMORY},
            "serviceConfig": {"Type": "oneshot", "ExecStart": f"/bin/mkdir -p {MEMORY}/upper {MEMORY}/work"},
        }
        yield self.set("boot.initrd.systemd.services.root-memory", unit)
        later = layout.slots[1].boot
        device = _unit(later.disk.path)
        unit = {
            "description": "See whether this is the first boot after flashing",
            "wantedBy": ["systemd-repart.service"],
            "before": ["systemd-repart.service"],
            "requires": [device],
            "after": [device],
            "unitConfig": {"DefaultDependencies": False},
            "serviceConfig": {"Type": "oneshot", "RemainAfterExit": True},
            "script": _FRESH.format(disk=later.disk.path, number=later.number),
        }
        why = "Before systemd-repart makes slot B."
        yield self.set("boot.initrd.systemd.services.fresh-flash", unit, comment=why)

    def _products(self, context: Context) -> Iterator[Setting]:
        slot, build = context.layout.slots[0], config.system.build
        disk, held = slot.boot.disk, spans(slot.boot.disk)
        (boot_first, boot_size), (root_first, root_size) = held.values()
        root: Value = {"toplevel": build.toplevel, "limit": root_size * SECTOR, "level": self.level}
        yield self.set("system.build.squashfs", Apply(pkgs.callPackage, (NixPath("./squashfs.nix"), root)))
        loader = context.fact(SlotBoot)
        if loader is None:
            return
        boot: Value = {"files": dict(loader.files), "size": boot_size * SECTOR}
        yield self.set("system.build.bootSlot", Apply(pkgs.callPackage, (NixPath("./boot-slot.nix"), boot)))
        contents: list[Value] = [
            {"file": file, "sector": raw.start.sectors, "sectors": raw.size.sectors}
            for raw in disk.table.raws
            for name, file in loader.raws
            if name == raw.name
        ]
        contents += [
            {"file": build.bootSlot, "sector": boot_first, "sectors": boot_size},
            {"file": build.squashfs, "sector": root_first, "sectors": root_size},
        ]
        image: Value = {
            "name": context.name,
            "table": Text((table_script(disk, context.name),), indented=True),
            "size": image_size(disk),
            "contents": contents,
        }
        yield self.set("system.build.image", Apply(pkgs.callPackage, (NixPath("./image.nix"), image)))

    def files(self, context: Context) -> Iterator[File]:
        """What builds the squashfs, a boot slot, and the image."""
        for name in _PROGRAMS:
            yield File(name, (Path(__file__).with_name("programs") / name).read_text("utf-8"))

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """There are slots to boot from, and somewhere to keep things."""
        if not context.layout.slots:
            what, fix = "there are no slots to boot from", "GPT(..., Slots(boot=..., root=..., start=...), ...)"
            yield Mistake("OverlayRoot", what, "", "slots A and B in the layout", fix, field_origin(self, ""))
        elif not any(m.path == KEPT for m in context.layout.mounts):
            what = "nothing is mounted at /data: not even what the device is told would stay"
            fix = 'Partition("data", REST, F2fs("/data"), at_first_boot=True)'
            yield Mistake("OverlayRoot", what, "", "a file system at /data", fix, field_origin(self, ""))
        for mount in context.layout.mounts if context.layout.slots else ():
            field, where = f"{type(mount.source).__name__}.at", mount.origin.at("at")
            if mount.path == KEPT and mount.fs_type in _NO_STATE:
                what, allowed = f"{_NO_STATE[mount.fs_type]}: nothing could be kept on it", "F2fs or Ext4"
                yield Mistake(field, what, mount.path, allowed, 'F2fs("/data")', where)
            if mount.path in _SLOTS_OWN:
                what, allowed = "would hide what the slot has there", "a path with nothing of the system's"
                yield Mistake(field, what, mount.path, allowed, '"/data"', where)

    def checks(self, context: Context) -> Iterator[Check]:
        """The image itself, on a disk."""
        return overlay_root_checks.checks(context, slot_rules(context.layout, _VM_DISK), LOWER, FRESH)

    def in_vm(self, context: Context) -> Iterator[Difference]:
        """A VM that is not started from the image has a root of its own."""
        yield Difference("the VM's root is no slot of an image", without=[self.module])

    def steps(self, context: Context) -> Iterator[Step]:
        """What only the device can show."""
        yield Step(
            Phase.VERIFY,
            "The slot that booted, and what stays",
            "The root is an overlay, /boot is of the slot that the kernel's parameters name, and /data has the rest.",
            "grep -o 'rauc.slot=[^ ]*' /proc/cmdline\nreadlink -f /dev/disk/by-slot/boot\nfindmnt / && findmnt /data",
            "`boot.0` with the first partition, or `boot.1` with the third; an overlay; and f2fs.",
        )


def slot_rules(layout: Layout, disk: str = "") -> str:
    """Return udev's rules that name the partitions of the slot that booted, after `rauc.slot=`.

    `disk` matches the disk where it is not the layout's own, as in a VM. The parameter is read by a rule of its own: of
    one rule udev looks at what it matches before it imports anything (systemd's udev-rules.c sorts a line's keys).
    """
    lines: list[str] = []
    for slot in layout.slots:
        for name, place in (("boot", slot.boot), ("root", slot.root)):
            own = place.disk.path.removeprefix("/dev/")
            parent = f'KERNELS=="{own}"' if not own.startswith("disk/") else f'SYMLINK=="{own}-part*"'
            of = f'SUBSYSTEM=="block", {disk or parent}'
            lines += [f'{of}, ENV{{DEVTYPE}}=="partition", IMPORT{{cmdline}}="rauc.slot"'] if not lines else []
            booted = f'ENV{{PARTN}}=="{place.number}", ENV{{rauc.slot}}=="boot.{slot.index}"'
            lines.append(f'{of}, {booted}, SYMLINK+="disk/by-slot/{name}"')
    return "".join(f"{line}\n" for line in lines)


def _unit(device: str) -> str:
    """Return the unit of a device, whose path has a narrow alphabet (see `Disk`)."""
    escaped = device.removeprefix("/").replace("-", "\\x2d").replace("/", "-")
    return f"{escaped}.device"
