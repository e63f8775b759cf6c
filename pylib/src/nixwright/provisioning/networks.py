"""Where what is told of a gateway's networks contradicts itself, which types cannot say.

It is said once: of `config.toml` (`rules.py`), and of the files that are derived from it (`gateway_files.py`).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, TypeAlias

from nixwright.provisioning.lan import default_pool, is_special
from nixwright.provisioning.model import MAC
from nixwright.provisioning.shape import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.provisioning.model import InterfaceEntry
    from nixwright.provisioning.shape import Way

Pool: TypeAlias = tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]


def host_faults(way: Way, at: ipaddress.IPv4Interface) -> Iterator[Fault]:
    """An address that a host can have: no network's own, no broadcast's, none of a special range."""
    ends = (at.network.network_address, at.network.broadcast_address)
    if is_special(at.ip) or (at.ip in ends and at.network.num_addresses > 2):  # noqa: PLR2004 - /31 has no ends
        yield Fault(way, "is no host's address", str(at), "an address inside its network")


def pool_faults(way: Way, at: ipaddress.IPv4Interface, pool: Pool) -> Iterator[Fault]:
    """What DHCP gives is inside the network, in order, and not the gateway's own address."""
    low, high = at.network[1], at.network[-2]
    best, given = " to ".join(map(str, default_pool(at))), f"{pool[0]} to {pool[1]}"
    outside = [key for key, end in zip(("dhcp_start", "dhcp_end"), pool, strict=True) if not low <= end <= high]
    for key in outside:
        yield Fault((*way, key), f"is outside of {at.network}", str(pool[key == "dhcp_end"]), f"{low} to {high}")
    if pool[0] > pool[1]:
        yield Fault((*way, "dhcp_start"), "comes after dhcp_end", given, best)
    elif not outside and pool[0] <= at.ip <= pool[1]:
        yield Fault((*way, "dhcp_start"), f"the pool has the gateway's own address, {at.ip}", given, best)


def interface_faults(way: Way, entry: InterfaceEntry) -> Iterator[Fault]:
    """An address with `static` alone, and a way out that is reached from there."""
    if entry.mode == "dhcp":
        if entry.address is not None:
            yield Fault((*way, "address"), "stands beside DHCP", entry.address, 'mode = "static", or no address')
        return
    if entry.address is None:
        yield Fault((*way, "address"), "is missing: the mode is static")
        return
    at = ipaddress.IPv4Interface(entry.address)
    yield from host_faults((*way, "address"), at)
    if entry.gateway is not None and (
        ipaddress.IPv4Address(entry.gateway) not in at.network or entry.gateway == str(at.ip)
    ):
        yield Fault((*way, "gateway"), "is no other host of the interface's network", entry.gateway, str(at.network))


def apart_faults(way: Way, address: str | None, lan: str) -> Iterator[Fault]:
    """The WAN's address, in CIDR form, is on no network that shares addresses with the LAN's; empty is none."""
    if address and lan:
        own = ipaddress.IPv4Interface(lan).network
        if ipaddress.IPv4Interface(address).network.overlaps(own):
            what, allowed = "is on a network that shares addresses with the LAN", f"a network apart from {own}"
            yield Fault((*way, "address"), what, address, allowed)


def gateway_names(own: str, pattern: str | None, aliases: Iterable[str], mac: str) -> list[str]:
    """Return the gateway's names: its own, or the pattern with its MAC address (12 digits), and its aliases."""
    name = pattern.replace(MAC, mac) if pattern and mac else own
    return list(dict.fromkeys((name, *aliases)))
