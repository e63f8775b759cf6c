"""From a field path to the place in the source where its value is written. Loads libcst."""

# ruff: noqa: RET503 - refuse() never returns

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import libcst as cst

from nixwright.errors import MistakeError
from nixwright.source.field import Step, said
from nixwright.source.parsed import Parsed
from nixwright.source.target import Rest, Target
from nixwright.source.values import NotLiteralError, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nixwright.source.target import Item

_HOST = "Host"


class Tree(Parsed):
    """A host file in which field paths are followed."""

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
