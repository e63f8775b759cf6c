"""Values as they stand in source: Python literals, and calls and names that read like literals (`MiB(32)`, `REST`)."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Call:
    """A call that stands for a value: `MiB(32)`, `User("ivan", groups=["wheel"])`. The name may be dotted."""

    name: str
    args: tuple[object, ...] = ()
    keywords: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Name:
    """A name that stands for a value: `REST`, `tank`. It may be dotted."""

    name: str


@dataclass(frozen=True, slots=True)
class Source:
    """A value as the text that is to be written, in the words of Python; it must be a literal or read like one."""

    text: str


class NotLiteralError(ValueError):
    """The source is no literal; the text says what it is instead, and never quotes it: it may hold a secret."""


_KINDS: Mapping[type[ast.AST], str] = {
    ast.JoinedStr: "is computed (an f-string)",
    ast.ListComp: "is built in a loop (a comprehension)",
    ast.SetComp: "is built in a loop (a comprehension)",
    ast.DictComp: "is built in a loop (a comprehension)",
    ast.GeneratorExp: "is built in a loop (a generator)",
    ast.BinOp: "is computed (an operator)",
    ast.BoolOp: "is computed (an operator)",
    ast.Compare: "is computed (a comparison)",
    ast.UnaryOp: "is computed (an operator)",
    ast.IfExp: "depends on a condition",
    ast.Lambda: "is a function",
    ast.Subscript: "is taken out of another value",
    ast.Starred: "is unpacked from another value",
    ast.NamedExpr: "is bound where it is used",
}


def read(text: str) -> object:
    """Return the value that the source text stands for. Raises NotLiteralError."""
    try:
        node = ast.parse(f"(\n{text}\n)", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise NotLiteralError("is no Python value") from error
    return _value(node)


def _value(node: ast.expr) -> object:  # noqa: PLR0911 - one arm a kind of value
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as number)):
            return -number if isinstance(sign, ast.USub) else number
        case ast.List(elts=elements):
            return [_value(e) for e in elements]
        case ast.Tuple(elts=elements):
            return tuple(_value(e) for e in elements)
        case ast.Set(elts=elements):
            return _hashed(lambda: {_value(e) for e in elements})
        case ast.Dict(keys=keys, values=values):
            pairs = [(_value(_key(k)), _value(v)) for k, v in zip(keys, values, strict=True)]
            return _hashed(lambda: dict(pairs))
        case ast.Call(func=function, args=args, keywords=keywords):
            named = tuple((_keyword(k), _value(k.value)) for k in keywords)
            return Call(_dotted(function), tuple(_value(a) for a in args), named)
        case ast.Name() | ast.Attribute():
            return Name(_dotted(node))
    raise NotLiteralError(_KINDS.get(type(node), "is computed"))


def _hashed(make: object) -> object:
    try:
        return make()  # type: ignore[operator]
    except TypeError as error:
        raise NotLiteralError("is no Python value: a key cannot be hashed") from error


def _key(key: ast.expr | None) -> ast.expr:
    if key is None:
        raise NotLiteralError("is unpacked from another value")
    return key


def _keyword(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise NotLiteralError("is unpacked from another value")
    return keyword.arg


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise NotLiteralError("is computed by a call")


def same(left: object, right: object) -> bool:
    """Tell whether two values are written alike: 1, 1.0 and True are three, and a dict's order counts."""
    if type(left) is not type(right):
        return False
    match left, right:
        case (list() | tuple() as a, list() | tuple() as b):
            return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
        case dict() as a, dict() as b:
            return same(list(a.items()), list(b.items()))
        case Call() as a, Call() as b:
            return a.name == b.name and same(a.args, b.args) and same(a.keywords, b.keywords)
        case float() as a, float() as b:
            return repr(a) == repr(b)
    return left == right


def names(value: object) -> Iterator[str]:
    """Yield the first name of every call and name in a value: what the file must have bound."""
    match value:
        case Call(name=name, args=args, keywords=keywords):
            yield name.partition(".")[0]
            yield from names(args)
            yield from names([v for _, v in keywords])
        case Name(name=name):
            yield name.partition(".")[0]
        case dict():
            yield from names([*value, *value.values()])
        case list() | tuple() | set() | frozenset():
            for entry in value:
                yield from names(entry)


@dataclass(frozen=True, slots=True)
class Style:
    """How values are written in a place: the quote, the line end, the indent of the line and the step of one more."""

    quote: str = '"'
    newline: str = "\n"
    indent: str = ""
    step: str = "    "
    width: int = 120  # columns

    def deeper(self) -> Style:
        """Return the style one step further in."""
        return Style(self.quote, self.newline, self.indent + self.step, self.step, self.width)


def written(value: object, style: Style, column: int = 0) -> str:
    """Return the source text of a value: on one line where it fits, else one entry a line. `column` is where it starts.

    Raises NotLiteralError for what is no literal.
    """
    flat = _flat(value, style)
    if column + len(flat) < style.width or not isinstance(value, list | tuple | dict | Call) or not value:
        return flat
    inner = style.deeper()
    column = len(inner.indent.expandtabs(4))
    opens, closes = ("[", "]") if isinstance(value, list) else ("{", "}") if isinstance(value, dict) else ("(", ")")
    match value:
        case Call(name=name, args=args, keywords=keywords):
            if not args and not keywords:
                return flat
            opens = f"{name}("
            entries = [written(a, inner, column) for a in args]
            entries += [f"{k}={written(v, inner, column + len(k) + 1)}" for k, v in keywords]
        case dict():
            entries = [
                f"{_flat(k, style)}: {written(v, inner, column + len(_flat(k, style)) + 2)}" for k, v in value.items()
            ]
        case _:
            entries = [written(e, inner, column) for e in value]
    lines = "".join(f"{inner.indent}{e},{style.newline}" for e in entries)
    return f"{opens}{style.newline}{lines}{style.indent}{closes}"


def _flat(value: object, style: Style) -> str:  # noqa: C901, PLR0911 - one arm a kind of value
    match value:
        case Source(text=text):
            return text
        case Name(name=name):
            return name
        case Call(name=name, args=args, keywords=keywords):
            entries = [_flat(a, style) for a in args] + [f"{k}={_flat(v, style)}" for k, v in keywords]
            return f"{name}({', '.join(entries)})"
        case str():
            return _quoted(value, style.quote)
        case None | bool() | int() | bytes():
            return repr(value)
        case float() if value == value and abs(value) != float("inf"):  # noqa: PLR0124 - a NaN has no literal
            return repr(value)
        case list():
            return f"[{', '.join(_flat(e, style) for e in value)}]"
        case tuple():
            return f"({', '.join(_flat(e, style) for e in value)}{',' if len(value) == 1 else ''})"
        case set() if value:
            return f"{{{', '.join(sorted(_flat(e, style) for e in value))}}}"
        case dict():
            return f"{{{', '.join(f'{_flat(k, style)}: {_flat(v, style)}' for k, v in value.items())}}}"
    raise NotLiteralError(f"a {type(value).__name__} cannot be written as a literal")


def _quoted(text: str, quote: str) -> str:
    plain = repr(text)
    return plain if "'" in text or '"' in text else f"{quote}{plain[1:-1]}{quote}"
