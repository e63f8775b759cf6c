from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from nixwright.errors import MistakeError
from nixwright.layout import GPT, REST, Dataset, Disk, Partition, Zpool
from nixwright.layout.model import Layout
from nixwright.parts.zfs_upkeep import ZfsUpkeep
from parts_host import DISK, NixSnapshot, context, pibox_layout, plain_layout, printed, told

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion


def test_module(snapshot: SnapshotAssertion) -> None:
    assert printed(ZfsUpkeep(), context()) == snapshot(extension_class=NixSnapshot)
    rare = ZfsUpkeep(scrub="Sun *-*-01..07 03:00", snapshots=False, trim=None)
    assert printed(rare, context(layout=pibox_layout(snapshots=False))) == snapshot(extension_class=NixSnapshot)


def test_intervals_that_are_refused() -> None:
    with pytest.raises(MistakeError) as caught:
        ZfsUpkeep(scrub="sometimes", trim="")
    assert [told(m)[:3] for m in caught.value.mistakes] == [
        ["ZfsUpkeep.scrub", "is no interval", "'sometimes'"],
        ["ZfsUpkeep.trim", "is no interval", "''"],
    ]


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (ZfsUpkeep(snapshots=False), "a dataset asks for snapshots that are off"),
        (ZfsUpkeep(), None),
        (ZfsUpkeep(snapshots=True), None),
    ],
)
def test_snapshots_that_are_asked_for(part: ZfsUpkeep, what: str | None) -> None:
    assert [m.what for m in part.host_rules(context())] == ([what] if what else [])


def test_snapshots_that_nobody_asks_for_and_no_pool() -> None:
    part = ZfsUpkeep(snapshots=True)
    found = [m.what for m in part.host_rules(context(layout=pibox_layout(snapshots=False)))]
    assert found == ["no dataset asks for snapshots"]
    assert [m.what for m in part.host_rules(context(layout=plain_layout()))] == ["the host has no pool"]


def test_sanoid(snapshot: SnapshotAssertion) -> None:
    part = ZfsUpkeep(by="sanoid")
    assert printed(part, context(part)) == snapshot(extension_class=NixSnapshot)


def test_no_snapshots_of_the_store() -> None:
    pool = Zpool("tank", [Dataset("root", at="/", snapshots=True), Dataset("root/nix", at="/nix")])
    layout = Layout.of([Disk(DISK, GPT(Partition("root", REST, pool.member())))])
    found = list(ZfsUpkeep().host_rules(context(layout=layout)))
    assert [(m.field, m.given) for m in found] == [("Dataset.snapshots", "root")]
