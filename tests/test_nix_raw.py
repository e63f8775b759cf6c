"""Raw Nix of several lines stands as if it had been written there, and means the same."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nixwright.nix.module import module_text
from nixwright.nix.printer import print_expr
from nixwright.nix.raw import lines
from nixwright.nix.values import Raw
from programs import need

if TYPE_CHECKING:
    from nixwright.nix.values import Value

CONDITION = "if true\nthen 1\nelse 2"
SCRIPT = """builtins.concatStringsSep "" [ ''
  echo hi
    there ${toString 1}

  ''${x} ''' end
'' ]"""
INSIDE = "''first\n    second\n''"
QUOTED = '"a\n  b"'
LET = "let\n      x = { a = 1; }; # it's a brace {\n    in\n    x.a"
LAID_OUT = """\
{
  a = {
    # raw Nix, as it was given
    b =
      builtins.concatStringsSep "" [ ''
        echo hi
          there ${toString 1}

        ''${x} ''' end
      '' ];
    c = [
      # raw Nix, as it was given
      (
        if true
        then 1
        else 2
      )
    ];
  };

  # raw Nix, as it was given
  d =
    let
      x = { a = 1; }; # it's a brace {
    in
    x.a;
}
"""


def test_lines_stand_below_the_first() -> None:
    said: list[tuple[tuple[str, ...], Value, str]] = [
        (("a", "b"), Raw(SCRIPT), ""),
        (("a", "c"), [Raw(CONDITION)], ""),
        (("d",), Raw(LET), ""),
    ]
    assert module_text(said) == LAID_OUT


@pytest.mark.parametrize("text", [INSIDE, QUOTED, "''\n a \n''", '[ "${"x\n"}" ]'])
def test_what_would_change_a_string_stays_as_it_is(text: str) -> None:
    assert lines(text) == [(0, text)]
    assert text in print_expr({"a": {"b": Raw(text)}})


@pytest.mark.parametrize("text", [CONDITION, SCRIPT, INSIDE, QUOTED, LET, "''\n a \n''"])
def test_real_nix_sees_the_same(text: str) -> None:
    need("nix-instantiate")
    moved = print_expr({"a": {"b": Raw(text)}})
    argv = ["nix-instantiate", "--eval", "--strict", "--json", "--expr"]
    found = [
        json.loads(subprocess.run([*argv, expression], capture_output=True, text=True, check=True).stdout)
        for expression in (text, f"({moved}).a.b")
    ]
    assert found[0] == found[1]


@given(st.text("ab \n'\"{}$\\#;", max_size=40))
def test_no_text_is_lost(text: str) -> None:
    kept = "".join(line for _, line in lines(text))
    assert kept.replace(" ", "").replace("\n", "") == text.replace(" ", "").replace("\n", "")
