"""The disk that loses what was not flushed does lose it, and nothing else."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

import pytest
from cached_disk import BLOCK, CachedDisk, Power
from loop_devices import blank
from programs import need

if TYPE_CHECKING:
    from pathlib import Path

FIRST = ("write -P 1 0 8k", "flush", "write -P 2 4k 8k", "read -P 2 4k 8k")


class Chance(random.Random):
    """A chance that is none: this share of the blocks, each of them by its turn."""

    def __init__(self, share: float) -> None:
        super().__init__(1)
        self.share = share

    def choice(self, seq: object) -> float:  # type: ignore[override]
        assert seq
        return self.share


def qemu_io(at: Path, *commands: str) -> list[str]:
    """The command line that runs commands of qemu-io on a disk, with a cache as a guest's."""
    said = [part for c in commands for part in ("-c", c)]
    return ["qemu-io", "-f", "raw", "-t", "writeback", *said, f"nbd:unix:{at}"]


def after(disk: CachedDisk, *commands: str) -> bytes:
    """Run commands of qemu-io, and kill it: return the first 16 KiB of what is on the disk then."""
    with disk.plugged() as at:
        argv = qemu_io(at, *commands, "abort")
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode < 0, done.stdout + done.stderr
        assert "verification failed" not in done.stdout
    return disk.path.read_bytes()[: 4 * BLOCK]


@pytest.mark.parametrize(("share", "kept"), [(0.0, (1, 1, 0)), (1.0, (1, 2, 2))])
def test_what_was_not_flushed_is_lost_or_there(tmp_path: Path, share: float, kept: tuple[int, ...]) -> None:
    need("qemu-img")
    disk = CachedDisk(blank(tmp_path / "disk", 1 << 20), Power())
    assert after(disk, *FIRST) == b"\1" * 2 * BLOCK + bytes(2 * BLOCK)
    assert disk.lose(Chance(share)) == (2 * share, 2)
    assert disk.path.read_bytes()[: 3 * BLOCK] == b"".join(bytes([k]) * BLOCK for k in kept)
    assert disk.lose(Chance(1.0)) == (0, 0)


def test_without_power_nothing_is_written_any_more(tmp_path: Path) -> None:
    need("qemu-img")
    power = Power()
    disk = CachedDisk(blank(tmp_path / "disk", 1 << 20), power)
    power.goes_after(2)
    with disk.plugged() as at:
        process = subprocess.Popen(qemu_io(at, *FIRST), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert power.gone.wait(30)
        process.kill()
        process.wait()
    assert power.used == 2
    assert disk.lose(Chance(1.0)) == (0, 0)  # the flush was the last that was answered
    assert disk.path.read_bytes()[: 3 * BLOCK] == b"\1" * 2 * BLOCK + bytes(BLOCK)
