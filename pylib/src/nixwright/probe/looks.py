"""The ways to look at a disk that this machine has: blkid, mtools, what it has open, pools that it has imported."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.probe.compare import Look
from nixwright.probe.reader import Reader, open_reader
from nixwright.tools.boot_files import boot_files
from nixwright.tools.signatures import datasets, health, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAPPED = Path("/dev/mapper")


def looks(*, block: bool) -> Look:
    """What programs there are to look with; a file's containers and pools are open nowhere."""
    return Look(
        kind_of=lambda r: kind_of(r.path, r.start, r.size),
        opened=_opened if block else _closed,
        boot_files=lambda r: boot_files(r.path, r.start),
        datasets=datasets if block else lambda _: None,
        health=health,
    )


@contextmanager
def _opened(name: str, uuid: str) -> Iterator[Reader | None]:
    """Give the inside of a container where it is open, and is no other of the same name: the kernel knows its UUID."""
    path = _MAPPED / name
    if not path.exists() or uuid.replace("-", "") not in _dm_uuid(path):
        yield None
        return
    with open_reader(str(path)) as reader:
        yield reader


@contextmanager
def _closed(_name: str, _uuid: str) -> Iterator[Reader | None]:
    yield None


def _dm_uuid(path: Path) -> str:
    number = os.stat(path).st_rdev  # noqa: PTH116 - a device node, links followed
    file = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/dm/uuid")
    return file.read_text(encoding="ascii") if file.exists() else ""
