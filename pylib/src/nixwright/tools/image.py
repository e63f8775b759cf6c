"""A disk image as a stream of bytes, whatever it is compressed with."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, cast

from nixwright.errors import ToolError
from nixwright.tools.command import output_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BLOCK = 4 << 20  # bytes that are read at once

# What a file begins with, and what it is then.
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
}
_PROGRAM = {"zstd": "zstd", "lz4": "lz4"}  # Debian packages of the same name


def compression(path: Path) -> str:
    """Return what an image is compressed with by how it begins, empty for not at all. Raises ToolError."""
    try:
        if not path.is_file():
            raise ToolError(f"{path} is no file" if path.exists() else f"{path}: there is no such file")
        with path.open("rb") as file:
            begin = file.read(8)
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}") from error
    if not begin:
        raise ToolError(f"{path} is empty")
    kind = next((kind for magic, kind in _MAGIC.items() if begin.startswith(magic)), "")
    if kind == "zip":
        raise ToolError(f"{path} is a zip archive, which may hold several files: unpack it first")
    return kind


def command(kind: str) -> list[str]:
    """Return the program that decompresses its standard input, nothing where Python does it by itself."""
    ours = kind not in _PROGRAM or (kind == "zstd" and _python_has_zstd())
    return [] if ours else [_PROGRAM[kind], "--decompress", "--stdout"]


def blocks(path: Path, on_read: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Yield the image's bytes, decompressed, in pieces of BLOCK bytes, the last one shorter.

    `on_read` is told how many bytes of the file itself are read. Raises ToolError for a file that is cut or damaged.
    """
    kind = compression(path)
    try:
        with path.open("rb") as file, _reader(file, kind) as reader:
            while block := _full(reader):
                on_read(os.lseek(file.fileno(), 0, os.SEEK_CUR))
                yield block
    except EOFError as error:
        raise ToolError(f"{path} is cut short: download it again") from error
    except _damage() as error:
        raise ToolError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror or error}") from error


def _python_has_zstd() -> bool:
    return find_spec("compression") is not None  # since 3.14


def _damage() -> tuple[type[Exception], ...]:
    """What Python's decompressors raise for a damaged file."""
    zstd = (import_module("compression.zstd").ZstdError,) if _python_has_zstd() else ()
    return (lzma.LZMAError, zlib.error, gzip.BadGzipFile, *zstd)


def measure(path: Path, on_read: Callable[[int], None] = lambda _: None) -> int:
    """Return the bytes of the image, decompressed; a compressed one is read to its end, and so known to be whole."""
    if not compression(path):
        return path.stat().st_size
    size = sum(map(len, blocks(path, on_read)))
    if not size:
        raise ToolError(f"{path} is empty inside")
    return size


@contextmanager
def _reader(file: IO[bytes], kind: str) -> Iterator[IO[bytes]]:
    program = command(kind)
    if program:
        with output_stream(program, stdin=file, needs=f"it decompresses {kind}") as stream:
            yield stream
    elif kind == "gzip":
        yield cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    elif kind == "xz":
        yield cast("IO[bytes]", lzma.open(file))  # noqa: SIM115 - the file itself is closed
    elif kind == "bzip2":
        yield cast("IO[bytes]", bz2.open(file))  # noqa: SIM115 - as above
    elif kind == "zstd":
        yield cast("IO[bytes]", import_module("compression.zstd").ZstdFile(file))
    else:
        yield file


def _full(reader: IO[bytes]) -> bytes:
    """Read BLOCK bytes, fewer only at the end: a pipe gives what it has."""
    parts, left = [], BLOCK
    while left and (part := reader.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
