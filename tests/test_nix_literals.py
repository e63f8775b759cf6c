"""Names, numbers, strings and paths: each rule of Nix's lexer that the printer has to know."""

from __future__ import annotations

import math
from enum import IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nixwright.nix import literals
from nixwright.nix.module import module_text
from nixwright.nix.printer import print_expr
from nixwright.nix.values import NixPath, Ref, Text, Value, lib, pkgs


@pytest.mark.parametrize(
    ("given_text", "printed"),
    [
        ("", '""'),
        ("plain", '"plain"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("${x}", r'"\${x}"'),
        ("$x $$ $", '"$x $$ $"'),
        ("$${x}", r'"$\${x}"'),
        ("''", "\"''\""),
        ("a\tb\rc", r'"a\tb\rc"'),
        ("\n", r'"\n"'),
        ("\x01\x1b\x7f", '"\x01\x1b\x7f"'),
        ("é𝛑", '"é𝛑"'),
    ],
)
def test_strings_on_one_line(given_text: str, printed: str) -> None:
    assert print_expr(given_text) == printed


@pytest.mark.parametrize(
    ("given_text", "printed"),
    [
        ("a\nb\n", "''\n  a\n  b\n''"),
        ("a\nb", "''\n  a\n  b''"),
        ("a\n", "''\n  a\n''"),
        ("a\n\n  b\n", "''\n  a\n\n    b\n''"),
        ("\na\n", "''\n\n  a\n''"),
        ("$x ${y}\n", "''\n  $x ''${y}\n''"),
        ("$${y}\n", "''\n  $''${y}\n''"),
        ("a '' b 'c'\n", "''\n  a ''' b 'c'\n''"),
        ('\\n "q"\n', "''\n  \\n \"q\"\n''"),
        ("a  \nb\n", "''\n  a  \n  b\n''"),
    ],
)
def test_strings_of_several_lines_are_indented(given_text: str, printed: str) -> None:
    assert print_expr(given_text) == printed


@pytest.mark.parametrize(
    "text",
    [
        "  a\n  b\n",  # the indentation would be stripped
        "a\n  \nb\n",  # a line of spaces would lose them
        "a\n'",  # the quote would join those that close
        "a '''\n",
        "'${x}\n",
        "a\tb\n",
        "a\r\nb\r\n",
        "a\x1b\nb\n",
        "a\u00a0b\n",
        "\n\n",
    ],
)
def test_strings_that_would_not_come_back_stay_in_double_quotes(text: str) -> None:
    assert print_expr(text).startswith('"')
    assert "\n" not in print_expr(text)


@pytest.mark.parametrize("text", ["a\0b", "\0", "\ud800", "x\ny\udfff\n", "a\n\0\n"])
def test_what_no_string_holds_is_refused_everywhere(text: str) -> None:
    for value in (
        text,
        [text],
        {"a": text},
        {text: 1},
        Text((text, lib)),
        Text((text, lib), indented=True),
        pkgs[text],
    ):
        with pytest.raises(ValueError, match=r"cannot hold a (NUL|lone surrogate)"):
            print_expr(value)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        *((name, name) for name in ("a", "_", "a'b", "a-b", "A1", "true", "null", "builtins", "iff", "inherits")),
        *((word, f'"{word}"') for word in sorted(literals.KEYWORDS)),
        *((name, f'"{name}"') for name in ("", "1a", "-a", "'a", "a.b", "a b", "é", "a\x01", "a\n"[:1] + " ")),
        ("${x}", r'"\${x}"'),
        ("a\nb", r'"a\nb"'),
    ],
)
def test_attribute_names(name: str, printed: str) -> None:
    assert print_expr({name: 1, "other": 2}) == f"{{\n  {printed} = 1;\n  other = 2;\n}}"
    assert print_expr(pkgs[name]) == f"pkgs.{printed}"


