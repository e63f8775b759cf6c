"""What a screen shows when a check fails: a kernel that panics, a question that nobody expected."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from nixwright.scenarios.driver import QemuMachine


@contextmanager
def pictured(*machines: QemuMachine) -> Generator[None, None, None]:
    """Where what follows fails, keep a picture of each machine's screen in the test's output."""
    try:
        yield
    except Exception:
        for machine in machines:
            with suppress(Exception):  # one that is off, or has no screen, hides no failure
                machine.screenshot(f"failed-{machine.name}")
        raise
