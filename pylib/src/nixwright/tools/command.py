"""The one place that runs outside programs, but for `eval_process`, which reads nix-eval-jobs while that runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from nixwright.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_STDERR = 2
_BLOCK = 1 << 20  # bytes sent between two looks at the progress


def output_of(
    argv: list[str],
    *,
    timeout: float,
    needs: str = "",
    ok: Sequence[int] = (0,),
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program without a shell and return what it prints.

    `ok` are the exit statuses of success, `environment` is beside our own. Raises ToolError where the program is
    missing (`needs` says what it is for), fails, or takes longer than `timeout` seconds.
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
            env=None if environment is None else os.environ | environment,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{argv[0]} took longer than {timeout:g} s") from error
    if done.returncode not in ok:
        raise ToolError(f"{argv[0]} failed (exit status {done.returncode}): {_last_line(done.stderr)}")
    return done.stdout


def hand_over(argv: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None) -> int:
    """Run a program that has the terminal until it ends, and return its exit status; Ctrl-C is its own to answer.

    Raises ToolError where it cannot be started.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run(
            argv, cwd=directory, env=environment, check=False, preexec_fn=_answer_interrupts
        ).returncode
    except OSError as error:
        raise ToolError(f"{argv[0]} cannot be started: {error.strerror}") from error
    finally:
        signal.signal(signal.SIGINT, before)


def _answer_interrupts() -> None:
    """In the child: what we ignore, it would ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_here(  # noqa: PLR0913 - each has a name and a default
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    terminal: bool = False,
    keep: bool = False,
    quiet: bool = False,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a program that speaks to whoever sits here, and return its exit status and, with `keep`, what it printed.

    It reads `stdin`, or with `terminal` what is typed, or nothing. What it says goes to stderr, as it comes, or with
    `quiet` nowhere: nothing of it is kept by us. Raises ToolError where it cannot be started.
    """
    _require(argv, "")
    source = {} if terminal else {"input": stdin or b""}
    sys.stderr.flush()
    done = subprocess.run(
        argv,
        stdout=subprocess.PIPE if keep else subprocess.DEVNULL if quiet else _STDERR,
        stderr=subprocess.DEVNULL if quiet else None,
        check=False,
        env=os.environ | (environment or {}),
        **source,  # type: ignore[call-overload]
    )
    return done.returncode, done.stdout.decode(errors="replace") if keep else ""


def send(
    argv: Sequence[str], path: Path, progress: Callable[[int], None], environment: Mapping[str, str] | None = None
) -> int:
    """Run a program with a file as its standard input, and return its exit status; `progress` gets the bytes sent.

    Raises ToolError where it cannot be started, or the file cannot be read.
    """
    _require(argv, "")
    sent = 0
    try:
        with path.open("rb") as file:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=_STDERR, env=os.environ | (environment or {})
            )
            try:
                with suppress(BrokenPipeError), process.stdin:  # type: ignore[union-attr] # PIPE makes one
                    while block := file.read(_BLOCK):
                        process.stdin.write(block)  # type: ignore[union-attr] # as above
                        sent += len(block)
                        progress(sent)
                return process.wait()
            finally:
                process.kill()
                process.wait()
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def background(argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside us, silent and without input; it is ended with the block. Raises ToolError."""
    _require(argv, "")
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


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
