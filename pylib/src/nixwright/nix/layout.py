"""From a document of texts, spacings and groups to lines of at most `WIDTH` characters where that can be.

The way of nixfmt: a group goes on one line where it fits; else each `PRIORITY` group in it, last first, may be the
only one that takes more lines; else all of its own spacings break.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH = 100
STEP = 2

# Spacings, weakest first. What is LINES + n or more is n line breaks.
BREAK = 1  # a line break or nothing
HARDSPACE = 2  # always a space
SPACE = 3  # a line break or a space
HARDLINE = 4  # always a line break
LINES = 10

REGULAR, PRIORITY, TRANSPARENT = 0, 1, 2


class Span(NamedTuple):
    """Text that stays on its line, `nest` levels deep; `offset` more columns where it begins a line."""

    nest: int
    offset: int
    text: str
    comment: bool = False


class Group(NamedTuple):
    """Parts that go on one line together if they can."""

    kind: int
    parts: list[Part]


Part: TypeAlias = "int | Span | Group"
Chain: TypeAlias = "Sequence[Sequence[Part]]"


def space(parts: list[Part], spacing: int) -> None:
    """Append a spacing; two of them in a row become one."""
    if parts and isinstance(parts[-1], int):
        parts[-1] = _merged(parts[-1], spacing)
    else:
        parts.append(spacing)


def _merged(one: int, two: int) -> int:
    low, high = sorted((one, two))
    if (low, high) == (BREAK, HARDSPACE):
        return SPACE
    if high >= LINES:
        return high + (low - LINES if low >= LINES else 0 if low == HARDSPACE else 1)
    return high


def flattened(chain: Chain) -> Iterator[int | Span]:
    """Yield texts and spacings in order, the groups opened, spacings in a row merged."""
    pending = 0
    stack = [iter(parts) for parts in reversed(chain)]
    while stack:
        for part in stack[-1]:
            if isinstance(part, int):
                pending = _merged(pending, part) if pending else part
            elif isinstance(part, Group):
                stack.append(iter(part.parts))
                break
            else:
                if pending:
                    yield pending
                    pending = 0
                yield part
        else:
            stack.pop()
    if pending:
        yield pending


def one_line(chain: Chain, budget: int, *, at_start: bool = False) -> str | None:
    """Return the chain on one line, or None where it breaks by itself or is wider than the budget."""
    if budget < 0:
        return None
    found: list[str] = []
    for part in flattened(chain):
        if isinstance(part, Span):
            if part.comment:
                return None
            text = part.text
        elif part >= HARDLINE:
            return None
        else:
            text = "" if part == BREAK or (at_start and not found) else " "
        budget -= len(text)
        if budget < 0:
            return None
        if text:
            found.append(text)
    return "".join(found)


def _width_to_break(chain: Chain) -> int:
    """The width of what must follow on the same line."""
    width = 0
    for part in flattened(chain):
        if isinstance(part, Span):
            width += 0 if part.comment else len(part.text)
        elif part == HARDSPACE:
            width += 1
        else:
            break
    return width


def _first_span(chain: Chain) -> Span:
    return next((part for part in flattened(chain) if isinstance(part, Span)), Span(0, 0, ""))


def _segments(parts: Sequence[Part]) -> Iterator[tuple[bool, Sequence[Part]]]:
    """Cut a group into its priority groups (True) and what stands between them; transparent groups are opened."""
    between: list[Part] = []
    for part in parts:
        if isinstance(part, Group) and part.kind != REGULAR:
            yield False, between
            between = []
            if part.kind == PRIORITY:
                yield True, part.parts
            else:
                yield from _segments(part.parts)
        else:
            between.append(part)
    yield False, between


def _unbroken(chain: Chain) -> list[Part]:
    """The same parts with their own soft spacings decided: no break."""
    return [HARDSPACE if part == SPACE else part for parts in chain for part in parts if part != BREAK]


class _Pen:
    """What was written so far, and where the next text goes."""

    def __init__(self, indent: int) -> None:
        self.out: list[str] = []
        self.column = 0  # 0: at the start of a line, nothing written there yet
        self.indents = [(indent, 0)]  # (columns, nest), outermost first; never empty

    def write(self, span: Span) -> None:
        """Write one text, indented where it begins a line."""
        self._turn(span.nest)
        if self.column == 0:
            self.out.append(" " * (self.indents[-1][0] + span.offset))
        self.out.append(span.text)
        self.column += len(span.text)

    def _turn(self, nest: int) -> None:
        """Make `nest` the current level: deeper by one step only where it begins a line."""
        while len(self.indents) > 1 and self.indents[-1][1] > nest:
            self.indents.pop()
        columns, level = self.indents[-1]
        if nest > level:
            self.indents.append((columns + STEP if self.column == 0 else columns, nest))

    def break_or_space(self, spacing: int) -> None:
        """Write a spacing of a group that did not fit."""
        if self.column == 0:
            return
        if spacing == HARDSPACE:
            self.out.append(" ")
            self.column += 1
        else:
            self.out.append("\n" * max(1, spacing - LINES))
            self.column = 0

    def all(self, chain: Chain, after: Chain) -> None:
        """Write the chain, each of its own spacings broken; `after` is what follows it."""
        for index, parts in enumerate(chain):
            for place, part in enumerate(parts):
                if isinstance(part, int):
                    self.break_or_space(part)
                elif isinstance(part, Span):
                    self.write(part)
                else:
                    self.group(part, [parts[place + 1 :], *chain[index + 1 :], *after])

    def try_line(self, chain: Chain, after: Chain) -> bool:
        """Write the chain on this line if it fits with what must follow it; a line's indentation does not count."""
        if not any(chain):
            return True
        at_start = self.column == 0
        text = one_line(chain, WIDTH - self.column - _width_to_break(after), at_start=at_start)
        if text is None:
            return False
        if at_start:
            first = _first_span(chain)
            self._turn(first.nest)
            self.out.append(" " * (self.indents[-1][0] + first.offset))
        self.out.append(text)
        self.column += len(text)
        return True

    def group(self, group: Group, after: Chain) -> None:
        """Write a group on one line, or with one priority group below it opened, or opened itself."""
        if self.try_line([group.parts], after):
            return
        if group.kind != TRANSPARENT:
            segments = list(_segments(group.parts))
            for index in range(len(segments) - 1, -1, -1):
                if segments[index][0] and self._open_one(segments, index, after):
                    return
        self.all([group.parts], after)

    def _open_one(self, segments: list[tuple[bool, Sequence[Part]]], index: int, after: Chain) -> bool:
        """Try what comes before a priority group on one line, the group opened, the rest on its last line."""
        written, column, indents = len(self.out), self.column, self.indents[:]
        parts = [parts for _, parts in segments]
        before, opened, behind = parts[:index], parts[index], parts[index + 1 :]
        if self.try_line(before, [opened, *behind, *after]):
            self.all([opened], [_unbroken(behind), *after])
            if self.try_line(behind, after):
                return True
        del self.out[written:]
        self.column, self.indents = column, indents
        return False


def render(group: Group, indent: int = 0) -> str:
    """Return a group as lines, the first one indented too, without a line break at the end."""
    pen = _Pen(indent)
    pen.group(group, [])
    return "".join(pen.out)
