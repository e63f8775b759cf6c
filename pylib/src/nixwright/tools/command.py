"""The one place that runs outside programs."""

from __future__ import annotations

import shutil
import subprocess

from nixwright.errors import ToolError


def output_of(argv: list[str], *, timeout: float, needs: str = "") -> str:
    """Run a program without a shell and return what it prints.

    Raises ToolError where it is missing (`needs` says what it is for), fails, or takes longer than `timeout` seconds.
    """
    if shutil.which(argv[0]) is None:
        raise ToolError(f"{argv[0]} is not installed{f': {needs}' if needs else ''}")
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
        words = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise ToolError(f"{argv[0]} failed (exit status {done.returncode}): {words}")
    return done.stdout
