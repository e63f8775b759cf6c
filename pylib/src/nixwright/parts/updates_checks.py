"""What is proved of updates in VMs: slots on a disk of their own, U-Boot's variables on another, the test boots."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from nixwright.checks.model import Check, Difference, Sabotage
from nixwright.layout.disk import places
from nixwright.layout.sizes import SECTOR, MiB
from nixwright.nix.values import Apply, force, pkgs
from nixwright.parts import vm_variables
from nixwright.parts.health import UNIT as GATE
from nixwright.parts.health import told_units
from nixwright.scenarios import updates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nixwright.layout.disk import Disk
    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.parts.base import Context

    _Plain: TypeAlias = bool | int | float | str | Sequence["_Plain"] | Mapping[str, "_Plain"] | None

_UPDATES, _CUTS, _WATCHDOG = "updates", "updates-cut", "watchdog"
_ROOM = 64  # MiB behind the slots
_SETTINGS = "services.rauc"
# An authority, a signer whom it knows and one whom it does not know; they live as long as the check.
_MAKE_KEYS = """\
mkdir $out; cd $out
new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650"
leaf="-addext basicConstraints=critical,CA:FALSE -addext keyUsage=digitalSignature"
for authority in ca other; do
  openssl req -x509 $new -keyout $authority.key -out $authority.pem -subj /CN=$authority
