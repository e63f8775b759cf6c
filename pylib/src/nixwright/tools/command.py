"""The one place that runs outside programs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from nixwright.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def output_of(argv: list[str], *, timeout: float, needs: str = "") -> str:
    """Run a program without a shell and return what it prints.

    Raises ToolError where it is missing (`needs` says what it is for), fails, or takes longer than `timeout` seconds.
    """
    _require(argv, needs)
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{argv[0]} took longer than {timeout:g} s") from error
    if done.returncode:
        raise ToolError(f"{argv[0]} failed (exit status {done.returncode}): {_last_line(done.stderr)}")
    return done.stdout


@contextmanager
def output_stream(argv: list[str], *, stdin: IO[bytes], needs: str = "") -> Iterator[IO[bytes]]:
    """Run a program that reads a file, and give its output while it runs; whoever leaves early ends it.

    Raises ToolError where it is missing, and, once its output is read to the end, where it failed.
    """
    _require(argv, needs)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=errors)
        try:
            if process.stdout is None:  # for the type checker: PIPE makes one
                raise ToolError(f"{argv[0]} has no output")
            yield process.stdout
            ended = process.wait() if not process.stdout.read(1) else 0
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if ended:
            errors.seek(0)
            words = _last_line(errors.read().decode(errors="replace"))
            raise ToolError(f"{argv[0]} failed (exit status {ended}): {words}")


def _require(argv: Sequence[str], needs: str) -> None:
    if shutil.which(argv[0]) is None:
        raise ToolError(f"{argv[0]} is not installed{f': {needs}' if needs else ''}")


def _last_line(stderr: str) -> str:
    return (stderr.strip().splitlines() or ["without a word"])[-1]
