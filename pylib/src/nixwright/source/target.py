"""Where in a source a value stands: what the walk finds and the edit changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import libcst as cst

Item: TypeAlias = "cst.Arg | cst.BaseElement | cst.BaseDictElement"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, as a mistake's origin."""

    file: str
    line: int

    def place(self, field: str = "") -> tuple[str, int]:
        """Return file and line."""
        return self.file, self.line


@dataclass(frozen=True, slots=True)
class Rest:
    """The arguments of a call that fill a `*field` of its record, as a list; of those the records of one `kind`."""

    call: cst.Call
    args: tuple[cst.Arg, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a value is written, or (`node` None) the bracket that it would be added to.

    `holder` and `index` are the bracket and the entry of it that the value is; None where a name was followed to it.
    `key` is the keyword or the dict key that an added entry gets, None in a list. `owner` is the record and the field
    that the value belongs to, `levels` how many lists and dicts deep it stands in that.
    """

    node: cst.BaseExpression | None
    holder: cst.BaseExpression | None = None
    index: int = -1
    key: object = None
    through: tuple[tuple[str, int], ...] = ()  # names that were followed, with the lines that use them
    owner: tuple[str, str] = ("", "")
    levels: int = 0
