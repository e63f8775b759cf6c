"""What types cannot say of `config.toml`: fields that must agree with each other, and with the device."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import TYPE_CHECKING

from nixwright.provisioning.device import ALWAYS_RESERVED
from nixwright.provisioning.lan import default_pool, is_special
from nixwright.provisioning.model import PAGE
from nixwright.provisioning.quadlet import container_faults
from nixwright.provisioning.shape import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.provisioning.device import Device
    from nixwright.provisioning.model import ActivationEntry, Config, DnsmasqEntry, InboundEntry, InterfaceEntry
    from nixwright.provisioning.shape import Way

_SSH = b"\x00\x00\x00"


def faults_of(config: Config, device: Device) -> Iterator[Fault]:
    """All that is wrong with a configuration that the types take."""
    yield from _users(config, device)
    yield from _interfaces(config, device)
    if config.network.dnsmasq is not None:
        yield from _lan(config.network.dnsmasq, device)
    if config.network.firewall is not None:
        yield from _ports(config.network.firewall.inbound, device)
    yield from _activation(config.activation, tuple(config.containers.container))
    yield from container_faults(config.containers, device.units)


def _users(config: Config, device: Device) -> Iterator[Fault]:
    for name, user in config.users.items():
        if name in ALWAYS_RESERVED or name in device.reserved:
            yield Fault(("users", name), "is a user of the image", "", "another name")
        if user.ssh_key and not _is_key(user.ssh_key):
            yield Fault(("users", name, "ssh_key"), "is no public key: its text is not of the kind that it says")
    if not any(user.admin and user.ssh_key for user in config.users.values()):
        allowed = "one with isAdmin = true and an ssh_key"
        yield Fault(("users",), "nobody could change anything again: no admin has a key", "", allowed)


def _is_key(text: str) -> bool:
    """Tell whether the text of a public key says the same kind as the word before it."""
    kind, encoded = text.split(" ")[:2]
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    return blob.startswith(_SSH + bytes([len(kind)]) + kind.encode()) and len(blob) > len(kind) + 8


def _interfaces(config: Config, device: Device) -> Iterator[Fault]:
    names = [name for name in (device.wan, device.lan) if name]
    lan = config.network.dnsmasq
    for name, entry in config.network.interfaces.items():
        way: Way = ("network", "interfaces", name)
        if name not in names:
            yield Fault(way, "is no interface of this device", "", ", ".join(names) or "none")
            continue
        if entry.mode == "dhcp" and entry.address is not None:
            yield Fault((*way, "address"), "stands beside DHCP", "", 'mode = "static", or no address')
        if entry.mode == "static":
            yield from _static(way, entry)
        if name == device.lan:
            if entry.mode != "static" or lan is None or entry.address != lan.gateway_cidr:
                allowed = 'mode = "static", address = what network.dnsmasq.gateway_cidr says'
                yield Fault(way, "is not what network.dnsmasq says of the LAN", "", allowed)
            if entry.gateway or entry.dns_servers or entry.dns_search_domains:
                yield Fault(way, "would be a way out: the LAN has none", "", "mode and address alone")
        elif (
            lan is not None
            and entry.address is not None
            and _network(entry.address).overlaps(_network(lan.gateway_cidr))
        ):
            yield Fault((*way, "address"), "is on a network that shares addresses with the LAN", entry.address)


def _static(way: Way, entry: InterfaceEntry) -> Iterator[Fault]:
    if entry.address is None:
        yield Fault((*way, "address"), "is missing: the mode is static")
        return
    at = ipaddress.IPv4Interface(entry.address)
    yield from _host((*way, "address"), at)
    if entry.gateway is not None and (
        ipaddress.IPv4Address(entry.gateway) not in at.network or entry.gateway == str(at.ip)
    ):
        yield Fault((*way, "gateway"), "is no other host of the interface's network", entry.gateway, str(at.network))


def _network(text: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Interface(text).network


def _host(way: Way, at: ipaddress.IPv4Interface) -> Iterator[Fault]:
    """An address that a host can have: no network's own, no broadcast's, none of a special range."""
    ends = (at.network.network_address, at.network.broadcast_address)
    if is_special(at.ip) or (at.ip in ends and at.network.num_addresses > 2):  # noqa: PLR2004 - /31 has no ends
        yield Fault(way, "is no host's address", str(at), "an address inside its network")


def _lan(entry: DnsmasqEntry, device: Device) -> Iterator[Fault]:
    way: Way = ("network", "dnsmasq")
    if not device.lan:
        yield Fault(way, "this device serves no LAN")
    elif entry.interface not in (None, device.lan):
        yield Fault((*way, "interface"), "is not the LAN's", "", f'"{device.lan}"')
    at = ipaddress.IPv4Interface(entry.gateway_cidr)
    found = [*_host((*way, "gateway_cidr"), at)]
    yield from found
    if (entry.dhcp_start is None) != (entry.dhcp_end is None):
        alone = "dhcp_start" if entry.dhcp_end is None else "dhcp_end"
        yield Fault((*way, alone), "stands alone", "", "dhcp_start and dhcp_end, or neither")
    elif not found:
        yield from _pool(way, at, pool_of(entry))


def pool_of(entry: DnsmasqEntry) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """Return the first and the last address that DHCP gives."""
    if entry.dhcp_start is None or entry.dhcp_end is None:
        return default_pool(ipaddress.IPv4Interface(entry.gateway_cidr))
    return ipaddress.IPv4Address(entry.dhcp_start), ipaddress.IPv4Address(entry.dhcp_end)


def _pool(
    way: Way, at: ipaddress.IPv4Interface, pool: tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]
) -> Iterator[Fault]:
    low, high = at.network[1], at.network[-2]
    best = " to ".join(map(str, default_pool(at)))
    for key, end in zip(("dhcp_start", "dhcp_end"), pool, strict=True):
        if not low <= end <= high:
            yield Fault((*way, key), f"is outside of {at.network}", str(end), f"{low} to {high}")
    if pool[0] > pool[1]:
        yield Fault((*way, "dhcp_start"), "comes after dhcp_end", f"{pool[0]} to {pool[1]}", best)
    elif pool[0] <= at.ip <= pool[1]:
        yield Fault((*way, "dhcp_start"), f"the pool has the gateway's own address, {at.ip}", "", best)


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
