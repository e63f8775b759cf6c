"""A display's program: what it may do, as far as that shows without a display."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from nixwright.scenarios.driver import seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import BaseMachine


def unit_is_confined(machine: BaseMachine, *, unit: str, exposure: int) -> None:
    """The unit is there, and systemd rates what is left open to it at the limit or below (of 100)."""
    machine.wait_for_unit("multi-user.target")
    state = machine.get_unit_property(unit, "LoadState")
    if state != "loaded":
        raise AssertionError(f"{unit} is {state}")
    machine.succeed(f"systemd-analyze security --no-pager --threshold={exposure} {unit} >&2")


def fails_for_want_of_a_panel(machine: BaseMachine, *, unit: str, words: str) -> None:
    """Where no panel is, the program says just that."""
    machine.wait_for_unit("multi-user.target")
    machine.execute(f"systemctl start {unit}")
    machine.wait_until_succeeds(f"journalctl -b --no-pager -u {unit} -g {shlex.quote(words)}", timeout=seconds(120))
    machine.succeed(f"systemctl stop {unit}")
