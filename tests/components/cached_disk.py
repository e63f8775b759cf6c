"""Disks with a cache of their own, for guests whose power is cut: what was not flushed is lost, or written in part.

A guest has such a disk by NBD (`Drive(socket, serial, image="nbd")`). It reads what it wrote at once, and the file
holds it from the next flush on. When the power is gone, `lose` says what became of the rest: each block of 4 KiB
reached the disk or did not, at random, in whatever order they were written.

The power goes at a write or a flush that is counted beforehand (`Power.goes_after`): it is never answered, nor is any
after it. Between two of them nothing changes that a disk could show, so to count them is to choose any moment.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 4096  # bytes that a disk writes whole or not at all
# https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
_HELLO = struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 3)  # fixed newstyle, no zeroes
_OPTION, _OPTION_ANSWER = struct.Struct(">8sII"), struct.Struct(">QIII")
_REQUEST, _ANSWER = struct.Struct(">IHHQQI"), struct.Struct(">IIQ")
_OPTION_MAGIC, _ANSWER_MAGIC = 0x3E889045565A9, 0x67446698
_GO, _ACK, _INFO, _UNKNOWN = 7, 1, 3, 0x80000001
_HAS_FLUSH = 5
_READ, _WRITE, _DISCONNECT, _FLUSH = range(4)


class Power:
    """What the disks of a machine run on: `gone` once as many writes and flushes came as it was told."""

    def __init__(self) -> None:
        """Last for ever."""
        self.gone = threading.Event()
        self.used = 0  # since it was last told
        self._last: int | None = None
        self._lock = threading.Lock()

    def goes_after(self, count: int) -> None:
        """Count writes and flushes from now on; the one after so many finds no power."""
        with self._lock:
            self.used, self._last = 0, count

    def comes_back(self) -> None:
        """Last for ever again."""
        self.gone.clear()
        self._last = None

    def use(self) -> bool:
        """Count one; tell whether there is power for it."""
        with self._lock:
            if self._last is not None and self.used >= self._last:
                self.gone.set()
            self.used += not self.gone.is_set()
        return not self.gone.is_set()


class CachedDisk:
    """A disk. `path` is the file of what is on it for good."""

    def __init__(self, path: Path, power: Power) -> None:
        """Take a file that is there."""
        self.path = path
        self._power = power
        self._waiting: list[tuple[int, bytes]] = []  # what was written since the last flush

    @contextmanager
    def plugged(self) -> Iterator[Path]:
        """Serve the disk to one guest after another; yield the socket."""
        at = self.path.with_suffix(".socket")
        cache = self.path.with_suffix(".cache")
        subprocess.run(["cp", "--sparse=always", self.path, cache], check=True)
        with socket.socket(socket.AF_UNIX) as server, cache.open("r+b", buffering=0) as seen:
            server.bind(str(at))
            server.listen()
            thread = threading.Thread(target=self._serve, args=(server, seen.fileno()))
            thread.start()
            try:
                yield at
            finally:
                server.shutdown(socket.SHUT_RDWR)
                thread.join()
                at.unlink()

    def lose(self, rng: random.Random) -> tuple[int, int]:
        """Let some of what was not flushed be on the disk, none or all; return how many blocks are, and of how many."""
        share = rng.choice((0.0, rng.random(), 1.0))
        blocks = [
            (at + start, data[start : start + BLOCK])
            for at, data in self._waiting
            for start in range(0, len(data), BLOCK)
        ]
        kept = [block for block in blocks if rng.random() < share]
        self._write(kept)
        self._waiting.clear()
        return len(kept), len(blocks)

    def _write(self, those: list[tuple[int, bytes]]) -> None:
        with self.path.open("r+b", buffering=0) as file:
            for at, data in those:
                os.pwrite(file.fileno(), data, at)

    def _serve(self, server: socket.socket, seen: int) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # it was unplugged
                return
            with connection, suppress(EOFError, ConnectionError):
                self._greet(connection)
                self._answer(connection, seen)

    def _greet(self, connection: socket.socket) -> None:
        connection.sendall(_HELLO)
        _take(connection, 4)
        while True:
            _, option, length = _OPTION.unpack(_take(connection, _OPTION.size))
            _take(connection, length)
            if option == _GO:
                about = struct.pack(">HQH", 0, self.path.stat().st_size, _HAS_FLUSH)
                connection.sendall(_OPTION_ANSWER.pack(_OPTION_MAGIC, option, _INFO, len(about)) + about)
            connection.sendall(_OPTION_ANSWER.pack(_OPTION_MAGIC, option, _ACK if option == _GO else _UNKNOWN, 0))
            if option == _GO:
                return

    def _answer(self, connection: socket.socket, seen: int) -> None:
        while True:
            _, _, kind, cookie, at, length = _REQUEST.unpack(_take(connection, _REQUEST.size))
            data = _take(connection, length) if kind == _WRITE else b""
            if kind == _DISCONNECT:
                return
            if kind != _READ and not self._power.use():
                while connection.recv(1 << 20):  # until the guest is gone
                    pass
                return
            said = b""
            if kind == _READ:
                said = os.pread(seen, length, at)
            elif kind == _WRITE:
                os.pwrite(seen, data, at)
                self._waiting.append((at, data))
            elif kind == _FLUSH:
                self._write(self._waiting)
                self._waiting.clear()
            connection.sendall(_ANSWER.pack(_ANSWER_MAGIC, 0, cookie) + said)


def _take(connection: socket.socket, count: int) -> bytes:
    """Return so many bytes. Raises EOFError where the other side is gone."""
    found = bytearray()
    while len(found) < count:
        more = connection.recv(count - len(found))
        if not more:
            raise EOFError
        found += more
    return bytes(found)
