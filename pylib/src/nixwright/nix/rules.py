"""The rules of RFC 166, as nixfmt has them: from a syntax tree to a document for `layout`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.nix import raw
from nixwright.nix.layout import (
    BREAK,
    HARDLINE,
    HARDSPACE,
    LINES,
    PRIORITY,
    REGULAR,
    SPACE,
    TRANSPARENT,
    Group,
    Part,
    Span,
    flattened,
    one_line,
    space,
)
from nixwright.nix.syntax import (
    TERMS,
    Application,
    Binding,
    Item,
    Lambda,
    LetIn,
    List,
    Literal,
    Node,
    Opaque,
    Operation,
    Parens,
    Set,
    String,
    Word,
    is_absorbable,
    is_simple,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

SIMPLE_PATH = 4  # names; behind a longer path, or one with quotes, the line may break after `=`
SHORT_LIST = 6  # simple elements that an argument before the last keeps on one line
SHORT_INTERPOLATION = 30  # columns that stay on the line whatever its width
ONE_LINE_HEAD = 2  # arguments of a function head


def has_simple_path(path: str) -> bool:
    """Tell whether a spelled path is short and without quotes."""
    return '"' not in path and path.count(".") < SIMPLE_PATH


def expression(node: Node, nest: int, offset: int = 0) -> list[Part]:  # noqa: C901, PLR0911 - one case for each node
    """Return the document of any node."""
    match node:
        case Word(text=text) | Literal(text=text):
            return [Span(nest, offset, text)]
        case Opaque(text=text):
            return _raw(text, nest, offset)
        case String():
            return [_string(node, nest, offset)]
        case List():
            return [Group(REGULAR, _list(node, HARDLINE, nest, offset))]
        case Set():
            return _set(node, nest, offset, opened=False)
        case Parens(node=inner):
            body = [Span(nest, offset, "("), *_between_parens(inner, nest + 1, offset), Span(nest, offset, ")")]
            return [Group(REGULAR, body)]
        case Application():
            return _application(node, nest, offset)
        case Operation(left=left, operator=operator, right=right):
            operation: list[Part] = [Span(nest, offset, left)]
            if operator:
                operation += [SPACE, Span(nest, offset, operator), HARDSPACE, Span(nest + 1, offset, right)]
            return [Group(REGULAR, operation)]
        case LetIn(bindings=bindings, body=body):
            head: list[Part] = [Span(nest, offset, "let"), HARDLINE]
            _items(head, bindings, HARDLINE, nest + 1, offset)
            tail = [Span(nest, offset, "in"), HARDLINE, *expression(body, nest, offset)]
            return [Group(REGULAR, head), HARDLINE, Group(REGULAR, tail)]
        case Lambda():
            return _lambda(node, nest, offset)


def noted(node: Node) -> Group:
    """Return the document of the outermost node where comments stand above it: they keep it from being simple."""
    parts = _application(node, 0, 0, noted=True) if isinstance(node, Application) else expression(node, 0)
    return Group(REGULAR, parts)


def binding(bound: Binding, nest: int, offset: int = 0) -> Group:
    """Return the document of `path = node;`, without its comment."""
    parts: list[Part] = [Span(nest, offset, bound.path), HARDSPACE, Span(nest + 1, offset, "=")]
    value = _right_side(bound.node, nest + 2, offset)
    if has_simple_path(bound.path):
        parts += value
    else:
        parts.append(BREAK)
        if value[0] == HARDSPACE:
            space(parts, HARDSPACE)
            del value[0]
        match value:
            case [Group(kind=kind)] if kind == PRIORITY:
                parts += value
            case _:
                parts.append(Group(PRIORITY, value))
    parts.append(Span(nest, offset, ";"))
    return Group(REGULAR, parts)


def notes(parts: list[Part], lines: Sequence[str], nest: int, offset: int = 0) -> None:
    """Append comment lines, each on a line of its own."""
    for line in lines:
        space(parts, HARDLINE)
        parts += [Span(nest, offset, line, comment=True), HARDLINE]


def _right_side(node: Node, nest: int, offset: int) -> list[Part]:
    """What stands behind `=`, the spacing before it included."""
    if is_absorbable(node):
        return [HARDSPACE, Group(REGULAR, _absorbed(node, nest, offset, opened=True))]
    if isinstance(node, Parens):
        return [HARDSPACE, _absorbed_parens(node.node, nest, offset)]
    if isinstance(node, String | Literal):
        return [HARDSPACE, Group(REGULAR, expression(node, nest, offset))]
    if isinstance(node, Application):
        return _application(node, nest, offset, lead=True)
    if isinstance(node, TERMS):
        return [Group(REGULAR, [SPACE, *expression(node, nest, offset)])]
    return [SPACE, Group(REGULAR, expression(node, nest, offset))]


def _absorbed(node: Node, nest: int, offset: int, *, opened: bool) -> list[Part]:
    """A node that starts on the line before it; `opened`: a set takes more lines even if it would fit."""
    if isinstance(node, Set):
        return _set(node, nest, offset, opened=opened)
    if isinstance(node, List):
        return _list(node, HARDLINE, nest, offset)
    return expression(node, nest, offset)


def _items(parts: list[Part], items: Sequence[Item | Binding], spacing: int, nest: int, offset: int) -> None:
    for index, item in enumerate(items):
        if index:
            space(parts, spacing)
        if item.notes:
            notes(parts, item.notes, nest, offset)
            space(parts, spacing)
        if isinstance(item, Binding):
            parts.append(binding(item, nest, offset))
        else:
            parts.append(Group(REGULAR, expression(item.node, nest, offset)))


def _list(node: List, spacing: int, nest: int, offset: int) -> list[Part]:
    parts: list[Part] = [Span(nest, offset, "["), SPACE if node.items else HARDSPACE]
    _items(parts, node.items, spacing, nest + 1, offset)
    space(parts, SPACE if node.items else HARDSPACE)
    return [*parts, Span(nest, offset, "]")]


def _set(node: Set, nest: int, offset: int, *, opened: bool) -> list[Part]:
    spacing = HARDSPACE if not node.bindings else HARDLINE if opened else SPACE
    parts: list[Part] = [Span(nest, offset, "{"), spacing]
    _items(parts, node.bindings, HARDLINE, nest + 1, offset)
    space(parts, spacing)
    return [*parts, Span(nest, offset, "}")]


def _between_parens(node: Node, nest: int, offset: int) -> list[Part]:
    if is_absorbable(node):
        return [Group(REGULAR, _absorbed(node, nest, offset, opened=False))]
    if isinstance(node, Application):
        return _application(node, nest, offset, in_parens=True)
    if isinstance(node, Word) and node.selects:
        return [Group(REGULAR, expression(node, nest, offset)), BREAK]
    return [BREAK, Group(REGULAR, expression(node, nest, offset)), BREAK]


def _absorbed_parens(node: Node, nest: int, offset: int) -> Group:
    inner = Group(REGULAR, expression(node, nest + 2, offset))
    return Group(PRIORITY, [Span(nest + 1, offset, "("), BREAK, inner, BREAK, Span(nest + 1, offset, ")")])


def _application(  # noqa: PLR0913 - three places it may stand in
    node: Application, nest: int, offset: int, *, lead: bool = False, in_parens: bool = False, noted: bool = False
) -> list[Part]:
    """A function and its arguments; `lead`: with the spacing before it, which breaks last."""
    *before, last = node.terms
    parts: list[Part] = [SPACE] if lead else []
    end: list[Part] = [BREAK] if in_parens else []
    if _two_lists(node.terms):
        parts.append(Group(TRANSPARENT, _arguments(node.terms[:-2], nest, offset, in_parens=in_parens)))
        for term in node.terms[-2:]:
            parts += [SPACE, Group(REGULAR, _argument(term, nest + 1, offset))]
        return [Group(REGULAR, parts + end)]
    parts.append(Group(TRANSPARENT, _arguments(before, nest, offset, in_parens=in_parens)))
    if is_simple(node) and not noted:
        unbroken = [HARDSPACE if p == SPACE else p for p in flattened([parts]) if p != BREAK]
        if not any(isinstance(p, int) and p >= HARDLINE for p in unbroken):
            start: list[Part] = [HARDSPACE] if lead else []
            return [*start, Group(REGULAR, [*unbroken[len(start) :], HARDSPACE, _last_argument(last, nest, offset)])]
    return [Group(REGULAR, [*parts, SPACE, _last_argument(last, nest, offset), *end])]


def _two_lists(terms: Sequence[Node]) -> bool:
    """Two list arguments at the end break together."""
    return len(terms) > 2 and isinstance(terms[-1], List) and isinstance(terms[-2], List)  # noqa: PLR2004


def _arguments(terms: Sequence[Node], nest: int, offset: int, *, in_parens: bool) -> list[Part]:
    """The function and all arguments but the last."""
    if len(terms) == 1:
        if in_parens:
            return [Group(REGULAR, [BREAK, *expression(terms[0], nest + 1, offset)])]
        return expression(terms[0], nest, offset)
    if _two_lists(terms):
        pair: list[Part] = [
            p for term in terms[-2:] for p in (SPACE, Group(REGULAR, _argument(term, nest + 1, offset)))
        ]
        before = Group(TRANSPARENT, _arguments(terms[:-2], nest, offset, in_parens=in_parens))
        return [Group(TRANSPARENT, [before, Group(REGULAR, pair)])]
    *before_last, last = terms
    kind = REGULAR if isinstance(last, Word) and last.selects else PRIORITY
    return [
        Group(TRANSPARENT, _arguments(before_last, nest, offset, in_parens=in_parens)),
        SPACE,
        Group(kind, _argument(last, nest + 1, offset)),
    ]


def _argument(node: Node, nest: int, offset: int) -> list[Part]:
    if isinstance(node, List):
        count = sum(2 if item.notes else 1 for item in node.items)
        if count <= SHORT_LIST and all(is_simple(item.node) for item in node.items):
            return _list(node, SPACE, nest, offset)
    return expression(node, nest, offset)


def _last_argument(node: Node, nest: int, offset: int) -> Group:
    if is_absorbable(node):
        return Group(PRIORITY, _absorbed(node, nest + 1, offset, opened=False))
    if isinstance(node, Parens):
        match node.node:
            case Application(terms=(Word(selects=False) as name, argument)) if is_absorbable(argument):
                head: list[Part] = [Span(nest + 1, offset, f"({name.text}"), HARDSPACE]
                body = _absorbed(argument, nest + 1, offset, opened=True)
                return Group(PRIORITY, [*head, *body, Span(nest + 1, offset, ")")])
            case inner:
                return _absorbed_parens(inner, nest, offset)
    return Group(REGULAR, expression(node, nest + 1, offset))


def _lambda(node: Lambda, nest: int, offset: int) -> list[Part]:
    spacing = SPACE if len(node.names) <= ONE_LINE_HEAD else HARDLINE
    head: list[Part] = [Span(nest, offset, "{"), spacing]
    for name in node.names:
        head += [Span(nest + 1, offset, f"{name},"), spacing]
    head += [Span(nest + 1, offset, "..."), spacing, Span(nest, offset, "}")]
    body = (
        [Group(REGULAR, _absorbed(node.body, nest, offset, opened=True))]
        if is_absorbable(node.body)
        else expression(node.body, nest, offset)
    )
    return [Group(REGULAR, head), Span(nest, offset, ":"), SPACE, *body]


def _raw(text: str, nest: int, offset: int) -> list[Part]:
    """Return raw text line by line, each where it stands below the first."""
    parts: list[Part] = []
    blank = 0
    for further, line in raw.lines(text):
        if not line:
            blank += 1
            continue
        if parts:
            parts.append(LINES + 1 + blank)
        parts.append(Span(nest, offset + further, line))
        blank = 0
    return parts


def _string(node: String, nest: int, offset: int) -> Group:
    if not node.indented:
        inside = _string_line(node.lines[0], nest, offset)
        return Group(REGULAR, [Span(nest, offset, '"'), *inside, Span(nest, offset, '"')])
    parts: list[Part] = [Span(nest, offset, "''"), BREAK]
    for index, line in enumerate(node.lines):
        if index:
            space(parts, LINES + 1)
        parts += _string_line(line, nest + 1, offset)
    return Group(REGULAR, [*parts, Span(nest, offset, "''")])


def _string_line(line: tuple[str | Node, ...], nest: int, offset: int) -> list[Part]:
    """One line of a string; what an interpolation takes more lines for is set under the line's own indentation."""
    match line:
        case [interpolated] if not isinstance(interpolated, str):
            return [_lone_interpolation(interpolated, nest, offset)]
        case [str(spaces), interpolated] if spaces.isspace() and not isinstance(interpolated, str):
            return [Span(nest, offset, spaces), _lone_interpolation(interpolated, nest, offset + len(spaces))]
    parts: list[Part] = []
    for index, piece in enumerate(line):
        if isinstance(piece, str):
            parts.append(Span(nest, offset, piece))
            offset += len(piece) - len(piece.lstrip()) if index == 0 else 0
        else:
            parts += _interpolation(piece, nest, offset)
    return parts


def _lone_interpolation(node: Node, nest: int, offset: int) -> Group:
    body = _between_parens(node, nest + 1, offset)
    return Group(REGULAR, [Span(nest, offset, "${"), *body, Span(nest, offset, "}")])


def _interpolation(node: Node, nest: int, offset: int) -> list[Part]:
    start, end = Span(nest, offset, "${"), Span(nest, offset, "}")
    if is_absorbable(node):
        return [Group(REGULAR, [start, *expression(node, nest, offset), end])]
    simple = is_simple(node)
    body = expression(node, nest, offset)
    compact = one_line([body], 10**9 if simple else SHORT_INTERPOLATION)
    if compact is not None:
        return [start, Span(nest, offset, compact), end]
    if simple:
        return [start, *body, end]
    return [Group(REGULAR, [start, BREAK, *expression(node, nest + 1, offset), BREAK, end])]
