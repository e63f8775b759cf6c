"""Run the containers of which the device was told, as Quadlet's files in CONFIG/containers say.

`containers-apply.py CONFIG USER UID QUADLET`: files of `rootful` go to the system's manager, those of `rootless` to
USER's. Quadlet itself is asked first whether it can make units of them: where it cannot, nothing changes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST = 65_536  # bytes of a file
NOTHING: dict[str, list[str]] = {"rootful": [], "rootless": [], "restart": []}


class RefusedError(Exception):
    """What was told is wrong: `place: what`."""


@dataclass(frozen=True)
class Manager:
    """A systemd: the system's, or a user's; `files` is root's own directory, to which a link leads Quadlet."""

    scope: str  # "rootful" or "rootless"
    files: Path
    group: int  # who may read the files, beside root: a container's variables may be secret
    as_user: tuple[str, ...] = ()  # what stands before systemctl

    def asks(self, *words: str) -> str:
        """Ask something of it, and return what it says; RefusedError where it refuses."""
        argv = [*self.as_user, "systemctl", *(("--user",) if self.as_user else ()), *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RefusedError(f"systemctl {' '.join(words)} ({self.scope}): {done.stderr.strip()}")
        return done.stdout


def listed(directory: Path) -> dict[str, list[str]]:
    """Return containers.json: units by scope, and those that are restarted each time."""
    file = directory / "containers.json"
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return NOTHING
    try:
        value: Any = json.loads(raw[: LARGEST + 1].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{file}: is no JSON: {str(error)[:80]}") from error
    if not isinstance(value, dict) or value.keys() - NOTHING.keys():
        raise RefusedError(f"{file}: is no table of {', '.join(NOTHING)}")
    for scope, units in value.items():
        if not isinstance(units, list) or not all(isinstance(u, str) and is_unit(u) for u in units):
            raise RefusedError(f"{file}: {scope}: is no list of names of services")
    return NOTHING | value


def is_unit(text: str) -> bool:
    """Tell whether a text names a service, and is no option of systemctl."""
    name = text.removesuffix(".service")
    return name != text and name.replace("-", "a").replace("_", "a").isalnum() and name.isascii() and name[0] != "-"


def read(directory: Path) -> dict[str, bytes]:
    """Return the files of a directory by name; none where there is no directory."""
    if not directory.is_dir():
        return {}
    return {f.name: f.read_bytes() for f in sorted(directory.iterdir()) if f.is_file()}


def understood(quadlet: str, source: Path, scope: str) -> None:
    """Have Quadlet make units of the files without putting them anywhere; RefusedError with what it says."""
    words = [quadlet, "-dryrun", *(["-user"] if scope == "rootless" else [])]
    environment = os.environ | {"QUADLET_UNIT_DIRS": str(source)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
    wrong = [line for line in done.stderr.splitlines() if "Loading source unit" not in line]
    if done.returncode or wrong:
        said = (wrong or [f"status {done.returncode}"])[0].partition(": ")[2] or wrong[0]
        raise RefusedError(f"{source}: {said}")


def unit_of(name: str) -> str:
    """Return the service that Quadlet makes of a file (podman-systemd.unit(5))."""
    stem, _, kind = name.rpartition(".")
    return f"{stem}.service" if kind in ("container", "kube") else f"{stem}-{kind}.service"


def put(files: dict[str, bytes], target: Path, group: int) -> None:
    """Make a directory hold just these files, which a group may read."""
    target.mkdir(mode=0o750, parents=True, exist_ok=True)
    belongs(target, group)
    for name, content in files.items():
        new = target / f".{name}.new"
        new.touch(mode=0o640)
        belongs(new, group)
        new.write_bytes(content)
        new.replace(target / name)
    for name in read(target).keys() - files.keys():
        (target / name).unlink()


def not_taken(manager: Manager, source: Path) -> None:
    """Raise RefusedError where a new unit has the name of one of the image: that would run, and later be stopped."""
    fresh = sorted({unit_of(name) for name in read(source).keys() - read(manager.files).keys()})
    said = manager.asks("show", "--property=Id,FragmentPath", *fresh) if fresh else ""
    for block in said.split("\n\n"):
        about = {key: value for key, _, value in (line.partition("=") for line in block.splitlines())}
        if (path := about.get("FragmentPath", "")) and not path.startswith("/run/"):
            raise RefusedError(f"{about.get('Id')} is a unit of the image ({path}): the container needs another name")


def belongs(path: Path, group: int) -> None:
    """Give a file to a group, where that is ours to do."""
    if os.geteuid() == 0:
        os.chown(path, 0, group)


def apply(manager: Manager, source: Path, units: list[str], again: list[str]) -> list[str]:
    """Make a manager run what was told; return what started or stopped. It is not waited for: images may be fetched."""
    new, old = read(source / manager.scope), read(manager.files)
    gone = sorted({unit_of(name) for name in old.keys() - new.keys()})
    changed = sorted({unit_of(name) for name in new if new[name] != old.get(name) and name in old})
    restarted = [u for u in units if u in changed or u in again]
    if gone:
        manager.asks("stop", *gone)
    if new != old:
        put(new, manager.files, manager.group)
        manager.asks("daemon-reload")
    if changed or restarted:
        manager.asks("--no-block", "try-restart", *dict.fromkeys((*changed, *restarted)))
    if units:
        manager.asks("--no-block", "start", *units)
    return [*gone, *changed]


def main() -> None:
    """Apply once; status 1 where something is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="the directory of what the device was told")
    parser.add_argument("user", help="who runs containers without root")
    parser.add_argument("uid", type=int)
    parser.add_argument("quadlet", help="the program that makes units of files")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where /run is")
    given = parser.parse_args()
    told, target = given.config / "containers", given.root / "run/containers-told"
    runtime = given.root / "run/user" / str(given.uid)
    as_user = ("runuser", "-u", given.user, "--", "env", f"XDG_RUNTIME_DIR={runtime}")
    managers = [Manager("rootful", target / "rootful", 0)]
    if runtime.is_dir() or read(told / "rootless"):
        managers.append(Manager("rootless", target / "rootless", given.uid, as_user))
    try:
        units = listed(given.config)
        for manager in managers:
            if read(told / manager.scope):
                understood(given.quadlet, told / manager.scope, manager.scope)
                not_taken(manager, told / manager.scope)
        for manager in managers:
            for unit in apply(manager, told, units[manager.scope], units["restart"]):
                print(f"[containers-apply] {manager.scope}: {unit}")  # noqa: T201 - the journal reads it
    except (OSError, RefusedError, subprocess.TimeoutExpired) as error:
        sys.exit(f"[containers-apply] {error}")


if __name__ == "__main__":
    main()