done
openssl req -x509 $new $leaf -keyout signer.key -out signer.pem -subj /CN=signer -CA ca.pem -CAkey ca.key
openssl req -x509 $new $leaf -keyout stranger.key -out stranger.pem -subj /CN=stranger -CA other.pem -CAkey other.key
"""


def checks(context: Context, compatible: str, module: str, watchdog: int | None) -> Iterator[Check]:
    """Return the checks of a host with slots; `watchdog` are the seconds that it waits, None for no watchdog."""
    layout = context.layout
    disk = layout.slots[0].boot.disk
    table = _table(disk, layout)
    devices = {
        f"{kind}.{s.index}": p.device for s in layout.slots for kind, p in (("boot", s.boot), ("rootfs", s.root))
    }
    own: dict[str, _Plain] = {"slots": table, "disk": disk.path}
    differences = [_disks(disk, table), _KEYS, _TOOLS]
    yield from _updates(module, {**own, "devices": devices, "compatible": compatible}, differences)
    yield from _cuts(module, {**own, "devices": devices, "compatible": compatible}, differences, told_units(context))
    if watchdog is not None:
        yield _watchdog(module, watchdog)


def _updates(module: str, values: dict[str, _Plain], differences: list[Difference]) -> Iterator[Check]:
    gate = {"gate": f"{GATE}.service"}
    hidden: dict[str, Value] = {"systemd.services.rauc.serviceConfig.InaccessiblePaths": ["/etc/fw_env.config"]}
    first = {f"{_SETTINGS}.bundleFormats": ["verity"], f"{_SETTINGS}.bootloader": "uboot"}
    yield Check(
        _UPDATES,
        "RAUC knows the slots of the description, their boot loader, and takes verity bundles alone",
        updates.has_its_slots,
        values,
        holds=first,
        keeps=[module],
        differences=differences,
        sabotages=[
            Sabotage(
                "plain-bundles",
                "bundles without a hash tree are taken, too",
                {f"{_SETTINGS}.bundleFormats": force(["plain", "verity"])},
                judged="evaluation",
            ),
            Sabotage("no-variables", "RAUC cannot reach U-Boot's variables", hidden),
        ],
    )
    nothing = {f"systemd.services.{GATE}.serviceConfig.ExecStart": force("/run/current-system/sw/bin/true")}
    yield Check(
        _UPDATES,
        "the booted slot is found good, and has all its tries again",
        updates.is_found_good,
        gate,
        keeps=[module],
        sabotages=[Sabotage("gate-marks-nothing", "the health gate ends well and marks nothing", nothing)],
    )
    about = {n: v for n, v in values.items() if n in {"devices", "compatible"}}
    yield Check(
        _UPDATES,
        "a bundle of another signer or another device, a plain one and half a one are refused",
        updates.refuses_what_is_wrong,
        about,
        keeps=[module],
    )
    yield Check(
        _UPDATES,
        "an update stands in the other slot to the byte, starts from there, and is found good",
        updates.installs_to_the_other_slot,
        {"devices": values["devices"], **gate},
        keeps=[module],
    )


def _cuts(module: str, values: dict[str, _Plain], differences: list[Difference], told: str) -> Iterator[Check]:
    gate = {"gate": f"{GATE}.service"}
    forgets = {
        f"systemd.services.{GATE}.serviceConfig.ExecStartPost": "/run/current-system/sw/bin/rm /data/rauc/good.json"
    }
    yield Check(
        _CUTS,
        "after a power cut in the middle of an install the slot that ran starts, the same to the byte",
        updates.survives_power_cuts,
        {**values, **gate},
        keeps=[module],
        differences=differences,
    )
    yield Check(
        _CUTS,
        "an update that never comes up is left for the slot before it",
        updates.falls_back,
        gate,
        keeps=[module],
        sabotages=[Sabotage("good-forgotten", "which slot was good does not last", forgets)],
    )
    yield Check(
        _CUTS,
        "an update that comes up and is not well is left for the slot before it",
        updates.leaves_what_is_not_well,
        {**gate, "told": told},
        keeps=[module],
    )


def _watchdog(module: str, runtime: int) -> Check:
    option = "systemd.settings.Manager.RuntimeWatchdogSec"
    hardware: dict[str, Value] = {
        "virtualisation.qemu.options": ["-device i6300esb"],
        "boot.kernelModules": ["i6300esb"],
        f"systemd.services.{GATE}.wantedBy": force([]),
        "systemd.services.rauc.wantedBy": force([]),
    }
    return Check(
        _WATCHDOG,
        "the hardware watchdog is fed, and resets a kernel that hangs",
        updates.watchdog_resets,
        {"runtime": runtime},
        holds={option: runtime},
        keeps=[module],
        differences=[Difference("QEMU's watchdog in place of the board's, and no slots", hardware)],
        sabotages=[Sabotage("not-fed", "nothing feeds the watchdog", {option: force(0)}, judged="evaluation")],
    )


def _table(disk: Disk, layout: Layout) -> dict[str, list[int]]:
    """Return start and size of the slots' partitions, in MiB."""
    found = dict(zip((p.label for p in disk.table.partitions), places(disk.table.slices), strict=True))
    labels = [place.partition.label for slot in layout.slots for place in (slot.boot, slot.root)]
    mib = MiB.unit // SECTOR
    return {name: [found[name][0] // mib, (found[name][1] + 1 - found[name][0]) // mib] for name in labels}


def _disks(disk: Disk, table: dict[str, list[int]]) -> Difference:
    match = 'SUBSYSTEM=="block", ATTRS{serial}=="flash", ENV{DEVTYPE}'
    link, part = disk.path.removeprefix("/dev/"), disk.partition_path(0).removeprefix("/dev/").removesuffix("0")
    rules = f'{match}=="disk", SYMLINK+="{link}"\n{match}=="partition", SYMLINK+="{part}%n"\n'
    size = max(start + length for start, length in table.values()) + _ROOM
    drives: Value = [
        {"size": size, "driveConfig": {"deviceExtraOpts": {"serial": "flash"}}},
        vm_variables.DRIVE,
    ]
    settings: dict[str, Value] = {
        "virtualisation.emptyDiskImages": drives,
        "virtualisation.memorySize": 1024,
        "services.udev.extraRules": rules,
        **vm_variables.SETTINGS,
    }
    return Difference(
        "the slots are on a disk of QEMU's, by the names that they have, the variables on another", settings
    )


_KEYS = Difference(
    "nobody has the host's own key: the check signs with one of its own",
    {
        "environment.etc.update-keys.source": Apply(
            pkgs.runCommand, ("update-keys", {"nativeBuildInputs": [pkgs.openssl]}, _MAKE_KEYS)
        ),
        f"{_SETTINGS}.settings.keyring.path": force("/etc/update-keys/ca.pem"),
    },
)
_TOOLS = Difference("it makes bundles, too", {"environment.systemPackages": [pkgs.squashfsTools, pkgs.ubootTools]})
