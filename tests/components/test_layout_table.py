"""The table that is computed is the table that sgdisk writes, for the PiBox and for 500 random layouts."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nixwright.errors import MistakeError
from nixwright.layout import GPT, REST, Disk, GiB, KiB, MiB, Partition, Sectors
from nixwright.layout.disk import places
from nixwright.layout.lower import partition_attrs
from programs import need

if TYPE_CHECKING:
    from nixwright.layout.partition import Length

ARGUMENTS = json.loads((Path(__file__).parents[1] / "data" / "layout-sgdisk-arguments.json").read_text())
RANDOM_LAYOUTS = 500


def written(disk: Disk, size: int, image: Path) -> list[tuple[int, int]] | None:
    """What sgdisk writes when it is called as disko calls it with what is emitted; None where it refuses."""
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(size)
    sgdisk(ARGUMENTS["clear"], device=image)
    for index, attrs in enumerate(partition_attrs(disk), 1):
        start = attrs.get("start", "0")
        end = "-0" if attrs["size"] == "100%" else f"+{attrs['size']}"
        shape = ARGUMENTS["new_in_sectors" if str(start).endswith("s") else "new"]
        kind = attrs.get("type", "8300")
        if not sgdisk(shape, device=image, index=index, label=attrs["label"], type=kind, start=start, end=end):
            return None
    listed = subprocess.run(["sgdisk", "--print", image], check=True, capture_output=True, text=True).stdout
    image.unlink()
    return [(int(m[1]), int(m[2])) for m in re.finditer(r"^ +\d+ +(\d+) +(\d+) ", listed, re.MULTILINE)]


def sgdisk(shape: list[str], **values: object) -> bool:
    arguments = [a.format(**values) for a in shape]
    return subprocess.run(["sgdisk", *arguments], check=False, capture_output=True).returncode == 0


def random_disk(draw: random.Random) -> tuple[Disk, int]:
    """A disk of 64 MiB to 1 TiB, odd sizes too, with 1 to 8 partitions of all units, some after gaps, often a rest."""
    size = draw.choice([draw.randrange(64, 4096) * MiB.unit, draw.randrange(2**26, 2**40)])
    count, left, at = draw.randint(1, 8), size // 512, 2048
    parts = []
    for index in range(count):
        sectors = max(1, int(left / count * draw.random()))
        sizes: list[Length] = [
            Sectors(sectors),
            KiB(max(1, sectors // 2)),
            MiB(max(1, sectors // 2048)),
            GiB(max(1, sectors // 2**21)),
        ]
        length = draw.choice(sizes)
        start: Length | None = None
        if draw.random() < 0.25:
            gap = at + draw.randrange(1, 10000)
            gaps: list[Length] = [Sectors(gap), MiB(gap // 2048 + 1), KiB(gap // 2 + 1)]
            start = draw.choice(gaps)
        last = index == count - 1
        part = Partition(f"part {index}", REST if last and draw.random() < 0.5 else length, start=start)
        parts.append(part)
        at = (start.sectors if start else at) + length.sectors + 4096
    return Disk("/dev/disk/by-id/virtio-test", GPT(*parts)), size


@pytest.fixture(autouse=True)
def _sgdisk() -> None:
    need("sgdisk")


def test_pibox_starts_at_1_1024_1056_and_9248_mib(tmp_path: Path) -> None:
    table = GPT(
        Partition("EFI system partition", MiB(1023)),
        Partition("luks key", MiB(32)),
        Partition("swap", GiB(8)),
        Partition("root", REST),
    )
    disk, size = Disk("/dev/disk/by-id/ata-x", table), 1_000_204_886_016
    found = written(disk, size, tmp_path / "disk")
    assert found is not None
    assert found == places(table.slices, size)
    assert [first // 2048 for first, _ in found] == [1, 1024, 1056, 9248]


def test_random_layouts_are_as_sgdisk_writes_them(tmp_path: Path) -> None:
    draw = random.Random(3)  # noqa: S311 - no secret
    drawn: list[tuple[Disk, int]] = []
    while len(drawn) < RANDOM_LAYOUTS:
        with contextlib.suppress(MistakeError):  # overlaps by itself: refused before any disk is looked at
            drawn.append(random_disk(draw))

    def agrees(number: int) -> tuple[bool, bool]:
        disk, size = drawn[number]
        try:
            ours: list[tuple[int, int]] | None = places(disk.table.slices, size)
        except ValueError:
            ours = None
        return written(disk, size, tmp_path / str(number)) == ours, ours is None

    with ThreadPoolExecutor(64) as threads:  # sgdisk sleeps for a second each time that it has written
        found = list(threads.map(agrees, range(RANDOM_LAYOUTS)))
    assert [drawn[i] for i, (same, _) in enumerate(found) if not same] == []
    refused = sum(too_large for _, too_large in found)
    assert 0 < refused < RANDOM_LAYOUTS // 2, refused


def test_a_wrong_table_is_noticed(tmp_path: Path) -> None:
    table = GPT(Partition("a", Sectors(3001)), Partition("b", REST))
    found = written(Disk("/dev/disk/by-id/ata-x", table), 2**30, tmp_path / "disk")
    assert found != places(GPT(Partition("a", Sectors(3002)), Partition("b", REST)).slices, 2**30)
