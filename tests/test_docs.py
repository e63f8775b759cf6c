"""Every example in README.md and docs/ is run, page by page, each page in a directory of its own.

    ```python hosts/a.py     the file is written
    ```nix modules/a/b.nix   the file that was generated there reads just so
    ```console               each line after `$ ` is run by sh; what it prints, both streams, is what follows
    ```sh                    not run here: it takes Nix, or a machine of one's own

`pytest tests/test_docs.py --snapshot-update` writes what really came out into the pages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("git ", "nix ", "./run", "ssh ", "sudo ", "nixos-", "pip ", "nixwright test")
_MACHINE = ("build", "flash", "install", "rollback", "serial", "status", "update", "verify-disk", "vm")
MACHINES = tuple(f"nixwright {command} " for command in _MACHINE)


def run(command: str, directory: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if k not in {"CI", "COLUMNS"}} | {"PATH": path, "NO_COLOR": "1"}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout


def console(text: str, directory: Path) -> str:
    """Run a console block's commands; return the block as it should read."""
    commands = [line for line in text.splitlines() if line.startswith("$ ")]
    assert commands, f"a console block without a command:\n{text}"
    return "".join(f"{line}\n{run(line[2:], directory)}" for line in commands)


def shown(page: str, directory: Path) -> str:
    """Run a page; return it with every block as it should read."""

    def one(match: re.Match[str]) -> str:
        kind, name, text = match.groups()
        if kind == "python":
            assert name, f"a python block that names no file:\n{text}"
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        elif kind == "console":
            text = console(text, directory)
        elif kind == "nix" and name:
            text = (directory / name).read_text()
        elif kind == "sh":
            lines = [line for line in text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]
            assert all(line.startswith(ELSEWHERE + MACHINES) for line in lines), (
                f"not run, and yet it could be:\n{text}"
            )
        return f"```{kind}{f' {name}' if name else ''}\n{text}```"

    return BLOCK.sub(one, page)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_page_says_what_happens(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = page.read_text()
    real = shown(text, tmp_path)
    if request.config.getoption("--snapshot-update"):
        page.write_text(real)
    assert real == text, "run it again with --snapshot-update, and look at what changed"


def test_a_page_that_says_something_else_is_seen(tmp_path: Path) -> None:
    page = "```python a.py\nprint(1)\n```\n\n```console\n$ python a.py\n2\n```\n"
    assert shown(page, tmp_path) == page.replace("\n2\n", "\n1\n")


@pytest.mark.parametrize(
    "block", ["```python\nx\n```", "```console\nno command\n```", "```sh\necho it could be run\n```"]
)
def test_a_block_that_shows_nothing_is_refused(block: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        shown(block, tmp_path)


def test_links_lead_somewhere() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", BLOCK.sub("", page.read_text()))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert dead == []


def test_the_template_is_what_the_docs_show() -> None:
    template = ROOT / "templates" / "default"
    assert f"```nix\n{(template / 'flake.nix').read_text()}```" in (ROOT / "docs" / "flakes.md").read_text()
    assert (
        f"```python hosts/hello.py\n{(template / 'hosts' / 'hello.py').read_text()}```"
        in (ROOT / "README.md").read_text()
    )


def test_the_templates_modules_are_what_gen_writes() -> None:
    assert run("nixwright gen --check hosts/hello.py; echo $?", ROOT / "templates" / "default").endswith("0\n")
