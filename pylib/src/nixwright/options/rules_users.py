"""Rules of users and groups (config/users-groups.nix)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nixwright.options.host_view import UNKNOWN
from nixwright.options.rules_kit import Rule, missing, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.errors import Mistake
    from nixwright.options.host_view import HostView

FIRST_NORMAL = 1000  # the first uid of people
GROUPS = frozenset(
    [
        "adm",
        "audio",
        "cdrom",
        "clock",
        "dialout",
        "disk",
        "floppy",
        "input",
        "keys",
        "kmem",
        "kvm",
        "lp",
        "networkmanager",
        "nixbld",
        "nogroup",
        "render",
        "root",
        "sgx",
        "shadow",
        "systemd-journal",
        "systemd-network",
        "systemd-resolve",
        "systemd-timesync",
        "tape",
        "tty",
        "users",
        "utmp",
        "uucp",
        "video",
        "wheel",
    ]
)
BUILT_IN = {"root", "nobody"}  # users that NixOS defines whole
BASE = "users.users"


def _is(view: HostView, user: str, *field: str) -> Any:
    return view.value(BASE, user, *field)


def password_file(view: HostView) -> Iterator[Mistake]:
    """`passwordFile` is the old name of `hashedPasswordFile`: NixOS only warns, and will drop it."""
    for user in view.below(BASE):
        definition = view.one(BASE, user, "passwordFile")
        if definition:
            what = "is the old name of hashedPasswordFile"
            yield wrong(definition, what, fix=f"set {BASE}.{user}.hashedPasswordFile instead")


def lock_out(view: HostView) -> Iterator[Mistake]:
    """With mutableUsers off, somebody with power must be able to log in."""
    fixed = view.one("users.mutableUsers")
    if not (fixed and fixed.value is False and view.complete) or view.value("users.allowNoPasswordLogin") is True:
        return
    members = view.elements("users.groups.wheel.members")
    for user in {*view.below(BASE), "root"}:
        groups = [_is(view, user, "group"), *view.elements(BASE, user, "extraGroups")]
        if user != "root" and not {"wheel", UNKNOWN} & set(groups) and user not in members:
            continue
        hashed = _is(view, user, "hashedPassword")
        keys = ("keys", "keyFiles")
        if (
            hashed is UNKNOWN
            or (hashed is not None and not re.match("[!*]", hashed))
            or any(_is(view, user, name) is not None for name in ("password", "hashedPasswordFile"))
            or any(view.elements(BASE, user, "openssh", "authorizedKeys", name) for name in keys)
        ):
            return
    what = "locks you out: neither root nor a user in wheel has a password or an ssh key"
    fix = "give a user in wheel ssh_keys or a password, or leave users.mutableUsers as it is"
    yield wrong(fixed, what, given="False", fix=fix)


def kinds_of_users(view: HostView) -> Iterator[Mistake]:
    """A user is a person's or a system's, by name, kind, uid and group."""
    for user, first in view.below(BASE).items():
        if not re.fullmatch(r"[a-zA-Z0-9_.][a-zA-Z0-9_.-]*", user):
            yield wrong(first, "is no user name", given=user, allowed="letters, digits, _ . and, not first, -")
        hashed = view.one(BASE, user, "hashedPassword")
        if hashed and isinstance(hashed.value, str) and ":" in hashed.value:
            yield wrong(hashed, "has a colon in it, which ends the field in /etc/shadow", given="(not shown)")
        if user in BUILT_IN or not view.complete:
            continue
        normal, system, uid = _is(view, user, "isNormalUser"), _is(view, user, "isSystemUser"), _is(view, user, "uid")
        if UNKNOWN in {normal, system, uid}:
            continue
        is_system = system is True or (isinstance(uid, int) and uid < FIRST_NORMAL and normal is not True)
        if normal is True and isinstance(uid, int) and uid < FIRST_NORMAL:
            definition = view.one(BASE, user, "uid")
            if definition:
                yield wrong(
                    definition, "is a system user's, and isNormalUser is set", given=str(uid), allowed="1000 up"
                )
        if is_system == (normal is True):
            what = "is both a normal and a system user" if is_system else "is neither a normal nor a system user"
            yield wrong(first, what, fix=f"set just one of {BASE}.{user}.isNormalUser and isSystemUser")
        elif is_system and _is(view, user, "group") is None:
            yield missing(
                f"{BASE}.{user}.group", "is missing", fix=f'set "{user}" and users.groups.{user}', because=first
            )


def groups_of_users(view: HostView) -> Iterator[Mistake]:
    """A user's own group must be defined; among its others one that is nearly a known one is misspelt."""
    ours = set(view.below("users.groups"))
    anywhere = {name for d in view.definitions if d.path[0] == "services" for name in d.path}
    for user in view.below(BASE):
        group = view.one(BASE, user, "group")
        if group and view.complete and isinstance(group.value, str) and group.value not in GROUPS | ours | anywhere:
            fix = f"set users.groups.{group.value} = {{}}"
            yield wrong(group, "is a group that nothing defines", given=group.value, fix=fix)
        for definition in view.all(BASE, user, "extraGroups"):
            for name in definition.value if isinstance(definition.value, list) else ():
                if not isinstance(name, str) or name in GROUPS | ours | anywhere:
                    continue
                near = _near(name)
                if near and view.complete:
                    yield wrong(definition, "has a group that nothing defines", given=name, fix=f"did you mean {near}?")


def _near(group: str) -> str:
    """Return the known group that a name may have been meant for; empty where it is like none."""
    from difflib import get_close_matches  # noqa: PLC0415 - only an unknown group needs it

    return next(iter(get_close_matches(group, GROUPS, 1, 0.8)), "")


def unique_ids(view: HostView) -> Iterator[Mistake]:
    """Two users, or two groups, of one id are one to the kernel."""
    if view.value("users.enforceIdUniqueness") is False:
        return
    for base, field in ((BASE, "uid"), ("users.groups", "gid")):
        seen: dict[int, str] = {}
        for name in view.below(base):
            definition = view.one(base, name, field)
            if definition and isinstance(definition.value, int):
                if definition.value in seen:
                    what = f"is that of {seen[definition.value]} too"
                    yield wrong(definition, what, given=str(definition.value), fix="give each its own")
                seen.setdefault(definition.value, name)


USERS: tuple[Rule, ...] = (password_file, lock_out, kinds_of_users, groups_of_users, unique_ids)
