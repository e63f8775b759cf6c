from __future__ import annotations

import difflib
import ipaddress
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from gateway_host import GATEWAY
from host_project import project  # noqa: F401 - a fixture
from hypothesis import given, settings
from hypothesis import strategies as st
from nixwright.checks.model import SERVICES
from nixwright.errors import MistakeError
from nixwright.every_host import checks as of_every_host
from nixwright.layout.model import Layout
from nixwright.nix.values import Override
from nixwright.options.schema import Schema
from nixwright.parts.ethernet import Ethernet
from nixwright.parts.facts import Provisioned, RecoveryTunnel
from nixwright.parts.gateway import Gateway, Inbound
from nixwright.parts.lan_range import LanRange
from nixwright.parts.named_link import NamedLink
from nixwright.parts.recovery_vpn import RecoveryVpn
from nixwright.parts.ssh import Ssh
from parts_host import NixSnapshot, context, plain_layout, printed, told
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from updates_host import slots_layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from host_project import Project
    from nixwright.errors import Mistake
    from syrupy.assertion import SnapshotAssertion

WAN = NamedLink("wan", path="platform-ff540000.ethernet")
LAN = NamedLink("lan", driver="r8152")
SWITCH = "/persist/ssh-wan-enabled"


class Message(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "txt"


class Diff(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "diff"


def gateway(lan: str | LanRange = "172.20.30.1/24", **fields: Any) -> Gateway:
    return Gateway(WAN, LAN, LanRange(lan) if isinstance(lan, str) else lan, **fields)


def module(part: Gateway, *others: Ssh) -> str:
    return printed(part, context(part, *others))


def _network(address: int, prefix: int, host: int) -> tuple[ipaddress.IPv4Network, ipaddress.IPv4Address]:
    network = ipaddress.IPv4Network((0x0A000000 | address, prefix), strict=False)
    return network, network[1 + host % (network.num_addresses - 2)]


def ranges() -> st.SearchStrategy[tuple[ipaddress.IPv4Network, ipaddress.IPv4Address]]:
    """A network of 10.0.0.0/8 and one of its hosts."""
    return st.builds(_network, st.integers(0, (1 << 24) - 1), st.integers(16, 30), st.integers(0, (1 << 16) - 1))


def judged(*fields: str) -> LanRange | list[Mistake]:
    try:
        return LanRange(*fields)
    except MistakeError as error:
        return list(error.mistakes)


def test_a_gateway_whose_lan_may_reach_everything(snapshot: SnapshotAssertion) -> None:
    assert module(gateway()) == snapshot(extension_class=NixSnapshot)


def test_the_wan_s_lease_outlasts_a_machine_id_unless_settings_say_otherwise(project: Project) -> None:  # noqa: F811
    lasts = 'ClientIdentifier = "mac"'
    project.host(GATEWAY, "gw")
    project.run("gen", "hosts/gw.py")
    assert lasts in project.text("modules/gw/gateway.nix")
    path = "systemd.network.networks.10-wan.dhcpV4Config.ClientIdentifier"
    project.host(GATEWAY.replace("    parts=[", f"    settings={{{path!r}: 'duid'}},\n    parts=[", 1), "gw")
    answer = project.run("gen", "hosts/gw.py")
    assert answer.status == 0, answer.err
    assert lasts not in project.text("modules/gw/gateway.nix")


def test_a_gateway_with_all_fields(snapshot: SnapshotAssertion) -> None:
    part = gateway(
        LanRange("10.44.0.1/22", first="10.44.1.0", last="10.44.2.255"),
        wan_inbound=Inbound(tcp=[443], udp=[1194]),
        lan_inbound=Inbound(tcp=[80, 443], udp=[1194]),
        ssh_switch=SWITCH,
        names=["door", "time"],
        domain="house.example",
        time_servers=["ntp.example", "192.0.2.9"],
    )
    host = context(part, Ssh(port=2222))
    assert not [*part.host_rules(host)]
    assert printed(part, host) == snapshot(extension_class=NixSnapshot)
    assert [f.name for f in part.files(host)] == ["ssh-wan.sh"]
    assert not [*gateway().files(host)]


def test_one_field_changes_every_derived_value(snapshot: SnapshotAssertion) -> None:
    old, new = (module(gateway(lan)) for lan in ("172.20.30.1/24", "10.44.0.254/16"))
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), "before", "after", n=0, lineterm="")
    assert "172.20" not in new
    assert "\n".join(diff) + "\n" == snapshot(extension_class=Diff)


