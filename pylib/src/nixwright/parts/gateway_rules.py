"""What a gateway asks of the rest of its host: SSH and a page where it opens them, and interfaces of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.errors import Mistake
from nixwright.layout.paths import is_below
from nixwright.parts.facts import Provisioned, RecoveryTunnel, SshServer, WiredNetwork
from nixwright.provisioning.derived import DERIVED
from nixwright.provisioning.model import PAGE
from nixwright.record import field_origin
from nixwright.unseen import independent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nixwright.parts.base import Context
    from nixwright.parts.gateway import Gateway

LASTS = "/data/config/ssh-wan-enabled"
_STORE = ("current", "generations", "pending", ".lock")  # see nixwright.provisioning.store


def ports(tcp: Sequence[int], udp: Sequence[int]) -> str:
    """Return ports as the arguments of `Inbound`."""
    return ", ".join(f"{kind}={list(those)}" for kind, those in (("tcp", tcp), ("udp", udp)) if those)


def host_mistakes(gateway: Gateway, context: Context) -> Iterator[Mistake]:
    """Yield what is wrong between the gateway and its host."""
    switch = (rule(gateway, context) for rule in (_switch_lasts, _switch_is_apart, _switch_opens))
    alone = (_alone(gateway, context), _beside_the_tunnel(gateway, context))
    return independent(*switch, *alone, _page_is_there(gateway, context))


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


def _switch_is_apart(gateway: Gateway, context: Context) -> Iterator[Mistake]:
    """The switch is a file of its own: what is there anyway would leave SSH open on the WAN for ever."""
    path, told = gateway.ssh_switch, context.fact(Provisioned)
    if path is None:
        return
    mounted = any(is_below(mount.path, path) for mount in context.layout.mounts)
    if mounted or (told is not None and (is_below(told.directory, path) or _is_derived(path, told.directory))):
        what, allowed = "is there always: SSH would stay open on the WAN", "a file that nothing else makes"
        where = field_origin(gateway, "ssh_switch")
        yield Mistake("Gateway.ssh_switch", what, path, allowed, f'ssh_switch="{LASTS}"', where)


def _is_derived(path: str, directory: str) -> bool:
    """Tell whether a path is one of what provisioning makes; below `files` is what the user's own bundle brings."""
    first, _, below = path.removeprefix(f"{directory}/").partition("/")
    own = is_below(path, directory) and first in (*DERIVED, *_STORE)
    return own and not (first == "files" and below)


def _switch_opens(gateway: Gateway, context: Context) -> Iterator[Mistake]:
    if gateway.ssh_switch is not None and context.fact(SshServer) is None:
        where = field_origin(gateway, "ssh_switch")
        yield Mistake("Gateway.ssh_switch", "there is no SSH that it could open", "", "", "Ssh()", where)


def _alone(gateway: Gateway, context: Context) -> Iterator[Mistake]:
    own = list(gateway.provides(context.layout))
    for network in (n for n in context.all(WiredNetwork) if n not in own):
        if network.interface in {gateway.wan.name, gateway.lan.name}:
            what = "is the gateway's already: two would configure it"
            given, fix = network.interface, "remove the other part"
            yield Mistake("Gateway", what, given, "another interface", fix, field_origin(gateway, ""))


def _beside_the_tunnel(gateway: Gateway, context: Context) -> Iterator[Mistake]:
    tunnels = [tunnel.interface for tunnel in context.all(RecoveryTunnel)]
    for field, link in (("wan", gateway.wan), ("lan", gateway.lan)):
        if link.name in tunnels:
            where = field_origin(gateway, field)
            yield Mistake(
                f"Gateway.{field}", "has the name of the VPN's tunnel", link.name, "another name", f'"{field}"', where
            )
