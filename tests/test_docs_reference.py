"""The pages of docs/reference are what the script writes, and leave nothing out."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import nixwright
import pytest

if TYPE_CHECKING:
    from types import ModuleType

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_current(script: ModuleType) -> None:
    kept = {p.name: p.read_text("utf-8") for p in (DOCS / "reference").glob("*.md")}  # the schema has a test of its own
    assert script.pages() == kept, "python docs/reference.py"


def test_every_class_of_a_host_file_has_its_fields_and_words(script: ModuleType) -> None:
    for name in ("host.md", "layout.md", "boards.md", "parts.md"):
        page = script.pages()[name]
        listed = re.findall(r"^- \[(\w+)\]", page, re.MULTILINE)
        assert len(listed) >= 3
        assert re.findall(r"^## (\w+)", page, re.MULTILINE) == listed
        for section in page.split("\n## ")[1:]:
            assert re.search(r"^`from nixwright[\w.]* import \w+`\n\n\w", section, re.MULTILINE), section[:60]


def test_an_option_is_told_with_what_it_takes(script: ModuleType) -> None:
    assert "| `services.openssh.ports` | a list; each element a port: 0 to 65535 |" in script.pages()["parts.md"]


def test_every_mistake_in_the_code_is_on_its_page(script: ModuleType) -> None:
    """Of the words that stand in a call as they are, none is missing: found another way than the script finds them."""
    page = script.pages()["mistakes.md"]
    words = []
    for path in Path(nixwright.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "Mistake":
                continue
            if len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                words.append(str(node.args[1].value))
    assert len(words) > 60
    assert [w for w in words if w not in page] == []
