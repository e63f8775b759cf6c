"""Which host files may share a process: none that could be noticed by another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from nixwright.plain_file import is_plain

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "import nixwright.host",
        "import common",
        "from common import base",
        "from . import common",
        "from nixwright import load",
        "from nixwright.parts.lcd import re",
        "from nixwright.layout import *",
        "from nixwright.tree import write",
        "from nixwright.layout.pool import DEFAULT_PROPERTIES as D\nD['atime'] = 'on'",
        "from nixwright.layout.pool import DEFAULT_PROPERTIES as D\nD |= {'atime': 'on'}",
        "from nixwright.layout.pool import DEFAULT_PROPERTIES as D\nD.update(atime='on')",
        "from nixwright.layout.pool import DEFAULT_PROPERTIES as D\nlist(map(D.pop, list(D)))",
        "from nixwright.layout.pool import DEFAULT_PROPERTIES as D\ndel D['atime']",
        "from nixwright.layout.pool import DEFAULT_PROPERTIES as D\nfor D['atime'] in ['on']: pass",
        "from nixwright.parts.ssh import Ssh\nSsh.port = 23",
        "from nixwright.parts.ssh import Ssh\nsetattr(Ssh, 'port', 23)",
        "from nixwright.parts.ssh import Ssh\ntype.__setattr__(Ssh, 'port', 23)",
        "from nixwright.parts.ssh import Ssh\nSsh.__dataclass_fields__",
        "from nixwright.parts.base import Part\nclass Mine(Part): pass",
        "exec('import os')",
        "open('/tmp/x', 'w')",
        "print('a')",
        "globals()['a'] = 1",
        "unknown",
        "@staticmethod\ndef f(): pass",
        "def f():\n    global list\n    list = 1",
        "while True: pass",
        "with x: pass",
        "try:\n    x = 1\nexcept BaseException: pass",
        "(x := 1)",
        "async def f(): pass",
    ],
)
def test_what_could_be_noticed_has_a_process_of_its_own(text: str) -> None:
    assert not is_plain(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "from __future__ import annotations\nfrom nixwright import Host\nhost = Host('a')",
        "from nixwright.nix.values import force, pkgs\nsettings = {'a': force([pkgs.htop])}",
        "names = [f'a{n}'.upper() for n in range(3) if n]\nfirst, *rest = names",
        "def helper(name, *, size=1):\n    return {name: size}\nx = helper('a') | {'b': 2}",
        "x = {'a': 1}['a'] if 1 < 2 else sorted([2, 1], key=lambda v: -v)[0]",
    ],
)
def test_what_only_describes_is_plain(text: str) -> None:
    assert is_plain(ast.parse(text))


@pytest.mark.parametrize("path", sorted((ROOT / "hosts").glob("*.py")), ids=lambda p: p.stem)
def test_our_own_hosts_are(path: Path) -> None:
    assert is_plain(ast.parse(path.read_bytes()))
