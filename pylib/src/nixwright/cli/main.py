"""The command `nixwright`. Only the module of the command that is given is imported."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from nixwright.errors import NixwrightError

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = (
    "build",
    "ci-matrix",
    "flash",
    "gen",
    "get",
    "install",
    "new",
    "provision",
    "rollback",
    "runbook",
    "schema",
    "serial",
    "set",
    "show",
    "status",
    "test",
    "update",
    "verification",
    "verify-disk",
    "vm",
)
FAILED = 2
INTERRUPTED = 130  # as a shell says it of SIGINT


def main(argv: list[str] | None = None) -> int:
    """Run a command; return 0 where done, 1 where files are not as they should be, 2 for mistakes and failures."""
    # pydantic looks for plugins in every installed package's metadata: time, and another's hand in our types
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    given = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="nixwright", description="NixOS modules from typed Python host files.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in given[:1] if given and given[0] in COMMANDS else COMMANDS:
        import_module(_module(name)).add(commands)
    args = parser.parse_args(given)
    try:
        with _interrupted_as_exception():
            status: int = import_module(_module(args.command)).run(args)
            sys.stdout.flush()
    except NixwrightError as error:
        print(f"nixwright: {error}", file=sys.stderr)  # noqa: T201
        return FAILED
    except BrokenPipeError:  # `| head` has seen enough; what Python flushes at its end must go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if _is_interrupt(error):
            return INTERRUPTED
        raise
    return status


def _is_interrupt(error: BaseException | None) -> bool:
    """Tell whether an error comes of Ctrl-C: Python 3.11 makes another of it in a class, and libcst in a `finally`."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def _interrupted_as_exception() -> Iterator[None]:
    """Let a command clean up at Ctrl-C, which before and after ends us at once: there is nothing to clean up."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _module(command: str) -> str:
    return f"nixwright.cli.{command.replace('-', '_')}"
