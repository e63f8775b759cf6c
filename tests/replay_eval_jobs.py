"""A program that does what a recorded run of nix-eval-jobs did: both streams, the status, the signal, the hang.

REPLAY names the file of runs, REPLAY_CASE the run. Or REPLAY_STDOUT names a file that goes to stdout as it is, with
REPLAY_STATUS, REPLAY_STDERR (text), and REPLAY_SLEEP (seconds before the end).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any


def large(line: dict[str, Any]) -> str:
    """Return a line that was too large to be kept, as long as it was: its begin, its end, and filling."""
    first, last, size = str(line["first"]), str(line["last"]), int(line["bytes"])
    return first if size == len(first) else first + "x" * (size - len(first) - len(last)) + last


def start_and_forget() -> None:
    """Start a worker that dies at once, from a thread of its own, as the real program does."""
    if os.fork() == 0:
        os._exit(0)
    time.sleep(3600)


def hang(*, dead_worker: bool) -> None:
    """Wait for ever, as a parent of a worker that waits too; and of one that died, which nobody looks at."""
    if dead_worker:
        threading.Thread(target=start_and_forget, daemon=True).start()
    main_process = os.getpid()
    if os.fork() == 0:  # a worker: deaf to signals, and gone within a second after nix-eval-jobs is
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        while os.getppid() == main_process:
            time.sleep(0.1)
        os._exit(0)
    while True:
        time.sleep(60)


def main() -> None:
    """Replay."""
    out, err = sys.stdout.buffer, sys.stderr.buffer
    if "REPLAY_STDOUT" in os.environ:
        out.write(Path(os.environ["REPLAY_STDOUT"]).read_bytes())
        err.write(os.environ.get("REPLAY_STDERR", "").encode())
        out.flush()
        time.sleep(float(os.environ.get("REPLAY_SLEEP", "0")))
        sys.exit(int(os.environ.get("REPLAY_STATUS", "0")))
    with Path(os.environ["REPLAY"]).open(encoding="utf-8") as file:
        run = next(r for r in map(json.loads, file) if r["case"] == os.environ["REPLAY_CASE"])
    text = "".join(large(line) + "\n" for line in run["lines"]) if "lines" in run else run["stdout"]
    out.write(text.encode(errors="surrogateescape"))
    out.flush()
    err.write(run["stderr"].encode(errors="surrogateescape"))
    err.flush()
    if run["status"] is None:
        hang(dead_worker=run["case"].endswith("-hang"))
    if run["status"] < 0:
        os.kill(os.getpid(), -run["status"])
    sys.exit(run["status"])


if __name__ == "__main__":
    main()
