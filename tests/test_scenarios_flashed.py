"""The scenario of a flashed image: what it asks, and under which answers it fails."""

from __future__ import annotations

from typing import Any

import pytest
from fake_machine import fake_machine
from nixwright.scenarios import flashed

TABLE = {"boot-a": [32768, 262144], "rootfs-a": [294912, 2097152], "data": [4751360, 0]}
# As lsblk prints it: the disk itself first, without label and start.
LSBLK = "  3221225472\nboot-a 32768 134217728\nrootfs-a 294912 1073741824\ndata 4751360 788508672\n"


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (LSBLK, ""),
        (LSBLK.replace("rootfs-a 294912", "rootfs-a 294913"), r"'rootfs-a': \[294913, 2097152\]"),
        (LSBLK.replace("boot-a 32768 134217728", "boot-a 32768 67108864"), r"'boot-a': \[32768, 131072\]"),
        (LSBLK.replace("data 4751360 788508672\n", ""), "'data'"),
        (f"{LSBLK}swap 6291456 1048576\n", "'swap'"),
    ],
)
def test_the_table_is_compared_to_the_sector(printed: str, told: str) -> None:
    machine = fake_machine({"lsblk": printed})
    if not told:
        flashed.has_table(machine, device="/dev/mmcblk1", table=TABLE)
    else:
        with pytest.raises(AssertionError, match=told):
            flashed.has_table(machine, device="/dev/mmcblk1", table=TABLE)


def test_after_a_power_cut_the_root_is_blank_and_what_stays_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flashed, "wait_for_boot", lambda _: None)
    after: dict[str, Any] = {"touch": True, "test -e /data/written": True, "test -e": False, "lsblk": LSBLK}
    values: dict[str, Any] = {"device": "/dev/mmcblk1", "table": TABLE, "fresh": "/run/nixwright/fresh"}
    machine = fake_machine(after)
    flashed.forgets(machine, **values)
    assert [call for call in machine.calls if call in {"crash", "start"}] == ["crash", "start"]
    for path, there in (("/data/written", False), ("/etc/written", True), ("/run/nixwright/fresh", True)):
        other = {key: answer for key, answer in after.items() if path not in key}
        with pytest.raises(AssertionError, match=path):
            flashed.forgets(fake_machine({"touch": True, f"test -e {path}": there, **other}), **values)
