"""Wired network: one interface, by DHCP or with a fixed address."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence  # noqa: TC003 - records are built from their annotations
from typing import TYPE_CHECKING, ClassVar

from nixwright.checks.model import SERVICES, Check, Difference, Node, Sabotage
from nixwright.errors import Mistake
from nixwright.nix.values import force
from nixwright.parts.base import Context, Part
from nixwright.parts.facts import WiredNetwork
from nixwright.record import record
from nixwright.scenarios import network

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

_NO_UDEV = Difference(
    "a container has no udev, which dhcpcd would wait for", {"networking.dhcpcd.extraConfig": "nodev\n"}
)
_ROUTER = Node(
    "router",
    {
        "networking.firewall.enable": False,
        "services.dnsmasq.enable": True,
        "services.dnsmasq.settings": {
            "interface": "eth1",
            "dhcp-range": "192.168.1.100,192.168.1.199,1h",
            "dhcp-authoritative": True,
        },
    },
)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # IFNAMSIZ is 16, with the NUL


@record
class Ethernet(Part):
    """A wired interface by its kernel name: `Ethernet("eth0", dhcp=True)`.

    Without DHCP: `address` in CIDR form (`"192.168.1.4/24"`), and `gateway` and `nameservers` where there are any.
    An interface called `eth0` keeps that name: udev's own would be `end0` on a Raspberry Pi, `enp0s2` in a VM.
    """

    interface: str
    dhcp: bool = False
    address: str | None = None
    gateway: str | None = None
    nameservers: Sequence[str] = ()

    module: ClassVar[str] = "ethernet"
    several: ClassVar[bool] = True

    def wrong(self) -> Iterator[Mistake]:
        """Names that the kernel refuses, addresses that are none, a way to one that is missing or doubled."""
        if not _NAME.fullmatch(self.interface):
            yield Mistake(
                "interface", "is no interface name", repr(self.interface), "1 to 15 of A-Z a-z 0-9 _.-", '"eth0"'
            )
        if self.dhcp == (self.address is not None):
            given = f"dhcp={self.dhcp}, address={self.address!r}"
            what = "gets its address in two ways" if self.dhcp else "has no way to an address"
            yield Mistake(
                "dhcp", what, given, "one of dhcp=True and address=...", f'Ethernet("{self.interface}", dhcp=True)'
            )
        if self.address is not None and not _is_address(self.address, with_prefix=True):
            yield Mistake("address", "is no address with a prefix", repr(self.address), "CIDR form", '"192.168.1.4/24"')
        if self.gateway is not None and not _is_address(self.gateway):
            yield Mistake("gateway", "is no IP address", repr(self.gateway), "", '"192.168.1.1"')
        for index, server in enumerate(self.nameservers):
            if not _is_address(server):
                yield Mistake(f"nameservers[{index}]", "is no IP address", repr(server), "", '"192.168.1.1"')

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """The interface, for who needs a network in stage 1 or shows an address."""
        return (WiredNetwork(self.interface, self.dhcp, self.address, self.gateway),)

    def checks(self, context: Context) -> Iterator[Check]:
        """By DHCP, a router gives the address; a fixed one is there, and a neighbour reaches it."""
        cable = {f'virtualisation.interfaces."{self.interface}".vlan': 1}
        differences = [Difference(f"the cable of {self.interface} leads to the others", cable)]
        option = f'networking.interfaces."{self.interface}"'
        if self.dhcp:
            unasked = Sabotage(
                "no-dhcp", "the interface asks for no address", {f"{option}.useDHCP": force(value=False)}
            )
            yield Check(
                SERVICES,
                f"{self.interface} gets its address and its way out from a router",
                network.gets_an_address,
                {"interface": self.interface, "hostname": context.name},
                nodes=[_ROUTER],
                differences=[*differences, _NO_UDEV],
                container=True,
                sabotages=[unasked],
            )
        elif self.address is not None:
            at = ipaddress.ip_interface(self.address)
            family = f"ipv{at.version}"
            beside = next(a for a in (at.ip + 1, at.ip - 1) if a in at.network)
            neighbour: Value = {"address": str(beside), "prefixLength": at.network.prefixlen}
            yield Check(
                SERVICES,
                f"{self.interface} has the address {self.address}",
                network.has_its_address,
                {"interface": self.interface, "address": self.address},
                nodes=[Node("client", {f"networking.interfaces.eth1.{family}.addresses": [neighbour]})],
                differences=differences,
                container=True,
                sabotages=[Sabotage("no-address", "it has no address", {f"{option}.{family}.addresses": force([])})],
            )

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `networking.*`."""
        if re.fullmatch(r"eth\d+", self.interface):
            why = f"udev would rename {self.interface}"
            yield self.set("networking.usePredictableInterfaceNames", value=False, field="interface", comment=why)
        yield self.set("networking.useDHCP", value=False, comment="on no interface but those that are named")
        if self.dhcp:
            yield self.set(f'networking.interfaces."{self.interface}".useDHCP', value=True, field="dhcp")
        if self.address is not None:
            interface = ipaddress.ip_interface(self.address)
            entry: Value = {"address": str(interface.ip), "prefixLength": interface.network.prefixlen}
            family = f"ipv{interface.version}"
            yield self.set(f'networking.interfaces."{self.interface}".{family}.addresses', [entry], field="address")
        if self.gateway is not None:
            six = "6" if ipaddress.ip_address(self.gateway).version == 6 else ""  # noqa: PLR2004 - IPv6
            gateway = {"address": self.gateway, "interface": self.interface}
            yield self.set(f"networking.defaultGateway{six}", gateway, field="gateway")
        if self.nameservers:
            yield self.set("networking.nameservers", list(self.nameservers), field="nameservers")


def _is_address(text: str, *, with_prefix: bool = False) -> bool:
    """Tell whether text is an IP address; `with_prefix` asks for `/24` behind it."""
    try:
        ipaddress.ip_interface(text) if with_prefix else ipaddress.ip_address(text)
    except ValueError:
        return False
    return not with_prefix or "/" in text
