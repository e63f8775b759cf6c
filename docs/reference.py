"""Write docs/reference/: every class that a host file uses, from its docstring, its fields and the option schema.

`python docs/reference.py` writes the pages; a test tells when they are not what it would write.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nixwright
from nixwright import boards, installers, layout, parts
from nixwright.options.check import dotted
from nixwright.options.schema import Schema
from nixwright.options.settings import parse_path
from nixwright.options.words import allowed
from nixwright.parts.base import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

DIRECTORY = Path(__file__).parent / "reference"
_BASES = {"base", "facts"}  # what parts and boards are made of, and no host file names


def pages() -> dict[str, str]:
    """Return the text of each page by its file's name."""
    return {
        "host.md": _page("Hosts", "What a host file binds, and what it names secrets by.", _named(nixwright)),
        "layout.md": _page("Layouts", "Disks and all that stands on them.", _named(layout)),
        "boards.md": _page(
            "Boards", "What the hardware fixes. A host has one.", [*_inside(boards), *_inside(installers)]
        ),
        "parts.md": _page("Parts", "One capability of a host each.", _inside(parts)),
        "mistakes.md": _mistakes(),
    }


def _page(title: str, about: str, classes: Iterable[type]) -> str:
    found = list(classes)
    listed = "\n".join(f"- [{c.__name__}](#{c.__name__.lower()}): {_first(c)}" for c in found)
    sections = "\n".join(_section(c) for c in found)
    return f"# {title}\n\n{about} Made by `python docs/reference.py`.\n\n{listed}\n\n{sections}"


def _named(package: ModuleType) -> Iterator[type]:
    """The classes that a package offers by name."""
    things = (getattr(package, name) for name in package.__all__)
    yield from (t for t in things if isinstance(t, type))


def _inside(package: ModuleType) -> Iterator[type]:
    """The parts in the modules of a package, in the order in which they stand there."""
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if info.ispkg or info.name.rpartition(".")[2] in _BASES:
            continue
        module = importlib.import_module(info.name)
        own = [t for t in vars(module).values() if isinstance(t, type) and t.__module__ == info.name]
        yield from (t for t in own if dataclasses.is_dataclass(t) and not t.__name__.startswith("_"))


def _section(cls: type) -> str:
    offered = cls.__module__.rpartition(".")[0] if cls.__name__ in getattr(layout, "__all__", ()) else cls.__module__
    module = "nixwright" if cls.__name__ in nixwright.__all__ else offered
    lines = [
        f"## {cls.__name__}",
        "",
        f"`from {module} import {cls.__name__}`",
        "",
        inspect.cleandoc(cls.__doc__ or ""),
        "",
    ]
    fields = [f for f in dataclasses.fields(cls) if f.init] if dataclasses.is_dataclass(cls) else []
    if fields:
        lines += ["| field | type | default | |", "| --- | --- | --- | --- |"]
        lines += [f"| `{f.name}` | {_type(f)} | {_default(f)} | {_about(cls, f.name)} |" for f in fields]
        lines.append("")
    options = list(dict.fromkeys(_options(cls)))
    if options:
        lines += ["| sets | which takes |", "| --- | --- |"]
        lines += [f"| `{path}` | {_cell(takes)} |" for path, takes in options]
        lines.append("")
    return "\n".join(lines)


def _first(cls: type) -> str:
    """Return the first sentence of a docstring, without its full stop."""
    text = " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())
    return re.split(r"(?<=[a-z0-9)`])[.:;](?:\s|$)", text, maxsplit=1)[0]


def _type(field: dataclasses.Field[Any]) -> str:
    text = str(field.type).replace('"', "'")
    bounds = re.fullmatch(r"Annotated\[(\w+), Ge\((\d+)\), Le\((\d[\d *]*)\)\](.*)", text)
    return _cell(f"`{bounds[1]}{bounds[4]}`, {bounds[2]} to {bounds[3]}" if bounds else f"`{text}`")


def _default(field: dataclasses.Field[Any]) -> str:
    factory: Any = field.default_factory
    if factory is not dataclasses.MISSING:
        return f"`{factory()!r}`"
    return "" if field.default is dataclasses.MISSING else _cell(f"`{field.default!r}`")


def _about(cls: type, name: str) -> str:
    """Return the sentences of the docstrings that speak of a field."""
    for kind in cls.__mro__:
        text = " ".join(inspect.cleandoc(vars(kind).get("__doc__") or "").split())
        sentences = [s for s in re.split(r"(?<=[.:])\s+(?=[A-Z`])", text) if re.search(rf"`{name}\b", s)]
        if sentences:
            return _cell(" ".join(sentences))
    return ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("](", "]\\(").split())  # a pattern is no link


