"""Entries of a bracket (a call, a list, a dict), added and removed in the layout of their siblings. Loads libcst."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import libcst as cst

from nixwright.source.values import Call, NotLiteralError, Source, Style, read, same, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nixwright.source.target import Item
    from nixwright.source.walk import Tree

_QUOTES = re.compile(rb"[=(\[{,:]\s*([\"'])")  # that begin a string
_STEP = 4  # columns of an indent that nothing in the file shows


@dataclass(frozen=True, slots=True)
class Splice:
    """Bytes of the source that are replaced: from `start` up to `end`."""

    start: int
    end: int
    text: str


def applied(data: bytes, splices: Sequence[Splice]) -> bytes:
    """Return the source with the splices made; none overlap."""
    for splice in sorted(splices, key=lambda s: (s.start, s.end), reverse=True):
        data = data[: splice.start] + splice.text.encode() + data[splice.end :]
    return data


class Layout:
    """The lines of a source: their ends, their indents, and how values are written in them."""

    def __init__(self, tree: Tree) -> None:
        """Look at what the file does already."""
        self.tree, self.data = tree, tree.data
        self.newline = "\r\n" if b"\r\n" in self.data else "\n"
        quotes = _QUOTES.findall(self.data)
        self.quote = "'" if quotes.count(b"'") > quotes.count(b'"') else '"'

    def line_start(self, at: int) -> int:
        """Return where the line begins that an offset is in."""
        return self.data.rfind(b"\n", 0, at) + 1

    def line_end(self, at: int) -> int:
        """Return where the line ends that an offset is in, its line end not counted."""
        end = self.data.find(b"\n", at)
        end = len(self.data) if end < 0 else end
        return end - 1 if end > at and self.data[end - 1 : end] == b"\r" else end

    def indent(self, at: int) -> str:
        """Return the white space that begins the line of an offset."""
        line = self.data[self.line_start(at) : at]
        return line[: len(line) - len(line.lstrip(b" \t"))].decode()

    def alone(self, at: int) -> bool:
        """Tell whether nothing but white space stands before an offset in its line."""
        return not self.data[self.line_start(at) : at].strip()

    def column(self, at: int) -> int:
        """Return the column of an offset."""
        return len(self.data[self.line_start(at) : at].decode().expandtabs(_STEP))

    def style(self, at: int, old: str = "") -> Style:
        """Return how a value is written at an offset, in place of `old`."""
        other = {"'": '"', '"': "'"}.get(old[:1])
        free = (
            other is not None and other not in old and not old.startswith(('"""', "'''"))
        )  # not forced by what is quoted
        quote = old[0] if free else self.quote
        indent = self.indent(at)
        return Style(quote, self.newline, indent, "\t" if indent.startswith("\t") else " " * _STEP)

    def replaced(self, node: cst.BaseExpression, value: object) -> Iterator[Splice]:
        """Yield what changes an expression to a value, as little as can be: entry by entry where both are brackets."""
        start, end = self.tree.span(node)
        old_text = self.data[start:end].decode()
        try:
            old = read(old_text)
        except NotLiteralError:
            old = None
        if not isinstance(value, Source):
            if same(old, value) and type(old) is type(value) and (old is not None or old_text == "None"):
                return
            match node, old, value:
                case cst.List(), list(), list():
                    yield from self._list(node, old, value)
                    return
                case cst.Dict(), dict(), dict() if len(old) == len(node.elements):
                    yield from self._dict(node, old, value)
                    return
                case cst.Tuple(), tuple(), tuple() if len(old) == len(value):
                    for element, entry in zip(node.elements, value, strict=True):
                        yield from self.replaced(element.value, entry)
                    return
                case cst.Call(), Call(), Call() if _alike(old, value):
                    entries = [*value.args, *(v for _, v in value.keywords)]
                    for arg, entry in zip(node.args, entries, strict=True):
                        yield from self.replaced(arg.value, entry)
                    return
        yield Splice(start, end, written(value, self.style(start, old_text), self.column(start)))

    def _list(self, node: cst.List, old: list[object], new: list[object]) -> Iterator[Splice]:
        before, after = [_Alike(v) for v in old], [_Alike(v) for v in new]
        for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            if tag == "equal":
                continue
            pairs = min(j - i, m - k)
            for at in range(pairs):
                yield from self.replaced(node.elements[i + at].value, new[k + at])
            yield from self._rest(node, node.elements, (i + pairs, j), new[k + pairs : m])

    def _dict(self, node: cst.Dict, old: dict[object, object], new: dict[object, object]) -> Iterator[Splice]:
        before, after = [_Alike(k) for k in old], [_Alike(k) for k in new]
        values, pairs = list(new.values()), list(new.items())
        for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            both = min(j - i, m - k)
            for at in range(both):
                element = node.elements[i + at]
                if isinstance(element, cst.DictElement):
                    if tag != "equal":
                        yield from self.replaced(element.key, pairs[k + at][0])
                    yield from self.replaced(element.value, values[k + at])
            yield from self._rest(
                node, node.elements, (i + both, j), [_Entry(key, v) for key, v in pairs[k + both : m]]
            )

    def _rest(
        self, node: cst.BaseExpression, items: Sequence[Item], gone: tuple[int, int], new: Sequence[object]
    ) -> Iterator[Splice]:
        if gone[0] < gone[1]:
            yield from self.without(items, *gone)
        elif new:
            yield from self.added(node, items, gone[0], new)

    # Adding

    def added(
        self, node: cst.BaseExpression, items: Sequence[Item], at: int, new: Sequence[object]
    ) -> Iterator[Splice]:
        """Yield what adds entries before the entry `at`, or after the last: values, or `_Entry` with a key."""
        if not items:
            yield self._first(node, new)
        elif at == 0:
            yield self._before(items[0], new)
        else:
            yield from self._after(items[at - 1], new)

    def _before(self, item: Item, new: Sequence[object]) -> Splice:
        start = self.tree.start(item)
        texts = self._texts(new, start)
        if self.alone(start):
            indent, line = self.indent(start), self.line_start(start)
            return Splice(line, line, "".join(f"{indent}{t},{self.newline}" for t in texts))
        return Splice(start, start, "".join(f"{t}, " for t in texts))

    def _after(self, item: Item, new: Sequence[object]) -> Iterator[Splice]:
        start, end = self.tree.start(item), self.tree.end(item)
        comma = self._comma_end(item)
        tail_at = end if comma is None else comma
        line_end = self.line_end(tail_at)
        tail = self.data[tail_at:line_end].strip()
        texts, indent = self._texts(new, start), self.indent(start)
        if not self.alone(start) or (tail and not tail.startswith(b"#") and tail[:1] not in b")]}"):
            yield Splice(end, end, "".join(f", {t}" for t in texts))
        elif not tail or tail.startswith(b"#"):
            between = f",{self.newline}{indent}"
            text = f"{self.newline}{indent}{between.join(texts)}{',' if comma is not None else ''}"
            if comma is None and end == line_end:
                yield Splice(end, end, "," + text)
                return
            if comma is None:
                yield Splice(end, end, ",")
            yield Splice(line_end, line_end, text)
        else:
            yield Splice(end, end, "".join(f",{self.newline}{indent}{t}" for t in texts))

    def _first(self, node: cst.BaseExpression, new: Sequence[object]) -> Splice:
        close = self.tree.end(node) - 1
        opened = (
            self.data.find(b"(", self.tree.end(node.func)) + 1
            if isinstance(node, cst.Call)
            else self.tree.start(node) + 1
        )
        if b"\n" not in self.data[opened:close]:
            return Splice(opened, opened, ", ".join(self._texts(new, opened)))
        line = self.line_start(close)
        above = self.data[opened:line].splitlines()
        comment = next((a for a in reversed(above) if a.strip() and self.data.find(a, opened) != opened), b"")
        own = comment[: len(comment) - len(comment.lstrip(b" \t"))].decode()
        outer = self.indent(close)
        indent = own or outer + self.style(close).step
        return Splice(line, line, "".join(f"{indent}{t},{self.newline}" for t in self._texts(new, opened)))

    def _texts(self, new: Sequence[object], at: int) -> list[str]:
        style, column = self.style(at), self.column(at)
        return [v.text(style, column) if isinstance(v, _Entry) else written(v, style, column) for v in new]

    # Removing

    def without(self, items: Sequence[Item], first: int, end: int) -> Iterator[Splice]:
        """Yield what removes the entries from `first` up to `end`: whole lines where they have lines of their own."""
        start, stop = self.tree.start(items[first]), self.tree.end(items[end - 1])
        comma = self._comma_end(items[end - 1])
        after = stop if comma is None else comma
        line_end = self.line_end(after)
        tail = self.data[after:line_end].strip()
        if self.alone(start) and (not tail or tail.startswith(b"#")):
            next_line = self.data.find(b"\n", line_end) + 1 or len(self.data)
            yield Splice(self.line_start(start), next_line, "")
            if comma is None and first > 0 and (last := self._comma_end(items[first - 1])) is not None:
                yield Splice(last - 1, last, "")
        elif first > 0 and b"#" not in self.data[self.tree.end(items[first - 1]) : start]:
            yield Splice(self.tree.end(items[first - 1]), stop, "")
        elif end < len(items):
            yield Splice(start, self.tree.start(items[end]), "")
        else:
            yield Splice(start, after, "")

    def _comma_end(self, item: Item) -> int | None:
        return self.tree.end(item.comma) if isinstance(item.comma, cst.Comma) else None


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry with its key, as a dict has it, or with its keyword."""

    key: object
    value: object
    keyword: bool = False

    def text(self, style: Style, column: int) -> str:
        head = f"{self.key}=" if self.keyword else f"{written(self.key, style)}: "
        return head + written(self.value, style, column + len(head))


def keyword(name: str, value: object) -> object:
    """Return a keyword argument that is to be added."""
    return _Entry(name, value, keyword=True)


def entry(key: object, value: object) -> object:
    """Return an entry of a dict that is to be added."""
    return _Entry(key, value)


def _alike(old: Call, new: Call) -> bool:
    return (
        old.name == new.name
        and len(old.args) == len(new.args)
        and [k for k, _ in old.keywords] == [k for k, _ in new.keywords]
    )


class _Alike:
    """A value as the comparison of two lists sees it: strictly."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Alike) and same(self.value, other.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))
