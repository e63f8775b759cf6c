"""Random Nix values, by a seed: plain data, and everything that `nixwright.nix.values` adds to it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

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
    Ref,
    Text,
    config,
    lib,
    pkgs,
)

if TYPE_CHECKING:
    import random

NAMES = (
    *(
        "enable",
        "a",
        "b",
        "package",
        "settings",
        "extraConfig",
        "boot",
        "a.b",
        "x y",
        "if",
        "or",
        "rec",
        "then",
        "else",
    ),
    *(
        "assert",
        "with",
        "let",
        "in",
        "inherit",
        "true",
        "null",
        "é",
        "",
        "1st",
        "-dash",
        "a'b",
        "_",
        "${x}",
        'q"q',
        "back\\",
    ),
    *("someRatherLongOptionNameThatTakesSpace", "with a long name that is in quotes and has spaces in it"),
)
PIECES = (
    *(
        "a",
        "word",
        "x = 1;",
        "'",
        "''",
        "'''",
        "$",
        "$$",
        "${",
        "${x}",
        "}",
        "{",
        "\\",
        '"',
        "\\n",
        "\\${",
        "''\\",
        "''$",
    ),
    *("#", "/*", "*/", "//", "é", "𝛑", "\u00a0", "\u3000", "\u2028", "\ufeff", "[Section]", "key=value"),
    *(
        "\n",
        "\n",
        "\n",
        "\n\n",
        " ",
        "  ",
        "    ",
        "\n  ",
        "  \n",
        "\n    x",
        "\t",
        "\r",
        "\r\n",
        "\x01",
        "\x1b[0m",
        "\x7f",
        "\x85",
    ),
    *("a rather long piece of text that fills lines quickly ", "https://example.org/a/b?c=d&e=f", "/nix/store/x"),
)
INTS = (0, 1, -1, 42, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63), -(2**63) + 1)
FLOATS = (
    0.0,
    -0.0,
    0.1,
    -0.1,
    1.0,
    1e16,
    1e22,
    1e-7,
    1.5e300,
    5e-324,
    -5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
)


def text(rng: random.Random) -> str:
    """Return a string: often short, often of several lines, sometimes wide."""
    if rng.random() < 0.3:
        return rng.choice(("", "word", "two words", "/dev/disk/by-id/x", "x" * rng.randint(40, 130)))
    if rng.random() < 0.3:
        lines = [
            rng.choice(("", " " * rng.randint(0, 4)))
            + rng.choice(("[Unit]", "key = value", "echo $HOME", "x" * 110, "fi", ""))
            for _ in range(rng.randint(1, 6))
        ]
        return "\n".join(lines) + rng.choice(("", "\n"))
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(0, 8)))


def number(rng: random.Random) -> float:
    """Return an integer of 64 bits or a finite float."""
    if rng.random() < 0.5:
        return rng.choice(INTS) if rng.random() < 0.4 else rng.randint(-(2**63), 2**63 - 1) >> rng.randint(0, 62)
    if rng.random() < 0.3:
        return rng.choice(FLOATS)
    while True:
        (found,) = struct.unpack("d", rng.randbytes(8))
        if found - found == 0:
            return float(found)


def attribute_set(rng: random.Random, depth: int, child: Any) -> dict[str, Any]:
    """Return a dict whose values `child(rng, depth)` makes."""
    count = rng.choice((0, 1, 1, 1, 2, 3, 4))
    return {rng.choice(NAMES) + rng.choice(("", "", "2")): child(rng, depth) for _ in range(count)}


def data(rng: random.Random, depth: int = 3) -> Any:
    """Return plain data."""
    kind = rng.random()
    if depth <= 0 or kind < 0.5:
        return rng.choice(
            (lambda: text(rng), lambda: text(rng), lambda: number(rng), lambda: rng.choice((True, False, None)))
        )()
    if kind < 0.75:
        return [data(rng, depth - 1) for _ in range(rng.choice((0, 1, 1, 2, 3, 8)))]
    return attribute_set(rng, depth - 1, data)


def ref(rng: random.Random) -> Ref:
    """Return a reference, short or long."""
    base = rng.choice((lib, pkgs, config))
    names = ("x", "htop", "getExe", "optionals", "nix-tree", "a.b", "if", "someRatherLongAttributeName")
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        base = base[rng.choice(names)]
    return rng.choice((base, base, base, Ref(("f",))))


def expression(rng: random.Random, depth: int = 3) -> Any:  # noqa: C901, PLR0911, PLR0912 - one branch a kind
    """Return any value but raw text, which nobody can lay out."""

    def child() -> Any:
        return expression(rng, depth - 1)

    if depth <= 0:
        return rng.choice((lambda: data(rng, 0), lambda: ref(rng)))()
    match rng.randint(0, 17):
        case 0 | 1:
            return data(rng, depth)
        case 2:
            return [child() for _ in range(rng.choice((0, 1, 1, 2, 3, 7)))]
        case 3 | 4 | 5:
            return attribute_set(rng, depth - 1, expression)
        case 6:
            return ref(rng)
        case 7 | 8 | 9:
            return Apply(ref(rng), tuple(child() for _ in range(rng.choice((1, 1, 2, 2, 3, 4)))))
        case 10:
            return Override(rng.choice((50, 1000, 10, 990)), child())
        case 11:
            return Order(rng.choice((500, 1500, 1)), child())
        case 12:
            return If(rng.choice((ref(rng), Apply(ref(rng), (ref(rng),)))), child())
        case 13:
            return Merge(tuple(child() for _ in range(rng.randint(0, 3))))
        case 14:
            return Commented(rng.choice(("why", "two\nlines", "a long comment " * 9, "with\n\nblank")), child())
        case 15:
            pairs = {rng.choice(("x", "y", "longerName")): child() for _ in range(rng.randint(0, 2))}
            return Let(tuple(pairs.items()), child())
        case 16:
            return rng.choice(
                (NixPath("./fan.dts"), NixPath("/etc/x y"), Function(child()), Function(child(), ("a", "b", "c")))
            )
        case _:
            parts = [
                rng.choice((lambda: text(rng), lambda: ref(rng), lambda: Apply(ref(rng), (ref(rng), text(rng)))))()
                for _ in range(rng.randint(1, 4))
            ]
            return Text(tuple(parts), indented=rng.random() < 0.5)
