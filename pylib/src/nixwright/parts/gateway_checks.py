"""What proves a gateway: between a LAN with a client on it and a WAN with somebody who is really there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.checks.model import SERVICES, Check, Difference, Node, Sabotage
from nixwright.nix.values import Order, force
from nixwright.scenarios import gateway as scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.nix.values import Value

_NAME = "gateway"
_NETWORKS = ("10-wan", "20-lan")
_OUT = "198.51.100.1"  # RFC 5737: nobody's LAN
_OTHER = ("10.177.0.1/22", ["10.177.0.10", "10.177.3.250"])  # what the device is told in place of its own
_OTHERS_PLACE = ("10.178.0.1/22", ["10.178.0.10", "10.178.3.250"])  # where the host has that itself
_OWN_RESOLVER = Difference(
    "a container would take over the resolver of the machine that it runs on", {"networking.useHostResolvConf": False}
)
_AMONG_OTHERS = Difference(
    "the others have the addresses of the test, and none of the LAN's",
    {
        "systemd.network.networks.20-lan.address": force(["192.168.1.200/24"])
    },  # nodes count from 1 up, and .254 is the driver
)
_NO_CLOCK = Difference(
    "a container sets no clock, and chronyd starts in one where it is told so",
    {"services.chrony.extraFlags": ["-x"]},
)


@dataclass(frozen=True, slots=True)
class Scene:
    """What the checks are told of a gateway."""

    lan: str  # its address with the prefix
    pool: list[str]
    interfaces: tuple[str, str]  # LAN, WAN
    name: str  # its own for the LAN, with the domain
    time_servers: list[str]
    inbound: dict[str, dict[str, Any]]
    ssh: int
    page: int
    page_on_wan: bool
    switch: str  # empty: none
    told: str  # the directory of what the device is told; empty: none


def of_gateway(scene: Scene) -> Iterator[Check]:
    """Yield everything that is proved of a gateway."""
    yield _closed_by_evaluation()
    wan = scene.interfaces[1]
    nodes = [_client(), _outside(scene)]
    common: dict[str, Any] = {"nodes": nodes, "differences": [_OWN_RESOLVER, _NO_CLOCK], "container": True}
    deny: Value = Order(1500, "deny all\n")
    yield Check(
        _NAME,
        "the LAN gets addresses, names and the time, and the WAN none of it",
        scenario.serves_its_lan,
        {"lan": scene.lan, "pool": scene.pool, "name": scene.name, "wan": wan},
        **common,
        sabotages=[
            Sabotage("no-addresses", "no addresses are given", {"services.dnsmasq.enable": force(value=False)}),
            Sabotage("time-denied", "the LAN is denied the time again", {"services.chrony.extraConfig": deny}),
        ],
    )
    forwards = {
        **{f'boot.kernel.sysctl."net.ipv{v}.conf.all.forwarding"': force(value=True) for v in (4, 6)},
        **{
            f"systemd.network.networks.{n}.networkConfig.IPv4Forwarding": force(value=True)
            for n in ("10-wan", "20-lan")
        },
        "networking.nftables.enable": force(value=False),
    }
    yield Check(
        _NAME,
        "nobody reaches through, neither from the LAN nor from the WAN",
        scenario.forwards_nothing,
        {"lan": scene.lan, "wan": wan, "out": _OUT},
        **common,
        sabotages=[Sabotage("router", "it is a router without rules", forwards)],
    )
    if scene.inbound["lan"].get("closed"):
        return
    unread: Value = force("/run/current-system/sw/bin/true")
    yield Check(
        _NAME,
        "the ports that are open on each side are those of the description, or of what the device is told",
        scenario.lets_in_whom_it_should,
        {
            "lan": scene.lan,
            "wan": wan,
            "tcp": scene.inbound["wan"]["tcp"],
            "udp": scene.inbound["wan"]["udp"],
            "ssh": scene.ssh,
            "page": scene.page,
            "untold": scene.page_on_wan,
            "told": scene.told,
        },
        **common,
        sabotages=[
            Sabotage("no-rules-loaded", "no rules are loaded", {"networking.nftables.enable": force(value=False)}),
            *([Sabotage("deaf", "what it is told is not read", {f"{_APPLY}.ExecStart": unread})] if scene.told else []),
        ],
    )
    if scene.switch:
        yield Check(
            _NAME,
            "SSH is open on the WAN while its switch is there, and not longer",
            scenario.switches_ssh_on_wan,
            {"wan": wan, "switch": scene.switch, "port": scene.ssh},
            **common,
            sabotages=[Sabotage("no-switch", "nobody sees the switch", {"systemd.paths.ssh-wan.wantedBy": force([])})],
        )
    yield Check(
        _NAME,
        "the time is asked for as soon as the WAN is back",
        scenario.asks_for_the_time_when_the_wan_is_back,
        {"wan": wan, "out": _OUT},
        **common,
        sabotages=[
            Sabotage("unseen-wan", "nobody sees that the WAN is back", {"systemd.paths.chrony-wan.wantedBy": force([])})
        ],
    )
    if scene.told:
        overlaps = ipaddress.IPv4Interface(scene.lan).network.overlaps(ipaddress.IPv4Interface(_OTHER[0]).network)
        other, pool = _OTHERS_PLACE if overlaps else _OTHER
        yield Check(
            _NAME,
            "it becomes what it is told while it runs: addresses, names and time of another LAN range",
            scenario.becomes_what_it_is_told,
            {"lan": scene.lan, "told": scene.told, "other": other, "pool": pool, "name": scene.name},
            **common,
        )


_APPLY = "systemd.services.gateway-apply.serviceConfig"


def _closed_by_evaluation() -> Check:
    """Nothing is forwarded, whatever else the host says."""
    four, six = (f'boot.kernel.sysctl."net.ipv{v}.conf.all.forwarding"' for v in (4, 6))
    nat, rules = "networking.nat.enable", "networking.nftables.enable"
    return Check(
        SERVICES,
        "nothing is forwarded between LAN and WAN",
        holds={four: False, six: False, nat: False, rules: True},
        differences=[_OWN_RESOLVER, _AMONG_OTHERS],
        container=True,
        sabotages=[
            Sabotage("ipv4-forwarding", "the kernel forwards IPv4", {four: force(value=True)}, judged="evaluation"),
            Sabotage("ipv6-forwarding", "the kernel forwards IPv6", {six: force(value=True)}, judged="evaluation"),
            Sabotage("masquerade", "the LAN borrows the WAN's address", {nat: force(value=True)}, judged="evaluation"),
            Sabotage("no-rules", "no rules are loaded", {rules: force(value=False)}, judged="evaluation"),
        ],
    )


def _client() -> Node:
    """A machine on the LAN that takes what the gateway gives."""
    network: Value = {"matchConfig": {"Name": "eth1"}, "networkConfig": {"DHCP": "ipv4", "IPv6AcceptRA": False}}
    return Node(
        "client",
        {
            "virtualisation.interfaces.eth1": {"vlan": 1, "assignIP": False},
            "networking.useNetworkd": True,
            "networking.useDHCP": False,
            "networking.useHostResolvConf": False,
            "networking.firewall.enable": False,
            "systemd.network.networks.10-lan": network,
            "services.chrony": {"enable": True, "servers": [], "extraFlags": ["-x"]},
        },
    )


def _outside(scene: Scene) -> Node:
    """Somebody on the WAN who gives addresses, names and the time, and would be reached."""
    network: Value = {"matchConfig": {"Name": "eth1"}, "address": [f"{_OUT}/24"]}
    names: Value = {
        "interface": "eth1",
        "bind-dynamic": True,
        "no-resolv": True,
        "dhcp-range": "198.51.100.50,198.51.100.99,255.255.255.0,10m",
        "address": [f"/{server}/{_OUT}" for server in scene.time_servers],
    }
    return Node(
        "outside",
        {
            "virtualisation.interfaces.eth1": {"vlan": 2, "assignIP": False},
            "networking.useNetworkd": True,
            "networking.useDHCP": False,
            "networking.useHostResolvConf": False,
            "networking.firewall.enable": False,
            "systemd.network.networks.10-wan": network,
            "services.dnsmasq": {"enable": True, "resolveLocalQueries": False, "settings": names},
            "services.chrony": {
                "enable": True,
                "servers": [],
                "extraFlags": ["-x"],
                "extraConfig": "local stratum 3\nallow all\n",
            },
        },
    )
