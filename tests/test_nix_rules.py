"""The rules of RFC 166, one case each: what nixfmt 1.2 leaves as it is, at its width of 100 columns.

`tests/components/test_nix_nixfmt.py` shows each of these texts to nixfmt itself, where there is one.
"""

from __future__ import annotations

import random
from textwrap import dedent

import pytest
from nix_random import data
from nixwright.nix import lower, rules
from nixwright.nix.layout import REGULAR, Group, render
from nixwright.nix.printer import print_expr
from nixwright.nix.values import (
    Apply,
    Commented,
    Function,
    If,
    Let,
    Merge,
    NixPath,
    Order,
    Override,
    Raw,
    Ref,
    Text,
    Value,
    config,
    default,
    force,
    lib,
    pkgs,
)

LONG = "x" * 70
F = Ref(("f",))

CASES: dict[str, tuple[Value, str]] = {
    "nothing is written with a space in it": ({"a": {}, "b": []}, "{\n  a = { };\n  b = [ ];\n}"),
    "one binding stays on its line as an element": ([{"a": 1}], "[ { a = 1; } ]"),
    "a set behind = never does": (
        {"a": {"b": 1, "c": 2}, "d": 3},
        "{\n  a = {\n    b = 1;\n    c = 2;\n  };\n  d = 3;\n}",
    ),
    "one name below another is dotted": ({"a": {"b": {"c d": {"e": 1}}}}, '{ a.b."c d".e = 1; }'),
    "one element stays on its line": ({"a": ["x"], "b": [[1]]}, '{\n  a = [ "x" ];\n  b = [ [ 1 ] ];\n}'),
    "two elements never do": ([1, 2], "[\n  1\n  2\n]"),
    "one element that is too wide moves": ({"a": [f"{LONG}{LONG}"]}, f'{{\n  a = [\n    "{LONG}{LONG}"\n  ];\n}}'),
    "100 columns fit, the indentation not counted": (
        {"a": {"b": ["y" * 89], "c": ["y" * 90]}, "d": 1},
        f'{{\n  a = {{\n    b = [ "{"y" * 89}" ];\n    c = [\n      "{"y" * 90}"\n    ];\n  }};\n  d = 1;\n}}',
    ),
    "a string stays behind a plain path": ({"a.b"[:1]: f"{LONG}{LONG}"}, f'{{\n  a = "{LONG}{LONG}";\n}}'),
    "and moves behind a quoted one": ({"a b": f"{LONG}{LONG}"}, f'{{\n  "a b" =\n    "{LONG}{LONG}";\n}}'),
    "or behind five names": (
        {"a": {"b": {"c": {"d": {"e": f"{LONG}{LONG}"}}}}},
        f'{{\n  a.b.c.d.e =\n    "{LONG}{LONG}";\n}}',
    ),
    "a word moves": ({LONG: pkgs[LONG]}, f"{{\n  {LONG} =\n    pkgs.{LONG};\n}}"),
    "the last argument opens": (
        {"a": If(config.a, {"b": 1, "c": 2})},
        "{\n  a = lib.mkIf config.a {\n    b = 1;\n    c = 2;\n  };\n}",
    ),
    "or stays": ({"a": force(["x"])}, '{ a = lib.mkForce [ "x" ]; }'),
    "a text as last argument opens": (
        {"a": Apply(pkgs.writeText, ("n", "x\ny\n"))},
        "{\n  a = pkgs.writeText \"n\" ''\n    x\n    y\n  '';\n}",
    ),
    "an argument in the middle opens, if it is one": (
        {"a": Apply(F, ({"x": 1, "y": 2}, "z"))},
        '{\n  a = f {\n    x = 1;\n    y = 2;\n  } "z";\n}',
    ),
    "all arguments move where none of that fits": (
        {"a": Apply(F, ({"x": 1, "y": 2}, {"x": 1, "y": 2}))},
        (
            "{\n  a =\n    f\n      {\n        x = 1;\n        y = 2;\n      }\n"
            "      {\n        x = 1;\n        y = 2;\n      };\n}"
        ),
    ),
    "a short list of simple elements stays before the last argument": (
        {"a": Apply(F, ([1, "b", pkgs.c], {"x": 1}))},
        '{ a = f [ 1 "b" pkgs.c ] { x = 1; }; }',
    ),
    "two lists at the end go together": (
        {"a": Apply(F, ([LONG], [LONG]))},
        f'{{\n  a =\n    f\n      [ "{LONG}" ]\n      [ "{LONG}" ];\n}}',
    ),
    "an application is put in parentheses as an element": (
        [Apply(lib.getExe, (pkgs.a,)), Apply(F, (-1,))],
        "[\n  (lib.getExe pkgs.a)\n  (f (-1))\n]",
    ),
    "parentheses open behind the function": (
        {"a": If(config.a, Apply(F, (LONG, LONG)))},
        f'{{\n  a = lib.mkIf config.a (\n    f "{LONG}" "{LONG}"\n  );\n}}',
    ),
    "a set in parentheses behind one name opens with it": (
        {"a": If(config.a, Apply(F, ({"x": 1, "y": 2},)))},
        "{\n  a = lib.mkIf config.a (f {\n    x = 1;\n    y = 2;\n  });\n}",
    ),
    "priorities": (
        [force(1), default(2), Override(10, 3), Order(500, [4]), Order(1500, "5"), Order(7, 6), Merge((F, {"x": 1}))],
        (
            "[\n  (lib.mkForce 1)\n  (lib.mkDefault 2)\n  (lib.mkOverride 10 3)\n  (lib.mkBefore [ 4 ])\n"
            '  (lib.mkAfter "5")\n  (lib.mkOrder 7 6)\n  (lib.mkMerge [\n    f\n    { x = 1; }\n  ])\n]'
        ),
    ),
    "a function applied twice is applied once": (Apply(Apply(F, (1,)), (2,)), "f 1 2"),
    "let": (
        {"a": Let((("x", 1), ("y", {"z": 2})), [Ref(("x",))])},
        "{\n  a =\n    let\n      x = 1;\n      y.z = 2;\n    in\n    [ x ];\n}",
    ),
    "let in parentheses": ([Let((("x", 1),), Ref(("x",)))], "[\n  (\n    let\n      x = 1;\n    in\n    x\n  )\n]"),
    "a head of two names": (
        Function({"a": [lib.x, pkgs.y]}),
        "{ lib, pkgs, ... }:\n{\n  a = [\n    lib.x\n    pkgs.y\n  ];\n}",
    ),
    "a head of three": (
        Function({"a": lib.x}, ("config", "lib", "pkgs")),
        "{\n  config,\n  lib,\n  pkgs,\n  ...\n}:\n{\n  a = lib.x;\n}",
    ),
    "a head without a name": (Function(1), "{ ... }: 1"),
    "a function behind =": (
        {"a": Function({"b": pkgs.c})},
        "{\n  a =\n    { pkgs, ... }:\n    {\n      b = pkgs.c;\n    };\n}",
    ),
    "comments stand above bindings and elements": (
        {"a": Commented("why\nand how", 1), "b": [Commented("this one", 2)]},
        "{\n  # why\n  # and how\n  a = 1;\n  b = [\n    # this one\n    2\n  ];\n}",
    ),
    "a comment deeper in goes above the binding": (
        {"a": {"b": force(Commented("for a reason", 1))}},
        "{\n  # for a reason\n  a.b = lib.mkForce 1;\n}",
    ),
    "raw text is marked": (
        {"a": Raw("x + 1", ("x",)), "b": [Raw("x + 1")]},
        "{\n  # raw Nix, as it was given\n  a = x + 1;\n  b = [\n    # raw Nix, as it was given\n    (x + 1)\n  ];\n}",
    ),
    "interpolation": (
        Text(("exec ", Apply(lib.getExe, (pkgs.htop,)), " $", pkgs["a b"])),
        '"exec ${lib.getExe pkgs.htop} \\$${pkgs."a b"}"',
    ),
    "interpolation in an indented string": (
        {"a": Text(("exec ", pkgs.a, "\n  $", pkgs.b, "\n"), indented=True)},
        "{\n  a = ''\n    exec ${pkgs.a}\n      ''$${pkgs.b}\n  '';\n}",
    ),
    "a path that is no literal": ({"a": NixPath("./a b")}, '{ a = ./. + "/a b"; }'),
}


