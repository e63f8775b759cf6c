"""A way in where nothing else is left: OpenVPN to a server of one's own, where the device was told of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nixwright.parts.base import Context, Part
from nixwright.parts.facts import Provisioned, RecoveryTunnel, SshServer
from nixwright.record import record
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

_INTERFACE = "recovery"


@record
class RecoveryVpn(Part):
    """OpenVPN's client, started where `openvpn/client.conf` lies among what the device was told, and by nothing else.

    Through the tunnel SSH is reached and nothing else; it brings no routes and no names, and nothing is forwarded.
    """

    module: ClassVar[str] = "recovery-vpn"
    requires: ClassVar[tuple[type[Fact], ...]] = (Provisioned, SshServer)

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """The interface through which SSH is reached."""
        return (RecoveryTunnel(_INTERFACE),)

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `services.openvpn` and a path unit that starts it."""
        client = f"{context.all(Provisioned)[0].directory}/openvpn/client.conf"
        why = "what the file says of these comes first and counts for less; the tunnel is a way in, not a way out"
        lines = [f"config {client}", f"dev {_INTERFACE}", "dev-type tun", "route-nopull"]
        yield self.set("services.openvpn.servers.recovery.config", "\n".join(lines) + "\n", comment=why)
        yield self.set("services.openvpn.servers.recovery.autoStart", value=False)
        watched: Value = {
            "wantedBy": ["multi-user.target"],
            "unitConfig": {"RequiresMountsFor": client},
            "pathConfig": {"PathExists": client},
        }
        yield self.set("systemd.paths.openvpn-recovery", watched)
        yield self.set("systemd.services.openvpn-recovery.unitConfig.ConditionPathExists", client)

    def steps(self, context: Context) -> Iterator[Step]:
        """See that it is there when it is needed."""
        client = f"{context.all(Provisioned)[0].directory}/openvpn/client.conf"
        why = f"The first time before the device leaves the house, with a profile of your own server in {client}."
        yield Step(
            Phase.VERIFY,
            "The way in through the VPN",
            why,
            f"systemctl is-active openvpn-recovery.service\nip -br address show {_INTERFACE}",
            "`active`, and an address of the VPN.",
        )
