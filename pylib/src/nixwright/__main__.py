"""The program `nixwright`, also as `python -m nixwright`: no Ctrl-C shows a traceback."""

from __future__ import annotations

import signal
import sys


def run() -> int:
    """Run the command line and return its status.

    Until a command is at work there is nothing to clean up: Ctrl-C ends us at once, as it ends any program.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in the background it may be ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from nixwright.cli.main import main  # noqa: PLC0415 - the longest part of a short command

    return main()


if __name__ == "__main__":
    sys.exit(run())
