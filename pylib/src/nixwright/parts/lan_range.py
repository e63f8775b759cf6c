"""The range of addresses of a LAN: one field from which everything follows that must agree about it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from nixwright.errors import Mistake
from nixwright.provisioning.lan import NARROWEST, WIDEST, default_pool, interface_of, is_special
from nixwright.record import record
from nixwright.unseen import UnseenError, is_broken

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXAMPLE = 'LanRange("172.20.30.1/24")'

# What routers of homes and modems give out without being told otherwise.
HOMES = (
    *("10.0.0.0/24", "10.0.1.0/24", "192.168.0.0/24", "192.168.1.0/24", "192.168.2.0/24"),
    *("192.168.8.0/24", "192.168.50.0/24", "192.168.88.0/24", "192.168.100.0/24", "192.168.178.0/24"),
)


@record
class LanRange:
    """A LAN by its gateway's address with the prefix, /16 to /30: `LanRange("172.20.30.1/24")`.

    `first` and `last` are those of the addresses that DHCP gives. Without them: all on the roomier side of the gateway,
    but for the first nine of the range, which are for machines with a fixed address (from /28 on there is no room).
    """

    gateway: str
    first: str | None = None
    last: str | None = None

    def wrong(self) -> Iterator[Mistake]:
        """Addresses that are none, a gateway that is no host of the range, a pool that is not inside it."""
        interface = interface_of(self.gateway)
        if interface is None:
            allowed = "an IPv4 address with a prefix"
            yield Mistake("gateway", "is no address with a prefix", repr(self.gateway), allowed, _EXAMPLE)
            return
        prefix, network = interface.network.prefixlen, interface.network
        if not WIDEST <= prefix <= NARROWEST:
            what = "the range is too wide" if prefix < WIDEST else "the range has no room for a gateway and a client"
            fix = f'"{interface.ip}/{min(max(prefix, WIDEST), NARROWEST)}"'
            yield Mistake("gateway", what, f"/{prefix}", f"/{WIDEST} to /{NARROWEST}", fix)
            return
        low, high = network[1], network[-2]
        if is_special(interface.ip):
            yield Mistake(
                "gateway", "is no address for a LAN", str(interface.ip), "a private unicast address", _EXAMPLE
            )
            return
        if not low <= interface.ip <= high:
            what = f"is the {'network' if interface.ip < low else 'broadcast'} address of {network}"
            yield Mistake("gateway", what, repr(self.gateway), f"{low} to {high}", f'"{low}/{prefix}"')
            return
        ends = [self._end("first", self.first, interface), self._end("last", self.last, interface)]
        wrong = [end for end in ends if isinstance(end, Mistake)]
        yield from wrong
        if not wrong:
            yield from self._pool(interface)

    def _end(
        self, field: str, text: str | None, interface: ipaddress.IPv4Interface
    ) -> Mistake | ipaddress.IPv4Address | None:
        """Return one end of the pool, or what is wrong with it."""
        if text is None:
            return None
        low, high = interface.network[1], interface.network[-2]
        default = default_pool(interface)[field == "last"]
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError:
            return Mistake(field, "is no IPv4 address", repr(text), f"{low} to {high}", f'"{default}"')
        if not low <= address <= high:
            return Mistake(field, f"is outside of {interface.network}", text, f"{low} to {high}", f'"{default}"')
        return address

    def _pool(self, interface: ipaddress.IPv4Interface) -> Iterator[Mistake]:
        """The pool starts no later than it ends, and the gateway is not in it."""
        first, last = self._ends(interface)
        field = "last" if self.first is None else "first"
        given = f"{first} to {last}"
        best = default_pool(interface)
        fix = f'first="{best[0]}", last="{best[1]}"'
        if first > last:
            yield Mistake(field, "the pool starts after its end", given, "first no later than last", fix)
        elif first <= interface.ip <= last:
            what = f"the gateway's own address, {interface.ip}, is in the pool: a client would get it"
            yield Mistake(field, what, given, f"a pool without {interface.ip}", fix)

    def _ends(self, interface: ipaddress.IPv4Interface) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
        first, last = default_pool(interface)
        return (
            first if self.first is None else ipaddress.IPv4Address(self.first),
            last if self.last is None else ipaddress.IPv4Address(self.last),
        )

    @property
    def interface(self) -> ipaddress.IPv4Interface:
        """The gateway's address in its network."""
        interface = None if is_broken(self) else interface_of(self.gateway)
        if interface is None:  # told already
            raise UnseenError
        return interface

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The whole range."""
        return self.interface.network

    @property
    def address(self) -> str:
        """The gateway's address."""
        return str(self.interface.ip)

    @property
    def netmask(self) -> str:
        """The netmask, dotted."""
        return str(self.network.netmask)

    @property
    def pool(self) -> tuple[str, str]:
        """The first and the last address that DHCP gives."""
        first, last = self._ends(self.interface)
        return str(first), str(last)


def overlapping(lan: LanRange, ranges: tuple[str, ...]) -> list[str]:
    """Return those of several networks, in CIDR form, that share addresses with the LAN."""
    return [text for text in ranges if ipaddress.IPv4Network(text).overlaps(lan.network)]


def is_network(text: str) -> bool:
    """Tell whether a text is an IPv4 network in CIDR form, without bits of a host."""
    interface = interface_of(text)
    return interface is not None and interface.ip == interface.network.network_address
