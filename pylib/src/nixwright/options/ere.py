"""POSIX extended regular expressions, as Nix matches them, in Python's notation.

Nix' `builtins.match` takes an expression that fits the whole string, by C++'s `std::regex` in its `extended` grammar:
within brackets a backslash is a character like any other, classes are written `[:alpha:]`, and `.` takes a newline too.
"""

from __future__ import annotations

CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
END = r"(?![\s\S])"  # `$` alone would let a newline follow


def translate(ere: str) -> str:
    """Return a pattern for `re.search` (and ECMA's expressions) that takes what the expression fits as a whole."""
    out: list[str] = []
    at = 0
    while at < len(ere):
        if ere[at] == "[":
            text, at = _bracket(ere, at)
            out.append(text)
        elif ere[at] == "\\" and at + 1 < len(ere):
            following = ere[at + 1]
            # a backslash before a letter or digit means nothing of its own in POSIX
            out.append(following if following.isalnum() else "\\" + following)
            at += 2
        elif ere[at] == ".":
            out.append(r"[\s\S]")
            at += 1
        elif ere[at] == "$":
            out.append(END)
            at += 1
        else:
            out.append(ere[at])
            at += 1
    return f"^(?:{''.join(out)}){END}"


def _bracket(ere: str, start: int) -> tuple[str, int]:
    """Return the bracket expression that starts there in Python's notation, and where what follows it begins."""
    at = start + 1
    out = ["["]
    if ere[at : at + 1] == "^":
        out.append("^")
        at += 1
    first = at
    while at < len(ere):
        if ere.startswith("[:", at) and ":]" in ere[at:]:
            end = ere.index(":]", at)
            out.append(CLASSES[ere[at + 2 : end]])
            at = end + 2
        elif ere[at] == "]" and at > first:
            return "".join(out) + "]", at + 1
        else:
            out.append("\\" + ere[at] if ere[at] in "\\[]^&~|" else ere[at])
            at += 1
    msg = f"a bracket is not closed in {ere}"
    raise ValueError(msg)
