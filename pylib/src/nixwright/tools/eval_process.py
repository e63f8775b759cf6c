"""One outside program whose output is read line by line while it runs, and of which nothing is left afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

CHUNK = 1 << 18  # bytes read at once; the pipe stays full, and the program waits, while the caller is busy
GATHER, FEW = 0.002, 1 << 14  # seconds until the next read where so few bytes came: each line is flushed by itself
TICK = 1.0  # seconds between two looks at a program that says nothing
BEGIN = 1024  # bytes that are kept of a line that is too long
MANY = 100  # such lines that are kept


class NotInstalledError(ToolError):
    """The program is not on PATH."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is waited for, in seconds, and what is kept, in bytes.

    `silence` is the longest time without a byte on either stream while the caller waits (one configuration of NixOS
    takes tens of seconds), `stuck` the same where a process that the program started is dead and not noticed. `line`
    is the longest line; of stderr the last `stderr` bytes are kept.
    """

    silence: float = 600.0
    stuck: float = 10.0
    total: float = 3600.0
    line: int = 8 << 20
    stderr: int = 64 << 10


@dataclass(slots=True)
class Program:
    """A running program: read `lines` to their end, then the rest is known.

    `status` is the exit status, negative for a signal, None where it did not end by itself. `why` says then which
    limit it met (`silence`, `total`, `stuck`), or `left` where the caller did not read on. `unfinished` is a last
    line without its end, `too_long` the begin of each line over the limit (of the first hundred).
    """

    limits: Limits
    process: asyncio.subprocess.Process
    pipe: int
    status: int | None = None
    why: str = "left"
    unfinished: bytes = b""
    too_long: list[bytes] = field(default_factory=list)
    seconds: float = 0.0
    _started: float = field(default_factory=time.monotonic)
    _heard: float = field(default_factory=time.monotonic)
    _stderr: bytearray = field(default_factory=bytearray)

    @property
    def stderr(self) -> str:
        """The end of stderr; bytes that are no UTF-8 (a Nix message may hold any) are replaced."""
        return bytes(self._stderr[-self.limits.stderr :]).decode(errors="replace")

    async def lines(self) -> AsyncIterator[list[bytes]]:
        """Yield the whole lines as they come, some at a time, each without its newline."""
        rest, skipping = bytearray(), False
        while chunk := await self._read():
            if len(chunk) < FEW:  # let some lines come together
                await asyncio.sleep(GATHER)
            whole, newline, last = chunk.rpartition(b"\n")
            if newline:
                lines = whole.split(b"\n")
                if skipping:
                    del lines[0]
                elif rest:
                    lines[0] = bytes(rest) + lines[0]
                rest, skipping = bytearray(), False
                if max(map(len, lines), default=0) > self.limits.line:
                    for line in lines:
                        self._skip(line)
                    lines = [line for line in lines if len(line) <= self.limits.line]
                yield lines
            if not skipping:
                rest += last
                if len(rest) > self.limits.line:
                    self._skip(rest)
                    rest, skipping = bytearray(), True
        self.unfinished = bytes(rest)

    def _skip(self, line: bytes | bytearray) -> None:
        """Remember the begin of a line that is too long."""
        if len(line) > self.limits.line and len(self.too_long) < MANY:
            self.too_long.append(bytes(line[:BEGIN]))

    async def _read(self) -> bytes:
        """Read what is there, at most a chunk; nothing at the end, or when a limit was met and the program ended."""
        waiting = time.monotonic()
        while self.why == "left":
            if self._over(waiting):
                break
            try:
                async with asyncio.timeout(min(TICK, self.limits.silence, self.limits.stuck)):
                    chunk = await _next(self.pipe)
                    if chunk:
                        self._heard = time.monotonic()
                        return chunk
                    self.status = await self.process.wait()
                    self.why = ""
            except TimeoutError:
                if self.process.returncode is not None:  # what it started holds our end of the pipe
                    kill_group(self.process.pid)
        return b""

    def _over(self, waiting: float) -> bool:
        """Tell whether a limit is met, and then end the program; `waiting` is when we began to."""
        now = time.monotonic()
        quiet = now - max(self._heard, waiting)
        if now - self._started >= self.limits.total:
            self.why = "total"
        elif quiet >= self.limits.silence:
            self.why = "silence"
        elif quiet >= self.limits.stuck and has_dead_child(self.process.pid):
            self.why = "stuck"
        else:
            return False
        kill_group(self.process.pid)
        return True

    async def listen(self) -> None:
        """Keep the end of stderr."""
        stream = self.process.stderr
        if stream is None:  # it comes among the lines
            return
        while chunk := await stream.read(CHUNK):
            self._heard = time.monotonic()
            self._stderr += chunk
            if len(self._stderr) > 2 * self.limits.stderr:
                del self._stderr[: -self.limits.stderr]


@asynccontextmanager
async def running(  # noqa: PLR0913 - all that a program may need
    line: Sequence[str],
    limits: Limits,
    env: Mapping[str, str] | None = None,
    directory: Path | None = None,
    *,
    merged: bool = False,
    grace: float = 0.0,
) -> AsyncIterator[Program]:
    """Run a command line in a process group of its own, with nothing on stdin; none of the group outlives the block.

    With `merged` stderr comes among the lines. The end is SIGKILL at once: nix-eval-jobs answers no other signal until
    its running job is done, and leaves nothing half written. With `grace` (seconds) SIGINT comes before, for a program
    that must end what it started in sessions of their own: Nix its builders. NotInstalledError: it is not on PATH.
    """
    environment = dict(os.environ if env is None else env)
    program = shutil.which(line[0], path=environment.get("PATH", os.defpath))
    if program is None:
        raise NotInstalledError(f"{line[0]} is not on PATH")
    pipe, theirs = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *leash(),
            program,
            *line[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE,
            limit=CHUNK,
            start_new_session=True,
            env=environment,
            cwd=directory,
        )
    except BaseException as e:
        os.close(pipe)
        if isinstance(e, OSError):
            raise ToolError(f"{line[0]} cannot be started: {e.strerror}") from e
        raise
    finally:
        os.close(theirs)
    run = Program(limits, process, pipe)
    listener = asyncio.create_task(run.listen())
    try:
        yield run
    finally:
        if grace and process.returncode is None:
            await asyncio.shield(asyncio.create_task(_ask_to_end(run, grace)))
        kill_group(process.pid)
        # What left the group could hold the streams open for ever: wait for a moment only.
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(process.wait(), listener)
        listener.cancel()
        os.close(pipe)
        run.seconds = time.monotonic() - run._started  # noqa: SLF001 - our own record


async def _ask_to_end(run: Program, grace: float) -> None:
    """Ask a program to end, and wait for that a while; what it still says is read and thrown away."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(run.process.pid, signal.SIGINT)
    with suppress(TimeoutError):
        async with asyncio.timeout(grace):
            while await _next(run.pipe):
                pass
            await run.process.wait()