PROGRAM = "gateway-apply.py"
TOLD = Provisioned("/data/config", 8080)


def test_a_gateway_whose_device_is_told_more(snapshot: SnapshotAssertion) -> None:
    part = gateway(ssh_switch="/data/config/ssh-wan-enabled", page_on_wan=True, wan_inbound=Inbound(tcp=[443]))
    host = context(part, Ssh(), layout=Layout.of([]), facts=[TOLD])
    assert not [*part.host_rules(host)]
    assert printed(part, host) == snapshot(extension_class=NixSnapshot)
    written = {f.name: f.text for f in part.files(host)}
    assert set(written) == {"ssh-wan.sh", PROGRAM, "gateway.toml", "lan-dnsmasq.conf", "lan-chrony.conf"}
    told_of_the_lan = [written[name] for name in ("gateway.toml", "lan-dnsmasq.conf", "lan-chrony.conf")]
    assert "---\n".join(told_of_the_lan) == snapshot(extension_class=Message, name="files")


def test_one_field_changes_every_file_of_a_told_gateway(snapshot: SnapshotAssertion) -> None:
    def whole(lan: str) -> list[str]:
        part = gateway(lan)
        host = context(part, Ssh(), facts=[TOLD])
        files = [f"{f.name}: {line}" for f in part.files(host) if f.name != PROGRAM for line in f.text.splitlines()]
        return [*printed(part, host).splitlines(), *files]

    old, new = whole("172.20.30.1/24"), whole("10.44.0.254/16")
    assert "172.20" not in "".join(new)
    diff = difflib.unified_diff(old, new, "before", "after", n=0, lineterm="")
    assert "\n".join(diff) + "\n" == snapshot(extension_class=Diff)


def test_ssh_through_the_vpn_for_recovery(snapshot: SnapshotAssertion) -> None:
    vpn = RecoveryVpn()
    host = context(vpn, gateway(), Ssh(port=2222), facts=[TOLD])
    assert printed(vpn, host) == snapshot(extension_class=NixSnapshot)
    assert 'iifname "recovery" tcp dport 2222 accept\n' in printed(gateway(), host)
    assert "recovery" not in module(gateway(), Ssh())
    schema = Schema.shipped()
    assert [s.path for s in vpn.settings(host) if not schema.nodes(s.path)] == []
    (step,) = vpn.steps(host)
    assert "/data/config/openvpn/client.conf" in step.why


def test_the_page_is_never_open_on_the_wan_by_mistake() -> None:
    on_wan = gateway(page_on_wan=True)
    assert [told(m)[:2] for m in on_wan.host_rules(context(on_wan))] == [
        ["Gateway.page_on_wan", "there is no page that it could open"]
    ]
    moved = gateway(wan_inbound=Inbound(tcp=[443, 8443]))
    host = context(moved, facts=[Provisioned("/data/config", 8443)])
    assert [told(m) for m in moved.host_rules(host)] == [
        [
            "Gateway.wan_inbound",
            "is the page that provisions the device: it is for the LAN alone",
            "8443",
            "any other port",
            "Inbound(tcp=[443])",
        ]
    ]


@settings(deadline=None)
@given(ranges())
def test_all_that_follows_from_a_range_agrees(given_range: tuple[ipaddress.IPv4Network, ipaddress.IPv4Address]) -> None:
    network, at = given_range
    lan = LanRange(f"{at}/{network.prefixlen}")
    first, last = map(ipaddress.IPv4Address, lan.pool)
    hosts = (network[1], network[-2])
    assert hosts[0] <= first <= last <= hosts[1]
    assert not first <= at <= last
    # the roomier side of the gateway, but for what fixed addresses may take
    assert int(last) - int(first) + 1 >= (network.num_addresses - 3) // 2 - 9
    part = gateway(lan)
    said = {".".join(s.path): s.value for s in part.settings(context(part))}
    assert said["systemd.network.networks.20-lan"]["address"] == [f"{at}/{network.prefixlen}"]  # type: ignore[index,call-overload]
    names: Any = said["services.dnsmasq.settings"]
    assert names["dhcp-range"] == f"{first},{last},{network.netmask},24h"
    assert {o.partition(",")[2] for o in names["dhcp-option"]} == {str(at)}
    assert {record.rpartition(",")[2] for record in names["host-record"]} == {str(at)}
    allowed = [line for line in str(said["services.chrony.extraConfig"]).splitlines() if not line.startswith("#")]
    assert [line for line in allowed if line.startswith(("allow", "deny"))] == [f"allow {network}"]


