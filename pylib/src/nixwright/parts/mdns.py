"""mDNS: the host answers to NAME.local, on a network whose router knows no names."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from nixwright.parts.base import Context, Part
from nixwright.parts.facts import WifiNetwork
from nixwright.record import record
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.options.settings import Setting

_NM_ANSWERS = 2  # connection.mdns "yes": resolve and answer (nm-settings(5))


@record
class Mdns(Part):
    """Publish the host's name and addresses, by avahi or by systemd-resolved, and resolve those of others."""

    by: Literal["avahi", "resolved"] = "avahi"

    module: ClassVar[str] = "mdns"

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `services.avahi`, or `services.resolved` with what is in its way."""
        if self.by == "avahi":
            yield self.set("services.avahi.enable", value=True)
            yield self.set(
                "services.avahi.nssmdns4", value=True, comment="other hosts' .local names, for every program"
            )
            yield self.set("services.avahi.publish.enable", value=True)
            yield self.set("services.avahi.publish.addresses", value=True)
            yield self.set("services.avahi.openFirewall", value=True, comment="UDP 5353")
            return
        yield self.set("services.resolved.enable", value=True)
        yield self.set("services.resolved.settings.Resolve.MulticastDNS", value=True)
        yield self.set("networking.firewall.allowedUDPPorts", [5353], comment="mDNS")
        wifi = context.fact(WifiNetwork)
        if wifi is not None and wifi.by == "NetworkManager":
            why = "resolved answers only on interfaces whose manager says so"
            yield self.set('networking.networkmanager.connectionConfig."connection.mdns"', _NM_ANSWERS, comment=why)

    def steps(self, context: Context) -> Iterator[Step]:
        """Ask for the name from elsewhere."""
        why = "From another machine of the same network: no router and no hosts file has to know the name."
        command = f"getent ahosts {context.name}.local || avahi-resolve -n {context.name}.local"
        yield Step(Phase.VERIFY, "The name is known", why, command, "It prints the host's address.")
