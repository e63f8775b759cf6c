"""Colours for a terminal, and none anywhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass(frozen=True, slots=True)
class Colours:
    """Whether text is coloured; the words are those of the standard sixteen, which every theme makes readable."""

    on: bool = False

    @classmethod
    def of(cls, stream: TextIO) -> Colours:
        """Colour what a person looks at: a terminal, unless NO_COLOR (https://no-color.org) or TERM says otherwise."""
        return cls(stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")

    def __call__(self, text: str, *colours: str) -> str:
        """Return the text in these colours."""
        if not self.on or not text:
            return text
        return f"\033[{';'.join(_CODES[c] for c in colours)}m{text}\033[0m"

    def diff(self, text: str) -> str:
        """Return a unified diff, what comes in green and what goes in red."""
        kinds = {"+": ("green",), "-": ("red",), "@": ("cyan",), "#": ("dim",)}
        lines = text.splitlines(keepends=True)
        heads = ("+++ ", "--- ")
        return "".join(
            self(t.rstrip("\n"), *(("bold",) if t.startswith(heads) else kinds.get(t[:1], ()))) + "\n" if t else t
            for t in lines
        )