@settings(deadline=None)
@given(ranges(), st.data())
def test_a_pool_is_taken_just_where_it_fits(
    given_range: tuple[ipaddress.IPv4Network, ipaddress.IPv4Address], data: st.DataObject
) -> None:
    network, at = given_range
    near = st.integers(int(network[0]) - 2, int(network[-1]) + 2).map(ipaddress.IPv4Address)
    first, last = data.draw(near), data.draw(near)
    fits = network[1] <= first <= last <= network[-2] and not first <= at <= last
    found = judged(f"{at}/{network.prefixlen}", str(first), str(last))
    if fits:
        assert isinstance(found, LanRange)
        assert found.pool == (str(first), str(last))
    else:
        assert isinstance(found, list)
        assert all(m.fix and m.allowed for m in found)


@settings(deadline=None)
@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}", fullmatch=True)))
def test_any_text_is_a_range_or_is_refused(text: str) -> None:
    found = judged(text)
    if isinstance(found, LanRange):
        assert str(ipaddress.ip_interface(text)) == str(found.interface)
        assert 16 <= found.network.prefixlen <= 30
    else:
        assert [m.field for m in found] == ["LanRange.gateway"]


@settings(deadline=None)
@given(ranges(), st.sampled_from(["network", "broadcast"]), st.integers(0, 32))
def test_what_is_no_range(
    given_range: tuple[ipaddress.IPv4Network, ipaddress.IPv4Address], end: str, prefix: int
) -> None:
    network, at = given_range
    with pytest.raises(MistakeError, match=f"is the {end} address of {network}"):
        LanRange(f"{network[0] if end == 'network' else network[-1]}/{network.prefixlen}")
    if not 16 <= prefix <= 30:
        with pytest.raises(MistakeError, match=r"the range is too wide|has no room for a gateway and a client"):
            LanRange(f"{at}/{prefix}")


def test_a_lan_that_overlaps_what_a_wan_may_have() -> None:
    part = gateway("192.168.0.1/20")
    found = [s.value for s in part.settings(context(part)) if s.path == ("warnings",)]
    shared = "192.168.0.0/24, 192.168.1.0/24, 192.168.2.0/24, 192.168.8.0/24"
    assert found == [[f"the LAN 192.168.0.0/20 overlaps {shared}: on such a WAN this gateway would not reach it"]]
    for quiet in (gateway("192.168.0.1/20", wan_ranges=["10.0.0.0/8"]), gateway("172.20.30.1/24")):
        assert not [s for s in quiet.settings(context(quiet)) if s.path == ("warnings",)]


def test_every_option_is_one_of_nixos() -> None:
    part = gateway("192.168.1.1/24", ssh_switch=SWITCH, lan_inbound=Inbound())
    schema = Schema.shipped()
    paths = [s.path for s in part.settings(context(part, Ssh(), facts=[TOLD]))]
    assert len(paths) > 30
    assert [p for p in paths if not schema.nodes(p)] == []


def test_a_switch_that_would_not_last_or_opens_nothing() -> None:
    part = gateway(ssh_switch="/etc/ssh-wan-enabled")
    assert [told(m)[:2] for m in part.host_rules(context(part))] == [
        ["Gateway.ssh_switch", "does not survive a boot: SSH would be closed on the WAN after each"],
        ["Gateway.ssh_switch", "there is no SSH that it could open"],
    ]
    lasting = gateway(ssh_switch=SWITCH)  # of a device that has no page, its port is any other
    assert [told(m)[1] for m in lasting.host_rules(context(lasting, Ssh(port=8080)))] == []


