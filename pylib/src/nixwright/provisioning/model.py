"""`config.toml`, version 1, as types: of these are the JSON Schema and what device and workstation say of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from nixwright.provisioning.shape import Between, Holds, Matches, Named
from nixwright.ssh_key import KEY_FIELDS

PAGE = 8080  # where the LAN finds the page that provisions a device; whoever reaches it configures the device
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IP = rf"{_OCTET}(\.{_OCTET}){{3}}"
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# one line of a unit file: nothing that ends it, starts another, or joins the next
_LINE = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*[^\x00-\x1f\x7f-\x9f\u2028\u2029\\]|"
_SSH_KEY = rf"({'|'.join(k.replace('.', '[.]') for k in KEY_FIELDS)}) [A-Za-z0-9+/]{{16,}}={{0,2}}( [!-~]( ?[!-~])*)?"

Address: TypeAlias = Annotated[str, Matches(_IP, "an IPv4 address")]
Addresses: TypeAlias = Annotated[tuple[Address, ...], Holds(once=True)]
Cidr: TypeAlias = Annotated[
    str, Matches(rf"{_IP}/(3[0-2]|[12]?[0-9])", 'an IPv4 address with a prefix: "192.0.2.7/24"')
]
LanCidr: TypeAlias = Annotated[
    str, Matches(rf"{_IP}/(1[6-9]|2[0-9]|30)", 'the gateway\'s address with a prefix, /16 to /30: "172.20.30.1/24"')
]
Domain: TypeAlias = Annotated[
    str, Matches(rf"{_LABEL}(\.{_LABEL})*", "names of a-z, 0-9 and -, with dots between", 253)
]
LONGEST_DOMAIN = 253 - 64  # characters of a LAN's: any name of a host fits before it (RFC 1035)
LanDomain: TypeAlias = Annotated[
    str, Matches(rf"{_LABEL}(\.{_LABEL})*", "names of a-z, 0-9 and -, with dots between", LONGEST_DOMAIN)
]
Domains: TypeAlias = Annotated[tuple[Domain, ...], Holds(once=True)]
Label: TypeAlias = Annotated[str, Matches(_LABEL, "a name of a-z, 0-9 and -", 63)]
Labels: TypeAlias = Annotated[tuple[Label, ...], Holds(once=True)]
MAC = "{mac}"
MacName: TypeAlias = Annotated[
    str,
    Matches(r"([a-z0-9][a-z0-9-]*)?\{mac\}([a-z0-9-]*[a-z0-9])?", 'a name with {mac} in it: "gateway-{mac}"', 56),
]
Server: TypeAlias = Annotated[str, Matches(r"[A-Za-z0-9][A-Za-z0-9.:-]*", "a host's name or its address", 253)]
Servers: TypeAlias = Annotated[tuple[Server, ...], Holds(1, once=True)]
Port: TypeAlias = Annotated[int, Between(1, 65535)]
Ports: TypeAlias = Annotated[tuple[Port, ...], Holds(once=True)]
UserName: TypeAlias = Annotated[
    str, Matches("[a-z_][a-z0-9_-]{0,31}", "a-z, 0-9, _ and -, up to 32, not a digit first")
]
InterfaceName: TypeAlias = Annotated[str, Matches("[a-z][a-z0-9]{0,14}", "an interface's name")]
UnitName: TypeAlias = Annotated[str, Matches("[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", "A-Z, a-z, 0-9, _ and -")]
UnitNames: TypeAlias = Annotated[tuple[UnitName, ...], Holds(once=True)]
_LINE_SAID = "one line, no control characters, no backslash at its end"
Line: TypeAlias = Annotated[str, Matches(_LINE, _LINE_SAID, 8192, secret=True)]
Number: TypeAlias = Annotated[int, Between(-(2**63), 2**63 - 1)]
Scalar: TypeAlias = Line | bool | Number | float
# what a unit file says below a heading; an array is the key once for each entry
Section: TypeAlias = dict[
    Annotated[str, Matches("[A-Z][A-Za-z0-9]{0,63}", "a key of a unit file: Image")],
    Scalar | tuple[Scalar, ...],
]


@dataclass(frozen=True)
class UserEntry:
    """Someone who logs in by SSH. Who is an admin may become root, and sign another configuration."""

    admin: Annotated[bool, Named("isAdmin")] = False
    ssh_key: Annotated[
        str, Matches(_SSH_KEY, "a public key of SSH, the line of a file that ends in .pub", 8192, secret=True)
    ] = ""
    shell: Literal["bash", "sh", "zsh"] = "bash"


@dataclass(frozen=True)
class InterfaceEntry:
    """An interface; `address` with `static` alone."""

    mode: Literal["dhcp", "static"]
    address: Cidr | None = None
    gateway: Address | None = None
    dns_servers: Addresses = ()
    dns_search_domains: Domains = ()


@dataclass(frozen=True)
class DnsmasqEntry:
    """The LAN. Without a pool of its own: what `lan.default_pool` says."""

    gateway_cidr: LanCidr
    enable: Literal[True] = True
    interface: InterfaceName | None = None
    dhcp_start: Address | None = None
    dhcp_end: Address | None = None
    domain: LanDomain | None = None
    hostname_pattern: MacName | None = None
    gateway_aliases: Labels | None = None


@dataclass(frozen=True)
class NtpEntry:
    """Where the gateway has its time from."""

    servers: Servers = ("time.cloudflare.com",)


@dataclass(frozen=True)
class PortsEntry:
    """Ports of the gateway itself."""

    tcp: Ports = ()
    udp: Ports = ()


@dataclass(frozen=True)
class InboundEntry:
    """What may reach the gateway from each network. A LAN with none listed is open."""

    wan: PortsEntry | None = None
    lan: PortsEntry | None = None


@dataclass(frozen=True)
class FirewallEntry:
    """The firewall."""

    inbound: InboundEntry = field(default_factory=InboundEntry)


@dataclass(frozen=True)
class NetworkEntry:
    """The network; what is left out is as the image has it."""

    dns_servers: Addresses = ()
    dns_search_domains: Domains = ()
    default_gateway: Address | None = None
    interfaces: dict[InterfaceName, InterfaceEntry] = field(default_factory=dict)
    dnsmasq: DnsmasqEntry | None = None
    ntp: NtpEntry | None = None
    firewall: FirewallEntry | None = None


@dataclass(frozen=True)
class ActivationEntry:
    """When a new configuration counts as good: `required` containers active in time, and still so after `settle`."""

    required: Annotated[UnitNames, Holds(1)]
    timeout_seconds: Annotated[int, Between(1, 3600)] = 300
    settle_seconds: Annotated[int, Between(0, 300)] = 10  # what ends at once was active before it did
    restart: UnitNames = ()
    allow_degraded: UnitNames = ()
    strategy: Literal["rollback"] = "rollback"


@dataclass(frozen=True)
class UpgradeEntry:
    """Where updates of the whole system come from."""

    server_url: Annotated[
        str, Matches(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?", "an address with https://", secret=True)
    ]


@dataclass(frozen=True)
class ContainerEntry:
    """A container: rootless, but for those that say `privileged`."""

    container: Annotated[Section, Named("Container")]
    unit: Annotated[Section, Named("Unit")] = field(default_factory=dict)
    install: Annotated[Section, Named("Install")] = field(default_factory=dict)
    privileged: bool = False


@dataclass(frozen=True)
class NetworkUnit:
    """A network of containers."""

    network: Annotated[Section, Named("Network")] = field(default_factory=dict)


@dataclass(frozen=True)
class VolumeUnit:
    """A volume of containers."""

    volume: Annotated[Section, Named("Volume")] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildUnit:
    """An image that is built on the device."""

    build: Annotated[Section, Named("Build")]


@dataclass(frozen=True)
class ContainersEntry:
    """Containers, and what they stand on."""

    container: Annotated[dict[UnitName, ContainerEntry], Holds(1)]
    network: dict[UnitName, NetworkUnit] = field(default_factory=dict)
    volume: dict[UnitName, VolumeUnit] = field(default_factory=dict)
    build: dict[UnitName, BuildUnit] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """All that a device is told."""

    version: Literal[1]
    users: Annotated[dict[UserName, UserEntry], Holds(1)]
    activation: ActivationEntry
    containers: ContainersEntry
    network: NetworkEntry = field(default_factory=NetworkEntry)
    upgrade: Annotated[UpgradeEntry | None, Named("os_upgrade")] = None
