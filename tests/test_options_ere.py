"""POSIX expressions in Python's notation."""

from __future__ import annotations

import re

import pytest
from nixwright.options.ere import translate


@pytest.mark.parametrize(
    ("ere", "text", "fits"),
    [
        ("[[:digit:]]{2}", "12", True),
        ("[[:digit:]]{2}", "123", False),
        ("[[:digit:]]{2}", "12\n", False),
        (r"[a\.]", "\\", True),  # a backslash is a character within brackets
        (r"[a\.]", "b", False),
        ("[]a]", "]", True),
        ("[^[:space:]]+", "a b", False),
        ("a|b", "ab", False),
        ("a.c", "a\nc", True),
        (r"\.x", ".x", True),
        (r"\.x", "ax", False),
        ("^a$", "a", True),
        ("^a$", "a\n", False),
        ("[a-z-]*", "a-b", True),
    ],
)
def test_it_fits_the_same(ere: str, text: str, *, fits: bool) -> None:
    assert (re.search(translate(ere), text) is not None) is fits


def test_an_open_bracket_is_refused() -> None:
    with pytest.raises(ValueError, match="a bracket is not closed"):
        translate("[a")
