"""A host and its users: what a host file binds."""

from __future__ import annotations

import re
from collections.abc import (
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import KW_ONLY, field
from typing import TYPE_CHECKING, Any, TypeAlias

from nixwright.checks.model import Check  # noqa: TC001 - records are built from their annotations
from nixwright.errors import Mistake
from nixwright.groups import about_group, nobody_defines
from nixwright.installers.base import Installer  # noqa: TC001 - as above
from nixwright.layout.disk import Disk  # noqa: TC001 - as above
from nixwright.layout.model import Layout
from nixwright.options.settings import Setting
from nixwright.parts.base import Context, Fact, Part, UserView
from nixwright.record import field_origin, is_broken, origin_of, record, shown
from nixwright.reference import Reference, Secret, SecretFile, Use
from nixwright.report.mistakes import HIDDEN
from nixwright.runbook import Phase, Step
from nixwright.ssh_key import wrong_with
from nixwright.unseen import UNSEEN, UnseenError, independent, is_open, is_unseen, right, wrong_fields

if TYPE_CHECKING:
    from nixwright.nix.values import Value

    _Values: TypeAlias = Mapping[str, Value]
else:
    _Values = Mapping[str, Any]  # what the values may be, the option schema knows

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
HOST_NAME = "up to 63 of a-z, 0-9 and -, no - at either end"
_HOST_ID = re.compile(r"[0-9a-fA-F]{8}")
_RELEASE = re.compile(r"\d\d\.(05|11)")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


@record
class User:
    """A user of the host, or `root`. `password` refers to the hash that `mkpasswd` prints, never to the password."""

    name: str
    groups: Sequence[str] = ()
    ssh_keys: Sequence[str] = ()
    password: Secret | None = None

    def wrong(self) -> Iterator[Mistake]:
        """Names that are none, keys that are none."""
        if not _ACCOUNT.fullmatch(self.name):
            allowed = "up to 31 of a-z, 0-9, _ and -, the first a letter or _"
            yield Mistake("name", "is no user name", repr(self.name), allowed, 'User("ivan")')
        for index, key in enumerate(self.ssh_keys):
            why = wrong_with(key)
            if why:
                private = "PRIVATE" in key
                given = HIDDEN if private else repr(key if len(key) <= _KEY_SHOWN else f"{key[:_KEY_SHOWN]}...")
                fix = "the line of the file that ends in .pub"
                yield Mistake(f"ssh_keys[{index}]", why, given, "TYPE BASE64 COMMENT, as ssh-keygen prints it", fix)

    @property
    def can_become_root(self) -> bool:
        """Whether the user is root or may use sudo."""
        return self.name == "root" or "wheel" in self.groups

    @property
    def can_log_in(self) -> bool:
        """Whether there is anything to log in with."""
        return self.password is not None or bool(self.ssh_keys)


_KEY_SHOWN = 40  # characters of a key that a message shows


@record
class Host:
    """One machine: a board, disks, parts, users.

    `settings` maps Nix attribute paths of NixOS options to values, and outranks the parts. `imports` are modules of the
    user's own, named from the host file's directory and left alone. `host_id` is needed with ZFS.
    `installer` is the way onto the machine (an SD card, ...); `secrets` are those that only `settings` refer to.
    `checks` are the user's own, beside those of the parts.
    """

    name: str
    _: KW_ONLY
    host_id: str | None = None
    state_version: str
    board: Part
    disks: Sequence[Disk] = ()
    parts: Sequence[Part] = ()
    installer: Installer | None = None
    users: Sequence[User] = ()
    settings: _Values = field(default_factory=dict)
    imports: Sequence[str] = ()
    secrets: Sequence[Secret] = ()
    checks: Sequence[Check] = ()

    def wrong(self) -> Iterator[Mistake]:
        """What the types cannot say."""
        if not is_host_name(self.name):
            yield Mistake("name", "is no host name", repr(self.name), HOST_NAME, 'name="pibox"')
        if self.host_id is not None and (not _HOST_ID.fullmatch(self.host_id) or not int(self.host_id, 16)):
            allowed = "8 hexadecimal digits, not all 0"
            yield Mistake("host_id", "is no hostId", repr(self.host_id), allowed, NEW_ID)
        if not _RELEASE.fullmatch(self.state_version):
            fix = "the release that the host was first installed with"
            yield Mistake("state_version", "is no NixOS release", repr(self.state_version), 'as in "26.05"', fix)
        for index in sorted(self._again):
            given = shown(self.parts[index])
            yield Mistake(f"parts[{index}]", "is given twice", given, "each part once", "remove one of the two")
        names: dict[str, int] = {}
        for index, user in enumerate(self.users):
            if is_unseen(user) or is_unseen(user.name):
                continue
            if names.setdefault(str(user.name), index) != index:
                fix = "rename one, or make one of the two"
                yield Mistake(f"users[{index}].name", "two users of one name", repr(user.name), "", fix)

    def layout(self) -> Layout:
        """Return the layout of the disks; what is wrong with the whole of it is reported."""
        return Layout.of(self.disks)

    @property
    def _again(self) -> set[int]:
        """The parts that stand there before already, by their positions."""
        known = [(i, p) for i, p in enumerate(self.parts) if not is_unseen(p)]
        return {i for at, (i, part) in enumerate(known) if any(_is_same(part, p) for _, p in known[:at])}

    @property
    def members(self) -> list[Part]:
        """The board, the parts and the installer, as far as they are known, each once."""
        parts = () if is_unseen(self.parts) else self.parts
        again = self._again if "parts" in wrong_fields(self) and parts else ()
        once = [p for i, p in enumerate(parts) if i not in again]
        return [p for p in (self.board, *once, self.installer) if p is not None and not is_unseen(p)]

    def secret_uses(self) -> Iterator[tuple[Reference, Use]]:
        """Every reference to a secret with what it is for: the users' passwords, what parts need, `secrets`."""
        for user in self.known_users():
            if user.password is not None and not is_broken(user.password):
                yield user.password, Use(f"the password of `{user.name}`", "User.password", hashed=True)
        yield from independent(*(part.secrets() for part in self.members))
        own = () if is_unseen(self.secrets) else self.secrets
        yield from ((s, Use("a secret", "Host.secrets")) for s in own if not is_broken(s))

    def known_users(self) -> list[User]:
        """Return the users that are known by name."""
        users = () if is_unseen(self.users) else self.users
        return [u for u in users if not is_unseen(u) and not is_unseen(u.name)]

    def context(self, layout: Layout) -> Context:
        """Return what parts see of this host."""
        seen = UNSEEN if layout.open else layout
        facts: list[Fact] = []
        unsure: list[type[Fact]] = (
            [Fact] if is_unseen(self.parts) or is_unseen(self.board, *self.parts, self.installer) else []
        )
        for part in self.members:
            try:
                facts += part.provides(seen)
            except UnseenError:
                unsure += _kinds(part, layout)
        users = UNSEEN if is_unseen(self.users) else [_view(u) for u in self.users]
        system = getattr(self.board, "system", "aarch64-linux") if not is_unseen(self.board) else UNSEEN
        return Context(self.name, self.host_id, self.state_version, system, seen, users, facts, tuple(unsure))

    def own_settings(self) -> Iterator[Setting]:
        """What the host itself says, and its users."""
        yield Setting(("networking", "hostName"), self.name, field_origin(self, "name"), "Host.name", "", "default")
        if self.host_id is not None:
            origin = field_origin(self, "host_id")
            yield Setting(("networking", "hostId"), self.host_id, origin, "Host.host_id", "", "default")
        origin = field_origin(self, "state_version")
        yield Setting(
            ("system", "stateVersion"), self.state_version, origin, "Host.state_version", _STATE_VERSION, "default"
        )
        users = self.known_users()
        if users:
            # a password file counts only for a user's first day otherwise (nixos/modules/config/users-groups.nix)
            yield Setting(("users", "mutableUsers"), False, field_origin(self, "users"), "Host.users", "", "users")  # noqa: FBT003
        for user in users:
            yield from _user_settings(user)

    def steps(self, layout: Layout) -> Iterator[Step]:
        """Install steps: the secrets that a person writes once, and the installation itself."""
        uses = list(self.secret_uses())
        yield from dict.fromkeys(s for reference, use in uses for s in reference.steps(use, layout))
        if layout.partitioned:
            why = "Root's password is not asked for: who may log in stands in the host file."
            command = f"nixos-install --root /mnt --flake .#{self.name} --no-channel-copy --no-root-password"
            yield Step(Phase.INSTALL, "NixOS onto the mounted disks", why, command, "`installation finished!`")

    def rules(self, layout: Layout, settings: Sequence[Setting]) -> Iterator[Mistake]:
        """Rules over the whole host that are nobody else's; `settings` are all that it lowers to."""
        if layout.has_zfs and self.host_id is None:
            allowed = "8 hexadecimal digits: ZFS knows by it whose a pool is"
            yield Mistake("Host.host_id", "is missing, and ZFS needs one", "", allowed, NEW_ID, origin_of(self))
        paths = {s.path for s in settings if s.value is not False}
        open_world = is_unseen(self.imports, self.parts, self.settings) or bool(self.imports) or is_open(self.parts)
        users = () if open_world else self.known_users()
        groups = list(independent(*(_groups(user, paths) for user in users)))
        yield from groups
        seen = UNSEEN if layout.open else layout
        yield from independent(*(reference.rules(seen, use) for reference, use in self.secret_uses()))
        if not any(m.fix.endswith(" wheel?") for m in groups):  # one who was meant to be in it is told of
            yield from independent(self._administered())

    def _administered(self) -> Iterator[Mistake]:
        """Somebody can log in and become root."""
        if self.users and not any(u.can_become_root and u.can_log_in for u in self.users):
            given = ", ".join(f"{u.name}: groups {list(u.groups)}" for u in self.users)
            allowed = "root, or a user in wheel, with a password or an ssh key"
            fix = f'User({self.users[0].name!r}, groups=["wheel"], ssh_keys=[...])'
            yield Mistake(
                "Host.users", "nobody could administer the host", given, allowed, fix, field_origin(self, "users")
            )


def _is_same(part: Part, other: Part) -> bool:
    if type(part) is not type(other):
        return False
    return not part.several or (not (is_open(part) or is_open(other)) and part == other)


def is_host_name(text: str) -> bool:
    """Tell whether a text can be the name of a host, and of its directory."""
    return _LABEL.fullmatch(text) is not None


NEW_ID = "make one: head -c 4 /dev/urandom | od -A n -t x4"
_STATE_VERSION = "The release of the first installation: it stays when NixOS is upgraded."


def _kinds(part: Part, layout: Layout) -> list[type[Fact]]:
    """Return the kinds of facts that a part may provide: they do not hang on the layout, where it is itself whole."""
    try:
        return [Fact] if is_open(part) else [type(f) for f in part.provides(layout)]
    except UnseenError:
        return [Fact]


def _view(user: User) -> UserView:
    """Return a user as parts see it; one that is not known cannot be looked at."""
    if is_unseen(user):
        return UserView(UNSEEN, UNSEEN, UNSEEN)
    file = user.password.path if isinstance(user.password, SecretFile) and not is_broken(user.password) else ""
    groups, keys = right(user, "groups"), right(user, "ssh_keys")
    groups, keys = (each if is_unseen(each) else tuple(each) for each in (groups, keys))
    return UserView(right(user, "name"), groups, keys, file)


def _user_settings(user: User) -> Iterator[Setting]:
    def said(name: str, value: Value, field: str) -> Setting:
        names = ("users", "users", user.name, *name.split("."))
        return Setting(names, value, field_origin(user, field), f"User.{field}", "", "users")

    if user.name != "root":
        yield said("isNormalUser", True, "name")  # noqa: FBT003
    if not is_unseen(user.groups) and user.groups:
        yield said("extraGroups", list(user.groups), "groups")
    if not is_unseen(user.ssh_keys) and user.ssh_keys:
        yield said("openssh.authorizedKeys.keys", list(user.ssh_keys), "ssh_keys")
    if user.password is not None and not is_broken(user.password):
        yield said("hashedPasswordFile", user.password.at, "password")


def _groups(user: User, paths: set[tuple[str, ...]]) -> Iterator[Mistake]:
    """Groups that nothing defines."""
    for index, group in enumerate(user.groups):
        if not is_unseen(group) and nobody_defines(group, paths):
            origin = field_origin(user, f"groups[{index}]")
            allowed = "a group of NixOS, or of something that this host turns on"
            fix = about_group(group)
            yield Mistake(f"User.groups[{index}]", "nothing defines this group", repr(group), allowed, fix, origin)
