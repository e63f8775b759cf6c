"""Single paths that stay on a wiped root: each lies where the description keeps it, and is in its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nixwright.scenarios.driver import BaseMachine


def lies_where_it_is_kept(machine: BaseMachine, *, directories: dict[str, str], files: dict[str, str]) -> None:
    """Each kept directory is what is mounted there of the kept file system, each kept file a link to it."""
    for path, source in directories.items():
        found = machine.succeed(f"findmnt -n -o SOURCE --mountpoint {path}").strip()
        if found != source:
            raise AssertionError(f"{path} is {found}, not {source}")
    for path, source in files.items():
        found = machine.succeed(f"readlink -f {path}").strip()
        if found != source:
            raise AssertionError(f"{path} leads to {found}, not to {source}")


def is_the_same_machine(machine: BaseMachine) -> None:
    """The journal knows the boot before: both had one id, which is one, and the system has taken it."""
    said = machine.succeed("cat /etc/machine-id").strip()
    if not re.fullmatch("[0-9a-f]{32}", said):
        raise AssertionError(f"no machine id: {said!r}")
    machine.succeed(f"test $(systemd-id128 machine-id) = {said}")
    boots = machine.succeed("journalctl --list-boots --no-pager | grep -cE '^ *-?[0-9]+ '").strip()
    if int(boots) < 2:  # noqa: PLR2004 - this one and the one before
        raise AssertionError(f"the journal has {boots} boots: the machine was another one before")
