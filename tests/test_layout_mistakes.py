"""Each mistake of a layout is told once, with what was given, what is allowed, and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from nixwright.errors import Mistake, MistakeError, collecting
from nixwright.layout import (
    ESP,
    GPT,
    REST,
    Dataset,
    Disk,
    Ext4,
    GiB,
    KeyFile,
    Luks,
    MiB,
    Partition,
    Passphrase,
    Raw,
    Sectors,
    Soldered,
    Swap,
    Vfat,
    Zpool,
)
from nixwright.layout.model import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

BY_ID = "/dev/disk/by-id/ata-x"
ASKED = [Passphrase()]
ROOT = Partition("root", REST, Ext4("/"))


def disk(*slices: Partition | Raw, size: GiB | None = None) -> Disk:
    return Disk(BY_ID, GPT(*slices), size)


def layout(*slices: Partition | Raw, size: GiB | None = None) -> Layout:
    return Layout.of([disk(*slices, size=size)])


def pool(*datasets: Dataset, **fields: object) -> Zpool:
    return Zpool("tank", [Dataset("root", "/"), *datasets], **fields)  # type: ignore[arg-type]


def circle() -> Layout:
    first, second = KeyFile("/first"), KeyFile("/second")
    return layout(
        Partition("a", MiB(32), Luks("a", [Passphrase(), second], Ext4(files=[first]))),
        Partition("b", MiB(32), Luks("b", [Passphrase(), first], Ext4(files=[second]))),
        ROOT,
    )


def later() -> Layout:
    key = KeyFile("/key")
    return layout(
        Partition("data", GiB(1), Luks("data", [key], Ext4("/data"))),
        Partition("keys", MiB(32), Luks("keys", ASKED, Ext4(files=[key]))),
        ROOT,
    )


def in_clear() -> Layout:
    key = KeyFile("/key")
    return layout(
        Partition("keys", MiB(32), Ext4(files=[key])),
        Partition("data", GiB(1), Luks("data", [key], Ext4("/data"))),
        ROOT,
    )


def key_in_itself() -> Layout:
    key = KeyFile("/key")
    return layout(Partition("a", MiB(32), Luks("a", [key], Ext4(files=[key]))), ROOT)


CASES: dict[str, tuple[Callable[[], object], str, str]] = {
    "sda": (lambda: Disk("/dev/sda", GPT(ROOT)), "Disk.device", "a disk is named by what stays the same"),
    "soldered": (lambda: Soldered("/dev/sda", why="it is"), "Soldered.device", "is no soldered device"),
    "too large": (lambda: disk(Partition("a", GiB(9)), size=GiB(8)), "Disk.size", "a does not fit: it takes 9 GiB"),
    "overlap": (
        lambda: GPT(Partition("a", MiB(100)), Partition("b", MiB(1), start=MiB(50))),
        "GPT",
        "b overlaps partition 1: sectors 102400 to 104447, and 2048 to 206847",
    ),
    "raw overlap": (lambda: GPT(Raw("u-boot", Sectors(64), MiB(8)), ROOT), "GPT", "u-boot overlaps root"),
    "raw on the table": (lambda: GPT(Raw("x", Sectors(1), Sectors(8)), ROOT), "GPT", "x overlaps the partition table"),
    "label": (lambda: Partition("x" * 37, MiB(1)), "Partition.label", "the label is too long"),
    "wide label": (lambda: Partition("\U0001f600" * 19, MiB(1)), "Partition.label", "the label is too long"),
    "label with a quote": (lambda: Partition('a"b', MiB(1)), "Partition.label", "is no partition label"),
    "type": (lambda: Partition("a", MiB(1), type="linux"), "Partition.type", "is no partition type"),
    "labels": (
        lambda: GPT(Partition("a b", MiB(1)), Partition("a b", MiB(1))),
        "GPT.slices[1]",
        "two partitions of one",
    ),
    "rest first": (
        lambda: GPT(Partition("a", REST), Partition("b", MiB(1))),
        "GPT",
        "only the last partition can take",
    ),
    "size": (lambda: MiB(0), "MiB.count", "a size must be positive"),
    "circle": (circle, "Luks.opens_with", "the keys go in a circle"),
    "own key": (key_in_itself, "Luks.opens_with", "the keys go in a circle"),
    "later": (later, "Luks.opens_with", "the key file /key is made only after this container, which it opens"),
    "in clear": (in_clear, "Luks.opens_with", "the key file /key would lie on the disk in clear"),
    "no home": (
        lambda: layout(Partition("a", MiB(32), Luks("a", [KeyFile("/key")], Swap())), ROOT),
        "Luks.opens_with",
        "nothing keeps the key file /key",
    ),
    "nothing opens": (lambda: Luks("a", [], Swap()), "Luks.opens_with", "nothing opens the container"),
    "mapper": (lambda: Luks("a b", ASKED, Swap()), "Luks.name", "is no name for /dev/mapper"),
    "zfsutil": (
        lambda: Zpool("tank", [Dataset("a", "/a", options=["zfsutil"])], mounts="legacy"),
        "Zpool.datasets[0]",
        "zfsutil does not mount a dataset whose mount point is legacy",
    ),
    "property": (
        lambda: Dataset("a", "/a", properties={"mountpoint": "legacy"}),
        "Dataset.properties.mountpoint",
        "is set",
    ),
    "wiped and kept": (
        lambda: Dataset("a", "/", wiped=True, snapshots=True),
        "Dataset.wiped",
        "a wiped dataset cannot",
    ),
    "below wiped": (
        lambda: layout(Partition("p", REST, Zpool("t", [Dataset("r", "/", True), Dataset("r/x", "/x")]).member())),  # noqa: FBT003
        "Dataset.name",
        "stands below r, which is wiped",
    ),
    "dataset": (lambda: Dataset("a//b"), "Dataset.name", "is no dataset name"),
    "pool": (lambda: Zpool("mirror-1"), "Zpool.name", "is no pool name"),
    "datasets": (lambda: pool(Dataset("root")), "Zpool.datasets[1]", "two datasets of one name"),
    "reserved": (
        lambda: layout(Partition("p", REST, pool(reserved=GiB(9)).member()), size=GiB(8)),
        "Zpool.reserved",
        "more is reserved than the pool has",
    ),
    "members": (lambda: layout(Partition("p", REST, pool(mode="mirror").member())), "Zpool.mode", "too few members"),
    "one path": (
        lambda: layout(Partition("a", MiB(64), ESP()), Partition("b", MiB(64), Vfat("/boot")), ROOT),
        "Vfat.at",
        "two file systems at one path",
    ),
    "no root": (lambda: layout(Partition("a", MiB(64), ESP())), "Disk", "nothing is mounted at /"),
    "path": (lambda: ESP(at="/boot/"), "ESP.at", "is no clean absolute path"),
    "disks": (lambda: Layout.of([disk(ROOT), Disk(BY_ID, GPT())]), "Disk.device", "two of one name"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_told_once_with_its_place_and_a_fix(name: str) -> None:
    make, field, what = CASES[name]
    with collecting() as found:
        make()
    (mistake,) = found
    assert mistake.field == field
    assert mistake.what.startswith(what)
    assert mistake.fix
    assert mistake.origin is not None
    assert mistake.origin.place()[0] == __file__
    with pytest.raises(MistakeError):
        make()


def test_swap_on_a_zvol_cannot_be_written_down() -> None:
    with collecting() as found:
        Zpool("tank", [Swap()])  # type: ignore[list-item]
    (mistake,) = found
    assert (mistake.field, mistake.allowed) == ("Zpool.datasets[0]", "a Dataset")


def test_one_run_tells_all_and_a_broken_partition_hides_no_others() -> None:
    with collecting() as found:
        layout(Partition("x" * 40, MiB(1)), Partition("b", MiB(0)), Partition("root", REST, Ext4("/", options=["a"])))
    assert [m.field for m in found] == ["Partition.label", "MiB.count"]


def test_a_right_layout_has_no_mistakes() -> None:
    key = KeyFile("/key")
    with collecting() as found:
        layout(
            Raw("u-boot", Sectors(64), MiB(8)),
            Partition("esp", MiB(100), ESP(), start=MiB(16)),
            Partition("keys", MiB(32), Luks("keys", ASKED, Ext4(files=[key]))),
            Partition("root", REST, Luks("root", [Passphrase(), key], pool(Dataset("home", "/home")).member())),
            size=GiB(64),
        )
    assert found == list[Mistake]()
