"""What a gateway asks of the rest of its host: SSH and a page where it opens them, and interfaces of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.errors import Mistake
from nixwright.parts.facts import Provisioned, SshServer, WiredNetwork
from nixwright.record import field_origin
from nixwright.unseen import independent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nixwright.parts.base import Context
    from nixwright.parts.gateway import Gateway

PAGE = 8080  # where the LAN finds the page that provisions a device; whoever reaches it configures the device
LASTS = "/data/config/ssh-wan-enabled"


def ports(tcp: Sequence[int], udp: Sequence[int]) -> str:
    """Return ports as the arguments of `Inbound`."""
    return ", ".join(f"{kind}={list(those)}" for kind, those in (("tcp", tcp), ("udp", udp)) if those)


def host_mistakes(gateway: Gateway, context: Context) -> Iterator[Mistake]:
    """Yield what is wrong between the gateway and its host."""
    switch = (_switch_lasts(gateway, context), _switch_opens(gateway, context))
    return independent(*switch, _alone(gateway, context), _page_is_there(gateway, context))


def _page_is_there(gateway: Gateway, context: Context) -> Iterator[Mistake]:
    provisioned = context.fact(Provisioned)
    if provisioned is None and gateway.page_on_wan:
        what, where = "there is no page that it could open", field_origin(gateway, "page_on_wan")
        yield Mistake("Gateway.page_on_wan", what, "", "a host with Provisioning", "Provisioning()", where)
    elif provisioned is not None and provisioned.port in gateway.wan_inbound.tcp and provisioned.port != PAGE:
        what = "is the page that provisions the device: it is for the LAN alone"
        others = [p for p in gateway.wan_inbound.tcp if p != provisioned.port]
        fix = f"Inbound({ports(others, gateway.wan_inbound.udp)})"
        where = field_origin(gateway, "wan_inbound")
        yield Mistake("Gateway.wan_inbound", what, str(provisioned.port), "any other port", fix, where)


def _switch_lasts(gateway: Gateway, context: Context) -> Iterator[Mistake]:
    path = gateway.ssh_switch
    if path is not None and context.layout.mounts and not context.layout.survives(path):
        what = "does not survive a boot: SSH would be closed on the WAN after each"
        allowed, where = "a path on a file system that is not wiped", field_origin(gateway, "ssh_switch")
        yield Mistake("Gateway.ssh_switch", what, path, allowed, f'ssh_switch="{LASTS}"', where)


def _switch_opens(gateway: Gateway, context: Context) -> Iterator[Mistake]:
    server = context.fact(SshServer)
    where = field_origin(gateway, "ssh_switch")
    if gateway.ssh_switch is None:
        return
    if server is None:
        yield Mistake("Gateway.ssh_switch", "there is no SSH that it could open", "", "", "Ssh()", where)
    elif server.port == PAGE:
        what = "would open the page that provisions the device to the WAN"
        yield Mistake("Gateway.ssh_switch", what, f"Ssh(port={PAGE})", "SSH on another port", "Ssh()", where)


def _alone(gateway: Gateway, context: Context) -> Iterator[Mistake]:
    own = list(gateway.provides(context.layout))
    for network in (n for n in context.all(WiredNetwork) if n not in own):
        if network.interface in {gateway.wan.name, gateway.lan.name}:
            what = "is the gateway's already: two would configure it"
            given, fix = network.interface, "remove the other part"
            yield Mistake("Gateway", what, given, "another interface", fix, field_origin(gateway, ""))
