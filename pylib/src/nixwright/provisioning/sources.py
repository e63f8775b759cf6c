"""Where a device that was never told looks: the boot partition of a fresh flash, then each USB stick."""

from __future__ import annotations

import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.provisioning.activation import take
from nixwright.provisioning.bundle import LIMITS
from nixwright.provisioning.derived import SOURCE, WrongConfigError
from nixwright.provisioning.shape import RefusedError
from nixwright.provisioning.store import ActivationError, BusyError, current, flush_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nixwright.provisioning.device import Device

Key = tuple[str, int]  # a source, and when it came
NAMES = (SOURCE, "config.tar.gz", "config.tar.zst")
_STEP_SECONDS = 2.0
_AGAIN, _AT_MOST = 60.0, 3600.0  # seconds until what did not work is tried again: the first time, and ever
_BY = ("by-label", "by-partlabel", "by-uuid")


def told_wrong(error: RefusedError | ActivationError) -> str:
    """Return what is wrong, as a person reads it."""
    if isinstance(error, WrongConfigError):
        return error.report()
    if isinstance(error, RefusedError):
        return "\n".join(fault.line() for fault in error.faults)
    return f"the configuration does not work and was taken back: {error}"


def import_first(device: Device, run: Path, say: Callable[[str], None], *, wait: bool) -> bool:
    """Take the first source that is right; with `wait`, look again until the device was told by whatever way.

    What is wrong is left alone; what did not work is tried again, later each time: the network may not have been there
    yet, or the right time. The last refusal lies in `run`, where the page shows it.
    """
    directory = Path(device.directory)
    seed_left = seed_mark(device)
    seen: set[Key] = set()
    later: dict[Key, tuple[float, float]] = {}  # when again, and how long that was put off
    while current(directory) is None:
        put_off = {key for key, (due, _) in later.items() if time.monotonic() < due}
        for name, key, path in _found(device, run, seen, put_off, seed_left=seed_left):
            say(f"found {name}")
            try:
                take(path, device, say, first=True)
            except (RefusedError, ActivationError) as error:
                text = f"{name} is refused:\n{told_wrong(error)}"
                say(text)
                (run / "refused").write_text(text, "utf-8")
                if isinstance(error, RefusedError) and not isinstance(error, BusyError):
                    seen.add(key)
                else:
                    pause = min(2 * later[key][1], _AT_MOST) if key in later else _AGAIN
                    later[key] = time.monotonic() + pause, pause
                    say(f"{name} is tried again in {pause / 60:g} min")
            else:
                break
        if not wait:
            break
        if current(directory) is None:
            time.sleep(_STEP_SECONDS)
    if current(directory) is None:
        return False
    (directory / "seed-allowed").unlink(missing_ok=True)
    (run / "refused").unlink(missing_ok=True)
    return True


def seed_mark(device: Device) -> bool:
    """Tell whether the boot partition's file counts: at the first boot of a fresh flash.

    A power cut in that boot takes the flash's mark away, so it is written down where it stays.
    """
    mark = Path(device.directory, "seed-allowed")
    if device.seed and device.fresh and Path(device.fresh).exists() and current(mark.parent) is None:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        flush_directory(mark.parent)
    return bool(device.seed) and mark.exists()


def _found(
    device: Device, run: Path, seen: set[Key], put_off: set[Key], *, seed_left: bool
) -> Iterator[tuple[str, Key, Path]]:
    """Each source that was not refused already and is not put off, with its name and what it is known by."""
    seed = Path(device.seed)
    if seed_left and seed.is_file():
        key = (str(seed), seed.stat().st_mtime_ns)
        if key not in seen | put_off:
            yield str(seed), key, seed
    for link in _sticks(device):
        key = (str(link), link.lstat().st_mtime_ns)  # made anew each time that a stick is plugged in
        if key in seen | put_off:
            continue
        with _mounted(link, run) as place:
            names = [name for name in NAMES if place is not None and (place / name).is_file()]
            if place is None or not names:
                seen.add(key)
                continue
            copy = run / "stick"
            try:
                _copy(place / names[0], copy)
            except OSError:
                seen.add(key)
                continue
        try:
            yield f"{names[0]} on {link.name}", key, copy
        finally:
            copy.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a file off a stick; of one that is too large anyway, no more than shows that."""
    with source.open("rb") as file, target.open("wb") as copy:
        copy.write(file.read(LIMITS.source + 1))


def _sticks(device: Device) -> list[Path]:
    """Return the links to partitions that may be a stick's, a partition once."""
    found: dict[Path, Path] = {}
    for kind in _BY:
        room = Path(device.sticks, kind)
        for link in sorted(room.iterdir()) if room.is_dir() else []:
            found.setdefault(link.resolve(), link)
    own = _own(device)
    return [link for target, link in found.items() if target not in own]


def _own(device: Device) -> set[Path]:
    """Return the partitions of the device's own disk, by the names that its table gives them."""
    room = Path(device.sticks, "by-partlabel")
    links = room.iterdir() if room.is_dir() else ()
    return {link.resolve() for link in links if link.name.lower() in device.labels}


@contextmanager
def _mounted(link: Path, run: Path) -> Iterator[Path | None]:
    """A stick's files, read only; None where it is no vfat."""
    place = tempfile.mkdtemp(prefix="stick-", dir=run)
    argv = ["mount", "-t", "vfat", "-o", "ro,nosuid,nodev,noexec", str(link), place]
    mounted = subprocess.run(argv, capture_output=True, check=False).returncode == 0
    try:
        yield Path(place) if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", place], capture_output=True, check=False)
        Path(place).rmdir()
