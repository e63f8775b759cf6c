"""Slots A and B, what is made at first boot, and what goes to disko and what to systemd-repart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from layout_slots import DATA, EMMC, SLOTS, U_BOOT, emmc, told_by_repart
from nixwright.errors import Mistake, MistakeError, collecting
from nixwright.layout import (
    ESP,
    GPT,
    REST,
    Disk,
    Ext4,
    F2fs,
    GiB,
    KiB,
    Luks,
    MiB,
    Partition,
    Passphrase,
    Raw,
    Sectors,
    Slots,
    Swap,
)
from nixwright.layout.disk import places
from nixwright.layout.image import image_size, spans, table_script
from nixwright.layout.lower import settings
from nixwright.layout.model import Layout

if TYPE_CHECKING:
    from collections.abc import Callable


def lowered(layout: Layout) -> dict[str, Any]:
    return {".".join(s.path): s.value for s in settings(layout)}


def test_the_slots_stand_where_the_issue_has_them() -> None:
    found = {
        p.label: (first / 2048, (last + 1 - first) / 2048)
        for p, (first, last) in zip(emmc().table.partitions, places(emmc().table.slices, 16 << 30), strict=True)
    }
    assert found == {
        "boot-a": (16, 128),
        "rootfs-a": (144, 1024),
        "boot-b": (1168, 128),
        "rootfs-b": (1296, 1024),
        "data": (2320, 16384 - 2320 - 1),  # sgdisk keeps the last MiB for the second table
    }
    assert [(r.name, r.start.sectors) for r in emmc().table.raws] == [("idbloader.img", 64), ("u-boot.itb", 16384)]


def test_a_slot_is_a_pair_that_knows_its_devices() -> None:
    slots = Layout.of([emmc()]).slots
    assert [(s.name, s.index, s.boot.device, s.boot.number, s.root.device, s.root.number) for s in slots] == [
        ("A", 0, "/dev/mmcblk1p1", 1, "/dev/mmcblk1p2", 2),
        ("B", 1, "/dev/mmcblk1p3", 3, "/dev/mmcblk1p4", 4),
    ]
    assert Layout.of([Disk("/dev/disk/by-id/x", GPT(Partition("root", REST, Ext4("/"))))]).slots == ()


def test_the_root_is_in_memory_and_data_alone_stays() -> None:
    layout = Layout.of([emmc()])
    assert not layout.survives("/etc/ssh")
    assert layout.survives("/data/config")
    data = layout.mount_of("/data")
    assert data is not None
    assert not data.needed_for_boot  # a broken /data must not stop the boot


def test_disko_is_told_nothing_of_what_an_image_holds() -> None:
    found = lowered(Layout.of([emmc()]))
    assert not [path for path in found if path.startswith("disko")]
    assert found["boot.initrd.systemd.repart.discard"] is False
    assert found["boot.initrd.systemd.repart.device"] == EMMC.device
    assert found["fileSystems./data"] == {
        "device": "/dev/mmcblk1p5",
        "fsType": "f2fs",
        "options": ["noatime", "nofail", "x-systemd.before=local-fs.target"],
    }


def test_repart_is_told_of_both_slots_in_their_order() -> None:
    slot = {"SizeMinBytes": "128M", "SizeMaxBytes": "128M"}
    root = {"Type": "root-arm64", "SizeMinBytes": "1024M", "SizeMaxBytes": "1024M"}
    assert told_by_repart(Layout.of([emmc()])) == {
        "10-boot-a": {"Type": "xbootldr", "Label": "boot-a", **slot},
        "20-rootfs-a": {"Label": "rootfs-a", **root},
        "30-boot-b": {"Type": "xbootldr", "Label": "boot-b", "Format": "vfat", **slot},
        "40-rootfs-b": {"Label": "rootfs-b", **root},
        "50-data": {"Type": "linux-generic", "Label": "data", "Format": "f2fs", "SizeMinBytes": "64M"},
    }


def test_beside_disko_only_the_later_partitions_go_to_repart() -> None:
    disk = Disk(
        "/dev/disk/by-id/virtio-vm",
        GPT(
            Partition("boot", MiB(512), ESP()),
            Partition("root", GiB(4), Ext4("/")),
            Partition("swap", MiB(512), Swap(), at_first_boot=True),
            Partition("home", REST, Ext4("/home"), at_first_boot=True),
        ),
    )
    found = lowered(Layout.of([disk]))
    assert list(found["disko.devices.disk.main"]["content"]["partitions"]) == ["boot", "root"]
    assert found["systemd.repart.partitions.20-root"] == {
        "Type": "linux-generic",
        "Label": "root",
        "SizeMinBytes": "4G",
        "SizeMaxBytes": "4G",
    }
    assert found["systemd.repart.partitions.30-swap"]["Format"] == "swap"
    assert found["swapDevices"] == [{"device": "/dev/disk/by-id/virtio-vm-part3"}]
    assert found["fileSystems./home"]["device"] == "/dev/disk/by-id/virtio-vm-part4"


def test_the_image_holds_slot_a_and_hides_the_gap() -> None:
    lines = table_script(emmc(), "rock64").splitlines()
    assert lines[0] == "label: gpt"
    assert lines[2] == "first-lba: 32768"
    ids = [re.search(r"(?:label-id: |uuid=)([0-9A-F-]{36})", line) for line in (lines[1], *lines[3:])]
    assert len({found[1] for found in ids if found is not None}) == 3  # the disk's and two partitions'
    assert [re.sub(r"uuid=[^,]+, ", "", line) for line in lines[3:]] == [
        'start=32768, size=262144, type=BC13C2FF-59E6-4262-A352-B275FD6F7172, name="boot-a"',
        'start=294912, size=2097152, type=B921B045-1DF0-41C3-AF44-4C6F280D3FAE, name="rootfs-a"',
    ]
    assert table_script(emmc(), "rock64") == table_script(emmc(), "rock64")
    assert table_script(emmc(), "another") != table_script(emmc(), "rock64")
    assert image_size(emmc()) == 1169 << 20
    assert spans(emmc()) == {"boot-a": (32768, 262144), "rootfs-a": (294912, 2097152)}


def test_a_root_of_another_architecture_has_another_type() -> None:
    other = Slots(boot=MiB(128), root=GiB(1), start=MiB(16), system="x86_64-linux")
    parts = told_by_repart(Layout.of([Disk(EMMC, GPT(other, DATA))]))
    assert parts["40-rootfs-b"]["Type"] == "root-x86-64"


def table(*slices: Partition | Raw | Slots) -> Callable[[], object]:
    return lambda: GPT(*slices)


LATE = Partition("late", MiB(128), Ext4("/late"), at_first_boot=True)
MISTAKES: dict[str, tuple[Callable[[], object], str, str]] = {
    "a root slot of more than an update": (
        lambda: Slots(boot=MiB(128), root=GiB(2), start=MiB(16)),
        "Slots.root",
        "too large",
    ),
    "slots beside the MiB": (lambda: Slots(boot=KiB(131073), root=GiB(1), start=MiB(16)), "Slots.boot", "whole number"),
    "the boot loader reaches into slot A": (
        table(Raw("u-boot.itb", Sectors(16384), MiB(9)), SLOTS, DATA),
        "GPT",
        "u-boot.itb overlaps boot-a",
    ),
    "slots that start on the table": (
        table(Raw("idb", Sectors(64), MiB(1)), Slots(boot=MiB(128), root=GiB(1), start=MiB(1)), DATA),
        "GPT",
        "idb overlaps boot-a",
    ),
    "slots twice": (table(SLOTS, Slots(boot=MiB(32), root=MiB(64), start=MiB(32))), "GPT", "stand twice"),
    "a partition before the slots": (
        table(Partition("first", MiB(1), start=MiB(1)), SLOTS, DATA),
        "GPT",
        "before every other partition",
    ),
    "a partition that the image does not hold": (
        table(*U_BOOT, SLOTS, Partition("data", REST, F2fs("/data"))),
        "GPT.slices",
        "holds slot A alone",
    ),
    "one made by the installer behind one of the first boot": (
        table(LATE, Partition("root", REST, Ext4("/"))),
        "GPT",
        "stands behind one",
    ),
    "one that repart would put where the boot loader is": (
        table(*U_BOOT, SLOTS, Partition("small", MiB(8), Ext4("/small"), at_first_boot=True)),
        "GPT",
        "into a gap",
    ),
    "a container at first boot": (
        lambda: Partition("x", MiB(64), Luks("x", [Passphrase()], Swap()), at_first_boot=True),
        "Partition.content",
        "cannot be made at first boot",
    ),
    "a place of its own": (
        lambda: Partition("x", MiB(64), Swap(), start=MiB(1), at_first_boot=True),
        "Partition.start",
        "right behind",
    ),
    "sectors at first boot": (
        lambda: Partition("x", Sectors(9), Swap(), at_first_boot=True),
        "Partition.size",
        "whole number of MiB",
    ),
    "too small for f2fs": (
        lambda: Partition("x", MiB(39), F2fs("/x"), at_first_boot=True),
        "Partition.size",
        "too small for f2fs",
    ),
    "options of mkfs": (
        lambda: Partition("x", MiB(64), Ext4(format=["-m", "1"]), at_first_boot=True),
        "Partition.content",
        "its own options",
    ),
    "a type without a GUID": (
        lambda: Partition("x", MiB(64), type="A502", at_first_boot=True),
        "Partition.type",
        "no name for it",
    ),
    "two disks with slots": (
        lambda: Layout.of([emmc(), Disk("/dev/disk/by-id/x", GPT(SLOTS), name="other")]),
        "Disk.table",
        "slots A and B on two disks",
    ),
    "a second root": (
        lambda: Layout.of([Disk(EMMC, GPT(SLOTS, Partition("r", REST, F2fs("/"), at_first_boot=True)))]),
        "F2fs.at",
        "two file systems at one path",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_once_with_its_fix(name: str) -> None:
    make, field, what = MISTAKES[name]
    found: list[Mistake] = []
    try:
        with collecting() as found:
            make()
    except MistakeError as error:
        found = list(error.mistakes)
    assert len(found) == 1, found
    assert found[0].field.split("[")[0] == field
    assert re.search(what, found[0].what)
    assert found[0].fix