@pytest.mark.parametrize(
    ("number", "printed", "element"),
    [
        (0, "0", "0"),
        (-5, "-5", "(-5)"),
        (2**63 - 1, "9223372036854775807", "9223372036854775807"),
        (-(2**63) + 1, "-9223372036854775807", "(-9223372036854775807)"),
        (-(2**63), "-9223372036854775807 - 1", "(-9223372036854775807 - 1)"),
        (True, "true", "true"),
        (1.0, "1.0", "1.0"),
        (0.1, "0.1", "0.1"),
        (-2.5, "-2.5", "(-2.5)"),
        (1e16, "1.0e+16", "1.0e+16"),
        (1.5e-7, "1.5e-07", "1.5e-07"),
        (-0.0, "-1 * 0.0", "(-1 * 0.0)"),
    ],
)
def test_numbers(number: float, printed: str, element: str) -> None:
    assert print_expr(number) == printed
    assert print_expr({"a": number}) == f"{{ a = {printed}; }}"
    assert print_expr([number]) == f"[ {element} ]"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30, math.inf, -math.inf, math.nan])
def test_numbers_nix_lacks_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="Nix"):
        print_expr([number])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_the_same_number(number: float) -> None:
    text = literals.floating(number)
    product = math.prod(float(factor) for factor in text.split(" * "))
    assert product == number
    assert math.copysign(1, product) == math.copysign(1, number)
    for factor in text.removeprefix("-1 * ").split(" * "):
        assert "." in factor  # else Nix reads an integer
        assert factor.lstrip("-") == "0.0" or abs(float(factor)) >= 2.0**-1022  # Nix refuses subnormal literals


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_double_quotes_come_back(text: str) -> None:
    inside = literals.quoted(text)[1:-1]
    back, position = "", 0
    while position < len(inside):
        step = 2 if inside[position] == "\\" else 1
        assert inside[position] != '"'
        assert not inside.startswith("${", position)
        symbol = inside[position + step - 1]
        back += {"n": "\n", "r": "\r", "t": "\t"}.get(symbol, symbol) if step == 2 else symbol
        position += step
    assert back == text


@pytest.mark.parametrize("text", ["./fan.dts", "../x/y_z-1+2.nix", "/etc/machine-id", "/a", "~/x", "./."])
def test_path_literals(text: str) -> None:
    assert print_expr(NixPath(text)) == text


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("./a b", './. + "/a b"'),
        ("/x/ü", '/. + "/x/ü"'),
        ("../${x}", r'../. + "/${x}"'.replace("$", "\\$")),
        ("/", "/."),
    ],
)
def test_paths_beyond_the_literal(text: str, printed: str) -> None:
    assert print_expr(NixPath(text)) == printed
    assert print_expr([NixPath(text)]) == (f"[ ({printed}) ]" if " " in printed else f"[ {printed} ]")


@pytest.mark.parametrize("text", ["", "fan.dts", "./", ".", "..", "./a/", "./a//b", "a/b c", "//x"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        print_expr(NixPath(text))


@pytest.mark.parametrize("name", ["", "a.b", "if", "1", "a b"])
def test_a_variable_cannot_be_quoted(name: str) -> None:
    with pytest.raises(ValueError, match="no Nix variable"):
        print_expr(Ref((name,)))


@pytest.mark.parametrize("value", [object(), b"bytes", {1: 2}, {"a": {None: 1}}, {1, 2}, [1j]])
def test_what_is_no_value_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        print_expr(value)  # type: ignore[arg-type]


def test_kinds_of_the_built_in_types_print_as_these() -> None:
    class Size(IntEnum):
        BIG = 7

    class Word(StrEnum):
        HI = "hi"

    assert print_expr([Size.BIG, Word.HI, (1,)]) == '[\n  7\n  "hi"\n  [ 1 ]\n]'


@pytest.mark.parametrize("width", [1, 2])
def test_a_set_that_holds_itself_is_refused(width: int) -> None:
    value: dict[str, Value] = {str(number): number for number in range(width - 1)}
    value["self"] = value
    with pytest.raises(ValueError, match="holds itself"):
        print_expr(value)
    with pytest.raises(ValueError, match="holds itself"):
        module_text([(("a",), value, "")])
