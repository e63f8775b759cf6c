"""Configurations on the device's disk: each whole in a directory of its own, and one link that says which is in force.

    config.toml -> current/config.toml      so for all that a promotion brings
    current -> generations/7                the one thing that changes, by one rename
    generations/6/ generations/7/           each flushed to the disk before anything points to it
    pending                                 there while a promotion is not decided: from, to

Whatever moment the power fails at, `current` points to the old one or to the new one, and `recover` decides at boot.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.provisioning.derived import DERIVED
from nixwright.provisioning.shape import Fault, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CANDIDATE = ".candidate"


class ActivationError(Exception):
    """The configuration was promoted, did not work, and was taken back."""


class BusyError(RefusedError):
    """Another configuration is being put in force."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__(Fault((), "another configuration is being applied right now: try again later"))


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the one lock of a configuration's directory; raise BusyError where another holds it."""
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError from None
        yield
    finally:
        os.close(handle)


def current(directory: Path) -> int | None:
    """Return the number of the configuration in force; None for a device that was never told."""
    try:
        name = Path(directory / "current").readlink().name
    except OSError:
        return None
    return int(name) if name.isdigit() and _generation(directory, int(name)).is_dir() else None


def _generation(directory: Path, number: int) -> Path:
    return directory / "generations" / str(number)


def candidate(directory: Path) -> Path:
    """Return an empty directory for a configuration that nothing points to; what another left there is gone.

    Until it is promoted nobody else can look into it: its files are not all as secret as they will be.
    """
    room = directory / "generations"
    room.mkdir(parents=True, exist_ok=True)
    made = room / _CANDIDATE
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    return made


def promote(directory: Path, made: Path, activate: Callable[[], None]) -> int:
    """Put a candidate in force and return its number.

    Raises ActivationError where `activate` does: then the configuration before is in force again, and activated.
    """
    _links(directory)
    before = current(directory)
    taken = [int(path.name) for path in (directory / "generations").iterdir() if path.name.isdigit()]
    number = max(taken, default=0) + 1
    made.chmod(0o755)  # whatever the umask
    _flush(made)
    made.rename(_generation(directory, number))
    flush_directory(directory / "generations")
    _write(directory / "pending", json.dumps({"from": before, "to": number}))
    _switch(directory, number)
    try:
        activate()
    except ActivationError as error:
        _switch(directory, before)
        with suppress(ActivationError):  # what it says of the old one is in the journal; the new one's failure is told
            activate()
        _decided(directory)
        raise ActivationError(str(error)) from None
    _decided(directory, before)
    return number


def recover(directory: Path) -> str:
    """Decide what a power cut left undecided, and say what was done; empty for nothing.

    The configuration before comes back; a first one, before which there is none, stays.
    """
    with locked(directory):
        _links(directory)
        try:
            pending = json.loads((directory / "pending").read_text("utf-8"))
            before, number = pending["from"], pending["to"]
        except FileNotFoundError:
            shutil.rmtree(directory / "generations" / _CANDIDATE, ignore_errors=True)
            return ""
        except (
            ValueError,
            KeyError,
            TypeError,
        ):  # never written in part, so this is a broken disk: keep what is in force
            before = number = None
        said = f"configuration {number} was not confirmed"
        if before is not None and _generation(directory, before).is_dir():
            _switch(directory, before)
            said += f": {before} is in force again"
        elif current(directory) is not None:
            said += ", and stays: there is none before it"
        _decided(directory)
        return said


def _links(directory: Path) -> None:
    """Make the names by which programs know what is derived. What lies there of an older kind is moved for nobody."""
    for name in DERIVED:
        link, target = directory / name, Path("current", name)
        if link.is_symlink() and link.readlink() == target:
            continue
        if link.is_dir() and not link.is_symlink():
            with suppress(OSError):  # an empty one is the image's, made beforehand
                link.rmdir()
        if link.exists() or link.is_symlink():
            raise RefusedError(Fault((), f"{link} is in the way: it is no link of a configuration"))
        link.symlink_to(target)
    flush_directory(directory)


def _switch(directory: Path, number: int | None) -> None:
    link, made = directory / "current", directory / ".current"
    if number is None:
        link.unlink(missing_ok=True)
    else:
        made.unlink(missing_ok=True)
        made.symlink_to(Path("generations", str(number)))
        made.rename(link)
    flush_directory(directory)


def _decided(directory: Path, keep: int | None = None) -> None:
    """Forget the promotion, and remove all configurations but the one in force and the one to keep."""
    (directory / "pending").unlink(missing_ok=True)
    flush_directory(directory)
    kept = {str(number) for number in (current(directory), keep) if number is not None}
    for path in (directory / "generations").iterdir():
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    made = path.with_name(f".{path.name}")
    with made.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    made.rename(path)
    flush_directory(path.parent)


def _flush(directory: Path) -> None:
    for place, _, files in os.walk(directory):
        for name in files:
            handle = os.open(Path(place, name), os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        flush_directory(Path(place))


def flush_directory(directory: Path) -> None:
    """Flush a directory's entries to the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(handle)
    os.close(handle)