def _options(cls: type) -> Iterator[tuple[str, str]]:
    """The options that a part names in its own source, `NAME` for what only a host decides, and what each takes."""
    if not issubclass(cls, Part):
        return
    schema = Schema.shipped()
    for text in _set_in(ast.parse(textwrap.dedent(inspect.getsource(cls)))):
        try:
            path = parse_path(text)
        except ValueError:
            continue
        while path and not schema.nodes(path):  # what is put together of a host's own words, in part
            path = path[:-1]
        if not path:
            continue
        yield dotted(path), allowed(schema, schema.nodes(path)[0], path[-1])


def _set_in(tree: ast.AST) -> Iterator[str]:
    """The first argument of each `self.set(...)`; what is put into it stands as `NAME`."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "set"
            and node.args
        ):
            path = node.args[0]
            if isinstance(path, ast.Constant):
                yield str(path.value)
            elif isinstance(path, ast.JoinedStr):
                yield "".join(str(v.value) if isinstance(v, ast.Constant) else "NAME" for v in path.values)


def _mistakes() -> str:
    """The page of every mistake that the code can tell: its words, what to do, and the rule behind it."""
    about = "All that `gen` can find wrong, by what finds it. Made by `python docs/reference.py`."
    lines = [f"# Mistakes\n\n{about} The commonest are explained in [errors.md](../errors.md).\n"]
    root = Path(nixwright.__file__).parent
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        found = list(dict.fromkeys(_told_in(tree)))
        if found:
            lines += [
                f"## {path.relative_to(root).with_suffix('').as_posix()}",
                "",
                _sentence(ast.get_docstring(tree)),
                "",
            ]
            lines += ["| it says | allowed | fix |", "| --- | --- | --- |"]
            lines += [f"| {' | '.join(map(_cell, entry))} |" for entry in found]
            lines.append("")
    return "\n".join(lines)


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _told_in(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Words, `allowed` and `fix` of every mistake that is made in a module; `...` for what only a host decides."""
    for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)):
        names = _assigned(function)
        calls = (n for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name))
        for call in (c for c in calls if isinstance(c.func, ast.Name) and c.func.id in _TELL):
            known = {name: [v for v in values if v.lineno <= call.lineno][-1:] for name, values in names.items()}
            allowed_or_fix = [" or ".join(_texts(_argument(call, name), known)) for name in ("allowed", "fix")]
            for what in _texts(_argument(call, "what"), known):
                if what.strip(". "):
                    yield what, allowed_or_fix[0], allowed_or_fix[1]


def _assigned(function: ast.FunctionDef) -> dict[str, list[ast.expr]]:
    """Return what each name of a function is set to, in the order of its lines."""
    found: dict[str, list[ast.expr]] = {}
    for node in (n for n in ast.walk(function) if isinstance(n, ast.Assign)):
        target, value = node.targets[0], node.value
        several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        pairs = zip(target.elts, value.elts, strict=True) if several else [(target, value)]  # type: ignore[attr-defined]
        for name, each in pairs:
            if isinstance(name, ast.Name):
                found.setdefault(name.id, []).append(each)
    return {name: sorted(values, key=lambda v: v.lineno) for name, values in found.items()}


_TELL = {  # where the words stand in each call that makes a mistake
    "Mistake": ("field", "what", "given", "allowed", "fix"),
    "wrong": ("definition", "what"),
    "missing": ("option", "what"),
    "Finding": ("names", "what", "given", "allowed", "fix"),
}


def _argument(call: ast.Call, name: str) -> ast.expr | None:
    order = _TELL[call.func.id] if isinstance(call.func, ast.Name) else ()
    if name in order and order.index(name) < len(call.args):
        return call.args[order.index(name)]
    return next((k.value for k in call.keywords if k.arg == name), None)


def _texts(node: ast.expr | None, names: dict[str, list[ast.expr]]) -> list[str]:
    """Return what an expression may say; each way of a choice by itself."""
    if isinstance(node, ast.Constant):
        return [str(node.value)] if node.value else []
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(v.value) if isinstance(v, ast.Constant) else "..." for v in node.values)]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, names), *_texts(node.orelse, names)]
    if isinstance(node, ast.Name):
        others = {n: v for n, v in names.items() if n != node.id}
        return list(dict.fromkeys(t for v in names.get(node.id, []) for t in _texts(v, others)))
    return [] if node is None else ["..."]


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name, text in pages().items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")
