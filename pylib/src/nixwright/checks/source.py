"""A scenario's own source, with the helpers it uses, as one text that stands by itself."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from inspect import unwrap
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.scenarios import driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_DRIVER = driver.__name__
_WIDTH = 120  # of a line


@dataclass(frozen=True, slots=True)
class Definition:
    """A name that a module binds at its top: the text of its statement, and the names it uses."""

    name: str
    text: str
    uses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Module:
    """What a Python file binds at its top."""

    path: str
    definitions: dict[str, Definition]
    imports: dict[str, tuple[str, str]]  # a name to the module, and the name there (empty: the module itself)


@dataclass(slots=True)
class Sources:
    """The texts of some functions and what they use, in an order in which Python can run them."""

    imports: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)
    _owners: dict[str, str] = field(default_factory=dict)  # a name to the file it is from

    def add(self, function: Callable[..., object]) -> None:
        """Add a function. Raises ValueError where it cannot stand by itself, with the reason."""
        function = unwrap(function)  # of a decorated one, what stands in the file
        path, name = function.__code__.co_filename, function.__name__
        if name not in read(path).definitions:
            raise ValueError(f"{name} is no function at the top of a file")
        self.add_from(path, name)

    def add_from(self, path: str, name: str) -> None:
        """Add what a file binds at its top by that name, without importing it. Raises ValueError as `add` does."""
        self._take(read(path), name)

    def import_lines(self) -> list[str]:
        """Return the imports as isort has them: whole modules first, then the names of each module."""
        names: dict[str, list[str]] = {}
        for line in self.imports:
            module, _, name = line.removeprefix("from ").partition(" import ")
            names.setdefault(module if name else "", []).append(name or line)
        whole = sorted(names.pop("", []))
        return [*whole, *(_from(module, sorted(found, key=_isort)) for module, found in sorted(names.items()))]

    def _take(self, module: Module, name: str) -> None:
        if name in self._owners:
            if self._owners[name] != module.path:
                raise ValueError(f"{name} means two things: in {self._owners[name]} and in {module.path}")
            return
        self._owners[name] = module.path
        definition = module.definitions[name]
        for used in sorted(definition.uses):
            if used in module.definitions:
                self._take(module, used)
            elif used in module.imports:
                self._import(module, used)
        if definition.text not in self.texts:  # one statement may bind several names
            self.texts.append(definition.text)

    def _import(self, module: Module, name: str) -> None:
        source, there = module.imports[name]
        if source == _DRIVER and there in driver.GIVEN:
            return
        if source.partition(".")[0] in sys.stdlib_module_names:
            self.imports.add(_import_line(source, there, name))
            return
        where = _file_of(source)
        if not there or where is None:
            raise ValueError(f"{name} is neither of Python's own library, nor a function of a module beside it")
        other = read(where)
        if there != name or there not in other.definitions:
            raise ValueError(f"{name} is nothing that {source} defines by that name")
        self._take(other, there)


@cache
def program(path: str) -> str:
    """Return a program of several modules as one file: what the `main` of a file uses, under that file's docstring.

    Raises ValueError where it uses what is neither Python's own nor one of these modules'.
    """
    sources = Sources()
    sources.add_from(path, "main")
    title = ast.get_docstring(ast.parse(Path(path).read_text("utf-8")), clean=False)
    head = [f'"""{title}"""', "", "from __future__ import annotations", "", *sources.import_lines()]
    end = 'if __name__ == "__main__":\n    sys.exit(main())\n'
    return "\n\n\n".join(["\n".join(head), *sources.texts, end])


def _from(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    return line if len(line) <= _WIDTH else "\n".join([f"from {module} import (", *(f"    {n}," for n in names), ")"])


def _isort(name: str) -> tuple[int, str]:
    """Constants, classes, and the rest."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name


def _import_line(source: str, there: str, name: str) -> str:
    alias = "" if name == (there or source.partition(".")[0]) else f" as {name}"
    return f"from {source} import {there}{alias}" if there else f"import {source}{alias}"


def _file_of(module: str) -> str | None:
    """Return the file of a module that is imported already, or can be found."""
    if module in sys.modules:
        return getattr(sys.modules[module], "__file__", None)
    spec = find_spec(module)
    return spec.origin if spec else None


@cache
def read(path: str) -> Module:
    """Read what a Python file binds at its top. A file is read once in the life of the process."""
    text = Path(path).read_text(encoding="utf-8")
    lines = text.splitlines()
    module = Module(path, {}, {})
    for statement in _statements(ast.parse(text).body):
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                module.imports[alias.asname or alias.name] = (statement.module or "", alias.name)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                module.imports[alias.asname or alias.name.partition(".")[0]] = (alias.name, "")
        else:
            names = list(_bound(statement))
            uses = frozenset(_names(statement)) - set(names)
            for name in names:
                module.definitions[name] = Definition(name, _text(statement, lines), uses)
    return module


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements at the top, and those that are there for types alone."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _statements(statement.body)
        else:
            yield statement


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        names = [t.elts if isinstance(t, ast.Tuple) else [t] for t in statement.targets]
        yield from (n.id for several in names for n in several if isinstance(n, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id


def _names(statement: ast.stmt) -> Iterator[str]:
    """Every name that a statement mentions; one that is its own variable is found in no module."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            yield node.id


def _text(statement: ast.stmt, lines: list[str]) -> str:
    """Return a statement's source with the comment lines that stand directly above it."""
    decorators = statement.decorator_list if isinstance(statement, ast.FunctionDef | ast.ClassDef) else []
    first = min([statement.lineno, *(d.lineno for d in decorators)]) - 1
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : statement.end_lineno])
