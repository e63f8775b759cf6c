"""What types cannot say of `config.toml`: fields that must agree with each other, and with the device."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from nixwright.provisioning.device import ALWAYS_RESERVED
from nixwright.provisioning.lan import default_pool
from nixwright.provisioning.model import PAGE
from nixwright.provisioning.networks import (
    apart_faults,
    host_faults,
    interface_faults,
    pool_faults,
)
from nixwright.provisioning.quadlet import container_faults
from nixwright.provisioning.shape import Fault
from nixwright.ssh_key import key_damage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nixwright.provisioning.device import Device
    from nixwright.provisioning.model import (
        ActivationEntry,
        ContainersEntry,
        DnsmasqEntry,
        InboundEntry,
        NetworkEntry,
        UserEntry,
    )
    from nixwright.provisioning.shape import Way


def faults_of(sound: Mapping[str, Any], device: Device) -> Iterator[Fault]:
    """All that is wrong with those tables of a configuration that the types take, by their names in `Config`."""
    users: Mapping[str, UserEntry] | None = sound.get("users")
    network: NetworkEntry | None = sound.get("network")
    activation: ActivationEntry | None = sound.get("activation")
    containers: ContainersEntry | None = sound.get("containers")
    if users is not None:
        yield from _users(users, device)
    if network is not None:
        yield from _interfaces(network, device)
        if network.dnsmasq is not None:
            yield from _lan(network.dnsmasq, device)
        if network.firewall is not None:
            yield from _ports(network.firewall.inbound, device)
    if containers is not None:
        if activation is not None:
            yield from _activation(activation, tuple(containers.container))
        yield from container_faults(containers, device)


def _users(users: Mapping[str, UserEntry], device: Device) -> Iterator[Fault]:
    for name, user in users.items():
        if name in ALWAYS_RESERVED or name in device.reserved:
            yield Fault(("users", name), "is a user of the image", "", "another name")
        damage = key_damage(*user.ssh_key.split(" ")[:2]) if user.ssh_key else ""
        if damage:
            yield Fault(("users", name, "ssh_key"), damage, "", "a line of a file that ends in .pub, whole")
    if not any(user.admin and user.ssh_key for user in users.values()):
        allowed = "one with isAdmin = true and an ssh_key"
        yield Fault(("users",), "nobody could change anything again: no admin has a key", "", allowed)


def _interfaces(network: NetworkEntry, device: Device) -> Iterator[Fault]:
    names = [name for name in (device.wan, device.lan) if name]
    lan = network.dnsmasq
    for name, entry in network.interfaces.items():
        way: Way = ("network", "interfaces", name)
        if name not in names:
            yield Fault(way, "is no interface of this device", "", ", ".join(names) or "none")
            continue
        found = [*interface_faults(way, entry)]
        yield from found
        if name == device.lan:
            if entry.mode != "static" or lan is None or entry.address != lan.gateway_cidr:
                allowed = 'mode = "static", address = what network.dnsmasq.gateway_cidr says'
                yield Fault(way, "is not what network.dnsmasq says of the LAN", "", allowed)
            if entry.gateway or entry.dns_servers or entry.dns_search_domains:
                yield Fault(way, "would be a way out: the LAN has none", "", "mode and address alone")
        elif not found:
            yield from apart_faults(way, entry.address, device.lan_cidr if lan is None else lan.gateway_cidr)


def _lan(entry: DnsmasqEntry, device: Device) -> Iterator[Fault]:
    way: Way = ("network", "dnsmasq")
    if not device.lan:
        yield Fault(way, "this device serves no LAN")
    elif entry.interface not in (None, device.lan):
        yield Fault((*way, "interface"), "is not the LAN's", "", f'"{device.lan}"')
    at = ipaddress.IPv4Interface(entry.gateway_cidr)
    found = [*host_faults((*way, "gateway_cidr"), at)]
    yield from found
    if (entry.dhcp_start is None) != (entry.dhcp_end is None):
        alone = "dhcp_start" if entry.dhcp_end is None else "dhcp_end"
        yield Fault((*way, alone), "stands alone", "", "dhcp_start and dhcp_end, or neither")
    elif not found:
        yield from pool_faults(way, at, pool_of(entry))


def pool_of(entry: DnsmasqEntry) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """Return the first and the last address that DHCP gives."""
    if entry.dhcp_start is None or entry.dhcp_end is None:
        return default_pool(ipaddress.IPv4Interface(entry.gateway_cidr))
    return ipaddress.IPv4Address(entry.dhcp_start), ipaddress.IPv4Address(entry.dhcp_end)


def _ports(inbound: InboundEntry, device: Device) -> Iterator[Fault]:
    way: Way = ("network", "firewall", "inbound")
    wan, lan = inbound.wan, inbound.lan
    if not device.lan:
        yield Fault(("network", "firewall"), "this device serves no LAN")
    if wan is not None and PAGE in wan.tcp:
        what = "is the page that provisions the device: it is for the LAN alone"
        yield Fault((*way, "wan", "tcp", wan.tcp.index(PAGE)), what, str(PAGE), "any other port")
    if wan is None or lan is None or not (lan.tcp or lan.udp):
        return
    always = {"tcp": (device.ssh_port, 53, PAGE), "udp": (53, 67, 68, 123)}
    for kind in ("tcp", "udp"):
        for index, port in enumerate(getattr(wan, kind)):
            if port not in (*getattr(lan, kind), *always[kind]):
                what = "would be open to the WAN and closed to the LAN"
                yield Fault((*way, "wan", kind, index), what, str(port), f"the same port in lan.{kind}")


def _activation(activation: ActivationEntry, containers: tuple[str, ...]) -> Iterator[Fault]:
    for key in ("required", "restart", "allow_degraded"):
        for index, name in enumerate(getattr(activation, key)):
            if name not in containers:
                yield Fault(("activation", key, index), "is no container of this file", "", ", ".join(containers))
            if key == "allow_degraded" and name in activation.required:
                yield Fault(("activation", key, index), "is required, too", "", "one of the two")
