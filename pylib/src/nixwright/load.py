"""Loading host files: the user's Python runs in children, with limits, and only JSON comes back.

A child is forked from a process that has nixwright imported already. It runs a file, lowers and checks the host,
and writes `{name, files, mistakes}` to a pipe; then it goes on with the next of its batch where neither file can notice
the other (`nixwright.plain_file`). Whatever a file does (raise, loop, eat memory, print, exit, kill itself) ends as one
mistake with its line, and what is left of the batch goes to another child.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import math
import os
import re
import resource
import selectors
import signal
import sys
import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nixwright.checks.model import Facts
from nixwright.child import serve, source_name
from nixwright.errors import Mistake
from nixwright.generation import warm
from nixwright.options.schema import Schema
from nixwright.report.mistakes import Spot
from nixwright.tools import processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from nixwright.child import Question

_GRACE = 1.0  # s between the wish to stop, which finds the line, and the kill
_RESULT = 256 << 20  # bytes that a child may send back
_OURS = re.compile(r"^\s*(?:from|import)\s+(nixwright(?:\.\w+)*)", re.MULTILINE)
_MIB = 1 << 20
_MORE = b'"more":true}'  # how an answer ends where its child goes on
_BATCH = 25  # host files at most: what reading them leaves behind goes with the child


@dataclass(frozen=True, slots=True)
class Limits:
    """What a host file may take."""

    seconds: float = 10.0
    memory: int = 1024 * _MIB  # bytes of address space, beside what nixwright itself has
    output: int = 1 * _MIB  # bytes printed


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of one host file. With mistakes, `files` may be empty."""

    source: str
    name: str = ""
    at: Spot | None = None  # where the name is said
    files: dict[str, str] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()
    warnings: tuple[Mistake, ...] = ()
    output: str = ""  # what the file printed
    about: dict[str, Any] = field(default_factory=dict)  # what was asked of the host; empty with mistakes
    checks: tuple[Facts, ...] = ()


