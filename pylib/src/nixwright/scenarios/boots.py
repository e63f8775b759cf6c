"""What holds for every host: it comes up whole, and another generation can take its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixwright.scenarios.driver import retry, seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

_UP = r"Reached target \S*multi-user\.target"  # with what colours it, if anything


def wait_for_boot(machine: QemuMachine) -> None:
    """Wait until the console says that the system is up: the driver's shell gives up after 5 min, emulated or not."""
    retry(lambda _: re.search(_UP, machine.get_console_log()) is not None, seconds(1800))
    machine.wait_for_unit("multi-user.target")


def comes_up(machine: QemuMachine) -> None:
    """Every unit is up or done, and systemd broke no ordering cycle."""
    wait_for_boot(machine)
    # a unit that starts a moment after the target counts too
    machine.wait_until_succeeds("systemctl is-system-running | grep -E '^(running|degraded)$'")
    failed = machine.succeed("systemctl list-units --state=failed --plain --no-legend")
    if failed.strip():
        machine.log(machine.succeed("journalctl -b -p warning --no-pager | tail -n 100"))
        raise AssertionError(f"failed units: {failed}")
    cycles = machine.succeed("journalctl -b -o cat --no-pager -g 'ordering cycle' || true")
    if "ordering cycle" in cycles:
        raise AssertionError(f"systemd broke an ordering cycle: {cycles}")


def switches(machine: QemuMachine, *, marker: str) -> None:
    """The next generation takes over in the running system, then the first one again; no unit fails on the way."""
    machine.wait_for_unit("multi-user.target")
    machine.fail(f"test -e {marker}")
    machine.succeed("/run/booted-system/specialisation/next/bin/switch-to-configuration test >&2")
    machine.succeed(f"test -e {marker}")
    machine.succeed('test -z "$(systemctl list-units --state=failed --plain --no-legend | tee /dev/stderr)"')
    machine.succeed("/run/booted-system/bin/switch-to-configuration test >&2")
    machine.fail(f"test -e {marker}")
    machine.succeed('test "$(readlink /run/current-system)" = "$(readlink /run/booted-system)"')
    machine.succeed('test -z "$(systemctl list-units --state=failed --plain --no-legend | tee /dev/stderr)"')
