"""Many host files in few processes: what one does, or is, is never another's trouble."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from nixwright.load import Limits, Loaded, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST = """
from nixwright import Host, User
from nixwright.boards.qemu_vm import QemuVm
from nixwright.layout import ESP, GPT, REST, Dataset, Disk, MiB, Partition, Zpool
from nixwright.parts.ssh import Ssh
{before}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL"
root = User("root", ssh_keys=[KEY])
tank = Zpool("tank", datasets=[Dataset("root", at="/")])
disk = Disk("/dev/disk/by-id/virtio-a", GPT(Partition("boot", MiB(512), ESP()), Partition("root", REST, tank.member())))
host = Host({name!r}, host_id="0000beef", state_version="26.05", board=QemuVm(), disks=[disk], parts=[Ssh({ssh})],
            users=[root])
{after}
"""
LEAKS = "from nixwright.layout.pool import DEFAULT_PROPERTIES\nDEFAULT_PROPERTIES['atime'] = 'on'"
BAD = {
    "loops": "while True: pass",
    "loops plainly": "x = [a for a in range(10**12)] if 0 else sum(range(10**12))",
    "eats": "x = [0] * 10**12",
    "exits": "import os; os._exit(3)",
    "leaves": "raise SystemExit(0)",
    "raises": "x = {}['a']",
    "shouts": "while True: print('a' * 99999)",
    "dies": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "no python": "x = (",
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def host(name: str, *, before: str = "", after: str = "", ssh: str = "") -> Path:
        path = tmp_path / "hosts" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HOST.format(name=name, before=before, after=after, ssh=ssh), encoding="utf-8")
        return path

    return host


def alone(path: Path, root: Path) -> Loaded:
    return load([path], root)[0]


def forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the processes that are made."""
    made: list[int] = []
    fork = os.fork

    def counted() -> int:
        made.append(1)
        return fork()

    monkeypatch.setattr(os, "fork", counted)
    return made


def test_what_comes_of_a_host_is_what_comes_of_it_alone(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write(f"h{n}", ssh=f"port={22 + n % 3}") for n in range(12)]
    expected = [alone(p, tmp_path) for p in paths]
    assert all(not e.mistakes and len(e.files) > 4 for e in expected)
    made = forks(monkeypatch)
    assert load(paths, tmp_path, jobs=1) == expected
    assert len(made) < len(paths)


def test_what_a_host_changes_in_nixwright_stays_with_it(write: Callable[..., Path], tmp_path: Path) -> None:
    paths = [write(f"h{n}", before=LEAKS if n % 5 == 2 else "") for n in range(12)]
    found = load(paths, tmp_path, jobs=1)
    assert found == [alone(p, tmp_path) for p in paths]
    changed = [any('atime = "on"' in text for text in f.files.values()) for f in found]
    assert changed == [n % 5 == 2 for n in range(12)]


def test_modules_of_the_users_own_are_each_hosts_own(write: Callable[..., Path], tmp_path: Path) -> None:
    before = "import common; common.count += 1; number = common.count"
    paths = [write(f"h{n}", before=before, ssh="port=22 + number") for n in range(8)]
    (tmp_path / "hosts" / "common.py").write_text("count = 0\n")
    found = load(paths, tmp_path, jobs=1)
    assert all(any("23" in text for text in f.files.values()) for f in found)
    assert found == [alone(p, tmp_path) for p in paths]


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_bad_host_among_many_is_the_only_one_with_mistakes(
    kind: str, where: str, write: Callable[..., Path], tmp_path: Path
) -> None:
    paths = [write(f"h{n}", **{where: BAD[kind] if n in {3, 9} else ""}) for n in range(16)]
    found = load(paths, tmp_path, Limits(seconds=2.0, memory=256 << 20, output=1 << 16), jobs=2)
    good = [f for n, f in enumerate(found) if n not in {3, 9}]
    assert all(not f.mistakes and f.files for f in good)
    assert [f.name for f in good] == [f"h{n}" for n in range(16) if n not in {3, 9}]
    assert all(f.mistakes and not f.files for f in (found[3], found[9]))
    assert [f.source for f in found] == [f"hosts/h{n}.py" for n in range(16)]


def test_what_is_printed_is_its_printers(write: Callable[..., Path], tmp_path: Path) -> None:
    paths = [write(f"h{n}", after=f"print('I am {n}')" if n % 4 == 1 else "") for n in range(12)]
    assert [f.output for f in load(paths, tmp_path, jobs=1)] == [f"I am {n}\n" if n % 4 == 1 else "" for n in range(12)]


def test_a_run_that_is_interrupted_ends_its_children_once(write: Callable[..., Path], tmp_path: Path) -> None:
    def interrupted(_done: int) -> None:
        raise KeyboardInterrupt

    paths = [write("h0")]
    with pytest.raises(KeyboardInterrupt):  # and no ChildProcessError, of the child that was ended already
        load(paths, tmp_path, jobs=1, on_done=interrupted)