def load(  # noqa: PLR0913 - one a thing that a caller may bound or watch
    paths: Sequence[Path],
    root: Path,
    limits: Limits | None = None,
    jobs: int | None = None,
    on_done: Callable[[int], None] = lambda _: None,
    *,
    about: bool | Question = False,
) -> list[Loaded]:
    """Load host files, several at a time (`jobs`), and return what came of each, in the given order.

    With `about`, a host without mistakes is described, too (`nixwright.description`); or a question of the caller's is
    put to it, in the child: a function of the host and its module that answers with plain data.
    `root` is the project's directory, from which sources are named; settings are checked against the option schema that
    it has (`nixos.schema`), else the one that is shipped. `on_done` is told how many are done, after each.
    """
    Schema.choose(root)
    limits = limits or Limits()
    jobs = jobs or processors.usable() + 1  # one more than can run: a CPU is not idle while we fork and reap
    _import_ahead(paths)
    gc.collect()
    gc.freeze()  # so that a child's collector does not copy the parent's pages
    done: dict[int, Loaded] = {}
    running: set[_Child] = set()
    waiting = list(enumerate(paths))[::-1]
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    size = min(_BATCH, 1 + len(waiting) // (4 * jobs))
                    batch = [waiting.pop() for _ in range(size)]
                    with _uninterrupted():  # a child that is not among those that run would never be ended
                        running.add(_Child(batch, root, limits, selector, about=about))
                _step(selector, running)
                for child in [c for c in running if c.over]:
                    while child.over:
                        index, result = child.result()
                        done[index] = result
                        on_done(len(done))
                    if child.ended:
                        running.remove(child)
                        waiting += child.batch[::-1]
                    if waiting:  # what one host needed of the schema, the next will: read once, here
                        Schema.chosen().read_ahead(child.read)
        finally:
            for child in running:
                child.kill()
            gc.unfreeze()
    return [done[i] for i in range(len(paths))]


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _import_ahead(paths: Sequence[Path]) -> None:
    """Import those of our own modules that the files name, once, here, instead of once in each child."""
    names: set[str] = set()
    for path in paths:
        with contextlib.suppress(OSError):
            names.update(_OURS.findall(path.read_text(encoding="utf-8", errors="replace")))
    for name in sorted(names):
        with contextlib.suppress(ImportError):  # the child says so, with the user's line
            importlib.import_module(name)
    if len(paths) > 1:
        warm()


def _step(selector: selectors.BaseSelector, running: set[_Child]) -> None:
    """Wait until a child says something or its time is over, and deal with it."""
    soonest = min(c.deadline for c in running)
    for key, _ in selector.select(max(0.0, soonest - time.monotonic())):
        key.data()
    now = time.monotonic()
    for child in running:
        if now >= child.deadline:
            child.expire()


class _Child:
    """A process with its host files, of which the first is running; the two pipes from it, and what they brought."""

    def __init__(
        self,
        batch: list[tuple[int, Path]],
        root: Path,
        limits: Limits,
        selector: selectors.BaseSelector,
        *,
        about: bool | Question,
    ) -> None:
        self.batch, self.root, self.limits, self.selector = batch, root, limits, selector
        self.said, self.printed, self.why = bytearray(), bytearray(), ""
        self.ended = False
        self.status: int | None = None  # how it ended, once its end was asked for: its number may be another's then
        self.read: list[str] = []  # the pieces of the schema that it needed
        self.deadline = time.monotonic() + limits.seconds
        result, result_in = os.pipe()
        output, output_in = os.pipe()
        with warnings.catch_warnings():
            # 3.12 warns of forking beside threads; the child runs none of theirs and takes none of their locks
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(result)  # so that writing fails once the parent is gone, and does not wait for it
                os.close(output)
                _confine(output_in)
                paths = [path for _, path in batch]
                serve(paths, root, result_in, bound=lambda: _bound(limits), about=about)
            finally:
                os._exit(0)
        os.close(result_in)
        os.close(output_in)
        self.result_pipe, self.output_pipe, self.open = result, output, {result, output}
        selector.register(result, selectors.EVENT_READ, self._on_result)
        selector.register(output, selectors.EVENT_READ, self._on_output)

    @property
    def over(self) -> bool:
        """Whether a result is whole, or will never come."""
        return not self.ended and (b"\n" in self.said or self.result_pipe not in self.open)

    def expire(self) -> None:
        """Ask the child to stop and say where it is; the second time, kill it."""
        if self.why:
            self._close(self.result_pipe)
        else:
            self._stop(f"took longer than {self.limits.seconds:g} s")

    def kill(self) -> int:
        """End the child and whatever it started, close what is open, and return how it ended (as `os.waitpid` says)."""
        for pipe in tuple(self.open):
            self._close(pipe)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it may not have come to its own group yet
            os.killpg(self.pid, signal.SIGKILL)
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with _uninterrupted():
                self.status = os.waitpid(self.pid, 0)[1]
        return self.status

    def result(self) -> tuple[int, Loaded]:
        """Return the index of the first host file and what came of it; then the process is ended, or at the next."""
        (index, path), *self.batch = self.batch
        line, end, self.said = self.said.partition(b"\n")
        status = None if self.why or end else self._status()
        self._on_output()
        self.ended = bool(self.why) or not line.endswith(_MORE)
        if self.ended:
            self.kill()
        own = False  # whether it ended by its own doing
        try:
            found = json.loads(line)
            mistakes = tuple(_mistake(m) for m in found["mistakes"])
            warned = tuple(_mistake(m) for m in found["warnings"])
            name, files = str(found["name"]), {str(k): str(v) for k, v in found["files"].items()}
            where, at = found["stopped"], _spot(found["at"])
            self.read = [str(name) for name in found["read"]]
            about = dict(found["about"])
            checks = tuple(_facts(c) for c in found["checks"])
        except (ValueError, KeyError, TypeError, AttributeError):
            mistakes, warned, name, files, where, at, about, checks = (), (), "", {}, None, None, {}, ()
            own = not self.why
            if own:
                self.why = _ending(status)
        if self.why:
            mistakes, files = (*mistakes, self._stopped(path, where, limited=not own)), {}
        output = self.printed[: self.limits.output].decode(errors="replace")
        self.printed, self.deadline = bytearray(), time.monotonic() + self.limits.seconds
        return index, Loaded(source_name(path, self.root), name, at, files, mistakes, warned, output, about, checks)

    def _status(self) -> int | None:
        """Return how it ended by itself; None where it has to be killed for it."""
        for _ in range(100):  # the pipe closes a moment before the process is gone
            with _uninterrupted():
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self.status = status if pid else None
            if pid:
                return status
            time.sleep(0.002)
        return None

    def _stop(self, why: str) -> None:
        self.why = why
        self.deadline = time.monotonic() + _GRACE
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGALRM)

    def _stopped(self, path: Path, where: object, *, limited: bool) -> Mistake:
        line = where[1] if isinstance(where, list) else 1
        file = where[0] if isinstance(where, list) else str(path)
        limits = self.limits
        if not limited:
            return Mistake("host file", self.why, "", "", "remove what ends it", Spot(file, line))
        allowed = f"{limits.seconds:g} s, {limits.memory // _MIB} MiB of memory, {limits.output // _MIB} MiB printed"
        return Mistake("host file", self.why, "", allowed, "let the file only describe the host", Spot(file, line))

    def _on_result(self) -> None:
        text = os.read(self.result_pipe, 1 << 20)
        self.said += text
        if not text or len(self.said) > _RESULT:
            self._close(self.result_pipe)

    def _on_output(self) -> None:
        """Read what was printed; what is past the limit is thrown away."""
        if self.output_pipe not in self.open:
            return
        os.set_blocking(self.output_pipe, False)
        try:
            text = os.read(self.output_pipe, 1 << 16)
        except BlockingIOError:
            return
        if not text:
            self._close(self.output_pipe)
        elif len(self.printed) <= self.limits.output:
            self.printed += text
            if len(self.printed) > self.limits.output and not self.why:
                self._stop(f"printed more than {self.limits.output // _MIB} MiB")

    def _close(self, pipe: int) -> None:
        if pipe in self.open:
            self.open.remove(pipe)
            self.selector.unregister(pipe)
            os.close(pipe)


