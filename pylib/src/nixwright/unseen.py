"""What is not known because the user's file has a mistake there: to look at it ends whoever looks, quietly.

One run tells every mistake, and no mistake that is only the shadow of another. So a field without a right value holds
`UNSEEN`, and a rule that looks at it is stopped by `UnseenError`: what the rule had found before stands, and what it
would have said of the rest may not be true. Whatever does not look is told as ever.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from nixwright.errors import NixwrightError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

_SCALARS = frozenset({str, int, bool, float, type(None)})


class UnseenError(NixwrightError):
    """Something was looked at that a mistake, told already, leaves unknown."""

    def __init__(self) -> None:
        """Say so: a person reads it only where they catch it."""
        super().__init__("this value is not known: a mistake stands where it is made")


def _look(*_: object) -> NoReturn:
    raise UnseenError


class _Unseen:
    """A value of no type that cannot be looked at; it can be passed on, copied and shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "..."

    def __copy__(self) -> _Unseen:
        return self

    def __deepcopy__(self, _memo: object) -> _Unseen:
        return self


for _name in (
    *("getattr", "str", "format", "bool", "len", "iter", "contains", "getitem", "call", "hash", "index", "int"),
    *("float", "eq", "ne", "lt", "le", "gt", "ge", "add", "radd", "sub", "rsub", "mul", "rmul", "mod", "fspath"),
):
    setattr(_Unseen, f"__{_name}__", _look)

UNSEEN: Any = _Unseen()


def is_unseen(*things: object) -> bool:
    """Tell whether one of several is `UNSEEN`; by identity: to compare would be to look."""
    return any(t is UNSEEN for t in things)


def is_broken(thing: object) -> bool:
    """Tell whether a record was made with mistakes."""
    return thing is UNSEEN or bool(wrong_fields(thing))


def wrong_fields(thing: object) -> frozenset[str]:
    """Return the fields of a record that mistakes were told of; with "" where they are of the whole."""
    found = None if thing is UNSEEN else getattr(thing, "_wrong", None)
    return found if isinstance(found, frozenset) else frozenset()  # `pkgs` has every attribute


def right(thing: object, field: str) -> Any:
    """Return a field of a record; what a mistake was told of is not known."""
    return UNSEEN if field in wrong_fields(thing) else getattr(thing, field)


def stumbled(error: Exception) -> bool:
    """Tell whether an error is of a function that is not Python's, and was given what is unseen: it names its type."""
    return isinstance(error, TypeError) and _Unseen.__name__ in str(error)


def is_open(thing: object) -> bool:
    """Tell whether something in a record, or anywhere inside it, is unseen."""
    return any(t is UNSEEN for t in inside(thing))


def inside(thing: object, deep: int = 50) -> Iterator[Any]:
    """Every record in a record, a list, a tuple or a dict, itself too, and every `UNSEEN`, as often as it is met.

    What is nested deeper than `deep` is left out: it may hold itself.
    """
    inner: Iterable[object] = ()
    if thing is UNSEEN:
        yield thing
    elif isinstance(thing, list | tuple):
        inner = thing
    elif isinstance(thing, dict):
        inner = thing.values()
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        yield thing
        inner = [getattr(thing, name) for name in _field_names(type(thing))]
    if deep:
        for each in inner:
            if type(each) not in _SCALARS:  # most are, and this is asked of each value of a host
                yield from inside(each, deep - 1)


@cache
def _field_names(cls: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(cls))


def independent(*rules: Iterable[T]) -> Iterator[T]:
    """Yield what each of several rules finds; one that is stopped by what is unseen does not stop the others."""
    for rule in rules:
        try:
            yield from rule
        except UnseenError:
            continue
