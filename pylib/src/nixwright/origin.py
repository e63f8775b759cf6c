"""Where a value came from: the chain of calls in the user's own files that made it, innermost first."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator, Mapping
    from types import CodeType, FrameType

_OURS = str(Path(__file__).parent) + "/"
_INTERPRETER = tuple({f"{Path(p)}/" for p in (sys.prefix, sys.base_prefix)})


@lru_cache(maxsize=4096)
def is_users(filename: str) -> bool:
    """Tell a user's own file from ours, the interpreter's, and generated code."""
    return not (filename.startswith(("<", _OURS)) or filename.startswith(_INTERPRETER))


@dataclass(frozen=True, slots=True)
class Call:
    """One call on the way: the code object and the instruction offset, resolved to lines only when asked."""

    code: CodeType
    instruction: int

    @property
    def file(self) -> str:
        """The file's name as the interpreter had it."""
        return self.code.co_filename

    @property
    def span(self) -> tuple[int, int, int, int]:
        """First line, last line, first column, last column of the call (lines from 1, columns from 0)."""
        for index, (line, end, column, end_column) in enumerate(self.code.co_positions()):
            if index == self.instruction // 2:
                first = line or self.code.co_firstlineno
                return first, end or first, column or 0, end_column or 0
        return self.code.co_firstlineno, self.code.co_firstlineno, 0, 0


@dataclass(frozen=True, slots=True)
class Origin:
    """The calls that made a value, innermost first; `field` where only one argument of the innermost is meant."""

    calls: tuple[Call, ...] = ()
    field: str = ""
    position: int = -1  # of the argument, where it may have been given without its keyword

    def at(self, field: str, position: int = -1) -> Origin:
        """Return the same origin, narrowed to the argument `field` (dotted or indexed below it)."""
        return Origin(self.calls, field, position)

    def place(self, field: str = "") -> tuple[str, int]:
        """Return file and line (from 1) of the argument, or of the call where the argument has no line of its own."""
        if not self.calls:
            return "", 0
        call = self.calls[0]
        return call.file, _line_of(call, field or self.field, self.position)

    def chain(self) -> list[tuple[str, int]]:
        """Return file and line of every call, innermost first; the first is `place()`."""
        return [self.place(), *((c.file, c.span[0]) for c in self.calls[1:])]


def here() -> Origin:
    """Return the origin of the call that led here: every frame of the user's own files."""
    calls = []
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the public inspect.stack() reads source files for every frame
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            calls.append(Call(frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return Origin(tuple(calls))


_instead: dict[str, bytes] = {}  # texts that stand for files, by the file's name


@contextmanager
def standing_in(texts: Mapping[Path, str]) -> Iterator[None]:
    """Within this block host files are what these texts say, and not what is on the disk: an edit that is tried."""
    _instead.update({str(path): text.encode() for path, text in texts.items()})
    _calls_in.cache_clear()
    try:
        yield
    finally:
        _instead.clear()
        _calls_in.cache_clear()


def source_of(path: Path) -> bytes:
    """Return a user's file as it is read now. Raises OSError."""
    return _instead[str(path)] if str(path) in _instead else path.read_bytes()


def line_of(file: str, line: int) -> str:
    """Return a line of a user's file, from 1; empty where there is none."""
    try:
        lines = source_of(Path(file)).splitlines()  # of bytes: at the ends that Python counts, and no others
    except OSError:
        return ""
    return lines[line - 1].decode("utf-8", "replace") if 0 < line <= len(lines) else ""


@lru_cache(maxsize=16)
def _calls_in(file: str) -> dict[tuple[int, int], ast.Call]:
    """Every call in a source file by its first line and column; empty where it cannot be read."""
    import ast  # noqa: PLC0415 - only a mistake or `show` needs it

    try:
        tree = ast.parse(source_of(Path(file)))
    except (OSError, SyntaxError, ValueError):
        return {}
    return {(n.lineno, n.col_offset): n for n in ast.walk(tree) if isinstance(n, ast.Call)}


def _line_of(call: Call, field: str, position: int) -> int:
    """Return the line of the argument `field` of the call, by keyword, else by position; else the call's own line.

    Below the argument, `curve.55` or `parts[2]` narrow to the entry of a literal dict or list.
    """
    import ast  # noqa: PLC0415

    line, _, column, _ = call.span
    node = _calls_in(call.file).get((line, column))
    if node is None or not field:
        return line
    head, *below = field.replace("]", "").replace("[", ".").split(".")
    found: ast.expr | None = next((k.value for k in node.keywords if k.arg == head), None)
    if found is not None:
        line = next(k.lineno for k in node.keywords if k.arg == head)
    elif 0 <= position < len(node.args) and not any(isinstance(a, ast.Starred) for a in node.args):
        found = node.args[position]
        line = found.lineno
    else:
        return line
    while below:
        name = below.pop(0)
        if isinstance(found, ast.List | ast.Tuple) and name.isdigit() and int(name) < len(found.elts):
            found = found.elts[int(name)]
            line = found.lineno
        elif isinstance(found, ast.Dict):
            # a key may hold dots itself: the longest that fits is meant
            pairs = zip(found.keys, found.values, strict=True)
            entries = {str(k.value): (k, v) for k, v in pairs if isinstance(k, ast.Constant)}
            size = next((n for n in range(len(below), -1, -1) if ".".join([name, *below[:n]]) in entries), None)
            if size is None:
                break
            key, found = entries[".".join([name, *below[:size]])]
            line, below = key.lineno, below[size:]
        else:
            break
    return line
