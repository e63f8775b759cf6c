"""What a pool needs over the years, on a small pool of the check's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.scenarios.boots import wait_for_boot

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine


def timers_are_set(machine: QemuMachine, *, timers: dict[str, str], never: list[str]) -> None:
    """Each timer runs with its calendar event (empty: whichever it has), and what is never wanted does not."""
    wait_for_boot(machine)
    for timer, event in timers.items():
        machine.require_unit_state(f"{timer}.timer")
        if event:
            machine.succeed(f"systemctl cat {timer}.timer | grep -x 'OnCalendar={event}'")
    for timer in never:
        machine.fail(f"systemctl is-active {timer}.timer")


def snapshots_are_taken(machine: QemuMachine, *, pool: str, asked: list[str], others: list[str], service: str) -> None:
    """A run takes a snapshot of each dataset that asks for some, and of no other."""
    wait_for_boot(machine)
    machine.succeed("truncate -s 512M /root/pool")
    machine.succeed(f"zpool create -O com.sun:auto-snapshot=false -O mountpoint=none {pool} /root/pool")
    for name in [*asked, *others]:
        wanted = str(name in asked).lower()
        machine.succeed(f"zfs create -p -o com.sun:auto-snapshot={wanted} {pool}/{name}")
        # a snapshot that would hold nothing is not taken
        machine.succeed(f"zfs set mountpoint=/mnt/{name} {pool}/{name}", f"echo kept > /mnt/{name}/file", "sync")
    machine.succeed(f"systemctl start {service}")
    taken = {s.partition("@")[0] for s in machine.succeed("zfs list -H -t snapshot -o name").split()}
    if taken != {f"{pool}/{name}" for name in asked}:
        raise AssertionError(f"snapshots are taken of {sorted(taken)}, asked for are {asked}")
