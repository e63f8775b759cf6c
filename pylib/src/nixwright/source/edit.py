"""Changing one value of a host file: comments and layout stay as written, and every byte outside the value.

A path (`nixwright.source.field`) begins at the one `Host(...)` that the file binds, or at a name of the file. It is
followed through keywords and positions, lists, dicts and names that are bound once, to where the value is written
literally. What is computed, looped, built by a helper function or bound twice is refused, with the reason and the line.

Which positional argument is which field is given as a mapping of class names to field names in order; a name with a
star (`*slices`) takes all positional arguments from there on, and one with a class, too (`*partitions:Partition`),
those of them that are such records. `nixwright.source.records` reads the mapping off the classes themselves.
"""

# ruff: noqa: RET503 - refuse() never returns

from __future__ import annotations

import ast
import difflib
import io
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.errors import Mistake, MistakeError
from nixwright.source.field import parse
from nixwright.source.values import NotLiteralError, Source, Style, names, read, same, written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nixwright.source.brackets import Splice
    from nixwright.source.target import Item, Target
    from nixwright.source.walk import Tree

    Records = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where it is written. `written` False: the file says nothing, the default of the record holds."""

    value: object
    source: str
    line: int  # from 1; of the record that would hold it where nothing is written
    written: bool = True
    through: tuple[tuple[str, int], ...] = ()  # names that were followed, and the lines that use them
    owner: tuple[str, str] = ("", "")  # the record and its field that the value belongs to
    levels: int = 0  # how many lists and dicts deep it stands in that field


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one file, as text; nothing is written."""

    before: str
    after: str
    old: str  # the source of the value, empty where it was not written
    new: str  # empty where it is removed
    line: int
    through: tuple[tuple[str, int], ...] = ()  # names that were followed, and the lines that use them
    shared: tuple[int, ...] = ()  # further lines that use one of those names, and change with it
    lost: tuple[str, ...] = ()  # comments that went with what was replaced or removed

    @property
    def changed(self) -> bool:
        """Tell whether anything changes."""
        return self.before != self.after

    def diff(self, name: str) -> str:
        """Return the change as a unified diff of the file `name`, empty where nothing changes."""
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def get_value(text: str, field: str, records: Records, *, file: str = "") -> Found:
    """Return the value of a field of the host file `text`, and its line. `file` is named in mistakes.

    Raises MistakeError where the field is none, or its value is not written literally; its origin is the line that says
    why.
    """
    tree, target = _find(text, field, records, file)
    if target.node is None:
        holder = target.holder
        line = tree.line(holder) if holder is not None else 0
        return Found(None, "", line, False, target.through, target.owner, target.levels)  # noqa: FBT003 - as listed
    value, source = tree.value(target.node), tree.source(target.node)
    return Found(value, source, tree.line(target.node), True, target.through, target.owner, target.levels)  # noqa: FBT003


def set_value(text: str, field: str, value: object, records: Records, *, file: str = "") -> Edit:
    """Return the host file with the value of a field changed, or added where its record has it and nothing is written.

    `value` is a Python literal, a `Call`, a `Name`, or a `Source`, whose text is put in as it is. Lists and dicts are
    changed entry by entry. The result is read back before it is returned. Raises MistakeError, as `get_value` does, and
    where the value is no literal or names what the file does not import.
    """
    tree, target = _find(text, field, records, file)
    wanted = _wanted(tree, value)
    if target.node is None:
        return _add(tree, target, value, wanted)
    tree.value(target.node)  # refuses what is not literal
    start, end = tree.span(target.node)
    for replacement in _candidates(value):
        splices = _replace(tree, target.node, replacement)
        data = _applied(tree, splices)
        stop = end + len(data) - len(tree.data)
        if _is_python(data) and _reads(data[start:stop].decode(), wanted):
            shared = _shared(tree, target)
            return _edit(
                tree, data, tree.source(target.node), data[start:stop].decode(), tree.line(target.node), target, shared
            )
    tree.refuse("cannot be written there", tree.line(target.node), fix="change it by hand")


