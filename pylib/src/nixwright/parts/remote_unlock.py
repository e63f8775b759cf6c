"""Unlocking from afar: SSH in stage 1, for who holds the passphrase and stands elsewhere.

Stage 1 is systemd's. Its network is said here in full: what NixOS would derive from `networking.*` is empty as soon as
NetworkManager runs the second stage, and nothing warns.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, ClassVar

from nixwright.bounds import Ge, Le
from nixwright.checks import locked
from nixwright.checks.model import Check, Difference, Sabotage
from nixwright.errors import Mistake
from nixwright.nix.values import Override, force
from nixwright.parts.base import Context, Part
from nixwright.parts.facts import EthernetHardware, SshServer, WiredNetwork
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step
from nixwright.scenarios import unlock
from nixwright.unseen import independent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

_KEY = "/persist/etc/ssh/initrd_ssh_host_ed25519_key"


@record
class RemoteUnlock(Part):
    """An SSH server in stage 1, for the keys of every user in the group wheel, to type the passphrase into.

    `host_key` is a path on the target: the boot loader's installer reads it from there and appends it to the stage 1
    that it puts on the unencrypted boot partition. So it is a key of its own, never the running system's.
    """

    host_key: str
    port: Annotated[int, Ge(1), Le(65535)] = 22

    module: ClassVar[str] = "remote-unlock"
    requires: ClassVar[tuple[type[Fact], ...]] = (WiredNetwork, EthernetHardware)

    def wrong(self) -> Iterator[Mistake]:
        """A key that is no path of the target, or one that everybody could read."""
        if self.host_key.startswith("/nix/store"):
            what = "a private key in the Nix store can be read by everybody"
            yield Mistake("host_key", what, repr(self.host_key), "a path on the target", f'host_key="{_KEY}"')
        elif not re.fullmatch(r"/[A-Za-z0-9_@%+=:,./-]+", self.host_key):
            what = "is no absolute path that a shell takes unquoted"
            yield Mistake("host_key", what, repr(self.host_key), "", f'host_key="{_KEY}"')

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `boot.initrd.*`."""
        network = context.fact(WiredNetwork)
        hardware = context.fact(EthernetHardware)
        if hardware is not None and hardware.modules:
            yield self.set("boot.initrd.availableKernelModules", list(hardware.modules), comment="the wired network")
        if network is not None:
            yield self.set("boot.initrd.systemd.network.enable", value=True)
            yield self.set(f'boot.initrd.systemd.network.networks."10-{network.interface}"', _network(network))
        yield self.set("boot.initrd.network.ssh.enable", value=True)
        yield self.set("boot.initrd.network.ssh.port", self.port, field="port")
        why = "a string, not a Nix path: read from the running system when the boot loader is installed"
        yield self.set("boot.initrd.network.ssh.hostKeys", [self.host_key], field="host_key", comment=why)
        yield self.set("boot.initrd.network.ssh.authorizedKeys", _keys(context))

    def in_vm(self, context: Context) -> Iterator[Difference]:
        """Stage 1 of a VM that opens nothing needs no server, and the key is not there."""
        yield Difference("its host key lies on the host's own disk, and nothing is locked here", without=[self.module])

    def checks(self, context: Context) -> Iterator[Check]:
        """Another machine logs into stage 1 and unlocks a disk, a small one here."""
        network = context.fact(WiredNetwork)
        at = None if network is None or network.address is None else ipaddress.ip_interface(network.address)
        if network is None or isinstance(at, ipaddress.IPv6Interface):  # the check's network is one of IPv4
            return
        beside: dict[str, Value] = {}
        if at is not None:
            neighbour = next(str(a) for a in (at.ip + 1, at.ip - 1) if a in at.network)
            entry: Value = {"address": neighbour, "prefixLength": at.network.prefixlen}
            beside = {"networking.interfaces.eth1.ipv4.addresses": [entry]}
        server = context.fact(SshServer)
        ssh = "boot.initrd.network.ssh"
        yield Check(
            "unlock",
            "SSH in stage 1 takes the passphrase from another machine, and boots on",
            unlock.unlocks_from_afar,
            {
                "port": self.port,
                "address": "" if at is None else str(at.ip),
                "passphrase": locked.PASSPHRASE,
                "opened": locked.OPENED,
                "interface": network.interface,
                "later": 0 if server is None else server.port,
            },
            nodes=[locked.admin(beside)],
            differences=locked.differences(network.interface),
            keeps=[self.module],
            holds={f"{ssh}.enable": True, f"{ssh}.port": self.port},
            sabotages=[
                Sabotage(
                    "no-server",
                    "stage 1 has no SSH server",
                    {f"{ssh}.enable": force(value=False)},
                    judged="evaluation",
                ),
                Sabotage(
                    "other-port",
                    "it listens elsewhere",
                    {f"{ssh}.port": force(self.port % 60000 + 1)},
                    judged="evaluation",
                ),
                Sabotage(
                    "other-host-key",
                    "stage 1 shows a key that nobody knows",
                    {f"{ssh}.hostKeys": Override(40, [locked.test_key("id_ed25519")])},
                ),
            ],
        )

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """There is something to unlock, someone to do it, and a key that survives and is nobody else's."""
        rules = (self._something_to_unlock, self._somebody_unlocks, self._key_survives, self._key_is_its_own)
        return independent(*(rule(context) for rule in rules))

    def _something_to_unlock(self, context: Context) -> Iterator[Mistake]:
        if not context.layout.encrypted:
            what = "the root file system is not encrypted: there is nothing to unlock"
            yield Mistake("RemoteUnlock", what, "", "", "remove it", field_origin(self, ""))

    def _somebody_unlocks(self, context: Context) -> Iterator[Mistake]:
        if not _keys(context):
            what = "nobody could unlock: no user in wheel has an SSH key"
            fix = 'User(..., groups=["wheel"], ssh_keys=["ssh-ed25519 ..."])'
            yield Mistake("RemoteUnlock", what, "", "", fix, field_origin(self, ""))

    def _key_survives(self, context: Context) -> Iterator[Mistake]:
        if not context.layout.survives(self.host_key):
            what = "does not survive a boot: the next install of a boot loader would find no key"
            allowed, where = "a path on a file system that is not wiped", field_origin(self, "host_key")
            yield Mistake("RemoteUnlock.host_key", what, self.host_key, allowed, f'host_key="{_KEY}"', where)

    def _key_is_its_own(self, context: Context) -> Iterator[Mistake]:
        server = context.fact(SshServer)
        if server is not None and server.host_key == self.host_key:
            what = "is the running system's own: it would lie on the unencrypted boot partition"
            allowed, where = "a key of its own", field_origin(self, "host_key")
            yield Mistake("RemoteUnlock.host_key", what, self.host_key, allowed, f'host_key="{_KEY}"', where)

    def steps(self, context: Context) -> Iterator[Step]:
        """Make the key, tell one's own machine of it, use it."""
        name = f"{context.name}-unlock"
        directory = self.host_key.rpartition("/")[0] or "/"
        network = context.fact(WiredNetwork)
        fixed = network is not None and network.address is not None
        address = network.address.partition("/")[0] if network and network.address else context.name
        unknown = "" if fixed else f" Put the host's address where your router does not know the name {context.name}."
        yield Step(
            Phase.SECRETS,
            "The host key of stage 1",
            "It ends up on the unencrypted boot partition, so it is a key of its own, and without a passphrase.",
            f"install -d -m 0755 /mnt{directory}\n"
            f"ssh-keygen -t ed25519 -N '' -C {name} -f /mnt{self.host_key}\n"
            f"ssh-keygen -l -f /mnt{self.host_key}",
            "The last line is the fingerprint to compare at the first unlocking: note it.",
        )
        yield Step(
            Phase.AFTER,
            "An alias on the machine you unlock from",
            "`systemctl default` asks for the passphrase and goes on with the boot; it needs a terminal." + unknown,
            f"cat >> ~/.ssh/config <<'EOF'\n"
            f"Host {name}\n"
            f"  HostName {address}\n"
            f"  Port {self.port}\n"
            f"  User root\n"
            f"  HostKeyAlias {name}\n"
            f"  RequestTTY force\n"
            f"  RemoteCommand systemctl default\n"
            f"EOF",
        )
        yield Step(
            Phase.VERIFY,
            "Unlock from afar",
            "Reboot, and about fifteen seconds later, from that machine:",
            f"ssh {name}",
            "The noted fingerprint, then the question for the passphrase; the connection ends as the system starts.",
        )


def _keys(context: Context) -> list[str]:
    """Return the SSH keys of the users in wheel, each once, in their order."""
    return list(dict.fromkeys(key for user in context.users if "wheel" in user.groups for key in user.ssh_keys))


def _network(network: WiredNetwork) -> dict[str, Value]:
    """Return the interface as systemd.network(5) has it."""
    body: dict[str, Value] = {"matchConfig": {"Name": network.interface}}
    if network.dhcp:
        return body | {"networkConfig": {"DHCP": "yes"}}
    wanted = {"address": network.address, "gateway": network.gateway}
    return body | {name: [value] for name, value in wanted.items() if value is not None}
