"""Real block devices for tests: files behind loop devices."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def loop(image: Path) -> Iterator[str]:
    """Give a loop device over a file; skip where there is none to be had."""
    need("losetup")
    made = subprocess.run(["losetup", "--find", "--show", image], check=False, capture_output=True, text=True)
    device = made.stdout.strip()
    if made.returncode or not Path(device).is_block_device():
        pytest.skip("needs loop devices (root, and a kernel that has them)")
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def blank(path: Path, size: int) -> Path:
    """Make a file of zeros, without taking the room for them."""
    with path.open("wb") as file:
        file.truncate(size)
    return path