def remove_value(text: str, field: str, records: Records, *, file: str = "") -> Edit:
    """Return the host file without a keyword argument, a list's or a dict's entry; what is not written is left so.

    Raises MistakeError, as `get_value` does, and where the value is bound to a name, or other arguments depend on its
    position.
    """
    tree, target = _find(text, field, records, file)
    if target.node is None:
        return _edit(tree, tree.data, "", "", 0, target, ())
    from nixwright.source.brackets import Layout  # noqa: PLC0415 - loads libcst

    line, holder = tree.line(target.node), target.holder
    if holder is None:
        tree.refuse("is bound to a name", line, fix="remove it by hand where the name is used")
    items: Sequence[Any] = getattr(holder, "args", getattr(holder, "elements", ()))
    item = items[target.index]
    if hasattr(item, "keyword") and item.keyword is None and target.index < len(items) - 1:
        tree.refuse("is given by its position, with other arguments after it", line)
    if type(holder).__name__ not in {"Call", "List", "Dict"}:
        tree.refuse("is an entry of what has a fixed length", line)
    data = _applied(tree, list(Layout(tree).without(items, target.index, target.index + 1)))
    if not _is_python(data):
        tree.refuse("cannot be removed without breaking what is around it", line, fix="remove it by hand")
    return _edit(tree, data, tree.source(target.node), "", line, target, ())


def _find(text: str, field: str, records: Records, file: str) -> tuple[Tree, Target]:
    from nixwright.source.walk import Tree  # noqa: PLC0415 - loads libcst

    tree = Tree(text, records, file, field)
    return tree, tree.find(parse(field))


def _wanted(tree: Tree, value: object) -> object:
    """Return the value as it reads back, and see that the file has the names that it needs."""
    try:
        wanted = read(value.text if isinstance(value, Source) else written(value, Style()))
    except NotLiteralError as error:
        raise MistakeError(
            Mistake(tree.field, f"the new value {error}", "", "a literal, or a call such as MiB(32)")
        ) from error
    missing = [n for n in dict.fromkeys(names(wanted)) if n not in tree.names.bindings]
    if missing:
        listed = ", ".join(missing)
        tree.refuse(
            f"the new value names {listed}, which the file does not import", fix=f"import {listed} in the file first"
        )
    return wanted


def _candidates(value: object) -> list[object]:
    """Return the value, and in parentheses what may need them where nothing else brackets it."""
    return [value, Source(f"({value.text})")] if isinstance(value, Source) else [value]


def _replace(tree: Tree, node: object, value: object) -> list[Splice]:
    from nixwright.source.brackets import Layout  # noqa: PLC0415 - loads libcst

    return list(Layout(tree).replaced(node, value))  # type: ignore[arg-type]


def _applied(tree: Tree, splices: list[Splice]) -> bytes:
    from nixwright.source.brackets import applied  # noqa: PLC0415 - loads libcst

    return applied(tree.data, splices)


def _add(tree: Tree, target: Target, value: object, wanted: object) -> Edit:
    import libcst as cst  # noqa: PLC0415

    from nixwright.source import brackets  # noqa: PLC0415 - loads libcst

    holder = target.holder
    items: Sequence[Item]
    match holder:
        case cst.Call(args=args):
            items, new = args, brackets.keyword(str(target.key), value)
        case cst.Dict(elements=elements):
            items, new = elements, brackets.entry(target.key, value)
        case cst.List(elements=elements):
            items, new = elements, value
        case _:
            tree.refuse("is not written, and cannot be added")
    splices = list(brackets.Layout(tree).added(holder, items, len(items), [new]))
    data = _applied(tree, splices)
    if _is_python(data):
        found = get_value(tree.bom + data.decode(), tree.field, tree.records, file=tree.file)
        if found.written and same(found.value, wanted):
            return _edit(tree, data, "", found.source, found.line, target, ())
    tree.refuse("cannot be added there", tree.line(holder), fix="add it by hand")


def _edit(  # noqa: PLR0913, PLR0917 - it fills the fields of an Edit
    tree: Tree, data: bytes, old: str, new: str, line: int, target: Target, shared: tuple[int, ...]
) -> Edit:
    before, after = tree.bom + tree.data.decode(), tree.bom + data.decode()
    gone = _comments(tree.data)
    for comment in _comments(data):
        if comment in gone:
            gone.remove(comment)
    return Edit(before, after, old, new, line, target.through, shared, tuple(gone))


def _comments(data: bytes) -> list[str]:
    lines = io.StringIO(data.decode(), newline=None)  # as Python reads a file
    return [t.string for t in tokenize.generate_tokens(lines.readline) if t.type == tokenize.COMMENT]


def _shared(tree: Tree, target: Target) -> tuple[int, ...]:
    """Return the other lines that use a name which was followed."""
    followed = dict(target.through)
    return tuple(sorted({u for n, line in followed.items() for u in tree.names.uses.get(n, []) if u != line}))


def _is_python(data: bytes) -> bool:
    try:
        ast.parse(data)
    except (SyntaxError, ValueError):
        return False
    return True


def _reads(text: str, wanted: object) -> bool:
    try:
        return same(read(text), wanted)
    except NotLiteralError:
        return False