@pytest.mark.parametrize("rule", CASES)
def test_rule(rule: str) -> None:
    value, printed = CASES[rule]
    assert print_expr(value) == printed


@pytest.mark.parametrize("seed", range(10))
def test_plain_data_prints_line_by_line_as_by_the_rules(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - values, not secrets
    for _ in range(100):
        value = data(rng, rng.randint(1, 5))
        by_rules = render(Group(REGULAR, rules.expression(lower.node(value, []), 0)))
        assert print_expr(value) == by_rules


def test_the_same_value_prints_the_same_and_a_dict_keeps_its_order() -> None:
    assert print_expr({"b": 1, "a": 2}) == "{\n  b = 1;\n  a = 2;\n}"
    assert print_expr({"a": 2, "b": 1}) == "{\n  a = 2;\n  b = 1;\n}"


def test_a_comment_at_the_top() -> None:
    assert print_expr(Commented("why", [1])) == "# why\n[ 1 ]"


def test_an_empty_raw_text_is_refused() -> None:
    with pytest.raises(ValueError, match="raw Nix is empty"):
        print_expr(Raw("  "))


def test_free_names_make_the_head() -> None:
    value = Function(
        {
            "a": Let((("x", pkgs.a),), [Ref(("x",)), Ref(("toString",))]),
            "b": Function({"c": config.d}),
            "e": Text(("", lib.f)),
            "g": Raw("inputs.h", ("inputs",)),
        }
    )
    assert print_expr(value).startswith(
        dedent("""\
        {
          inputs,
          lib,
          pkgs,
          ...
        }:
        """)
    )
