"""Those who log in, as user records that systemd's NSS module finds: files below /run/userdb/, and no other database.

The image's own users stay as they are; a user who is no longer told of is gone, with their sessions.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
from typing import TYPE_CHECKING, Any

from nixwright.provisioning.shape import Fault, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FIRST = 20000
LAST = 29999  # users' numbers: below what systemd takes, above what the image gives
_WHEEL = "wheel"


def numbers_for(names: list[str], known: dict[str, int]) -> dict[str, int]:
    """Return a number for each user, and those once given: one that comes back finds their files."""
    numbers = dict(known)
    for name in names:
        if name not in numbers:
            numbers[name] = next(number for number in range(FIRST, LAST) if number not in numbers.values())
    return numbers


def apply_users(directory: Path, shells: dict[str, str], room: Path, homes: Path) -> list[str]:
    """Make users as users.json of the configuration says, and return what was done.

    Raises RefusedError, before anything is changed, where a name or a number is the image's own.
    """
    try:
        wanted: dict[str, dict[str, Any]] = json.loads((directory / "users.json").read_text("utf-8"))
    except FileNotFoundError:
        wanted = {}
    room.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = {path.stem: _uid_of(path) for path in room.glob("*.user") if not path.is_symlink()}
    there = {name: number for name, number in found.items() if FIRST <= number <= LAST}
    new = {name: user["uid"] for name, user in wanted.items() if name not in there}
    for name, number in new.items():
        for looks, kind in (((pwd.getpwnam, pwd.getpwuid), "user"), ((grp.getgrnam, grp.getgrgid), "group")):
            # a number of ours is free again where who had it was forgotten
            if _taken(looks[0], name) or (number not in there.values() and _taken(looks[1], number)):
                raise RefusedError(Fault(("users", name), f"is a {kind} of the image"))
    files = dict(entry for name, user in wanted.items() for entry in _records(name, user, shells, homes))
    for name, user in wanted.items():
        _home(homes / name, user["uid"])
    gone = sorted(there.keys() - wanted.keys())
    for name in gone:
        subprocess.run(["loginctl", "terminate-user", name], capture_output=True, check=False)
    for path in [p for p in room.iterdir() if p.name not in files and p.name.replace(":", ".").split(".")[0] in there]:
        path.unlink()
    made = [
        file.removesuffix(".user") for file, text in files.items() if _put(room / file, text) and file.endswith(".user")
    ]
    _by_number(room, {str(user["uid"]): name for name, user in wanted.items()})
    return [*(f"removed {name}" for name in gone), *(f"made {name}" for name in made)]


def _records(name: str, user: dict[str, Any], shells: dict[str, str], homes: Path) -> Iterable[tuple[str, str]]:
    number = user["uid"]
    record = {
        "userName": name,
        "uid": number,
        "gid": number,
        "disposition": "regular",
        "homeDirectory": str(homes / name),
        "shell": shells.get(user["shell"], "/bin/sh"),
    }
    yield f"{name}.user", json.dumps(record)
    # no password would do; a record without this is a locked one, which an sshd without PAM turns away
    yield f"{name}.user-privileged", json.dumps({"privileged": {"hashedPassword": ["*"]}})
    yield f"{name}.group", json.dumps({"groupName": name, "gid": number, "disposition": "regular"})
    if user["admin"]:
        yield f"{name}:{_WHEEL}.membership", ""


def _taken(look: Any, key: object) -> bool:
    try:
        look(key)
    except KeyError:
        return False
    return True


def _uid_of(path: Path) -> int:
    """Return the number of a record's user; 0 where it is none that can be read."""
    try:
        return int(json.loads(path.read_text("utf-8"))["uid"])
    except (ValueError, KeyError, TypeError):
        return 0


def _put(path: Path, text: str) -> bool:
    """Write a file where it says something else; return whether it did."""
    if path.is_file() and path.read_text("utf-8") == text:
        return False
    made = path.with_name(f".{path.name}")
    made.write_text(text, "utf-8")
    made.chmod(0o600 if path.suffix == ".user-privileged" else 0o644)
    made.rename(path)
    return True


def _by_number(room: Path, names: dict[str, str]) -> None:
    """Make the links by which a number finds its record, and no others."""
    for path in [path for path in room.iterdir() if path.is_symlink() and path.stem not in names]:
        path.unlink()
    for number, name in names.items():
        for kind in ("user", "user-privileged", "group"):
            link = room / f"{number}.{kind}"
            if not link.is_symlink():
                link.symlink_to(f"{name}.{kind}")
            elif str(link.readlink()) != f"{name}.{kind}":
                link.unlink()
                link.symlink_to(f"{name}.{kind}")


def _home(path: Path, number: int) -> None:
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True)
        if os.geteuid() == 0:
            os.chown(path, number, number)