def _confine(output: int) -> None:
    """In the child: a session of its own, with nothing to read and its output on the pipe."""
    gc.disable()  # it lives for milliseconds, and a collection would copy what it shares with the parent
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stderr = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _bound(limits: Limits) -> None:
    """In the child: the limits of one host file."""
    # should the parent be gone, a loop still ends; a little over the limit, so that the parent's word comes first
    cpu = math.ceil(time.process_time() + limits.seconds + _GRACE) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + limits.memory, hard))


def _address_space() -> int:
    """Return the bytes of address space that this process has now (0 where the system does not say)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - once a host: the quickest way
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _ending(status: int | None) -> str:
    if status is not None and os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name} before it was read to its end"
    code = f" (exit status {os.WEXITSTATUS(status)})" if status is not None else ""
    return f"ended the process{code} before it was read to its end"


def _mistake(m: dict[str, Any]) -> Mistake:
    """Make a mistake again from the child's JSON."""
    return Mistake(m["field"], m["what"], m["given"], m["allowed"], m["fix"], _spot(m["at"]), _spot(m["other"]))


def _facts(f: dict[str, Any]) -> Facts:
    """Make what is known of a check again from the child's JSON."""
    pairs = tuple((p[0], p[1]) for p in f["proves"])
    sabotages = tuple((s[0], s[1], s[2], s[3]) for s in f["sabotages"])
    return Facts(f["host"], f["name"], pairs, sabotages, f["machines"], f["container"], f["same"])


def _spot(place: list[Any] | None) -> Spot | None:
    return Spot(place[0], place[1], tuple((c[0], c[1]) for c in place[2])) if place else None
