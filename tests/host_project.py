"""A project in a directory of its own, for tests that run the commands as a person does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from nixwright.cli.main import main

EXAMPLE = (Path(__file__).parent.parent / "hosts/pibox.py").read_text()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL ivan@laptop"
SMALLEST = f"""\
from nixwright import Host, User
from nixwright.boards.qemu_vm import QemuVm
from nixwright.layout import ESP, GPT, REST, Disk, Ext4, MiB, Partition

host = Host(
    name="vm",
    state_version="26.05",
    board=QemuVm(),
    disks=[
        Disk(
            "/dev/disk/by-id/virtio-root",
            GPT(Partition("boot", MiB(512), ESP()), Partition("root", REST, Ext4(at="/"))),
        ),
    ],
    users=[User("root", ssh_keys=["{KEY}"])],
)
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Project:
    """A project's directory and a way to run commands in it."""

    root: Path
    capsys: pytest.CaptureFixture[str]

    def host(self, text: str, name: str = "pibox") -> str:
        """Write a host file and return its path from the root."""
        path = self.root / "hosts" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return f"hosts/{name}.py"

    def run(self, *argv: str) -> Answer:
        """Run a command."""
        self.capsys.readouterr()
        status = main(list(argv))
        said = self.capsys.readouterr()
        return Answer(status, said.out, said.err)

    def text(self, path: str) -> str:
        """Return a file's text."""
        return (self.root / path).read_text()

    def files(self) -> dict[str, str]:
        """Every file below modules/ and checks/."""
        found = [p for room in ("modules", "checks") for p in (self.root / room).rglob("*") if p.is_file()]
        return {p.relative_to(self.root).as_posix(): p.read_text() for p in found}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    """An empty project that is the current directory."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, capsys)