@pytest.mark.parametrize(
    "switch",
    [
        *("/data", "/data/config", "/data/config/config.toml", "/data/config/current", "/data/config/containers/x"),
        "/data/config/files",
    ],
)
def test_a_switch_that_is_always_there(switch: str) -> None:
    part = gateway(ssh_switch=switch)
    given = context(part, Ssh(), layout=slots_layout(), facts=[TOLD])
    assert [told(m)[:3] for m in part.host_rules(given)] == [
        ["Gateway.ssh_switch", "is there always: SSH would stay open on the WAN", switch]
    ]


@pytest.mark.parametrize(("kind", "opened"), [("file", True), ("directory", False), ("nothing", False)])
def test_a_file_alone_opens_ssh_on_the_wan(kind: str, opened: bool, tmp_path: Path) -> None:  # noqa: FBT001 - of a table
    switch = tmp_path / "switch"
    if kind == "directory":
        switch.mkdir()
    elif kind == "file":
        switch.touch()
    (tmp_path / "nft").write_text(f"#!/bin/sh\ncat >{tmp_path}/told\n")
    (tmp_path / "nft").chmod(0o755)
    (program,) = gateway(ssh_switch=SWITCH).files(context(Ssh()))
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", program.text, "sh", switch, "22"], env={"PATH": path}, check=True)
    assert ("add element" in (tmp_path / "told").read_text()) == opened


@pytest.mark.parametrize("switch", ["/data/config/ssh-wan-enabled", "/data/config/files/ssh", "/data/configure"])
def test_a_switch_of_its_own(switch: str) -> None:
    part = gateway(ssh_switch=switch)
    assert not [*part.host_rules(context(part, Ssh(), layout=slots_layout(), facts=[TOLD]))]


def test_an_interface_of_the_tunnels_name() -> None:
    part = Gateway(NamedLink("recovery", path="platform-ff540000.ethernet"), LAN)
    given = context(part, facts=[RecoveryTunnel("recovery")])
    assert [told(m)[:3] for m in part.host_rules(given)] == [
        ["Gateway.wan", "has the name of the VPN's tunnel", "recovery"]
    ]


def test_an_interface_that_another_part_configures() -> None:
    part = gateway()
    host = context(part, Ethernet("lan", dhcp=True), layout=plain_layout())
    assert [told(m)[:3] for m in part.host_rules(host)] == [
        ["Gateway", "is the gateway's already: two would configure it", "lan"]
    ]
    assert not [*part.host_rules(context(part, Ethernet("mgmt", dhcp=True)))]


def test_its_firewall_is_checked_by_its_own_checks() -> None:
    """The check of every host breaks NixOS's firewall, which a gateway has not: it could not fail there."""
    part = gateway()
    proved = [c.proves for c in of_every_host(context(Ssh()))]
    on_gateway = [c.proves for c in of_every_host(context(Ssh(), part))]
    assert [p for p in proved if p not in on_gateway] == ["the firewall lets SSH in, and nothing that nobody asked for"]
    (check,) = (c for c in part.checks(context(part)) if c.name == SERVICES)
    assert {s.name for s in check.sabotages} == {"ipv4-forwarding", "ipv6-forwarding", "masquerade", "no-rules"}
    # what each sabotage sets is among what the check says must hold, with another value
    for sabotage in check.sabotages:
        for path, value in sabotage.settings.items():
            assert isinstance(value, Override)
            assert check.holds[path] != value.value


def test_what_is_proved_follows_from_what_it_does() -> None:
    def of(part: Gateway, *facts: Provisioned) -> dict[str, list[str]]:
        host = context(part, Ssh(port=2222), facts=facts)
        found = {c.proves: [s.name for s in c.sabotages] for c in part.checks(host) if c.name == "gateway"}
        assert all(c.container for c in part.checks(host))
        return found

    served = "the LAN gets addresses, names and the time, and the WAN none of it"
    through = "nobody reaches through, neither from the LAN nor from the WAN"
    ports = "the ports that are open on each side are those of the description, or of what the device is told"
    switch = "SSH is open on the WAN while its switch is there, and not longer"
    back = "the time is asked for as soon as the WAN is back"
    told = "it becomes what it is told while it runs: addresses, names and time of another LAN range"
    assert list(of(gateway())) == [served, through, ports, back]
    # every check but the one of what is told, whose counterpart is in `ports`, has a sabotage of its own
    whole = of(gateway(ssh_switch="/data/config/ssh-wan-enabled"), TOLD)
    assert list(whole) == [served, through, ports, switch, back, told]
    assert whole[ports] == ["no-rules-loaded", "deaf"]
    assert all(whole[proved] for proved in whole if proved != told)
    assert list(of(gateway(lan_inbound=Inbound(tcp=[80])))) == [served, through]
    # the LAN that the device is told lies elsewhere than its own
    near = gateway("10.177.1.1/24")
    (elsewhere,) = (c for c in near.checks(context(near, facts=[TOLD])) if c.proves == told)
    assert elsewhere.values["other"] == "10.178.0.1/22"


