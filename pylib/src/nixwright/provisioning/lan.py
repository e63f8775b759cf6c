"""The arithmetic of a LAN's addresses: shared by host files (`nixwright.parts.lan_range`) and the device's program."""

from __future__ import annotations

import ipaddress
import re

WIDEST = 16
NARROWEST = 30
_FIXED = 9  # addresses at the start that the default pool leaves to machines with an address of their own
_ROOMY = 27  # up to this prefix there is room for them
_CIDR = re.compile(r"([0-9]{1,3}(\.[0-9]{1,3}){3})/([0-9]{1,2})")


def interface_of(text: str) -> ipaddress.IPv4Interface | None:
    """Return an address with its prefix; None where the text is none (`ipaddress` would take a netmask, too)."""
    if not _CIDR.fullmatch(text):
        return None
    try:
        return ipaddress.IPv4Interface(text)
    except ValueError:
        return None


def is_special(address: ipaddress.IPv4Address) -> bool:
    """Tell whether an address is no host's on any LAN: loopback, link-local, multicast, reserved, of "this" network."""
    here = address in ipaddress.IPv4Network("0.0.0.0/8")
    return here or address.is_loopback or address.is_link_local or address.is_multicast or address.is_reserved


def default_pool(interface: ipaddress.IPv4Interface) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """Return the addresses that DHCP gives where nobody says: the roomier side of the gateway, but the first few."""
    network = interface.network
    low, high = network[1 + (_FIXED if network.prefixlen <= _ROOMY else 0)], network[-2]
    above = max(interface.ip + 1, low), high
    below = low, min(interface.ip - 1, high)
    return max((above, below), key=lambda ends: int(ends[1]) - int(ends[0]))
