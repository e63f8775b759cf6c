"""From a field path to the place in the source where its value is written. Loads libcst."""

# ruff: noqa: RET503 - refuse() never returns

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from nixwright.errors import Mistake, MistakeError
from nixwright.source.field import Step, said
from nixwright.source.names import Binding, dotted, names_of
from nixwright.source.target import Line, Rest, Target
from nixwright.source.values import NotLiteralError, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from libcst.metadata import CodeSpan

    from nixwright.source.target import Item

_BOM = "\ufeff"
_HOST = "Host"
_BY_HAND = "change the source by hand there"


@lru_cache(maxsize=2)
def _parsed(text: str) -> tuple[cst.Module, Mapping[cst.CSTNode, CodeSpan]]:
    """Parse a source, and find where its nodes stand; kept, as a value is first read and then changed."""
    wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    return wrapper.module, wrapper.resolve(ByteSpanPositionProvider)


class Tree:
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

    def follow(self, node: cst.BaseExpression, through: list[tuple[str, int]]) -> cst.BaseExpression:
        """Follow a name to where its value is written; anything but a name is returned as it is.

        A constant that nixwright itself provides (`REST`) is a value. Raises MistakeError where it cannot be followed.
        """
        while isinstance(node, cst.Name) and node.value not in {"True", "False", "None"}:
            name, line = node.value, self.line(node)
            bound = self.names.bindings.get(name, [])
            if len(bound) == 1 and (bound[0].module + ".").startswith("nixwright."):
                return node
            if any(name == known for known, _ in through):
                self.refuse(f"{name} is bound to itself", line)
            value = self._bound(name, bound, line)
            through.append((name, line))
            node = value
        return node

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

    # The way down

    def host(self, through: list[tuple[str, int]]) -> cst.Call:
        """Find the call that makes the host: `host = Host(...)` at module level, under whatever name."""
        hosts = []
        for bound in self.names.bindings.values():
            hosts += [b for b in bound if isinstance(b.value, cst.Call) and self.class_of(b.value) == _HOST]
        if len(hosts) == 1 and isinstance(hosts[0].value, cst.Call):
            name = next(n for n, b in self.names.bindings.items() if hosts[0] in b)
            self._bound(name, self.names.bindings[name], hosts[0].line)
            return hosts[0].value
        if hosts:
            self.refuse(
                "the file has two hosts", hosts[0].line, fix="move one to a file of its own", other=hosts[1].line
            )
        bound = self.names.bindings.get("host", [])
        for name, (function, line) in self.names.calls_in_functions.items():
            if self.names.original(name).rpartition(".")[2] == _HOST:
                self.refuse(
                    f"the host is built by the helper function {function}", line, fix=f"change {function} by hand"
                )
        if bound and bound[0].why and not bound[0].module:
            self.refuse(f"host {bound[0].why}", bound[0].line)
        if bound and bound[0].value is not None:
            self.value(bound[0].value)
        self.refuse("the file has no host", 1, fix="host = Host(name=...)", allowed="one Host(...), bound to a name")

    def find(self, steps: tuple[Step, ...]) -> Target:
        """Return where the value of a path is written. Raises MistakeError where it is not, or not literally."""
        through: list[tuple[str, int]] = []
        first = steps[0]
        known = self.records.get(_HOST, ())
        bound = self.names.bindings.get(first.text, [])
        node: cst.BaseExpression | Rest
        if (
            bound
            and first.text not in known
            and not first.exact
            and not (bound[0].module + ".").startswith("nixwright.")
        ):
            node, rest = self.follow(self._bound(first.text, bound, bound[0].line), through), steps[1:]
            target = Target(node)
        else:
            node, rest = self.host(through), steps
            target = Target(node)
        owner, levels = ("", ""), 0
        while rest:
            through_before = len(through)
            if isinstance(node, cst.Call) and (name := self.class_of(node)):
                owner, levels = (name, rest[0].text), 0
            else:
                levels += 1
            below, rest = self._down(node, rest, steps[: len(steps) - len(rest)], through)
            if isinstance(below, Rest):
                node = below
                if not rest:
                    self.refuse("is several arguments", self.line(below.call), fix=f"say which: {said(steps)}[0]")
                continue
            target = below
            if target.node is None:
                break
            node = self.follow(target.node, through)
            if node is not target.node or len(through) > through_before:
                target = Target(node)
        return Target(target.node, target.holder, target.index, target.key, tuple(through), owner, levels)

    def _down(
        self,
        node: cst.BaseExpression | Rest,
        rest: tuple[Step, ...],
        above: tuple[Step, ...],
        through: list[tuple[str, int]],
    ) -> tuple[Target | Rest, tuple[Step, ...]]:
        match node:
            case Rest() | cst.List() | cst.Tuple() | cst.BinaryOperation(operator=cst.Add()):
                return self._in_list(node, rest, above, through)
            case cst.Dict():
                return self._in_dict(node, rest, above, through)
            case cst.Call() if name := self.class_of(node):
                return self._in_call(node, name, rest, above, through)
        if isinstance(node, cst.Name) and node.value not in {"True", "False", "None"}:
            self.refuse(f"{said(above)} is {node.value}, which nixwright provides", self.line(node))
        self.value(node)  # says what else it is
        self.refuse(f"{said(above)} has nothing below it", self.line(node))

    def _in_call(  # noqa: C901, PLR0912 - one arm a way to pass an argument
        self, call: cst.Call, name: str, rest: tuple[Step, ...], above: tuple[Step, ...], through: list[tuple[str, int]]
    ) -> tuple[Target | Rest, tuple[Step, ...]]:
        step, line, known = rest[0], self.line(call), self.records.get(name)
        if step.index is not None:
            self.refuse(f"{said(above)} is one {name}, not a list", line)
        for index, arg in enumerate(call.args):
            if arg.keyword is not None and arg.keyword.value == step.text:
                return Target(arg.value, call, index), rest[1:]
        names = [_plain(f) for f in known or ()]
        if known is not None and step.text not in names:
            near = get_close_matches(step.text, names, n=1)
            allowed = ", ".join(names)
            self.refuse(
                f"{name} has no field {step.text}",
                line,
                allowed=allowed,
                fix=f"did you mean {near[0]}?" if near else "",
            )
        placed = [a for a in call.args if a.keyword is None and a.star != "**"]
        for at, field in enumerate(known or ()):
            if field.startswith("*"):
                first = next(i for i, f in enumerate(known or ()) if f.startswith("*"))
                if _plain(field) == step.text:
                    return Rest(call, tuple(placed[first:]), field.partition(":")[2]), rest[1:]
                continue
            if any(a.star for a in placed[: at + 1]):
                self.refuse(f"the arguments of {name} are unpacked from another value", line)
            if field == step.text and at < len(placed):
                return Target(placed[at].value, call, call.args.index(placed[at])), rest[1:]
        for arg in call.args:
            if arg.star == "**":
                inner = self.follow(arg.value, through)
                if not isinstance(inner, cst.Dict):
                    self.refuse(f"may come from the arguments that {name} unpacks (**)", self.line(arg))
                found, left = self._in_dict(inner, (Step(step.text, exact=True), *rest[1:]), above, through)
                if found.node is not None:
                    return found, left
        if known is None:
            self.refuse(f"{name} is no record whose fields are known, and {step.text} is not among its keywords", line)
        return self._absent(rest, above, Target(None, call, key=step.text), line), ()

    def _absent(self, rest: tuple[Step, ...], above: tuple[Step, ...], target: Target, line: int) -> Target:
        if len(rest) > 1:
            self.refuse(f"{said((*above, rest[0]))} is not written in this file", line)
        return target

    def _in_dict(  # noqa: C901 - keys, several steps that are one key, and what is unpacked
        self, node: cst.Dict, rest: tuple[Step, ...], above: tuple[Step, ...], through: list[tuple[str, int]]
    ) -> tuple[Target, tuple[Step, ...]]:
        """Find a key, the longest first: several steps may be one key with dots in it."""
        run = 1
        if not rest[0].exact and rest[0].index is None:
            while run < len(rest) and rest[run].index is None and not rest[run].exact:
                run += 1
        keys: list[object] = []
        for length in range(run, 0, -1):
            wanted = ".".join(s.text for s in rest[:length])
            for index in range(len(node.elements) - 1, -1, -1):
                element = node.elements[index]
                if isinstance(element, cst.DictElement):
                    try:
                        key = read(self.source(element.key))
                    except NotLiteralError:
                        self.refuse(f"{said(above)} has keys that are computed", self.line(element))
                    keys.append(key)
                    if (
                        isinstance(key, str | int)
                        and str(key) == wanted
                        and not (rest[0].exact and isinstance(key, int))
                    ):
                        return Target(element.value, node, index, key), rest[length:]
                elif isinstance(element, cst.StarredDictElement):
                    inner = self.follow(element.value, through)
                    if not isinstance(inner, cst.Dict):
                        self.refuse(f"{said(above)} is unpacked from another value in part", self.line(element))
                    found, left = self._in_dict(inner, rest[:length], above, through)
                    if found.node is not None and not left:
                        return found, rest[length:]
        text = ".".join(s.text for s in rest[:run])
        numbers = rest[0].index is not None or (bool(keys) and all(isinstance(k, int) for k in keys))
        added: object = int(text) if numbers and text.lstrip("-").isdigit() else text
        return self._absent(
            rest[run - 1 :], (*above, *rest[: run - 1]), Target(None, node, key=added), self.line(node)
        ), ()

    def _in_list(  # noqa: C901 - by number, by class, by name
        self,
        node: cst.BaseExpression | Rest,
        rest: tuple[Step, ...],
        above: tuple[Step, ...],
        through: list[tuple[str, int]],
    ) -> tuple[Target, tuple[Step, ...]]:
        line = self.line(node.call if isinstance(node, Rest) else node)
        entries = self._entries(node, through)
        if isinstance(node, Rest) and node.kind:
            entries = [e for e in entries if e.node is None or self._kind(e)[0] in {"", node.kind}]
        step = rest[0]
        if step.index is not None:
            if any(e.node is None for e in entries[: None if step.index < 0 else step.index + 1]):
                self.refuse(f"the entries of {said(above)} are not all written here, and cannot be counted", line)
            if -len(entries) <= step.index < len(entries):
                return entries[step.index], rest[1:]
            if step.index == len(entries) and isinstance(node, cst.List):
                return self._absent(rest, above, Target(None, node), line), ()
            count = f"{len(entries)} entr{'y' if len(entries) == 1 else 'ies'}"
            self.refuse(f"{said(above)} has {count}, and no [{step.index}]", line)
        kinds = [self._kind(e) for e in entries]
        chosen = [e for e, (kind, _) in zip(entries, kinds, strict=True) if kind == step.text and not step.exact]
        if len(chosen) > 1 and len(rest) > 1:
            if (at := rest[1].index) is not None and -len(chosen) <= at < len(chosen):
                return chosen[at], rest[2:]
            both = [e for e in chosen if self._kind(e)[1] == rest[1].text]
            if len(both) == 1:
                return both[0], rest[2:]
        if not chosen:
            chosen = [e for e, (_, name) in zip(entries, kinds, strict=True) if name == step.text]
        if len(chosen) == 1:
            return chosen[0], rest[1:]
        if chosen:
            self.refuse(
                f"{said(above)} has {len(chosen)} entries {step.text}",
                line,
                fix=f"say which: {said((*above, step))}[0], or by its name",
            )
        known = [text for pair in kinds for text in pair if text]
        hidden = "; some of its entries are not written here" if any(e.node is None for e in entries) else ""
        self.refuse(f"{said(above)} has no {step.text}{hidden}", line, allowed=", ".join(dict.fromkeys(known)))

    def _entries(self, node: cst.BaseExpression | Rest, through: list[tuple[str, int]]) -> list[Target]:
        """Return the entries of a list, through what it unpacks and adds; `node` None where they cannot be seen."""
        if isinstance(node, cst.BinaryOperation):
            sides = [self._entries_of(side, through) for side in (node.left, node.right)]
            return sides[0] + sides[1]
        holder = node.call if isinstance(node, Rest) else node
        every: Sequence[Item] = holder.args if isinstance(holder, cst.Call) else holder.elements  # type: ignore[attr-defined]
        items: Sequence[Item] = node.args if isinstance(node, Rest) else every
        found = []
        for item in items:
            if isinstance(item, cst.StarredElement) or (isinstance(item, cst.Arg) and item.star):
                found += self._entries_of(item.value, through)
            else:
                found.append(Target(item.value, holder, list(every).index(item)))
        return found

    def _entries_of(self, node: cst.BaseExpression, through: list[tuple[str, int]]) -> list[Target]:
        try:
            node = self.follow(node, [])
        except MistakeError:
            return [Target(None)]
        if isinstance(node, cst.List | cst.Tuple) or (
            isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add)
        ):
            return self._entries(node, through)
        return [Target(None)]

    def _kind(self, entry: Target) -> tuple[str, str]:
        """Return the class and the name of an entry: of what it is bound to, where it is a name."""
        if entry.node is None:
            return "", ""
        try:
            node = self.follow(entry.node, [])
            if isinstance(node, cst.Call) and (kind := self.class_of(node)):
                fields = self.records.get(kind, ())
                first = _plain(fields[0]) if fields else ""
                given = next((a.value for a in node.args if a.keyword is not None and a.keyword.value == first), None)
                if given is None and node.args and node.args[0].keyword is None and not node.args[0].star:
                    given = node.args[0].value
                name = read(self.source(self.follow(given, []))) if given is not None else ""
                return kind, name if isinstance(name, str) else ""
        except (MistakeError, NotLiteralError):
            return (kind, "") if isinstance(entry.node, cst.Call) and (kind := self.class_of(entry.node)) else ("", "")
        return "", ""


def _plain(field: str) -> str:
    """Return the name of a field as records list it: `*slices` takes all arguments, `*partitions:Partition` some."""
    return field.lstrip("*").partition(":")[0]


def _calls(node: cst.CSTNode) -> Iterator[cst.Call]:
    if isinstance(node, cst.Call):
        yield node
    for child in node.children:
        yield from _calls(child)
