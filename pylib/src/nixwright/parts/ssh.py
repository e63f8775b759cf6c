"""SSH: keys only, no root, and a host key that the next boot still has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from nixwright.bounds import Ge, Le
from nixwright.checks.model import SERVICES, Check, Sabotage
from nixwright.errors import Mistake
from nixwright.every_host import CLIENT, interface_of
from nixwright.nix.values import force
from nixwright.parts.base import Context, Part
from nixwright.parts.facts import SshServer
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step
from nixwright.scenarios import access
from nixwright.unseen import independent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

_OTHER: Value = {"type": "ed25519", "path": "/etc/ssh/elsewhere"}
_KEY = "/etc/ssh/ssh_host_ed25519_key"


@record
class Ssh(Part):
    """OpenSSH's server. `host_key` None is /etc/ssh where that survives a boot, else the same below /persist or /data.

    `root` lets root in, by key: what installs a machine needs it, a host does not.
    """

    port: Annotated[int, Ge(1), Le(65535)] = 22
    host_key: str | None = None
    root: bool = False

    module: ClassVar[str] = "ssh"

    def wrong(self) -> Iterator[Mistake]:
        """A host key that is no path of the target."""
        if self.host_key is not None and not self.host_key.startswith("/"):
            yield Mistake("host_key", "is no absolute path", repr(self.host_key), "", f'"/persist{_KEY}"')

    def _host_key(self, layout: Layout) -> str:
        """Return where the host key is kept; empty where nothing survives. An image's file systems are not known."""
        if self.host_key is not None or not layout.mounts:
            return self.host_key or _KEY
        return next((p for p in (_KEY, f"/persist{_KEY}", f"/data{_KEY}") if layout.survives(p)), "")

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """The port and the host key."""
        return (SshServer(self.port, self._host_key(layout)),)

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `services.openssh.*`."""
        yield self.set("services.openssh.enable", value=True)
        if self.port != 22:  # noqa: PLR2004 - what NixOS has without it
            yield self.set("services.openssh.ports", [self.port], field="port")
        key = {"type": "ed25519", "path": self._host_key(context.layout)}
        yield self.set("services.openssh.hostKeys", [key], field="host_key")
        yield self.set("services.openssh.settings.PasswordAuthentication", value=False)
        yield self.set("services.openssh.settings.KbdInteractiveAuthentication", value=False)
        yield self.set(
            "services.openssh.settings.PermitRootLogin", "prohibit-password" if self.root else "no", field="root"
        )

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """The host key survives a boot, and somebody can log in."""
        return independent(self._key_survives(context), self._somebody_logs_in(context))

    def _key_survives(self, context: Context) -> Iterator[Mistake]:
        key = self._host_key(context.layout)
        if context.layout.mounts and not context.layout.survives(key):
            yield Mistake(
                "Ssh.host_key",
                "the host key does not survive a boot: clients would refuse the host after each",
                key or "no dataset that is kept holds /etc/ssh or /persist",
                "a path on a dataset that is not wiped",
                f'Ssh(host_key="/persist{_KEY}")',
                field_origin(self, "host_key"),
            )

    def _somebody_logs_in(self, context: Context) -> Iterator[Mistake]:
        if not any(user.ssh_keys for user in context.users):
            yield Mistake(
                "Ssh",
                "nobody can log in: passwords are off, and no user has an SSH key",
                fix='User(..., ssh_keys=["ssh-ed25519 ..."])',
                origin=field_origin(self, ""),
            )

    def checks(self, context: Context) -> Iterator[Check]:
        """Keys only, never root, and the key that is kept."""
        interface = interface_of(context)
        keys = {u.name: list(u.ssh_keys) for u in context.users if u.ssh_keys and u.name != "root"}
        options = "services.openssh.settings"
        gone = {f"users.users.{user}.openssh.authorizedKeys.keys": force([]) for user in keys}
        login = {f"{options}.PasswordAuthentication": force(value=True)}
        root = {f"{options}.PermitRootLogin": force("yes")}
        sabotages = [
            Sabotage("password-login", "passwords are taken", login, judged="evaluation"),
            Sabotage("root-login", "root may log in", root, judged="evaluation"),
        ]
        yield Check(
            SERVICES,
            "SSH takes the keys of the description, no password, no other key, and never root",
            access.ssh_takes_keys_only,
            {"interface": interface, "port": self.port, "keys": keys},
            holds={
                f"{options}.PasswordAuthentication": False,
                f"{options}.KbdInteractiveAuthentication": False,
                f"{options}.PermitRootLogin": "no",
            },
            nodes=[CLIENT],
            container=True,
            sabotages=[*sabotages, *([Sabotage("keys-lost", "nobody's key is there", gone)] if gone else [])],
        )
        yield Check(
            SERVICES,
            "SSH shows the host key that is kept",
            access.ssh_host_key_is,
            {"interface": interface, "port": self.port, "path": self._host_key(context.layout)},
            nodes=[CLIENT],
            container=True,
            sabotages=[
                Sabotage(
                    "no-host-key",
                    "the server makes up its keys elsewhere",
                    {"services.openssh.hostKeys": force([_OTHER])},
                )
            ],
        )

    def steps(self, context: Context) -> Iterator[Step]:
        """Look at the fingerprint at the end."""
        user = next((u.name for u in context.users if u.ssh_keys), "root")
        port = f" -p {self.port}" if self.port != 22 else ""  # noqa: PLR2004 - ssh's own default
        yield Step(
            Phase.VERIFY,
            "SSH takes keys only",
            "The first command must work, the second must be refused.",
            f"ssh{port} {user}@{context.name} true\n"
            f"ssh{port} -o PreferredAuthentications=password,keyboard-interactive {user}@{context.name}",
            "`Permission denied (publickey)` from the second.",
        )
