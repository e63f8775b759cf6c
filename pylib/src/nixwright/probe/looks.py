"""The ways to look at a disk that this machine has: blkid, mtools, what it has open, pools that it has imported."""

from __future__ import annotations

import os
import re
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
_SECTOR = 512  # of sysfs, whatever the disk has


def looks(*, block: bool) -> Look:
    """What programs there are to look with; a file's containers and pools are open nowhere."""
    return Look(
        kind_of=lambda r: kind_of(r.path, r.start, r.size),
        opened=_opened if block else _closed,
        boot_files=lambda r: boot_files(r.path, r.start),
        datasets=datasets if block else lambda _: None,
        health=health,
        mounted=_mounted if block else lambda _: None,
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


def _mounted(what: Reader | str) -> Path | None:
    """Find where it is mounted: a partition or an open container, or a dataset by its name."""
    if isinstance(what, Reader):
        number = _number(what)
        return next((at for device, _, at in mounts() if device == number), None)
    return next((at for _, source, at in mounts() if source == what), None)


def mounts(table: Path = Path("/proc/self/mountinfo")) -> Iterator[tuple[str, str, Path]]:
    """Yield each whole file system that is mounted: the device's number, what is mounted, where (proc(5))."""
    for line in table.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        _, _, number, root, at, *_ = before.split(" ")
        if root == "/":
            yield number, _plain(after.split(" ")[1]), Path(_plain(at))


def _plain(escaped: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), escaped)


def _number(inside: Reader) -> str:
    """Return the number of the device that is just this run of bytes, as "8:17"; empty where there is none."""
    found = os.stat(inside.path).st_rdev  # noqa: PTH116 - a device node, links followed
    whole = Path(f"/sys/dev/block/{os.major(found)}:{os.minor(found)}")
    if not inside.start:
        return f"{os.major(found)}:{os.minor(found)}"
    for part in whole.glob("*/partition"):
        if int((part.parent / "start").read_text()) * _SECTOR == inside.start:
            return (part.parent / "dev").read_text().strip()
    return ""


def _dm_uuid(path: Path) -> str:
    number = os.stat(path).st_rdev  # noqa: PTH116 - a device node, links followed
    file = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/dm/uuid")
    return file.read_text(encoding="ascii") if file.exists() else ""
