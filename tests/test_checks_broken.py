"""The checks of a host whose disks are broken: which of them boots, and each scenario is seen to fail."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from fake_machine import fake_machine
from nixwright import broken_disks
from nixwright.layout import GPT, REST, Dataset, Ext4, Luks, MiB, Partition, Passphrase, Zpool
from nixwright.layout.disk import Disk
from nixwright.layout.model import Layout
from nixwright.parts.base import Context
from nixwright.scenarios import broken
from parts_host import pibox_layout

if TYPE_CHECKING:
    from nixwright.checks.model import Check

SSD = "/dev/disk/by-id/virtio-a"
UP = "Reached target multi-user.target - Multi-User System."
STOPS = "Reached target emergency.target - Emergency Mode."


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the console does not say at once, it never says."""
    monkeypatch.setattr("nixwright.scenarios.boots.seconds", lambda _: 1)


def pool_layout(*, wiped: bool, if_rollback_fails: Any = "stop") -> Layout:
    datasets = [Dataset("root", at="/", wiped=wiped), Dataset("nix", at="/nix")]
    pool = Zpool("rpool", datasets=datasets, if_rollback_fails=if_rollback_fails)
    return Layout.of([Disk(SSD, GPT(Partition("root", REST, pool.member())))])


def checks(layout: Layout) -> list[Check]:
    return [*broken_disks.checks(Context("box", "feeddead", "26.05", "aarch64-linux", layout, [], []))]


@pytest.mark.parametrize(
    ("layout", "booted", "seen"),
    [
        (pibox_layout(), broken.opens_without_key, ["failure-ignored", "forced"]),
        (pool_layout(wiped=True), broken.stops_without_blank, ["forced"]),
        (pool_layout(wiped=True, if_rollback_fails="shout"), broken.stops_before_foreign, []),
        (pool_layout(wiped=False), broken.stops_before_foreign, []),
    ],
)
def test_one_thing_is_broken_in_the_last_boot_and_the_rest_is_evaluated(
    layout: Layout, booted: object, seen: list[str]
) -> None:
    *evaluated, last = checks(layout)
    assert last.scenario is booted
    assert not last.holds
    assert [s.judged for s in last.sabotages] == ["run"]
    assert all(c.scenario is None and c.holds for c in evaluated)
    assert [(s.name, s.judged) for c in evaluated for s in c.sabotages] == [(name, "evaluation") for name in seen]


def test_a_host_without_pools_and_key_files_has_none() -> None:
    assert checks(Layout.of([Disk(SSD, GPT(Partition("a", MiB(10), Ext4(at="/"))))])) == []
    assert checks(Layout.of([])) == []


def test_who_is_asked_follows_from_the_description() -> None:
    (last,) = [c for c in checks(pibox_layout()) if c.scenario]
    assert str(last.values["dead"]).endswith("part2")
    (question,) = cast("Any", last.values["asked"])
    assert "cryptroot" in question


def test_what_the_key_alone_opens_cannot_do_without_it() -> None:
    """A root that no passphrase opens is lost with its key: no boot shows anything."""
    layout = pibox_layout()
    root = next(c.luks for c in layout.containers if c.luks.name == "cryptroot")
    key = root.key
    assert key is not None
    pool = Zpool("tank", datasets=[Dataset("root", at="/")])
    table = GPT(
        Partition("key", MiB(32), Luks("cryptkey", opens_with=[Passphrase()], content=Ext4(files=[key]))),
        Partition("root", REST, Luks("cryptroot", opens_with=[key], content=pool.member())),
    )
    (last,) = [c for c in checks(Layout.of([Disk(SSD, table)])) if c.scenario]
    assert last.scenario is broken.stops_before_foreign


BLANK: dict[str, Any] = {"blank": ["rpool/root@blank"], "stops_saying": ["Failed to start Roll back"], "questions": {}}


def test_a_boot_that_stops_and_says_why() -> None:
    box = fake_machine({"console log": f"Failed to start Roll back what is wiped of rpool\n{STOPS}"})
    broken.stops_without_blank(box, **BLANK)
    assert box.commands[:2] == ["zfs destroy rpool/root@blank", "zpool sync"]
    assert box.calls == ["crash", "start", "wait_for_shutdown"]


@pytest.mark.parametrize(
    ("console", "told"),
    [
        (f"Failed to start Roll back what is wiped of rpool\n{UP}", "came up all the same"),
        (STOPS, "never said .*Failed to start Roll back"),
    ],
)
def test_a_boot_that_goes_on_or_says_nothing(console: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        broken.stops_without_blank(fake_machine({"console log": console}), **BLANK)


def test_what_stops_is_known_by_systemds_own_words() -> None:
    """As it said them in a VM."""
    *_, blank = checks(pool_layout(wiped=True))
    (words,) = cast("Any", blank.values["stops_saying"])
    assert re.search(words, "Failed to start rollback-rpool.service - Roll back what is wiped of rpool.")
    *_, foreign = checks(pool_layout(wiped=False))
    said = 'Failed to start zfs-import-rpool.service - Import ZFS pool "rpool".'
    assert re.search(cast("Any", foreign.values["stops_saying"])[-1], said)


def test_another_machine_starts_after_the_power_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    values: dict[str, Any] = {"stops_saying": ["in use from another system"], "questions": {}}
    box = fake_machine({"console log": f"pool was previously in use from another system\n{STOPS}"})
    given: list[str | None] = []
    monkeypatch.setattr(box, "start", lambda: given.append(os.environ.get("QEMU_KERNEL_PARAMS")))
    broken.stops_before_foreign(box, **values)
    assert given == ["spl.spl_hostid=0x0badcafe"]
    assert box.calls[0] == "crash"
    assert "QEMU_KERNEL_PARAMS" not in os.environ
    with pytest.raises(AssertionError, match="came up all the same"):
        broken.stops_before_foreign(fake_machine({"console log": UP}), **values)


def test_without_the_key_somebody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nixwright.scenarios.installed.time.sleep", lambda _: None)
    box = fake_machine({"console log": f"for root?\n{UP}"})
    broken.opens_without_key(box, dead="/dev/p2", asked={"for root": "open"})
    assert "blkdiscard --force --zeroout /dev/p2" in box.commands
    assert [c for c in box.calls if c != "wait_for_unit multi-user.target"] == [
        "crash",
        "start",
        "send_console 'open\\n'",
    ]
    with pytest.raises((AssertionError, TimeoutError)):
        broken.opens_without_key(fake_machine({"console log": STOPS}), dead="/dev/p2", asked={"for root": "open"})


def test_nothing_boots_after_what_is_broken() -> None:
    folder = Path(__file__).parents[1] / "checks"
    for host, last in (("pibox", "opens_without_key"), ("impermanence-vm", "stops_without_blank")):
        calls = (folder / host / "installed.py").read_text().rstrip().splitlines()
        assert calls[-1].strip().startswith(f"{last}(")