WRONG: dict[str, Sequence[tuple[str, str]]] = {
    "range_too_wide": [('"172.20.30.1/24"', '"10.0.0.1/8"')],
    "range_too_narrow": [('"172.20.30.1/24"', '"172.20.30.1/31"')],
    "range_without_prefix": [('"172.20.30.1/24"', '"172.20.30.1"')],
    "range_with_a_netmask": [('"172.20.30.1/24"', '"172.20.30.1/255.255.255.0"')],
    "gateway_is_the_network": [('"172.20.30.1/24"', '"172.20.30.0/24"')],
    "gateway_of_loopback": [('"172.20.30.1/24"', '"127.0.0.1/24"')],
    "pool_outside": [('"172.20.30.1/24"', '"172.20.30.1/24", first="172.20.31.10"')],
    "pool_over_the_gateway": [('"172.20.30.1/24"', '"172.20.30.100/24", first="172.20.30.50", last="172.20.30.200"')],
    "pool_starts_after_its_end": [('"172.20.30.1/24"', '"172.20.30.1/24", first="172.20.30.90", last="172.20.30.80"')],
    "pool_that_is_no_address": [('"172.20.30.1/24"', '"172.20.30.1/24", last="254"')],
    "page_on_wan": [("tcp=[443]", "tcp=[443, 8080]")],
    "port_in_two_scopes": [("udp=[1194]),", "udp=[1194]),\n            lan_inbound=Inbound(tcp=[80]),")],
    "port_twice": [("tcp=[443]", "tcp=[443, 443]")],
    "port_that_is_none": [("tcp=[443]", "tcp=[443, 65536]")],
    "one_interface_for_both": [
        ('NamedLink("lan", mac="52:54:00:12:34:56")', 'NamedLink("lan", path="pci-0000:00:03.0")')
    ],
    "name_with_a_dash": [('NamedLink("lan"', 'NamedLink("lan-1"')],
    "name_of_every_interface": [('NamedLink("lan"', 'NamedLink("default"')],
    "name_of_the_kernel": [('NamedLink("lan"', 'NamedLink("eth1"')],
    "interface_found_by_nothing": [(', mac="52:54:00:12:34:56"', "")],
    "interface_found_by_a_pattern": [('path="pci-0000:00:03.0"', 'path="pci-*"')],
    "mac_that_is_none": [("52:54:00:12:34:56", "5254.0012.3456")],
    "domain_too_long": [("ssh_switch=", f'domain="{"a" * 63}.{"b" * 63}.{"c" * 63}",\n            ssh_switch=')],
    "switch_without_ssh": [("        Ssh(),\n", "")],
    "switch_that_is_no_path": [("/var/lib/gateway/ssh-wan-enabled", "ssh-wan-enabled")],
    "several_at_once": [
        ('"172.20.30.1/24"', '"172.20.30.255/24"'),
        ("tcp=[443]", "tcp=[8080]"),
        ("52:54:00:12:34:56", "52-54"),
        (
            "ssh_switch=",
            'domain="a b",\n            names=["-"],\n            wan_ranges=["10.0.0.1/24"],\n            ssh_switch=',
        ),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_host_file(name: str, project: Project, snapshot: SnapshotAssertion) -> None:  # noqa: F811
    text = GATEWAY
    for old, new in WRONG[name]:
        assert old in text, old
        text = text.replace(old, new, 1)
    answer = project.run("gen", project.host(text, "gw"))
    assert answer.status == 2
    assert not (project.root / "modules").exists()
    assert "Traceback" not in answer.err
    assert answer.err == snapshot(extension_class=Message)


def test_the_right_host_file(project: Project) -> None:  # noqa: F811
    assert project.run("gen", project.host(GATEWAY, "gw")).status == 0
    assert project.text("modules/gw/ssh-wan.sh").endswith("\nEND\n")
