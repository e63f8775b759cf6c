"""The power is cut at many moments of an install by real RAUC: the slot that runs stays as it is, to the byte."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from updates_bench import PARTITION, SERVE, Bench, need_rauc

if TYPE_CHECKING:
    from pathlib import Path

    from guest import Guest

CUTS = 20


def test_no_power_cut_touches_the_slot_that_runs(tmp_path: Path) -> None:
    need_rauc()
    bench = Bench.make(tmp_path)
    disks = bench.disks
    with bench.guest() as guest:
        bench.share(guest)
        guest.succeed(PARTITION + SERVE)
        assert disks.slot("a") == bench.running
        assert disks.starts() == ["A", "B"]
        is_cut_at_any_moment(bench, guest)
        # the power really goes, in the middle of the next install
        guest.succeed("rauc status mark-active boot.0; head -c 1M /dev/zero >/dev/disk/by-partlabel/boot-b; sync")
        worn = disks.slot("b")
        guest.send("rauc install /run/bundle")
        while disks.slot("b") == worn:
            time.sleep(0.02)
        guest.kill()
    assert disks.slot("a") == bench.running
    assert disks.starts()[0] == "A"
    with bench.guest() as guest:
        bench.share(guest)
        guest.succeed(SERVE + "cp /shared/good /run/bundle; rauc install /run/bundle; sync")
        assert disks.slot("a") == bench.running
        assert disks.slot("b") == bench.updated
        assert disks.starts() == ["B", "A"]
        guest.succeed("rauc status mark-bad boot.1; sync")
        assert disks.starts() == ["A"]
        guest.succeed("rauc status mark-good boot.0; sync")
        assert (disks.environment() or {})["BOOT_A_LEFT"] == "3"


def is_cut_at_any_moment(bench: Bench, guest: Guest) -> None:
    """At each of many moments of installs: slot A is untouched, and the slot that would start is whole."""
    disks = bench.disks
    cuts = halves = 0
    looked = 0.03  # seconds that a look takes: the guest runs for longer than it is held, on a slow machine too
    while cuts < CUTS or halves < 3:
        worn = "rauc status mark-active boot.0; head -c 1M /dev/zero >/dev/disk/by-partlabel/boot-b"
        guest.succeed(f"cp /shared/good /run/bundle; {worn}; sync")
        before = disks.slot("b")
        guest.send("trap 'echo that was all' EXIT; rauc install /run/bundle; sync")
        while not guest.said("that was all"):
            time.sleep(2 * looked)
            begun = time.monotonic()
            with guest.still():  # a power cut here would leave just this
                now, starts = disks.slot("b"), disks.starts()
                cuts += 1
                assert disks.slot("a") == bench.running, cuts
                assert starts[0] == "A" or now == bench.updated, (cuts, starts)
                halves += now not in (before, bench.updated)
            looked = time.monotonic() - begun
        assert guest.end().status == 0
        assert disks.slot("a") == bench.running
        assert disks.slot("b") == bench.updated
        assert disks.starts() == ["B", "A"]
