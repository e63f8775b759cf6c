"""What the check of a flashed image does: it starts from slot A, makes the rest, forgets the right things, and B."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nixwright.scenarios.boots import wait_for_boot

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

_SAME = "test $(readlink -f {}) = $(readlink -f {})"


def starts_from_slot(machine: QemuMachine, *, boot: str, root: str, lower: str) -> None:
    """The root is an overlay over the squashfs of the slot that booted, and /boot is that slot's."""
    for path, device in (("boot", boot), ("root", root)):
        machine.succeed(_SAME.format(f"/dev/disk/by-slot/{path}", device))
    machine.succeed("test $(findmnt -n -o FSTYPE --mountpoint /) = overlay")
    machine.succeed(f"test $(findmnt -n -o FSTYPE --mountpoint {lower}) = squashfs")
    machine.succeed(_SAME.format(f"$(findmnt -n -o SOURCE --mountpoint {lower})", root))
    machine.succeed(_SAME.format("$(findmnt -n -o SOURCE --mountpoint /boot)", boot), "touch /written")
    machine.fail("touch /boot/written", f"touch {lower}/written")


def makes_the_rest(
    machine: QemuMachine, *, device: str, table: dict[str, list[int]], raws: dict[str, int], fresh: str
) -> None:
    """Slot B and what stays are there, to the sector; what stands raw before slot A is whole; it was the first boot."""
    machine.succeed(f"test -e {fresh}", "findmnt --mountpoint /data")
    has_table(machine, device=device, table=table)
    for name, sector in raws.items():
        # no pipe: `yes` ends badly, and the driver lets a pipe fail with any of its parts
        machine.succeed(f"cmp -n 65536 <(yes {name}) <(dd if={device} bs=512 skip={sector} count=128)")


def has_table(machine: QemuMachine, *, device: str, table: dict[str, list[int]]) -> None:
    """Each partition has its first sector, and its number of sectors where that is known (else 0)."""
    rows = machine.succeed(f"lsblk -rnb -o PARTLABEL,START,SIZE $(readlink -f {device})").splitlines()
    # the disk itself has no label and no start
    whole = [row.split() for row in rows if not row.startswith(" ")]
    found = {label: [int(start), int(size) // 512] for label, start, size in whole}
    wanted = {label: [start, size or found.get(label, [0, 0])[1]] for label, (start, size) in table.items()}
    if found != wanted:
        raise AssertionError(f"the partitions are {found}, not {wanted}")


def forgets(machine: QemuMachine, *, device: str, table: dict[str, list[int]], fresh: str) -> None:
    """After a power cut the root is blank, /data has what it had, and nothing takes it for the first boot."""
    machine.succeed("touch /written /etc/written /var/written /data/written", "sync")
    machine.crash()
    machine.start()
    wait_for_boot(machine)
    machine.succeed("test -e /data/written")
    machine.fail("test -e /written", "test -e /etc/written", "test -e /var/written", f"test -e {fresh}")
    has_table(machine, device=device, table=table)


def starts_from_other_slot(machine: QemuMachine, *, pairs: dict[str, str], boot: str, root: str, lower: str) -> None:
    """What is written to slot B starts with `rauc.slot=boot.1`, with its own /boot and the same /data."""
    for source, target in pairs.items():
        machine.succeed(f"dd if={source} of={target} bs=1M conv=fsync,nocreat 2>&1")
    machine.succeed("sync")
    machine.shutdown()
    # what is said last counts, and this is put behind the node's own parameters
    os.environ["QEMU_KERNEL_PARAMS"] = "rauc.slot=boot.1"
    machine.start()
    wait_for_boot(machine)
    machine.succeed("test -e /data/written")
    starts_from_slot(machine, boot=boot, root=root, lower=lower)
