"""Whether a host file can only describe: it changes nothing that another host file could notice.

Only such files run one after another in one process (`nixwright.load`). Any other file has one to itself, so to be too
strict here costs a few milliseconds, and to be too lax could let one host into another's files. So what is not known to
be harmless is not.
"""

from __future__ import annotations

import ast
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# It may not change what it has not made: no statement that binds anything but a name, no method that changes a value.
_NODES = (
    *(ast.Module, ast.ImportFrom, ast.alias, ast.Expr, ast.Assign, ast.AnnAssign, ast.Pass),
    *(ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Lambda, ast.If, ast.For, ast.Assert),
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.keyword, ast.Call),
    *(ast.List, ast.Tuple, ast.Dict, ast.Set, ast.JoinedStr, ast.FormattedValue, ast.IfExp, ast.comprehension),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare),
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context),
)
_BUILTINS = frozenset(
    {
        *("abs", "all", "any", "bool", "dict", "divmod", "enumerate", "filter", "float", "format", "frozenset", "int"),
        *("isinstance", "len", "list", "map", "max", "min", "pow", "range", "repr", "reversed", "round", "set"),
        *("sorted", "str", "sum", "tuple", "zip"),
    }
)
_LARGEST = 1 << 16  # bytes
_TWINS = ((list, tuple), (dict, MappingProxyType), (set, frozenset))  # with methods that change them, and without
_CHANGING = frozenset(name for kind, twin in _TWINS for name in {*dir(kind)} - {*dir(twin)})


def is_plain_file(path: Path) -> bool:
    """Tell it of a file; one that is not of a kind to be read soon is not plain."""
    try:
        return path.stat().st_size <= _LARGEST and is_plain(ast.parse(path.read_bytes()))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return False


def is_plain(tree: ast.Module) -> bool:
    """Tell whether a file's syntax tree only imports our words, makes values of them, and gives them names."""
    nodes = list(ast.walk(tree))
    if not all(map(_is_harmless, nodes)):
        return False
    made = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    made |= {n.asname or n.name for n in nodes if isinstance(n, ast.alias)}
    made |= {n.name for n in nodes if isinstance(n, ast.FunctionDef)} | {n.arg for n in nodes if isinstance(n, ast.arg)}
    used = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return used <= made | _BUILTINS


def _is_harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return isinstance(node.ctx, ast.Load) and not node.attr.startswith("_") and node.attr not in _CHANGING
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.FunctionDef):
        return not node.decorator_list
    return _brings_words(node) if isinstance(node, ast.ImportFrom) else isinstance(node, _NODES)


def _brings_words(node: ast.ImportFrom) -> bool:
    """Tell whether an import brings but words of ours: classes and constants (with a capital), and Nix' values."""
    module = node.module or ""
    if node.level or module in {"__future__", "nixwright.nix.values"}:
        return not node.level
    return f"{module}.".startswith("nixwright.") and all(n.name[0].isupper() for n in node.names)
