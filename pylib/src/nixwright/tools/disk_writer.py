"""Writing a whole disk, and reading it back from the medium itself.

The disk is opened exclusively: the kernel then refuses one of which anything is mounted, swapped to, or held by
device-mapper, md or ZFS, and refuses the others while we have it. Writes and reads go past the page cache (O_DIRECT):
what is read back is what the disk gives, not what memory remembers.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import stat
import struct
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nixwright.errors import ToolError
from nixwright.tools.image import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# <linux/fs.h>
_BLKRRPART, _BLKFLSBUF, _BLKSSZGET, _BLKGETSIZE64 = 0x125F, 0x1261, 0x1268, 0x80081272


@dataclass(slots=True)
class Disk:
    """An open disk; `size` and `sector` in bytes. `written` has a digest for each block that was written."""

    path: str
    number: str  # major:minor, as "8:16"
    size: int
    sector: int
    handle: int
    written: list[bytes] = field(default_factory=list)
    length: int = 0  # bytes written, with what fills the last sector

    def write(self, blocks: Iterable[bytes], on_done: Callable[[int], None] = lambda _: None) -> int:
        """Write blocks of BLOCK bytes (the last one shorter) from the disk's begin; return the bytes written.

        `on_done` is told how many bytes are written so far. Raises ToolError where the disk is full or fails.
        """
        view = _buffer()
        for block in blocks:
            length = -(-len(block) // self.sector) * self.sector
            view[: len(block)] = block
            view[len(block) : length] = bytes(length - len(block))
            if self.length + length > self.size:
                raise ToolError(f"{self.path} is too small: it ends after {self.size} bytes")
            with self._doing("writing to", self.length):
                self._put(view[:length])
            self.written.append(_digest(view[:length]))
            self.length += length
            on_done(self.length)
        with self._doing("writing to", self.length):
            os.fsync(self.handle)  # the disk's own cache
        return self.length

    def _put(self, view: memoryview) -> None:
        done = 0
        while done < len(view):
            count = os.pwrite(self.handle, view[done:], self.length + done)
            if not count:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done += count

    def verify(self, on_done: Callable[[int], None] = lambda _: None) -> None:
        """Read back what was written. Raises ToolError at the first block that cannot be read or is another."""
        with suppress(OSError):
            fcntl.ioctl(self.handle, _BLKFLSBUF)
        view = _buffer()
        for index, digest in enumerate(self.written):
            at = index * BLOCK
            length = min(BLOCK, self.length - at)
            done = 0
            with self._doing("reading back", at):
                while done < length:
                    count = os.preadv(self.handle, [view[done:length]], at + done)
                    if not count:
                        raise OSError(errno.EIO, "the disk ends too early")
                    done += count
            if _digest(view[:length]) != digest:
                where = f"in the {length} bytes from byte {at}"
                raise ToolError(f"{self.path} does not hold what was written, {where}: the disk is bad or a fake")
            on_done(at + length)

    def reread(self) -> None:
        """Let the kernel look at the new partition table; a busy or odd device does it when it is plugged in again."""
        with suppress(OSError):
            fcntl.ioctl(self.handle, _BLKRRPART)

    @contextmanager
    def _doing(self, what: str, at: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ToolError(f"{what} {self.path} failed at byte {at} or after: {error.strerror}") from error


@contextmanager
def open_disk(path: str, *, writing: bool) -> Iterator[Disk]:
    """Open a disk, exclusively where it is to be written. Raises ToolError where that cannot be."""
    flags = os.O_CLOEXEC | (os.O_RDWR | os.O_EXCL | os.O_DIRECT if writing else os.O_RDONLY)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise ToolError(_why(path, error)) from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISBLK(found.st_mode):
            raise ToolError(f"{path} is no disk")
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        size = struct.unpack("Q", fcntl.ioctl(handle, _BLKGETSIZE64, bytes(8)))[0]
        sector = struct.unpack("i", fcntl.ioctl(handle, _BLKSSZGET, bytes(4)))[0]
        yield Disk(path, number, size, sector, handle)
    finally:
        os.close(handle)


def device_number(path: str) -> str:
    """Return a block device's number as "8:16". Raises ToolError for what is none, or not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a device node, links followed
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror}") from error
    if not stat.S_ISBLK(found.st_mode):
        raise ToolError(f"{path} is no disk")
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _why(path: str, error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return f"{path} is in use: something of it is mounted, open, or part of a pool"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"{path} may not be opened: that takes root"
    return f"{path}: {error.strerror}"


def _buffer() -> memoryview:
    """Return memory for a block that begins on a page, as O_DIRECT wants; it goes when nobody holds a piece of it."""
    return memoryview(mmap.mmap(-1, BLOCK))


def _digest(view: memoryview) -> bytes:
    return hashlib.sha256(view).digest()
