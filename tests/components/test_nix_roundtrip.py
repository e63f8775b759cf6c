"""20,000 random values: printed, read by real Nix, and compared there and here with what went in."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from nix_random import FLOATS, data
from nixwright.nix.literals import quoted
from nixwright.nix.printer import print_expr
from nixwright.nix.values import Commented, Let, Override, Ref, Text
from programs import need

if TYPE_CHECKING:
    from pathlib import Path

SEED, COUNT, BATCH = 26_05, 20_000, 5_000


def evaluate(expression: str, folder: Path) -> Any:
    """Return what real Nix makes of an expression."""
    file = folder / "expression.nix"
    file.write_text(expression, encoding="utf-8", newline="\n")
    done = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", str(file)],
        capture_output=True,
        check=False,
        timeout=100,
        env=os.environ
        | {"NIX_STATE_DIR": str(folder / "state"), "NIX_STORE_DIR": str(folder / "store"), "HOME": str(folder)},
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return json.loads(done.stdout)


def comparison(value: Any) -> str:
    """Return a Nix expression, true if the printed value is the value: both as Nix reads JSON, exact to the last bit.

    Nix 2.8 writes floats with six digits, so that they can only be compared inside. 1 == 1.0 there: see `kinds`.
    """
    return f"({print_expr(value)}\n) == builtins.fromJSON {quoted(json.dumps(value, ensure_ascii=False))}"


def kinds(value: Any) -> Any:
    """Return the value with a word for each float, and the booleans and integers as they are."""
    if isinstance(value, float):
        return "float"
    if isinstance(value, list):
        return [kinds(v) for v in value]
    return {k: kinds(v) for k, v in value.items()} if isinstance(value, dict) else value


KINDS = """let
  kinds = v:
    if builtins.isFloat v then "float"
    else if builtins.isList v then map kinds v
    else if builtins.isAttrs v then builtins.mapAttrs (_: kinds) v
    else v;
in """


@pytest.mark.parametrize("batch", range(COUNT // BATCH))
def test_random_values_come_back(batch: int, tmp_path: Path) -> None:
    need("nix-instantiate")
    rng = random.Random(SEED + batch)  # noqa: S311 - values, not secrets
    values = [data(rng, rng.randint(1, 4)) for _ in range(BATCH)]
    same = evaluate("[\n" + "\n".join(f"({comparison(v)})" for v in values) + "\n]", tmp_path)
    assert [v for v, ok in zip(values, same, strict=True) if not ok] == []
    found = evaluate(KINDS + "map kinds [\n" + "\n".join(f"({print_expr(v)}\n)" for v in values) + "\n]", tmp_path)
    assert found == [kinds(v) for v in values]


def test_the_comparison_sees_a_difference(tmp_path: Path) -> None:
    need("nix-instantiate")
    pairs = ((0.1, 0.1 + 2**-56), ("a\n b\n", "a\nb\n"), (2**63 - 1, 2**63 - 2), ("${x}", "$x"))
    wrong = [f"({print_expr(a)}) == ({print_expr(b)})" for a, b in pairs]
    assert evaluate("[" + " ".join(f"({w})" for w in wrong) + "]", tmp_path) == [False] * len(pairs)


def test_every_character_comes_back_in_both_kinds_of_string(tmp_path: Path) -> None:
    need("nix-instantiate")
    characters = [chr(c) for c in (*range(1, 0x300), 0x2028, 0xFEFF, 0xFFFF, 0x1F600, 0x10FFFF)]
    texts = [form.format(c) for c in characters for form in ("{}", "a{}b", "x\n{}y\n", "${}{{x", "'{}'", "{}\n z")]
    assert evaluate(print_expr(texts), tmp_path) == texts


def test_negative_zero_keeps_its_sign(tmp_path: Path) -> None:
    need("nix-instantiate")
    texts = evaluate(f"map toString {print_expr([x for x in FLOATS if x == 0])}", tmp_path)
    assert texts == ["0.000000", "-0.000000"]
    assert [math.copysign(1, float(t)) for t in texts] == [1, -1]


def test_what_is_more_than_data_means_what_it_says(tmp_path: Path) -> None:
    need("nix-instantiate")
    value = Let(
        (("x", "in the middle"), ("lib", {"mkForce": Ref(("toString",))})),
        {
            "text": Text(("a $", Ref(("x",)), " ''\n  ${b}\n'", Ref(("x",)), "\n"), indented=True),
            "short": Text(("a $", Ref(("x",)), "\n\\")),
            "forced": Commented("why", Override(50, 7)),
            "path": {"a": {"b c": Commented("deep", {"or": [-1, 2]})}},
        },
    )
    assert evaluate(print_expr(value), tmp_path) == {
        "text": "a $in the middle ''\n  ${b}\n'in the middle\n",
        "short": "a $in the middle\n\\",
        "forced": "7",
        "path": {"a": {"b c": {"or": [-1, 2]}}},
    }
