"""What a board is: the part that says what the hardware fixes."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from nixwright.parts.base import Part

System: TypeAlias = Literal["x86_64-linux", "aarch64-linux"]


class Board(Part):
    """The base of every board: its system, its boot loader, its consoles, and what stage 1 needs to find its disks.

    Subclasses are decorated with `@record`; `system` is a field, with `init=False` where the hardware leaves no choice.
    """

    module: ClassVar[str] = "board"

    system: System
