"""A serial line: opened raw at a speed, read and written, and opened again when the cable comes back."""

from __future__ import annotations

import errno
import os
import select
import termios
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BLOCK = 65536
_AGAIN = 2.0  # seconds between two looks for a line that is gone
QUIT = b"\x1d"  # Ctrl-]: as telnet's


def candidates(root: Path = Path("/dev")) -> list[Path]:
    """Return the serial adapters of this machine by their lasting names, else by the kernel's."""
    lasting = sorted((root / "serial/by-id").glob("*"))
    return lasting or sorted([*root.glob("ttyUSB*"), *root.glob("ttyACM*"), *root.glob("cu.usbserial*")])


def speed(baud: int) -> int:
    """Return the constant of termios for a speed. Raises ToolError where this machine has none for it."""
    found: int | None = getattr(termios, f"B{baud}", None)
    if found is None:
        raise ToolError(f"this machine knows no serial line at {baud} baud")
    return found


def talk(device: Path, baud: int, take: Callable[[bytes], None], keys: int | None, note: Callable[[str], None]) -> None:
    """Hand what comes to `take`, and what is typed at the descriptor `keys` to the line, until Ctrl-] or Ctrl-C.

    A line that is not there yet, or goes away (the board's cable, its power), is waited for. Raises ToolError for a
    device that is none, or that we may not open.
    """
    rate = speed(baud)
    waiting = False
    while True:
        try:
            with _line(device, rate) as line:
                note(f"{device} at {baud} baud" if not waiting else f"{device} is back")
                waiting = False
                if _pass_on(line, take, keys):
                    return
        except OSError as error:
            if error.errno == errno.EACCES:
                raise ToolError(f"{device} may not be opened: are you in its group (dialout)?") from error
            if error.errno == errno.EBUSY:
                raise ToolError(f"{device} is in use by another program") from error
            if isinstance(error, _NoLineError):
                raise ToolError(str(error)) from error
        if not waiting:
            note(f"waiting for {device}")
            waiting = True
        time.sleep(_AGAIN)


class _NoLineError(OSError):
    """What is there is no serial line."""


@contextmanager
def _line(device: Path, rate: int) -> Iterator[int]:
    line = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if not os.isatty(line):
            raise _NoLineError(f"{device} is no serial line")
        iflag, oflag, cflag, lflag, _, _, characters = termios.tcgetattr(line)
        iflag &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP)
        oflag &= ~termios.OPOST
        lflag &= ~(termios.ICANON | termios.ECHO | termios.ECHOE | termios.ISIG | termios.IEXTEN)
        cflag &= ~(termios.CSIZE | termios.PARENB | termios.CSTOPB)
        cflag |= termios.CS8 | termios.CREAD | termios.CLOCAL
        termios.tcsetattr(line, termios.TCSANOW, [iflag, oflag, cflag, lflag, rate, rate, characters])
        yield line
    finally:
        os.close(line)


def _pass_on(line: int, take: Callable[[bytes], None], keys: int | None) -> bool:
    """Hand on until the line goes (False) or the person leaves (True)."""
    sources = [line] if keys is None else [line, keys]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if line in ready:
            data = os.read(line, _BLOCK)
            if not data:
                return False
            take(data)
        if keys is not None and keys in ready:
            typed = os.read(keys, _BLOCK)
            if not typed or QUIT in typed:
                return True
            os.write(line, typed)
