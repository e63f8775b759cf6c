"""A hundred Ctrl-Cs at random moments: no process stays, no half-written file, and no traceback is shown."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from host_project import EXAMPLE, SMALLEST
from nixwright import load
from nixwright.cli.main import main

COMMANDS = {
    "gen": ["gen", "hosts/pibox.py", "hosts/vm.py"],
    "test": ["test", "--list"],
    "show": ["show", "hosts/pibox.py"],
    "set": ["set", "hosts/pibox.py", "state_version", "25.11"],
    "new": ["new", "fresh", "--board", "qemu-vm"],
}
TIMES = 20  # of each command: a hundred in all
SHOWN = ("Traceback", "Exception ignored", "Error")


@dataclass(frozen=True, slots=True)
class Ended:
    """How an interrupted command ended."""

    status: int
    said: str
    left: list[str]


def project(root: Path) -> None:
    (root / "hosts").mkdir(parents=True)
    (root / "hosts/pibox.py").write_text(EXAMPLE)
    (root / "hosts/vm.py").write_text(SMALLEST)


def interrupted(argv: list[str], root: Path, after: float) -> Ended:
    """Start a command as a shell does, and send its group SIGINT after so many seconds.

    Not before Python itself is up, which answers with a traceback of its own: then SIGINT is caught, and no more once
    our first line has run.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "nixwright", *argv],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        due, was = time.monotonic() + after, [catches(process.pid)]
        while process.poll() is None and (time.monotonic() < due or was not in ([False, True, False], [True, False])):
            now = catches(process.pid)
            was += [now] if now != was[-1] else []
            if len(was) > 3 and time.monotonic() >= due:
                break
            time.sleep(0.001)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[0].decode()
        return Ended(process.returncode, said, members(process.pid))


def catches(pid: int) -> bool:
    """Tell whether a process has a handler for SIGINT."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGINT - 1) & 1)


def members(session: int) -> list[str]:
    """Return the command lines of what lives in a session, and of what has our program's name in one of its own."""
    listed = subprocess.run(["ps", "-eo", "sid,ppid,stat,args"], check=True, capture_output=True, text=True).stdout
    rows = [line.split(maxsplit=3) for line in listed.splitlines()[1:]]
    return [r[3] for r in rows if not r[2].startswith("Z") and (int(r[0]) == session or int(r[1]) == session)]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="signals are looked up in Linux' /proc")
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_at_any_moment(name: str, tmp_path: Path) -> None:
    moments = random.Random(name)  # noqa: S311 - not a secret
    project(tmp_path / "whole")
    begin = time.monotonic()
    whole = subprocess.run(
        [sys.executable, "-m", "nixwright", *COMMANDS[name]], cwd=tmp_path / "whole", check=True, capture_output=True
    )
    seconds = time.monotonic() - begin
    assert whole.stderr == b""
    finished = contents(tmp_path / "whole")
    statuses = []
    for number in range(TIMES):
        root = tmp_path / str(number)
        project(root)
        before = contents(root)
        end = interrupted(COMMANDS[name], root, moments.uniform(0, seconds))
        assert end.left == []
        assert not any(word in end.said for word in SHOWN), end.said
        # whatever is there is as it was, or as the whole run leaves it
        for path, text in contents(root).items():
            assert text in (before.get(path), finished.get(path)), path
        statuses.append(end.status)
    # ended by the signal, or by the command's answer to it; some may have been through already
    assert set(statuses) <= {-signal.SIGINT, 130, 0}
    assert set(statuses) != {0}


def contents(root: Path) -> dict[str, bytes]:
    """Return the files by their paths, without the id that a new host draws by lot."""
    files = [p for p in root.rglob("*") if p.is_file()]
    return {p.relative_to(root).as_posix(): re.sub(rb'host_id="\w+"', b"", p.read_bytes()) for p in files}


def test_a_child_that_has_not_come_to_its_own_group_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(load, "_confine", lambda _: time.sleep(60))
    monkeypatch.setattr(load, "_step", interrupt)
    monkeypatch.chdir(tmp_path)
    begin = time.monotonic()
    assert main(["gen", "hosts/vm.py"]) == 130
    assert time.monotonic() - begin < 30
    with pytest.raises(ChildProcessError):  # none is left to wait for
        os.waitpid(-1, os.WNOHANG)


def test_an_interrupt_that_is_ignored_stays_so(tmp_path: Path) -> None:
    project(tmp_path)
    line = f"trap '' INT; echo ready; exec {sys.executable} -m nixwright gen hosts/vm.py"
    with subprocess.Popen(["sh", "-c", line], cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"  # before, the shell itself would end
        while process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.02)
        assert process.returncode == 0


def test_ctrl_c_while_a_class_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 makes another exception of it."""

    class Interrupted:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    def made(*_: object) -> None:
        type("Made", (), {"field": Interrupted()})

    project(tmp_path)
    monkeypatch.setattr(load, "_step", made)
    monkeypatch.chdir(tmp_path)
    assert main(["gen", "hosts/vm.py"]) == 130


def test_ctrl_c_in_a_library_that_then_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As libcst does, which looks up in a `finally` what it had come to."""

    known: dict[str, int] = {}

    def fails(error: BaseException) -> None:
        try:
            raise error
        finally:
            known["where it was"]

    project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(load, "_step", lambda *_: fails(KeyboardInterrupt()))
    assert main(["gen", "hosts/vm.py"]) == 130
    monkeypatch.setattr(load, "_step", lambda *_: fails(ValueError()))
    with pytest.raises(KeyError):  # any other is no interrupt
        main(["gen", "hosts/vm.py"])
