"""What a check is: one NixOS VM test with the sabotages under which it must fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """A check's name and what it proves. Nodes, disks, scenario and sabotages come with issue 5."""

    name: str
    proves: str
