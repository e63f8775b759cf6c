"""What holds for every host: it comes up whole, and another generation can take its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixwright.scenarios.driver import retry, seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

_UP = r"Reached target \S*multi-user\.target"  # with what colours it, if anything
# Not by grep: is-system-running fails where a unit has, and with it the whole pipe, as the driver runs it.
_SETTLED = "case $(systemctl is-system-running) in running | degraded) ;; *) false ;; esac"


def console_says(machine: QemuMachine, pattern: str, *, since: int = 0) -> int:
    """Wait until the console, from its character `since` on, shows a pattern; return where that ends.

    The driver's own `wait_for_console_text` keeps a processor of the machine that emulates busy while it waits, or
    reads a line a second.
    """

    def found(last: bool) -> bool:  # noqa: FBT001 - what `retry` calls it with
        said = machine.get_console_log()[since:]
        if re.search(pattern, said):
            return True
        if last or "emergency.target" in said:
            raise AssertionError(f"the console never said {pattern}, but at last: {said[-2000:]}")
        return False

    retry(found, seconds(1800))
    said = re.search(pattern, machine.get_console_log()[since:])
    return since + (said.end() if said else 0)


def wait_for_boot(machine: QemuMachine) -> None:
    """Wait until the console says that the system is up: the driver's shell gives up after 5 min, emulated or not."""
    console_says(machine, _UP)
    machine.wait_for_unit("multi-user.target")


def comes_up(machine: QemuMachine) -> None:
    """Every unit is up or done, and systemd broke no ordering cycle."""
    wait_for_boot(machine)
    # a unit that starts a moment after the target counts too
    machine.wait_until_succeeds(_SETTLED)
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
