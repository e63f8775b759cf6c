"""A gateway between a WAN and a LAN that never reaches it: addresses, names and time for the LAN, nothing forwarded."""

from __future__ import annotations

import re
from collections.abc import Sequence  # noqa: TC003 - records are built from their annotations
from dataclasses import field as record_field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from nixwright.bounds import Ge, Le
from nixwright.checks.model import Check, Difference
from nixwright.errors import Mistake
from nixwright.layout.paths import path_mistake
from nixwright.nix.values import Apply, NixPath, Order, Text, config, pkgs
from nixwright.parts import gateway_checks, gateway_rules
from nixwright.parts.base import Context, File, Part
from nixwright.parts.facts import LanGateway, Provisioned, RecoveryTunnel, SshServer, VitalUnit, WiredNetwork
from nixwright.parts.gateway_told import Told
from nixwright.parts.lan_range import HOMES, LanRange, is_network, overlapping
from nixwright.parts.named_link import NamedLink  # noqa: TC001 - records are built from their annotations
from nixwright.parts.programs.gateway_apply import DHCP, DNS, NTP, TABLE, inbound_rules
from nixwright.provisioning.model import LONGEST_DOMAIN, PAGE
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step
from nixwright.unseen import UNSEEN, independent, is_broken, right

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Expr, Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SERVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*")
_UNREACHED = "on such a WAN this gateway would not reach it"


@record
class Inbound:
    """Ports of the gateway itself that a network may reach: `Inbound(tcp=[443], udp=[1194])`."""

    tcp: Sequence[Annotated[int, Ge(1), Le(65535)]] = ()
    udp: Sequence[Annotated[int, Ge(1), Le(65535)]] = ()

    def wrong(self) -> Iterator[Mistake]:
        """Ports that stand there twice."""
        for name, ports in (("tcp", self.tcp), ("udp", self.udp)):
            for index, port in enumerate(ports):
                if port in ports[:index]:
                    yield Mistake(f"{name}[{index}]", "is there twice", str(port), "", "remove one")


