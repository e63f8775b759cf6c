"""What a board is: the part that says what the hardware fixes."""

from __future__ import annotations

from typing import ClassVar

from nixwright.parts.base import Part


class Board(Part):
    """The base of every board: its system, its boot loader, its consoles, and what stage 1 needs to find its disks.

    Subclasses are decorated with `@record`, and say `system` as Nix does, as a class variable or a field.
    """

    module: ClassVar[str] = "board"

    system: str  # "aarch64-linux" or "x86_64-linux"
