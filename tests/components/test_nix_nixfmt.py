"""nixfmt changes nothing in what is printed: 5,000 random values and modules, and the case of each rule."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nix_random import NAMES, data, expression
from nixwright.nix.module import module_text
from nixwright.nix.printer import print_expr
from programs import need
from test_nix_module import WHOLE
from test_nix_rules import CASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SEED, COUNT, BATCH = 166, 5_000, 500
ROOT = Path(__file__).resolve().parents[2]
TOPS = ("nix", "modules", "checks", "templates", "tests/data")


def nix_files() -> list[Path]:
    """Every Nix file of the repository, once."""
    found = {p.resolve() for top in TOPS for p in (ROOT / top).rglob("*.nix")}
    return sorted({*found, ROOT / "flake.nix"})


def changed(texts: Iterable[str], folder: Path) -> list[str]:
    """Return the texts that nixfmt does not leave as they are."""
    files = {}
    for index, text in enumerate(texts):
        file = folder / f"{index}.nix"
        file.write_text(text, encoding="utf-8", newline="\n")
        files[file] = text
    assert files
    names = [str(file) for file in files]
    for start in range(0, len(names), BATCH):
        done = subprocess.run(["nixfmt", *names[start : start + BATCH]], capture_output=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
    return [text for file, text in files.items() if file.read_bytes() != text.encode()]


def module(rng: random.Random) -> str:
    """Return a random module; one that binds a path twice is drawn again."""
    while True:
        paths = {tuple(rng.choice(NAMES) for _ in range(rng.randint(1, 5))) for _ in range(rng.randint(0, 8))}
        bound = [
            (p, expression(rng, rng.randint(0, 3)), rng.choice(("", "", "a note", "two\nlines"))) for p in sorted(paths)
        ]
        try:
            return module_text(bound, imports=rng.choice(((), ("./a.nix",))), header=rng.choice(("", "a header")))
        except ValueError as error:
            assert "bound twice" in str(error)  # noqa: PT017 - anything else is a defect


@pytest.mark.parametrize("kind", ["data", "expression", "module"])
def test_nixfmt_changes_nothing(kind: str, tmp_path: Path) -> None:
    need("nixfmt")
    rng = random.Random(f"{SEED} {kind}")  # noqa: S311 - values, not secrets
    draws: dict[str, Callable[[], str]] = {
        "data": lambda: print_expr(data(rng, rng.randint(1, 5))) + "\n",
        "expression": lambda: print_expr(expression(rng, rng.randint(1, 5))) + "\n",
        "module": lambda: module(rng),
    }
    draw = draws[kind]
    assert changed((draw() for _ in range(COUNT // 3 + 1)), tmp_path) == []


def test_nixfmt_leaves_the_case_of_each_rule(tmp_path: Path) -> None:
    need("nixfmt")
    assert changed([WHOLE, *(f"{printed}\n" for _, printed in CASES.values())], tmp_path) == []


def test_the_comparison_sees_a_change(tmp_path: Path) -> None:
    need("nixfmt")
    assert changed(["{ a=1; }\n", "{ a = 1; }\n"], tmp_path) == ["{ a=1; }\n"]


def test_nixfmt_changes_no_file_of_the_repository(tmp_path: Path) -> None:
    need("nixfmt")
    texts = [path.read_text() for path in nix_files()]
    assert len(texts) > 20
    assert changed(texts, tmp_path) == []
