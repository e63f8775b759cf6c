"""What a device is given: a `config.toml`, or an archive of it with a directory `files/`, read within limits.

What it is, its first bytes say. Nothing that an archive says of a member is believed but its name, its size, and
whether it is executable; what is no file and no directory is refused, and so is every way out of the directory.
"""

from __future__ import annotations

import codecs
import gzip
import os
import subprocess
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from typing import IO, TYPE_CHECKING, Protocol

from nixwright.provisioning.derived import LONGEST, SOURCE
from nixwright.provisioning.shape import Fault, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MIB = 1024 * 1024
_BLOCK = 512
_CHUNK = 64 * 1024
_EXTRA = 64 * 1024  # of an extended header: long names
_DEEPEST = 32
_LONGEST_PART = 255
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_USTAR_AT = 257  # of a tar archive that is not packed
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Limits:
    """How much an archive may be: bytes, members, seconds."""

    source: int = 32 * _MIB
    unpacked: int = 256 * _MIB
    members: int = 4096
    member: int = 64 * _MIB
    seconds: float = 30


LIMITS = Limits()


def read_source(path: Path, into: Path, limits: Limits = LIMITS) -> bytes:
    """Return the `config.toml` of a source; its `files/` are made below `into`. Raises RefusedError.

    `into` may hold some of the files where it is refused: it is a place that nothing points to. The mark that some
    editors put before a text of UTF-8 is left out.
    """
    return _unpacked(path, into, limits).removeprefix(codecs.BOM_UTF8)


def _unpacked(path: Path, into: Path, limits: Limits) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits.source:
            raise _refused("is too large", f"{size} bytes", f"at most {limits.source}")
        head = os.pread(file.fileno(), 4, 0)  # the place in the file is zstd's, too: it stays at its beginning
        if head.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _archive(_Counted(unpacked, limits), into, limits)
        if head == _ZSTD:
            with _zstd(file, limits) as unpacked:
                return _archive(_Counted(unpacked, limits), into, limits)
        if head.startswith(_ZIP) or os.pread(file.fileno(), 5, _USTAR_AT) == b"ustar":
            raise _refused("is an archive of another kind", "", "config.toml, .tar.gz or .tar.zst")
        return file.read(len(codecs.BOM_UTF8) + LONGEST + 1)


def _refused(what: str, given: str = "", allowed: str = "") -> RefusedError:
    return RefusedError(Fault((), what, given, allowed))


@contextmanager
def _zstd(file: IO[bytes], limits: Limits) -> Iterator[IO[bytes]]:
    """Unpack by the program zstd, whose memory is limited, too."""
    argv = ["zstd", "-d", "-c", "-q", "--memory=64MiB"]
    try:
        process = subprocess.Popen(argv, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise _refused("is packed by zstd, and this device has no zstd") from None
    timer = Timer(limits.seconds, process.kill)
    timer.start()
    try:
        if process.stdout is None:
            raise ValueError("a pipe was asked for")
        yield process.stdout
        if process.wait():
            raise _refused("is no whole zstd file, or takes too long")
    finally:
        timer.cancel()
        process.kill()
        process.communicate()


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Counted:
    """What is unpacked, as long as it is not too much and does not take too long."""

    def __init__(self, source: _Readable, limits: Limits) -> None:
        self._source = source
        self._left = limits.unpacked
        self._end = time.monotonic() + limits.seconds

    def read(self, size: int) -> bytes:
        """Return up to so many bytes, fewer only at the end."""
        if time.monotonic() > self._end:
            raise _refused("takes too long to unpack")
        try:
            data = self._source.read(min(size, _CHUNK))
        except (EOFError, OSError, zlib.error):
            raise _refused("is no whole gzip file") from None
        self._left -= len(data)
        if self._left < 0:
            raise _refused("is too large unpacked")
        return data

    def exactly(self, size: int) -> bytes:
        """Return just so many bytes."""
        parts = []
        while size:
            part = self.read(size)
            if not part:
                raise _refused("ends before its end: it is no whole bundle")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    kind: str
    executable: bool


def _archive(source: _Counted, into: Path, limits: Limits) -> bytes:
    config: bytes | None = None
    for member in _members(source, limits):
        parts = _parts(member.name)
        if parts == [SOURCE] and member.kind == "file":
            if config is not None:
                raise _refused(f"has {SOURCE} twice")
            if member.size > LONGEST:
                raise _refused(f"{SOURCE} is too large", f"{member.size} bytes", f"at most {LONGEST}")
            config = source.exactly(member.size)
            source.exactly(-member.size % _BLOCK)
        elif parts == [] and member.kind == "directory":
            continue
        elif parts[:1] == ["files"] and (len(parts) > 1 or member.kind == "directory"):
            _make(source, into.joinpath(*parts), member, into)
        else:
            raise _refused("has a member that is no place of one", _shown(member.name), f"{SOURCE}, files/")
    if config is None:
        raise _refused(f"has no {SOURCE}")
    return config


def _parts(name: str) -> list[str]:
    """Return the parts of a member's name, none of which leads out of where it is."""
    parts = [part for part in name.rstrip("/").split("/") if part != "."]
    odd = any(
        not part or part == ".." or len(part.encode()) > _LONGEST_PART or not part.isprintable() for part in parts
    )
    if name.startswith("/") or len(parts) > _DEEPEST or (odd and parts != [""]):
        raise _refused("has a member whose name leads elsewhere, or is none", _shown(name))
    return [part for part in parts if part]


def _shown(name: str) -> str:
    return repr(name[:60])


def _make(source: _Counted, path: Path, member: _Member, into: Path) -> None:
    """Make a file or a directory. Every directory on the way is one that this made: there are no links."""
    try:
        for above in [*reversed(path.relative_to(into).parents), *([path] if member.kind == "directory" else [])]:
            if above.parts:
                into.joinpath(above).mkdir(mode=0o755, exist_ok=True)
        if member.kind == "file":
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, 0o755 if member.executable else 0o644), "wb") as file:
                left = member.size
                while left:
                    data = source.exactly(min(left, _CHUNK))
                    file.write(data)
                    left -= len(data)
            source.exactly(-member.size % _BLOCK)
    except (FileExistsError, NotADirectoryError):
        raise _refused("has a member twice", _shown(member.name)) from None
    except OSError as error:
        raise _refused(f"cannot be unpacked: {error.strerror}", _shown(member.name)) from None