async def _next(pipe: int) -> bytes:
    """Return what comes next through a pipe, at most a chunk; nothing at its end."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(pipe)
    return os.read(pipe, CHUNK)


def kill_group(group: int) -> None:
    """End a process group; its leader may be gone already, its members not."""
    with suppress(ProcessLookupError, PermissionError):  # macOS refuses a group of zombies
        os.killpg(group, signal.SIGKILL)


def leash() -> tuple[str, ...]:
    """Return what to put before a command so that the kernel ends it when we are ended by SIGKILL ourselves.

    util-linux has it; where it is not (macOS, busybox), only that one case is left uncovered.
    """
    program = shutil.which("setpriv")
    if program is None or "busybox" in os.path.realpath(program):
        return ()
    return (program, "--pdeathsig", "KILL", "--")


def has_dead_child(pid: int, proc: Path = Path("/proc")) -> bool:
    """Tell whether a process has a dead child that it did not look at; False where the kernel does not tell.

    Linux lists a child with the thread that started it; nix-eval-jobs has a thread for each worker.
    """
    try:
        children = [c for task in (proc / f"{pid}/task").iterdir() for c in (task / "children").read_text().split()]
        return any((proc / child / "stat").read_text().rpartition(")")[2].split()[0] == "Z" for child in children)
    except (OSError, IndexError):
        return False
