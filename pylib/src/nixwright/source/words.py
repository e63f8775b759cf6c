"""The words of a command line as values: as a person writes them, and as the field they are for wants them."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING

from nixwright.source.records import Holds, holds_alike, inner
from nixwright.source.values import Call, Name, NotLiteralError, read

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_WORDS = {"true": True, "false": False, "null": None, "none": None}


def from_words(
    words: Sequence[str], like: object = None, holds: Holds | None = None, bound: Collection[str] = ()
) -> object:
    """Return the value that words mean.

    `holds` says what the field may hold; without it, it is to be `like` the value that stands there now. `bound` are
    the names that the file has; any other bare word is text.

    A string stays one: `state_version 26.11` is no number. What is quoted as Python quotes is taken as Python. For a
    list each word is an entry, unless the one word is a list itself, in which plain strings need no quotes. `true`,
    `false` and `null` are read as Nix writes them. Anything else is Python, and where it is not, text.
    """
    holds = holds if holds is not None and holds.kinds else holds_alike(like)
    text = " ".join(words).strip()
    if text.lower() in {"none", "null"} and NoneType in holds.kinds:
        return None
    if list in holds.kinds:
        entries = _entries(words, text, inner(holds), bound)
        return tuple(entries) if isinstance(like, tuple) else entries
    if holds.only(str):
        return read(text) if _is_literal(text, str) else text
    try:
        value = _bare(read(text), bound)
    except NotLiteralError:
        return text
    if str in holds.kinds and not isinstance(value, str) and not _fits(value, holds):
        return text
    return value


def _entries(words: Sequence[str], text: str, entry: Holds, bound: Collection[str]) -> list[object]:
    if len(words) != 1 or text[:1] + text[-1:] not in {"[]", "()"}:
        return [from_words([w], None, entry, bound) for w in words]
    if not entry.only(str) or _is_literal(text, list):
        try:
            value = _bare(read(text), bound)
        except NotLiteralError:
            value = None
        if isinstance(value, list | tuple) and not (entry.only(str) and not all(isinstance(v, str) for v in value)):
            return list(value)
    listed = [w.strip() for w in text[1:-1].split(",")]
    return [from_words([w], None, entry, bound) for w in listed if w]


def _bare(value: object, bound: Collection[str]) -> object:
    """Return a value in which the names that the file does not have are text, or what Nix means by them."""
    match value:
        case Name(name=name) if name.partition(".")[0] not in bound and not name.isupper():
            return _WORDS.get(name, name)
        case list():
            return [_bare(v, bound) for v in value]
        case tuple():
            return tuple(_bare(v, bound) for v in value)
        case dict():
            return {_bare(k, bound): _bare(v, bound) for k, v in value.items()}
        case Call(name=name, args=args, keywords=keywords):
            return Call(name, tuple(_bare(a, bound) for a in args), tuple((k, _bare(v, bound)) for k, v in keywords))
    return value


def _fits(value: object, holds: Holds) -> bool:
    """Tell whether a value is of a kind that the field holds beside text."""
    kinds = {k.__name__ for k in holds.kinds}
    return type(value).__name__ in kinds or isinstance(value, Name) or (isinstance(value, Call) and value.name in kinds)


def _is_literal(text: str, kind: type) -> bool:
    try:
        return isinstance(read(text), kind)
    except NotLiteralError:
        return False
