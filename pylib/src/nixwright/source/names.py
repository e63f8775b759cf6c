"""What a file's names are bound to at module level, and why some cannot be followed. Loads libcst."""

# ruff: noqa: N802 - the visitor's names are libcst's

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Methods that change a list, dict or set in place: what is written is then not all of the value.
_CHANGES = frozenset(
    "add append clear discard extend insert pop popitem remove reverse setdefault sort update".split()  # noqa: SIM905 - reads better
)


@dataclass(frozen=True, slots=True)
class Binding:
    """One place that binds a name: its value where that is written, else why it cannot be read from the source."""

    line: int
    value: cst.BaseExpression | None = None
    why: str = ""  # a clause without a subject: "is bound in a loop"
    module: str = ""  # the module that an import takes it from
    original: str = ""  # its name there


@dataclass(slots=True)
class Names:
    """The bindings of a module, by name, and the lines that change what a name is bound to."""

    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    changes: dict[str, list[int]] = field(default_factory=dict)
    uses: dict[str, list[int]] = field(default_factory=dict)
    calls_in_functions: dict[str, tuple[str, int]] = field(default_factory=dict)  # class name: function and line

    def original(self, name: str) -> str:
        """Return the name that an import or a plain second name stands for, else the name itself."""
        for _ in range(len(self.bindings) + 1):
            bound = self.bindings.get(name, [])
            if len(bound) != 1:
                return name
            if bound[0].original:
                return bound[0].original
            if not isinstance(bound[0].value, cst.Name):
                return name
            name = bound[0].value.value
        return name


def names_of(module: cst.Module, line: Callable[[cst.CSTNode], int]) -> Names:
    """Collect the bindings of a module. `line` gives a node's line."""
    found = Names()
    _Collector(found, line).block(module.body, "")
    module.visit(_Uses(found, line))
    return found


