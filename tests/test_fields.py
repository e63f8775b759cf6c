"""What is taken without pydantic: never more than pydantic would take, and never another value."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable  # noqa: TC003 - records are built from their annotations
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import nixwright
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nixwright import verdict
from nixwright.bounds import Ge, Le
from nixwright.errors import MistakeError
from nixwright.fields import RECORD, Fields, _never
from nixwright.record import record

ROOT = Path(__file__).parent.parent


@record
class Inner:
    """A record inside a record."""

    size: int


class Deeper(Inner):
    """A class of a user's that is one, too."""


@record
class Whole:
    """A field of every kind that records have."""

    text: str
    number: Annotated[int, Ge(1), Le(9)]
    real: float
    yes: bool
    word: Literal["a", "b", 1]
    words: "list[str]"  # noqa: UP037
    row: tuple[int, ...]
    any_row: tuple[str | None, ...] | None
    table: dict[int, bool]
    inner: Inner | None
    inners: list[Inner | float]
    rest: Any
    call: Callable[..., None] | None


class Text(str):  # noqa: SLOT000 - a subclass is just what is meant
    """Text, but not plainly."""


@dataclass
class Other:
    """A class that is no record."""


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 12),
    st.sampled_from([2**63, -(2**70)]),
    st.floats(),
    st.sampled_from(["a", "b", "", "ü", "\ud800", b"a", Text("a"), Inner(1), Deeper(2), Other(), Inner, object(), 1j]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers(0, 9) | st.booleans() | st.sampled_from(["a", "\udfff"]), inner, max_size=3)
        | st.sets(st.integers(0, 3), max_size=2)
    ),
    max_leaves=5,
)
GOOD: dict[str, Any] = {
    "text": "a",
    "number": 1,
    "real": 1.0,
    "yes": True,
    "word": "a",
    "words": ["a"],
    "row": (1, 2),
    "any_row": ("a", None),
    "table": {1: True},
    "inner": Inner(1),
    "inners": [Inner(1), 2.0],
    "rest": object(),
    "call": print,
}


def same(one: object, other: object) -> bool:
    """Equal, and of one type all the way down (True is no 1, and a NaN is one)."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and same(list(one.items()), list(other.items()))
    return one is other or one == other or one != one  # noqa: PLR0124 - a NaN


@given(field=st.sampled_from(sorted(GOOD)), value=VALUES)
@settings(max_examples=1500, deadline=None)
@example(field="word", value=True)
@example(field="word", value=1.0)
@example(field="number", value=10)
@example(field="number", value=0)
@example(field="real", value=1)
@example(field="text", value="\ud800")
def test_what_is_plainly_right_is_what_pydantic_would_have_made(field: str, value: Any) -> None:
    arguments = {**GOOD, field: value}
    taken = Fields(Whole).taken((), arguments)
    thing = object.__new__(Whole)
    mistakes = verdict.judged(thing, (), arguments, arguments)
    if taken is not None:
        assert mistakes is None
        assert all(same(taken[name], getattr(thing, name)) for name in GOOD)


@pytest.mark.parametrize("field", sorted(GOOD))
def test_what_is_right_of_each_kind_is_plainly_so(field: str) -> None:
    """Else the test above would say nothing."""
    assert field in (Fields(Whole).taken((), GOOD) or {})


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((1,), {}), ((), {}), ((1, 2, 3), {"inner": 1}), (("a",), {"text": "b"}), ((), {**GOOD, "other": 1})],
)
def test_arguments_that_do_not_fit_are_not_taken(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert Fields(Whole).taken(args, kwargs) is None
    with pytest.raises(MistakeError):
        Whole(*args, **kwargs)


def test_a_list_that_changes_later_changes_no_record() -> None:
    words, table = ["a"], {1: True}
    whole = Whole(**{**GOOD, "words": words, "table": table})
    words.append("b")
    table[2] = False
    assert (whole.words, whole.table) == (["a"], {1: True})


def test_what_pydantic_converts_is_still_converted() -> None:
    real = Whole(**{**GOOD, "real": 1}).real
    assert (type(real), real) == (float, 1.0)


def records() -> list[type[Any]]:
    """Every record of the package."""
    names = [m.name for m in pkgutil.walk_packages(nixwright.__path__, "nixwright.")]
    modules = [importlib.import_module(name) for name in names if ".programs." not in name]
    return sorted(
        {c for m in modules for c in vars(m).values() if isinstance(c, type) and RECORD in vars(c)},
        key=lambda c: (c.__module__, c.__qualname__),
    )


@pytest.mark.parametrize("cls", records(), ids=lambda c: c.__qualname__)
def test_no_field_of_ours_needs_pydantic(cls: type[Any]) -> None:
    assert [name for name, test in Fields(cls)._tests.items() if test is _never] == []


def test_a_right_host_loads_neither_pydantic_nor_jsonschema() -> None:
    program = (
        "import runpy, sys; from pathlib import Path; from nixwright.generation import generate;"
        "host = runpy.run_path(sys.argv[1])['host'];"
        "assert generate(host, Path(), 'hosts/pibox.py');"
        "print([m for m in ('pydantic', 'pydantic_core', 'jsonschema', 'libcst') if m in sys.modules])"
    )
    command = [sys.executable, "-c", program, "hosts/pibox.py"]
    assert subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout == "[]\n"
