"""A whole NixOS module: header, function head, and the bindings as a person would group them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nixwright.nix import literals, lower, printer
from nixwright.nix.scope import free_names
from nixwright.nix.values import Commented, NixPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nixwright.nix.values import Expr, Value

Path = tuple[str, ...]


class _Tree(dict[str, "Value"]):
    """Bindings by name; a `_Tree` below a name holds the paths that start with it, anything else is a value."""


def module_text(
    bindings: Iterable[tuple[Path, Value, str]], *, imports: Sequence[str | Expr] = (), header: str = ""
) -> str:
    """Return the text of a NixOS module, with a line break at the end.

    `bindings` are paths, values and comments (empty for none). Paths that share a start are put together where it first
    appears; one alone stays dotted. `imports` are paths as in `NixPath`, or expressions. `header` becomes the comment
    lines at the top. The head takes just the names that are used, and is left out where none is.

    Raises ValueError where a path is bound twice, or both it and a name below it are (unless by sets that agree),
    and for what `print_expr` refuses.
    """
    tree = _Tree()
    if imports:
        tree["imports"] = [NixPath(each) if isinstance(each, str) else each for each in imports]
    seen: set[Path] = {("imports",)} if imports else set()
    for path, value, comment in bindings:
        spelled = literals.attribute_path(path)
        if path in seen:
            raise ValueError(f"{spelled} is bound twice")
        seen.add(path)
        _insert(tree, path, Commented(comment, value) if comment else value, spelled)
    out = [line if line.startswith("#") else f"# {line}".rstrip() for line in header.splitlines()]
    literals.refuse_unspeakable(header)
    try:
        if names := free_names(tree):
            out += printer.head(sorted(names))
        out += _body(_plain(tree))
    except RecursionError:
        raise ValueError(literals.TOO_DEEP) from None
    return "\n".join(out) + "\n"


def _insert(tree: _Tree, path: Path, value: Value, spelled: str) -> None:
    """Bind a path in the tree; a set that stands where a path goes through becomes part of the tree."""
    first, *rest = path
    if first not in tree:
        if rest:
            tree[first] = below = _Tree()
            _insert(below, tuple(rest), value, spelled)
        else:
            tree[first] = value
        return
    known = _as_tree(tree[first])
    if known is None or (not rest and _as_tree(value) is None):
        raise ValueError(f"{spelled} is bound twice: as a whole, and by a name below it")
    tree[first] = known
    for name, inner in [(rest, value)] if rest else [((n,), v) for n, v in (_as_tree(value) or {}).items()]:
        _insert(known, tuple(name), inner, spelled)


def _as_tree(value: Value) -> _Tree | None:
    """Return a set as a tree of its own, its comment moved to its first binding; None for what is no set."""
    if isinstance(value, _Tree):
        return value
    if isinstance(value, Mapping):
        return _Tree(value)
    if isinstance(value, Commented) and (tree := _as_tree(value.value)):
        first = next(iter(tree))
        return _Tree(tree | {first: Commented(value.comment, tree[first])})
    return None


def _plain(tree: _Tree) -> dict[str, Value]:
    return {name: _plain(value) if isinstance(value, _Tree) else value for name, value in tree.items()}


def _body(tree: dict[str, Value]) -> list[str]:
    """Return the lines of the outermost set; what takes more lines than one stands apart from its neighbours."""
    if not tree:
        return ["{ }"]
    out = ["{"]
    apart = False
    for name, value in tree.items():
        path, inner, notes = lower.below(literals.attribute(name), value)
        lines = [f"  {note}" for note in notes]
        printer.bound(path, inner, "  ", lines)
        tall = len(lines) > 1 or "\n" in lines[0]
        if len(out) > 1 and (tall or apart):
            out.append("")
        out += lines
        apart = tall
    return [*out, "}"]
