"""A disk, or an image of one in a file, as bytes."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixwright.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLKSSZGET = 0x1268  # <linux/fs.h>


@dataclass(frozen=True, slots=True)
class Reader:
    """A run of bytes of a disk: all of it, or a partition. `sector` is 0 where a file does not say."""

    path: str
    handle: int
    start: int
    size: int
    sector: int = 0

    def read(self, at: int, length: int) -> bytes:
        """Return bytes from `at`; fewer at the end, none behind it. Raises ToolError where the disk cannot be read."""
        wanted = max(0, min(length, self.size - at))
        parts = []
        try:
            while wanted and (part := os.pread(self.handle, wanted, self.start + at)):
                parts.append(part)
                at += len(part)
                wanted -= len(part)
        except OSError as error:
            raise ToolError(f"reading {self.path} failed at byte {self.start + at}: {error.strerror}") from error
        return b"".join(parts)

    def part(self, start: int, size: int) -> Reader:
        """Return a part of it."""
        return Reader(self.path, self.handle, self.start + start, max(0, min(size, self.size - start)), self.sector)


@contextmanager
def open_reader(path: str) -> Iterator[Reader]:
    """Open a disk or a file for reading. Raises ToolError where that cannot be."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise ToolError(f"{path} may not be read: that takes root") from error
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror}") from error
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISBLK(mode) and not stat.S_ISREG(mode):
            raise ToolError(f"{path} is neither a disk nor a file")
        sector = struct.unpack("i", fcntl.ioctl(handle, _BLKSSZGET, bytes(4)))[0] if stat.S_ISBLK(mode) else 0
        yield Reader(path, handle, 0, os.lseek(handle, 0, os.SEEK_END), sector)
    finally:
        os.close(handle)
