"""A host file, parsed: where everything stands, and where the value of a name is written. Loads libcst."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from nixwright.errors import Mistake, MistakeError
from nixwright.source.names import Binding, dotted, names_of
from nixwright.source.target import Line
from nixwright.source.values import NotLiteralError, read, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from libcst.metadata import CodeSpan

_BOM = "\ufeff"
_BY_HAND = "change the source by hand there"


@lru_cache(maxsize=2)
def _parsed(text: str) -> tuple[cst.Module, Mapping[cst.CSTNode, CodeSpan]]:
    """Parse a source, and find where its nodes stand; kept, as a value is first read and then changed."""
    wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    return wrapper.module, wrapper.resolve(ByteSpanPositionProvider)


class Parsed:
    """A host file, parsed, and where everything stands. Offsets count bytes of UTF-8, after a byte-order mark."""

    def __init__(self, text: str, records: Mapping[str, Sequence[str]], file: str = "", field: str = "") -> None:
        """Parse. Raises MistakeError where the text is no Python."""
        self.bom = _BOM if text.startswith(_BOM) else ""
        self.data = text[len(self.bom) :].encode()
        self.records, self.file, self.field = records, file, field
        try:
            self.module, self.spans = _parsed(self.data.decode())
        except cst.ParserSyntaxError as error:
            self.refuse("the file is no Python", error.raw_line)
        self.names = names_of(self.module, self.line)

    def start(self, node: cst.CSTNode) -> int:
        """Return the offset of a node's first byte, its own parentheses left out."""
        return self.spans[node].start

    def end(self, node: cst.CSTNode) -> int:
        """Return the offset after a node's last byte."""
        return self.spans[node].start + self.spans[node].length

    def span(self, node: cst.BaseExpression) -> tuple[int, int]:
        """Return what of an expression is its value: a tuple with its parentheses, anything else without."""
        if isinstance(node, cst.Tuple) and node.lpar:
            return self.start(node.lpar[-1]), self.end(node.rpar[0])
        return self.start(node), self.end(node)

    def line(self, node: cst.CSTNode) -> int:
        """Return a node's line, from 1."""
        before = self.data[: self.start(node)]
        return 1 + before.count(b"\n") + before.replace(b"\r\n", b"").count(b"\r")

    def source(self, node: cst.BaseExpression) -> str:
        """Return the text of a value."""
        start, end = self.span(node)
        return self.data[start:end].decode()

    def value(self, node: cst.BaseExpression) -> object:
        """Return the value of an expression. Raises MistakeError where it is not written literally."""
        for call in _calls(node):
            if why := self._helper(call):
                self.refuse(why if call is node else f"has an entry that {why}", self.line(call), fix=_BY_HAND)
        try:
            return read(self.source(node))
        except NotLiteralError as error:
            self.refuse(str(error), self.line(node), fix=_BY_HAND)

    def refuse(self, what: str, line: int = 0, *, fix: str = "", allowed: str = "", other: int = 0) -> NoReturn:
        """Raise what is wrong as a mistake."""
        second = Line(self.file, other) if other else None
        raise MistakeError(Mistake(self.field, what, "", allowed, fix, Line(self.file, line), second))

    # Names

    def follow(
        self, node: cst.BaseExpression, through: list[tuple[str, int]], chain: tuple[str, ...] = ()
    ) -> cst.BaseExpression:
        """Follow a name, or an entry of one (`PORTS["lamp"]`), to where its value is written; else return the node.

        A constant that nixwright itself provides (`REST`) is a value. `through` gets what was followed, `chain` are the
        names on the way so far. Raises MistakeError where it cannot be followed.
        """
        while True:
            if isinstance(node, cst.Name) and node.value not in {"True", "False", "None"}:
                name, line = node.value, self.line(node)
                bound = self.names.bindings.get(name, [])
                if len(bound) == 1 and (bound[0].module + ".").startswith("nixwright."):
                    return node
                if name in chain:
                    self.refuse(f"{name} is bound to itself", line)
                node, chain = self._bound(name, bound, line), (*chain, name)
                through.append((name, line))
            elif (entry := self._entry(node, chain)) is not None:
                through.append((self.source(node), self.line(node)))
                node = entry
            else:
                return node

    def _entry(self, node: cst.BaseExpression, chain: tuple[str, ...]) -> cst.BaseExpression | None:
        """Return what `NAME[key]` takes out of a list or dict that is written in this file; None for anything else."""
        match node:
            case cst.Subscript(
                value=cst.Name() as base, slice=[cst.SubscriptElement(slice=cst.Index(value=index, star=None))]
            ):
                holder = self.follow(base, [], chain)
            case _:
                return None
        try:
            key = read(self.source(index))
            match holder:
                case cst.Dict(elements=elements) if not any(isinstance(e, cst.StarredDictElement) for e in elements):
                    pairs = [(read(self.source(e.key)), e.value) for e in elements if isinstance(e, cst.DictElement)]
                    return next((value for known, value in reversed(pairs) if same(known, key)), None)
                case cst.List(elements=elements) if not any(isinstance(e, cst.StarredElement) for e in elements):
                    inside = isinstance(key, int) and -len(elements) <= key < len(elements)
                    return elements[key].value if inside else None  # type: ignore[call-overload]
        except NotLiteralError:
            return None
        return None

    def _bound(self, name: str, bound: list[Binding], line: int) -> cst.BaseExpression:
        if not bound:
            self.refuse(f"{name} is bound nowhere in this file that can be followed", line)
        if len(bound) > 1:
            lines = ", ".join(str(b.line) for b in bound)
            changed = next((b for b in bound if "changed" in b.why or "deleted" in b.why or "loop" in b.why), None)
            why = f"{name} {changed.why}" if changed else f"{name} is bound more than once, in lines {lines}"
            self.refuse(why, bound[0].line, other=bound[1].line)
        if bound[0].value is None:
            self.refuse(f"{name} {bound[0].why}", bound[0].line, other=line)
        if changes := self.names.changes.get(name):
            self.refuse(f"{name} is changed after it is written, in line {changes[0]}", bound[0].line, other=changes[0])
        return bound[0].value

    def class_of(self, call: cst.Call) -> str:
        """Return the name of the record that a call makes, by its own name; nothing where it makes none."""
        name = dotted(call.func)
        if not name:
            return ""
        last = self.names.original(name).rpartition(".")[2]
        bound = self.names.bindings.get(name.partition(".")[0], [])
        if "." in name and not (len(bound) == 1 and bound[0].why == "is a module") and not (bound and bound[0].module):
            return ""  # a method of a value
        if any("function" in b.why for b in self.names.bindings.get(last, [])):
            return ""
        return last if last in self.records or last[:1].isupper() else ""

    def _helper(self, node: cst.BaseExpression) -> str:
        """Say which helper function makes a value, where a call of one does."""
        if not isinstance(node, cst.Call) or self.class_of(node):
            return ""
        name = dotted(node.func)
        bound = self.names.bindings.get(name, [])
        at = f" (line {bound[0].line})" if bound and "function" in bound[0].why else ""
        base = name.partition(".")[0]
        hint = f": begin the path at {base}" if "." in name and base in self.names.bindings else ""
        return f"is built by {name}(){at}{hint}" if name else "is built by a call"


def _calls(node: cst.CSTNode) -> Iterator[cst.Call]:
    if isinstance(node, cst.Call):
        yield node
    for child in node.children:
        yield from _calls(child)