def _members(source: _Counted, limits: Limits) -> Iterator[_Member]:
    """The files and directories of a tar archive (ustar, GNU and pax), as far as plain ones go."""
    long_name: str | None = None
    long_size: int | None = None
    for _ in range(limits.members + 1):
        header = source.exactly(_BLOCK)
        if header == bytes(_BLOCK):
            while source.read(_CHUNK):  # its end, where gzip and zstd tell whether all of it arrived
                pass
            return
        name, size, kind = _header(header)
        if kind in (b"x", b"g", b"L"):
            said = _extra(source, size, kind)
            long_name, long_size = said[0] or long_name, long_size if said[1] is None else said[1]
        else:
            name, size = long_name or name, size if long_size is None else long_size
            long_name, long_size = None, None
            _judge(name, size, kind, limits)
            mode = _number(header[100:108])
            yield _Member(name, size, "directory" if kind == b"5" else "file", executable=bool(mode & 0o100))
    raise _refused("has too many members", "", f"at most {limits.members}")


def _extra(source: _Counted, size: int, kind: bytes) -> tuple[str | None, int | None]:
    """Return name and size of the member that follows, as an extended header says them."""
    if size > _EXTRA:
        raise _refused("has a header that is too large", f"{size} bytes", f"at most {_EXTRA}")
    data = source.exactly(size)
    source.exactly(-size % _BLOCK)
    if kind == b"L":
        return _text(data.rstrip(b"\0")), None
    return _extended(data) if kind == b"x" else (None, None)


def _judge(name: str, size: int, kind: bytes, limits: Limits) -> None:
    if kind not in (b"0", b"\0", b"5"):
        raise _refused("has a member that is neither a file nor a directory", _shown(name))
    if kind == b"5" and size:
        raise _refused("has a directory with content", _shown(name))
    if size > limits.member:
        raise _refused("has a member that is too large", _shown(name), f"at most {limits.member} bytes")


def _header(header: bytes) -> tuple[str, int, bytes]:
    """Return name, size and kind of a member; of a header whose sum is wrong, a refusal."""
    if _number(header[148:156]) != sum(header[:148]) + 8 * 0x20 + sum(header[156:]):
        raise _refused("is no tar archive, or a broken one")
    name = _text(header[:100].partition(b"\0")[0])
    if header[257:263] == b"ustar\0":
        prefix = _text(header[345:500].partition(b"\0")[0])
        name = f"{prefix}/{name}" if prefix else name
    return name, _number(header[124:136]), header[156:157]


def _number(field: bytes) -> int:
    digits = field.replace(b"\0", b" ").strip()
    if not all(digit in b"01234567" for digit in digits):
        raise _refused("is no tar archive, or a broken one")
    return int(digits or b"0", 8)


def _text(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("has a member whose name is no UTF-8 text") from None


def _extended(data: bytes) -> tuple[str | None, int | None]:
    """Return name and size where a pax header says them: records of `length key=value`, each with its newline."""
    name, size = None, None
    while data:
        digits, _, _ = data.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0  # noqa: PLR2004 - more is none of ours
        record, data = data[:length], data[length:]
        key, sign, value = record[len(digits) + 1 : -1].partition(b"=")
        if not sign or record[-1:] != b"\n":
            raise _refused("is no tar archive, or a broken one")
        if key.startswith(b"GNU.sparse"):
            raise _refused("has a sparse member: it is no plain file")
        if key == b"path":
            name = _text(value)
        if key == b"size":
            if not value.isdigit() or len(value) > 12:  # noqa: PLR2004 - a terabyte
                raise _refused("is no tar archive, or a broken one")
            size = int(value)
    return name, size
