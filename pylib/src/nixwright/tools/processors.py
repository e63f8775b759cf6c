"""How many processors there are for us."""

from __future__ import annotations

import os


def usable() -> int:
    """Return how many processors we may use (macOS only says how many there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