def dotted(node: cst.CSTNode) -> str:
    """Return a dotted name, or nothing where the node is none."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr.value}" if base else ""
    return ""


class _Collector:
    """Walks the statements of a module, blocks among them, but not functions and classes."""

    def __init__(self, found: Names, line: Callable[[cst.CSTNode], int]) -> None:
        self.found, self.line = found, line

    def bind(self, name: str, binding: Binding) -> None:
        self.found.bindings.setdefault(name, []).append(binding)

    def block(self, body: Sequence[cst.CSTNode], why: str) -> None:
        for statement in body:
            self.statement(statement, why)

    def statement(self, node: cst.CSTNode, why: str) -> None:  # noqa: C901, PLR0912 - one arm a kind of statement
        line = self.line(node)
        match node:
            case cst.SimpleStatementLine() | cst.SimpleStatementSuite():
                for small in node.body:
                    self.small(small, why)
            case cst.FunctionDef():
                self.bind(node.name.value, Binding(line, why=f"is the function of line {line}"))
            case cst.ClassDef():
                self.bind(node.name.value, Binding(line, why="is a class"))
            case cst.For():
                self.targets(node.target, Binding(line, why="is bound in a loop"))
                self.inside(node, "is bound in a loop")
            case cst.While():
                self.inside(node, "is bound in a loop")
            case cst.If():
                self.inside(node, why or "is bound under a condition")
            case cst.With():
                for item in node.items:
                    if item.asname:
                        self.targets(item.asname.name, Binding(line, why="is bound by a with statement"))
                self.inside(node, why)
            case cst.Try() | cst.TryStar():
                self.inside(node, why or "is bound under a try statement")
                for handler in node.handlers:
                    self.inside(handler, "is bound under a try statement")
            case cst.Match():
                for case in node.cases:
                    self.inside(case, "is bound under a condition")

    def inside(self, node: cst.CSTNode, why: str) -> None:
        for name in ("body", "orelse", "finalbody"):
            below = getattr(node, name, None)
            if isinstance(below, cst.IndentedBlock):
                self.block(below.body, why)
            elif isinstance(below, cst.If | cst.SimpleStatementSuite):
                self.statement(below, why)
            elif below is not None:
                self.inside(below, why)

    def small(self, node: cst.CSTNode, why: str) -> None:  # noqa: C901 - one arm a kind of statement
        line = self.line(node)
        match node:
            case cst.Assign():
                for target in node.targets:
                    if isinstance(target.target, cst.Name):
                        self.bind(target.target.value, Binding(line, None if why else node.value, why))
                    else:
                        self.targets(target.target, Binding(line, why=why or "is unpacked from another value"))
            case cst.AnnAssign(target=cst.Name(value=name), value=value) if value is not None:
                self.bind(name, Binding(line, None if why else value, why))
            case cst.AugAssign(target=target):
                self.targets(target, Binding(line, why=f"is changed in line {line}"))
            case cst.Del(target=target):
                self.targets(target, Binding(line, why=f"is deleted in line {line}"))
            case cst.ImportFrom(names=aliases) if not isinstance(aliases, cst.ImportStar):
                module = "." * len(node.relative) + (dotted(node.module) if node.module else "")
                for alias in aliases:
                    local = alias.asname.name if alias.asname else alias.name
                    why_not = f"comes from {module}: change it there"
                    self.bind(dotted(local), Binding(line, None, why_not, module, dotted(alias.name)))
            case cst.Import(names=aliases):
                for alias in aliases:
                    name = dotted(alias.asname.name) if alias.asname else dotted(alias.name).partition(".")[0]
                    self.bind(name, Binding(line, why="is a module"))

    def targets(self, node: cst.CSTNode, binding: Binding) -> None:
        """Bind every name in a target; a change of what a name holds (`x[0] = 1`, `x.a = 1`) is one of the name."""
        match node:
            case cst.Name(value=name):
                self.bind(name, binding)
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                for element in elements:
                    self.targets(element.value, binding)
            case cst.Subscript(value=value) | cst.Attribute(value=value):
                base: cst.CSTNode = value
                while isinstance(base, cst.Subscript | cst.Attribute):
                    base = base.value
                if isinstance(base, cst.Name):
                    self.found.changes.setdefault(base.value, []).append(binding.line)


class _Uses(cst.CSTVisitor):
    """Notes where names are used, changed by a method, or bound out of sight."""

    def __init__(self, found: Names, line: Callable[[cst.CSTNode], int]) -> None:
        super().__init__()
        self.found, self.line = found, line
        self.functions: list[str] = []

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.functions.append(node.name.value)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self.functions.pop()

    def visit_Arg(self, node: cst.Arg) -> None:
        self.use(node.value)

    def visit_Element(self, node: cst.Element) -> None:
        self.use(node.value)

    def visit_StarredElement(self, node: cst.StarredElement) -> None:
        self.use(node.value)

    def visit_DictElement(self, node: cst.DictElement) -> None:
        self.use(node.value)

    def visit_StarredDictElement(self, node: cst.StarredDictElement) -> None:
        self.use(node.value)

    def use(self, node: cst.BaseExpression) -> None:
        if isinstance(node, cst.Name):
            self.found.uses.setdefault(node.value, []).append(self.line(node))

    def visit_Call(self, node: cst.Call) -> None:
        match node.func:
            case cst.Attribute(value=cst.Name(value=name), attr=cst.Name(value=method)) if method in _CHANGES:
                self.found.changes.setdefault(name, []).append(self.line(node))
        if self.functions and (name := dotted(node.func)):
            self.found.calls_in_functions.setdefault(name, (self.functions[-1], self.line(node)))

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        if isinstance(node.target, cst.Name) and not self.functions:
            bound = Binding(self.line(node), why="is bound where it is used")
            self.found.bindings.setdefault(node.target.value, []).append(bound)

    def visit_Global(self, node: cst.Global) -> None:
        for item in node.names:
            self.found.changes.setdefault(item.name.value, []).append(self.line(node))
