"""The power is cut at many moments of an install by real RAUC: the slot that runs stays as it is, to the byte."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from nixwright.install.slot_state import parse, script
from slots_device import STATUS
from updates_bench import first_boot

if TYPE_CHECKING:
    from pathlib import Path

    from guest import Guest
    from updates_bench import Bench

CUTS = 20


def test_no_power_cut_touches_the_slot_that_runs(tmp_path: Path) -> None:
    with first_boot(tmp_path) as (bench, guest):
        is_cut_at_any_moment(bench, guest)
        disks = bench.disks
        assert state(guest) == ("A", "B", [("A", "good", "3", ""), ("B", "good", "3", "2.0.0")])
        guest.succeed("rauc status mark-bad boot.1; sync")
        assert disks.starts() == ["A"]
        guest.succeed("rauc status mark-good boot.0; sync")
        assert disks.environment()["BOOT_A_LEFT"] == "3"
        assert state(guest) == ("A", "A", [("A", "good", "3", ""), ("B", "bad", "0", "2.0.0")])


def state(guest: Guest) -> tuple[str, str, list[tuple[str, str, str, str]]]:
    """What `nixwright status` makes of what real RAUC and real fw_printenv say."""
    said = guest.succeed(f"exec 2>/dev/null\n{script('/data/config')}")
    there = shape(said.partition("\nrauc=\n")[2])
    assert shape(STATUS.read_text()) <= there, "what other tests take for RAUC's answer"
    found = parse(said)
    return found.slot, found.first, [(s.name, s.marked, s.tries, s.version) for s in found.slots]


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


def shape(said: str) -> set[tuple[str, ...]]:
    """Return what RAUC's answer is made of: the way to each value in it, and what kind of value that is."""

    def of(value: object, *way: str) -> set[tuple[str, ...]]:
        if isinstance(value, dict):
            return {found for name, inner in value.items() for found in of(inner, *way, name)}
        return {(*way, type(value).__name__)}

    status = json.loads(said)
    return of(status | {"slots": {name: about for each in status["slots"] for name, about in each.items()}})
