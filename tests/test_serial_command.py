"""`serial`: a board's console over a pseudo-terminal, its speed, what is kept, and a cable that is pulled."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from host_project import project  # noqa: F401 - a fixture
from nixwright.errors import ToolError
from nixwright.tools import serial_line
from slots_host import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from host_project import Project


class Line:
    """A board at the other end of a line. `at` is the line's name here; what comes and what is told is kept."""

    def __init__(self, directory: Path) -> None:
        self.at = directory / "line"
        self.came = b""
        self.told: list[str] = []
        self.keys_read, self.keys = os.pipe()
        self.error: BaseException | None = None
        self.board = -1
        self.thread = threading.Thread(target=self._talk)

    def plug(self) -> None:
        """Plug a cable in: the line is there, another device than before."""
        self.board, end = pty.openpty()
        self.at.unlink(missing_ok=True)
        self.at.symlink_to(os.ttyname(end))
        self.end = end

    def pull(self) -> None:
        """Pull the cable."""
        self.at.unlink()
        os.close(self.end)
        os.close(self.board)
        self.board = -1

    def _talk(self) -> None:
        try:
            serial_line.talk(self.at, 1500000, self._take, self.keys_read, self.told.append)
        except BaseException as error:  # noqa: BLE001 - the test's own thread looks at it
            self.error = error

    def _take(self, data: bytes) -> None:
        self.came += data

    def wait(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        end = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < end, (self.came, self.told, self.error)
            time.sleep(0.01)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(serial_line, "_AGAIN", 0.02)
    found = Line(tmp_path)
    yield found
    with suppress(OSError):
        os.write(found.keys, serial_line.QUIT)
    found.thread.join(20)
    assert not found.thread.is_alive()
    for descriptor in (found.keys, found.keys_read, *((found.board, found.end) if found.board >= 0 else ())):
        os.close(descriptor)


def test_both_ways_at_the_boards_speed(line: Line) -> None:
    line.plug()
    line.thread.start()
    line.wait(lambda: bool(line.told))
    assert line.told == [f"{line.at} at 1500000 baud"]
    os.write(line.board, b"U-Boot 2026.04\r\n\x00\xff=> ")
    line.wait(lambda: len(line.came) == 21)
    assert line.came == b"U-Boot 2026.04\r\n\x00\xff=> "  # byte by byte, nothing made of it
    os.write(line.keys, b"reset\r\x03")  # Ctrl-C is the board's
    line.wait(lambda: True)
    assert os.read(line.board, 100) == b"reset\r\x03"
    attributes = termios.tcgetattr(line.board)
    assert attributes[4:6] == [termios.B1500000, termios.B1500000]
    assert not attributes[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    os.write(line.keys, b"more\x1d")
    line.thread.join(20)
    assert not line.thread.is_alive()


def test_a_cable_that_is_pulled_is_waited_for(line: Line) -> None:
    line.thread.start()
    line.wait(lambda: bool(line.told))
    for turn in range(3):
        line.plug()
        line.wait(lambda turn=turn: len(line.told) == 2 * turn + 2)  # type: ignore[misc]
        os.write(line.board, b"boot %d." % turn)
        line.wait(lambda turn=turn: line.came.endswith(b"%d." % turn))  # type: ignore[misc]
        line.pull()
        line.wait(lambda turn=turn: len(line.told) == 2 * turn + 3)  # type: ignore[misc]
    assert line.told == [*[f"waiting for {line.at}", f"{line.at} is back"] * 3, f"waiting for {line.at}"]
    assert line.came == b"boot 0.boot 1.boot 2."
    line.plug()  # so that there is somebody to hear that we leave
    line.wait(lambda: len(line.told) == 8)


def _nothing(_: object) -> None:
    pass


def test_what_is_no_serial_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ToolError, match="file is no serial line"):
        serial_line.talk(tmp_path / "file", 115200, _nothing, None, _nothing)
    with pytest.raises(ToolError, match="knows no serial line at 12345 baud"):
        serial_line.talk(tmp_path / "file", 12345, _nothing, None, _nothing)


def test_the_command(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Which adapter, at which speed, and what is kept where."""
    monkeypatch.setattr("nixwright.cli.serial.candidates", list)
    project.host(HOST, "box")
    answer = project.run("serial", "hosts/box.py")
    assert (answer.status, answer.err) == (2, "nixwright: there is no serial adapter: say which with --device\n")
    two = [tmp_path / "usb-a", tmp_path / "usb-b"]
    monkeypatch.setattr("nixwright.cli.serial.candidates", lambda: two)
    answer = project.run("serial", "hosts/box.py")
    assert f"there are 2 serial adapters:\n  {two[0]}\n  {two[1]}\nSay which with --device\n" in answer.err
    answer = project.run("serial", "hosts/box.py", "--device", str(two[0]), "--capture", "a log", "--dry-run")
    assert answer.out == f"{two[0]} at 1500000 baud, 8N1, no flow control, kept in 'a log'\n"
    answer = project.run("serial", "hosts/box.py", "--device", str(two[0]), "--baud", "7", "--dry-run")
    assert "knows no serial line at 7 baud" in answer.err
    answer = project.run("serial", "hosts/box.py", "--device", str(two[0]), "--capture", "none/log")
    assert "none/log cannot be written: No such file or directory" in answer.err


def test_what_comes_is_shown_and_kept(project: Project, tmp_path: Path) -> None:  # noqa: F811
    """The whole command in a process of its own, ended by Ctrl-C, twice: the file is continued."""

    project.host(HOST, "box")
    board, end = pty.openpty()
    kept = tmp_path / "kept"
    for turn in (b"one", b"two"):
        argv = [sys.executable, "-m", "nixwright", "serial", "hosts/box.py"]
        more = ["--device", os.ttyname(end), "--capture", str(kept)]
        process = subprocess.Popen(
            [*argv, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        assert process.stdout is not None
        while b"1500000 baud" not in process.stderr.readline():
            assert process.poll() is None
        os.write(board, turn)
        assert process.stdout.read(3) == turn
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.stdout.close()
        process.stderr.close()
    assert kept.read_bytes() == b"onetwo"
    os.close(board)
    os.close(end)