@record
class Gateway(Part):
    """A LAN with addresses, names and time, on a host that takes its own from a WAN, and forwards nothing between.

    `wan` takes its address by DHCP. `lan_range` is all that is said of the LAN's addresses: the gateway's own, the
    pool, the netmask, the names and who may ask for the time follow. From the WAN nothing gets in but `wan_inbound`;
    from the LAN everything, or with `lan_inbound` only that beside SSH, DHCP, DNS, NTP and port 8080. `ssh_switch`
    names a file on the device: while it is there, SSH is open on the WAN, and stays so after a boot. `names` are the
    gateway's for the LAN, beside the host's own, in `domain`. `wan_ranges` are those that the WAN may turn out to
    have: a LAN that overlaps one is warned of, by gen and whenever the host is evaluated, since it would lose its way
    to the WAN there.

    On a host with `Provisioning` all of this is what holds until a device is told otherwise. `page_on_wan` opens the
    page that tells it on the WAN, too, until the device was told once: whoever finds it there first owns the device.
    """

    wan: NamedLink
    lan: NamedLink
    lan_range: LanRange = record_field(default_factory=lambda: LanRange("172.20.30.1/24"))
    wan_inbound: Inbound = record_field(default_factory=Inbound)
    lan_inbound: Inbound | None = None
    ssh_switch: str | None = None
    page_on_wan: bool = False
    names: Sequence[str] = ("gateway",)
    domain: str = "lan"
    time_servers: Sequence[str] = ("time.cloudflare.com",)
    wan_ranges: Sequence[str] = HOMES

    module: ClassVar[str] = "gateway"

    def wrong(self) -> Iterator[Mistake]:
        """One interface for both, ports that contradict, words that are no names, networks or paths."""
        return independent(self._links(), self._ports(), self._words())

    def _links(self) -> Iterator[Mistake]:
        if self.lan.name == self.wan.name:
            name = self.lan.name
            fix = 'wan=NamedLink("wan", ...)' if name != "wan" else 'lan=NamedLink("lan", ...)'
            yield Mistake("lan", "is called as the WAN is", repr(name), "two names", fix)
        elif self.lan.match and self.lan.match == self.wan.match:
            what = "is the WAN's own interface"
            given = f"{self.lan.name}: {self.lan.match}"
            yield Mistake("lan", what, given, "two interfaces", 'NamedLink("lan", path=...)')

    def _ports(self) -> Iterator[Mistake]:
        if PAGE in self.wan_inbound.tcp:
            what = "is the page that provisions the device: it is for the LAN alone"
            others = [p for p in self.wan_inbound.tcp if p != PAGE]
            fix = f"Inbound({gateway_rules.ports(others, self.wan_inbound.udp)})"
            yield Mistake("wan_inbound", what, str(PAGE), "any other port", fix)
        if self.lan_inbound is None:
            return
        for kind, wan, lan in (
            ("tcp", self.wan_inbound.tcp, (*self.lan_inbound.tcp, DNS, PAGE)),
            ("udp", self.wan_inbound.udp, (*self.lan_inbound.udp, DNS, DHCP, NTP)),
        ):
            for port in (p for p in wan if p not in lan):
                what = "contradicts wan_inbound: the port would be open to the WAN and closed to the LAN"
                allowed = "what the WAN may reach, the LAN may, too"
                more = {"tcp": self.lan_inbound.tcp, "udp": self.lan_inbound.udp}
                fix = f"Inbound({gateway_rules.ports(**more | {kind: sorted({*more[kind], port})})})"
                yield Mistake("lan_inbound", what, f"{kind} {port}", allowed, fix)

    def _words(self) -> Iterator[Mistake]:
        for index, name in enumerate(self.names):
            if not _LABEL.fullmatch(name):
                yield Mistake(f"names[{index}]", "is no host name", repr(name), "a-z, 0-9 and -", '"gateway"')
        if not all(_LABEL.fullmatch(part) for part in self.domain.split(".")):
            yield Mistake("domain", "is no domain", repr(self.domain), "names with dots between", '"lan"')
        elif len(self.domain) > LONGEST_DOMAIN:
            what, given = "is too long: a host's name stands before it", f"{len(self.domain)} characters"
            yield Mistake("domain", what, given, f"at most {LONGEST_DOMAIN}", '"lan"')
        for index, server in enumerate(self.time_servers):
            if not _SERVER.fullmatch(server):
                allowed, fix = "a name or an address", '"pool.ntp.org"'
                yield Mistake(f"time_servers[{index}]", "is no host", repr(server), allowed, fix)
        for index, text in enumerate(self.wan_ranges):
            if not is_network(text):
                allowed = "CIDR form, no bits of a host"
                yield Mistake(f"wan_ranges[{index}]", "is no IPv4 network", repr(text), allowed, '"192.168.1.0/24"')
        if self.ssh_switch is not None:
            yield from path_mistake("ssh_switch", self.ssh_switch)

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """Both interfaces, the LAN's first: that is where its people are; and that it is nothing without its rules."""
        lan, wan = right(self.lan, "name"), right(self.wan, "name")
        address = UNSEEN if is_broken(self.lan_range) else str(self.lan_range.interface)
        networks = WiredNetwork(lan, dhcp=False, address=address), WiredNetwork(wan, dhcp=True)
        return (*networks, LanGateway(wan, lan), VitalUnit("nftables.service"))

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to networkd, dnsmasq, chrony, and one nftables table."""
        yield from self._interfaces()
        told = self._told(context)
        yield from self._addresses_and_names(context, told)
        yield from self._time(told)
        yield from self._firewall(context)
        if told is not None:
            for path, value, comment in told.settings():
                yield self.set(path, value, field="lan_range", comment=comment)
        if self.ssh_switch is not None:
            yield from self._ssh_on_wan(self.ssh_switch, _ssh_port(context))
        shared = overlapping(self.lan_range, tuple(self.wan_ranges))
        if shared:
            text = f"the LAN {self.lan_range.network} overlaps {', '.join(shared)}: {_UNREACHED}"
            yield self.set("warnings", [text], field="lan_range")

    def _interfaces(self) -> Iterator[Setting]:
        for number, field, link in (("10", "wan", self.wan), ("20", "lan", self.lan)):
            unit: Value = {"matchConfig": link.match, "linkConfig": {"Name": link.name}}
            yield self.set(f"systemd.network.links.{number}-{field}", unit, field=field)
        yield self.set("networking.useNetworkd", value=True)
        yield self.set("networking.useDHCP", value=False, comment="on no interface but those that are named")
        closed: dict[str, Value] = {"IPv6AcceptRA": False, "IPv4Forwarding": False, "IPv6Forwarding": False}
        wan: Value = {
            "matchConfig": {"Name": self.wan.name},
            "networkConfig": {"DHCP": "ipv4", **closed},
        }
        yield self.set("systemd.network.networks.10-wan", wan, field="wan")
        lease = "systemd.network.networks.10-wan.dhcpV4Config"
        why = (
            "by networkd's own identifier, made of the machine-id, a root that forgets would be a new client each boot"
        )
        yield self.set(f"{lease}.ClientIdentifier", "mac", field="wan", comment=why)
        yield self.set(f"{lease}.UseNTP", value=False, field="wan")
        lan: Value = {
            "matchConfig": {"Name": self.lan.name},
            "address": [str(self.lan_range.interface)],
            "networkConfig": {"ConfigureWithoutCarrier": True, **closed},
        }
        yield self.set("systemd.network.networks.20-lan", lan, field="lan_range")
        why = "the WAN may be down, the LAN unplugged"
        yield self.set("systemd.network.wait-online.anyInterface", value=True, comment=why)
        yield self.set("systemd.network.wait-online.timeout", 30)

    def _addresses_and_names(self, context: Context, told: Told | None) -> Iterator[Setting]:
        lan = self.lan_range
        own = dict.fromkeys((context.name, *self.names))
        yield self.set("services.dnsmasq.enable", value=True)
        why = "the host itself asks whom the WAN names"
        yield self.set("services.dnsmasq.resolveLocalQueries", value=False, comment=why)
        options = [f"option:{o},{lan.address}" for o in ("router", "dns-server", "ntp-server")]
        said: dict[str, Value] = {
            "interface": self.lan.name,
            "except-interface": "lo",
            "bind-dynamic": True,
            "no-resolv": True,
            "no-hosts": True,
            "dhcp-authoritative": True,
            "log-dhcp": True,
        }
        range_of_the_lan: dict[str, Value] = {
            "domain": self.domain,
            "local": f"/{self.domain}/",
            "host-record": [f"{name}.{self.domain},{name},{lan.address}" for name in own],
            "dhcp-range": f"{','.join(lan.pool)},{lan.netmask},24h",
            "dhcp-option": options,
        }
        said |= range_of_the_lan if told is None else {"conf-file": told.NAMES}
        yield self.set("services.dnsmasq.settings", said, field="lan_range")

    def _time(self, told: Told | None) -> Iterator[Setting]:
        yield self.set("services.chrony.enable", value=True)
        servers = list(self.time_servers) if told is None else []
        yield self.set("services.chrony.servers", servers, field="time_servers")
        yield self.set("services.chrony.initstepslew.enabled", value=False)
        yield self.set("services.chrony.enableRTCTrimming", value=False)
        yield self.set("services.chrony.makestep.enable", value=False)
        lines = [
            "makestep 1.0 -1",
            "# The LAN keeps one time, also where no server can be reached.",
            "local stratum 10",
            "# Who is not allowed is denied: a `deny all` after this line would take it back.",
            f"allow {self.lan_range.network}" if told is None else f"include {told.TIME}",
        ]
        yield self.set("services.chrony.extraConfig", "\n".join(lines) + "\n", field="lan_range")
        why = "a WAN that comes late or comes back: chrony alone would ask again only after minutes, or hours"
        watched: Value = {"wantedBy": ["multi-user.target"], "pathConfig": {"PathChanged": "/run/systemd/netif/state"}}
        yield self.set("systemd.paths.chrony-wan", watched, field="wan", comment=why)
        waits = f"/lib/systemd/systemd-networkd-wait-online --interface={self.wan.name}:routable --timeout=1"
        once: Value = {
            "after": ["chronyd.service"],
            "requisite": ["chronyd.service"],
            "unitConfig": {"StartLimitIntervalSec": 0},
            "path": [pkgs.chrony],
            "serviceConfig": {
                "Type": "oneshot",
                "User": "chrony",
                "ExecCondition": Text((config.systemd.package, waits)),
                "ExecStart": ["chronyc online", "chronyc burst 4/4"],
            },
        }
        yield self.set("systemd.services.chrony-wan", once, field="wan")

    def _firewall(self, context: Context) -> Iterator[Setting]:
        why = "nothing goes from one network to the other: not by the kernel, not by the rules, and no address is lent"
        yield self.set('boot.kernel.sysctl."net.ipv4.conf.all.forwarding"', value=False, comment=why)
        yield self.set('boot.kernel.sysctl."net.ipv6.conf.all.forwarding"', value=False)
        yield self.set("networking.nat.enable", value=False)
        yield self.set("networking.firewall.enable", value=False, comment="the table below is the firewall")
        yield self.set("networking.nftables.enable", value=True)
        table: Value = {"family": "inet", "content": self._rules(context)}
        yield self.set(f"networking.nftables.tables.{TABLE}", table, field="wan_inbound")

    def _rules(self, context: Context) -> str:
        wan, lan, ssh = f'iifname "{self.wan.name}"', f'iifname "{self.lan.name}"', _ssh_port(context)
        jumps, sets = [f"{lan} jump lan_inbound", f"{wan} jump wan_inbound"], []
        if self.ssh_switch is not None:
            sets += [f"# port {ssh} while {self.ssh_switch} is there", *_set("ssh_wan")]
            jumps.append(f"{wan} tcp dport @ssh_wan accept")
        if self.page_on_wan:
            sets += [f"# port {_page(context)} until the device was told who it is", *_set("page_wan")]
            jumps.append(f"{wan} tcp dport @page_wan accept")
        jumps += [f'iifname "{t.interface}" tcp dport {ssh} accept' for t in context.all(RecoveryTunnel)]
        own = ['iifname "lo" accept', "ct state vmap { established : accept, related : accept, invalid : drop }"]
        chains = [
            *_chain("input", ["type filter hook input priority filter; policy drop;", *own, *jumps]),
            *_chain("forward", ["type filter hook forward priority filter; policy drop;"]),
        ]
        for chain, rules in inbound_rules(self._inbound(), ssh, _page(context)).items():
            chains += _chain(chain, rules)
        return "\n".join([*sets, *chains[:-1], ""])

    def _inbound(self) -> dict[str, dict[str, Any]]:
        """Return what comes in as the device's program takes it."""
        lan, wan = self.lan_inbound, self.wan_inbound
        of_lan = {} if lan is None else {"closed": True, "tcp": list(lan.tcp), "udp": list(lan.udp)}
        return {"wan": {"tcp": list(wan.tcp), "udp": list(wan.udp)}, "lan": of_lan}

    def _told(self, context: Context) -> Told | None:
        """Return what makes the gateway what its device is told; None where no device is told anything."""
        provisioned = context.fact(Provisioned)
        if provisioned is None:
            return None
        first, last = self.lan_range.pool
        lan = {
            "gateway_cidr": str(self.lan_range.interface),
            "dhcp_start": first,
            "dhcp_end": last,
            "domain": self.domain,
            "gateway_aliases": list(self.names),
            "ntp_servers": list(self.time_servers),
        }
        host = {
            "name": context.name,
            "wan_interface": self.wan.name,
            "ssh": _ssh_port(context),
            "page": provisioned.port,
            "page_on_wan": self.page_on_wan,
            "lan": lan,
            "inbound": self._inbound(),
        }
        return Told(host, provisioned.directory)

    def _ssh_on_wan(self, switch: str, port: int) -> Iterator[Setting]:
        program = f" {switch} {port}"
        script = NixPath("./ssh-wan.sh")
        run: Expr = Text((pkgs.runtimeShell, " ", script, program))
        tried: Expr = Text(("-", pkgs.runtimeShell, " ", script, program))  # a failure leaves SSH closed, no more
        yield self.set("systemd.paths.ssh-wan.wantedBy", ["multi-user.target"], field="ssh_switch")
        yield self.set("systemd.paths.ssh-wan.pathConfig.PathChanged", switch, field="ssh_switch")
        yield self.set("systemd.services.ssh-wan.path", [pkgs.nftables], field="ssh_switch")
        yield self.set("systemd.services.ssh-wan.after", ["nftables.service"], field="ssh_switch")
        why = "the switch may lie on a file system that is mounted after the rules are loaded"
        yield self.set("systemd.services.ssh-wan.wantedBy", ["multi-user.target"], field="ssh_switch", comment=why)
        where = str(PurePosixPath(switch).parent)
        yield self.set("systemd.services.ssh-wan.unitConfig.RequiresMountsFor", where, field="ssh_switch")
        once: Value = {"Type": "oneshot", "ExecStart": run}
        yield self.set("systemd.services.ssh-wan.serviceConfig", once, field="ssh_switch")
        why = "at boot, and when the rules are loaded again, which closes the switch"
        yield self.set("systemd.services.nftables.path", [pkgs.nftables], field="ssh_switch", comment=why)
        hooks: Value = {"ExecStartPost": Order(1500, [tried]), "ExecReload": Order(1500, [tried])}
        yield self.set("systemd.services.nftables.serviceConfig", hooks, field="ssh_switch")

    def files(self, context: Context) -> Iterator[File]:
        """The programs behind the switch and behind what a device is told, with what the host file says."""
        if self.ssh_switch is not None:
            yield File("ssh-wan.sh", (Path(__file__).with_name("programs") / "ssh_wan.sh").read_text("utf-8"))
        told = self._told(context)
        if told is not None:
            yield from told.files()

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """The switch lasts and has something to open, nobody else configures the interfaces, and the page is closed."""
        return gateway_rules.host_mistakes(self, context)

    def warnings(self, context: Context) -> Iterator[Mistake]:
        """A range that the WAN may turn out to have, too."""
        shared = overlapping(self.lan_range, tuple(self.wan_ranges))
        if shared:
            others = (LanRange(f"172.{n}.30.1/24") for n in range(20, 32))
            free = next((r for r in others if not overlapping(r, tuple(self.wan_ranges))), None)
            fix = "say in wan_ranges which the WAN really has" + (f', or LanRange("{free.gateway}")' if free else "")
            given, allowed = str(self.lan_range.network), f"none of {', '.join(shared)}"
            what = f"overlaps what a WAN may have: {_UNREACHED}"
            yield Mistake("Gateway.lan_range", what, given, allowed, fix, field_origin(self, "lan_range"))

    def in_vm(self, context: Context) -> Iterator[Difference]:
        """Cables in place of the hardware that the interfaces are known by."""
        cables: dict[str, Value] = {
            f'virtualisation.interfaces."{link.name}".vlan': n for n, link in ((1, self.lan), (2, self.wan))
        }
        yield Difference("the LAN's cable leads to the others, the WAN's to nobody", cables)
        rules = ("etc/udev/rules.d/98-interfaces.rules", config["boot"]["initrd"]["services"]["udev"]["rules"])
        named: dict[str, Value] = {"services.udev.packages": [Apply(pkgs.writeTextDir, rules)]}
        yield Difference("stage 1, which names a VM's interfaces, may be over before it has seen them", named)

    def checks(self, context: Context) -> Iterator[Check]:
        """What it serves, whom it lets in, and that nothing is forwarded."""
        yield from gateway_checks.of_gateway(self._scene(context))

    def _scene(self, context: Context) -> gateway_checks.Scene:
        provisioned = context.fact(Provisioned)
        return gateway_checks.Scene(
            lan=str(self.lan_range.interface),
            pool=list(self.lan_range.pool),
            interfaces=(self.lan.name, self.wan.name),
            name=f"{context.name}.{self.domain}",
            time_servers=list(self.time_servers),
            inbound=self._inbound(),
            ssh=_ssh_port(context),
            page=_page(context),
            page_on_wan=self.page_on_wan,
            switch=self.ssh_switch or "",
            told="" if provisioned is None else provisioned.directory,
        )

    def steps(self, context: Context) -> Iterator[Step]:
        """Look at it from a machine on the LAN."""
        lan = self.lan_range
        yield Step(
            Phase.VERIFY,
            "The LAN gets addresses, names and time, and nothing else",
            "The first three from the host, the last two from a machine on the LAN: the last must fail.",
            f"chronyc accheck {lan.pool[0]}\nchronyc accheck 192.0.2.1\nnft list table inet {TABLE}\n"
            f"getent hosts {self.names[0] if self.names else context.name}.{self.domain}\nping -c 1 -W 5 192.0.2.1",
            f"`208 Access allowed` for the LAN, `209 Access denied` for the other; {lan.address} for the name.",
        )


def _ssh_port(context: Context) -> int:
    server = context.fact(SshServer)
    return 22 if server is None else server.port


def _page(context: Context) -> int:
    provisioned = context.fact(Provisioned)
    return PAGE if provisioned is None else provisioned.port


def _set(name: str) -> list[str]:
    return [f"set {name} {{", "  type inet_service", "}", ""]


def _chain(name: str, lines: Iterable[str]) -> list[str]:
    return [f"chain {name} {{", *(f"  {line}" for line in lines), "}", ""]
