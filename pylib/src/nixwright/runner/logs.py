"""The whole log of each check, as a file that is there whole or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

_PICTURES = (".png",)


@contextmanager
def whole_file(file: Path) -> Iterator[IO[str]]:
    """Open a file to write; it takes its name when the block is left in peace, and is gone when it is not."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=file.parent, prefix=f".{file.name}-", delete=False, encoding="utf-8", errors="replace"
    ) as out:
        try:
            yield out
            out.close()
            Path(out.name).chmod(0o644)
            Path(out.name).replace(file)
        except BaseException:
            out.close()
            Path(out.name).unlink(missing_ok=True)
            raise


def file_name(title: str) -> str:
    """Return a name that a file can have."""
    return re.sub(r"[^\w.-]+", "-", title).strip("-")


def keep_screenshots(outputs: Sequence[str], directory: Path) -> tuple[str, ...]:
    """Copy the pictures of a failed check beside its log: its output is no valid path, and the next build removes it.

    Nix leaves the output of a build that failed in the store (of a remote builder in its own, where we do not look).
    """
    found = pictures(outputs)
    shutil.rmtree(directory, ignore_errors=True)
    if not found:
        return ()
    directory.mkdir(parents=True, exist_ok=True)
    return tuple(str(shutil.copyfile(p, directory / Path(p).name)) for p in found)


def pictures(outputs: Sequence[str]) -> tuple[str, ...]:
    """Return the pictures in the outputs of a check, empty files left out."""
    files = (path for output in outputs for path in sorted(Path(output).glob("**/*")) if path.suffix in _PICTURES)
    return tuple(str(path) for path in files if path.is_file() and path.stat().st_size)
