"""Names, numbers, strings and paths as Nix spells them.

Source of the facts: Nix's own lexer (`src/libexpr/lexer.l`). Everything here is text on one line, but for
`indented_lines`, which gives the lines that stand between two pairs of single quotes.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

KEYWORDS = frozenset({"if", "then", "else", "assert", "with", "let", "in", "rec", "inherit", "or"})
LONGEST_PATH = 100_000  # characters
TOO_DEEP = "the value is nested too deep to print, or holds itself"
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*\Z")
_REFUSED = re.compile("[\x00\ud800-\udfff]")
# what a string in double quotes cannot show as it is (and what is refused); any other string stands for itself
SPECIAL = re.compile('["\\\\\n\r\t$\x00\ud800-\udfff]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "${": "\\${"}
_ESCAPED = re.compile(r'["\\\n\r\t]|\$\{')
_UNINDENTED = re.compile(r"^[^ \n]", re.MULTILINE)  # if no line is, stripping takes what all have
_UNFIT = re.compile(r"^ +$|'''|'\$[{\0]|'\Z", re.MULTILINE)  # lines of spaces; quotes that would read as an escape
_UNUSUAL = re.compile(r"[^\n -~]")
_PATH = re.compile(r"(?:\.{0,2}|~)(?:/[A-Za-z0-9._+-]+)+\Z")
_SMALLEST_NORMAL = 2.0**-1022
_SCALE = 2.0**64


def is_identifier(name: str) -> bool:
    """Tell whether a name needs no quotes."""
    return _IDENTIFIER.match(name) is not None and name not in KEYWORDS


@lru_cache(maxsize=8192)
def attribute(name: str) -> str:
    """Return an attribute name as it stands in a path: `enable`, `"a.b"`, `"if"`."""
    return name if is_identifier(name) else quoted(name)


def longer_path(path: str, name: str) -> str:
    """Return a spelled path with one more name. Raises RecursionError where only a set that holds itself gets."""
    if len(path) > LONGEST_PATH:
        raise RecursionError
    return f"{path}.{attribute(name)}"


def attribute_path(path: tuple[str, ...]) -> str:
    """Return an attribute path: `services.nginx.virtualHosts."a.b"`. Raises ValueError where it is empty."""
    if not path:
        raise ValueError("an attribute path has at least one name")
    return ".".join(map(attribute, path))


def variable(name: str) -> str:
    """Return the name of a variable, which cannot be quoted. Raises ValueError where it is none."""
    if not is_identifier(name):
        raise ValueError(f"{name!r} is no Nix variable")
    return name


def refuse_unspeakable(text: str) -> None:
    """Raise ValueError for a NUL, which no Nix string holds, and for a lone surrogate, which UTF-8 does not."""
    if found := _REFUSED.search(text):
        kind = "a NUL" if found.group() == "\x00" else "a lone surrogate"
        raise ValueError(f"a Nix string cannot hold {kind} (at {found.start()} in {text[:40]!r})")


def escaped(text: str, *, before_interpolation: bool = False) -> str:
    """Return text as it stands between double quotes. Control characters without an escape stand for themselves."""
    refuse_unspeakable(text)
    done = _ESCAPED.sub(lambda found: _ESCAPES[found.group()], text)
    return f"{done[:-1]}\\$" if before_interpolation and done.endswith("$") else done


def quoted(text: str) -> str:
    """Return a string in double quotes."""
    return f'"{escaped(text)}"' if SPECIAL.search(text) else f'"{text}"'


def integer(value: int) -> str:
    """Return an integer; -2^63 has no literal, and is said as a difference. Raises ValueError outside 64 bits."""
    if not INT_MIN <= value <= INT_MAX:
        raise ValueError(f"{value} does not fit into Nix's 64-bit integers")
    return f"{value + 1} - 1" if value == INT_MIN else str(int(value))


def floating(value: float) -> str:
    """Return a float such that Nix reads exactly the same number. Raises ValueError for infinities and NaN.

    Nix subtracts from zero to negate, so -0.0 is a product; it refuses subnormal literals, so these are products too.
    """
    if not math.isfinite(value):
        raise ValueError(f"Nix has no {value}")
    if value == 0 and math.copysign(1, value) < 0:
        return "-1 * 0.0"
    if 0 < abs(value) < _SMALLEST_NORMAL:
        return f"{floating(value * _SCALE)} * {floating(1 / _SCALE)}"
    digits, e, exponent = repr(float(value)).partition("e")
    return f"{digits if '.' in digits else f'{digits}.0'}{e}{exponent}"


def path(text: str) -> str:
    """Return a path: a literal, or `./. + "/with space"` where the literal's alphabet is too small.

    Raises ValueError for what is no path: it starts with `/`, `./` or `../`, and no name in it is empty.
    """
    if _PATH.match(text):
        return text
    root, _, rest = text.partition("/")
    if root not in {"", ".", ".."} or not (text == "/" or (rest and all(rest.split("/")))):
        raise ValueError(f"{text!r} is no Nix path: it starts with / or ./ or ../ and does not end with /")
    return f"{root}/. + {quoted('/' + rest)}" if rest else "/."


def indented_lines(parts: list[str | None]) -> list[list[str | None]] | None:
    """Return the lines of an indented string, escaped; None in `parts` stands for an interpolation.

    Nix strips the indentation that the lines have in common, drops a first line of spaces, and what stands before the
    closing quotes if it is spaces. So None comes back where the text has no two lines, or would not come back byte for
    byte, or would show less than the escapes in double quotes do.
    """
    text = parts[0] if len(parts) == 1 and parts[0] is not None else "".join("\0" if p is None else p for p in parts)
    if "\n" not in text:
        return None
    for part in parts:
        if part is not None:
            refuse_unspeakable(part)
    if not _UNINDENTED.search(text) or _UNFIT.search(text) or (_UNUSUAL.search(text) and not _is_visible(text)):
        return None
    return [[line] if line.isalnum() else _line(line) for line in text.split("\n")]


def _is_visible(text: str) -> bool:
    """Tell whether a text has no white space but spaces and line breaks, and no control characters."""
    shown = text.replace("\n", "").replace("\0", "")
    return shown.isprintable() and not any(c.isspace() and c != " " for c in shown)


def _line(text: str) -> list[str | None]:
    """Escape one line of an indented string, and cut it at its interpolations."""
    pieces: list[str | None] = []
    texts = text.split("\0")
    for index, piece in enumerate(texts):
        done = piece.replace("''", "'''").replace("${", "''${")
        last = index == len(texts) - 1
        if not last and done.endswith("$"):
            done = f"{done[:-1]}''$"
        if done:
            pieces.append(done)
        if not last:
            pieces.append(None)
    return pieces
