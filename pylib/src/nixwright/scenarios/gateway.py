"""A gateway between a LAN and a WAN that both have somebody on them."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING

from nixwright.scenarios.driver import seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import BaseMachine

CHRONYC = "runuser -u chrony -- chronyc"  # its socket is chrony's own; root would do as well


def serves_its_lan(  # noqa: PLR0913 - what the LAN is given
    machine: BaseMachine, client: BaseMachine, outside: BaseMachine, *, lan: str, pool: list[str], name: str, wan: str
) -> None:
    """A machine on the LAN gets an address of the pool, names and the time; one on the WAN gets none of it."""
    for unit in ("nftables", "dnsmasq", "chronyd"):
        machine.wait_for_unit(f"{unit}.service")
    at = ipaddress.IPv4Interface(lan)
    address = address_in(client, at.network)
    if not ipaddress.IPv4Address(pool[0]) <= address <= ipaddress.IPv4Address(pool[1]):
        raise AssertionError(f"{address} is not of the pool, {pool}")
    client.wait_until_succeeds(f"ip route show default | grep -F 'via {at.ip} '", timeout=seconds(60))
    client.wait_until_succeeds(f"getent ahostsv4 {name} | grep -F '{at.ip} '", timeout=seconds(60))
    for stranger, answer in (
        (address, "208 Access allowed"),
        (ipaddress.IPv4Address("203.0.113.9"), "209 Access denied"),
    ):
        machine.succeed(f"{CHRONYC} accheck {stranger} | grep -F '{answer}'")
    client.succeed(ask_the_time(at.ip, 30))
    outside.fail(ask_the_time(of_wan(machine, wan), 5))


def forwards_nothing(  # noqa: PLR0913 - both sides
    machine: BaseMachine, client: BaseMachine, outside: BaseMachine, *, lan: str, wan: str, out: str
) -> None:
    """Nobody reaches through, though both would take the way; the one on the WAN is there, and answers the gateway."""
    at = ipaddress.IPv4Interface(lan)
    own, here = of_wan(machine, wan), address_in(client, at.network)
    outside.succeed(f"ip route replace {at.network} via {own}")
    for node in (client, outside):
        node.succeed("systemd-run --collect --unit=door systemd-socket-activate -l 7777 --inetd -a cat")
    machine.wait_until_succeeds(knock(out, 7777), timeout=seconds(60))
    machine.wait_until_succeeds(knock(here, 7777), timeout=seconds(60))
    client.fail(knock(out, 7777))
    outside.fail(knock(here, 7777))
    client.fail(f"ping -c 1 -W 5 {out}")
    client.succeed(f"ping -c 1 -W 20 {at.ip}")
    for node in (client, outside):
        node.succeed("systemctl stop door.service")
    for family in ("ipv4", "ipv6"):
        machine.succeed(f"test $(cat /proc/sys/net/{family}/conf/all/forwarding) = 0")
    machine.succeed("nft list chain inet gateway forward | grep -F 'policy drop'")


def lets_in_whom_it_should(  # noqa: PLR0913 - what is open is told of each side
    machine: BaseMachine,
    client: BaseMachine,
    outside: BaseMachine,
    *,
    lan: str,
    wan: str,
    tcp: list[int],
    udp: list[int],
    ssh: int,
    page: int,
    untold: bool,
    told: str,
) -> None:
    """From the WAN the ports of the description and no other; from the LAN all; then what the device is told."""
    inside, own = str(ipaddress.IPv4Interface(lan).ip), str(of_wan(machine, wan))
    ports = sorted({ssh, 443, 9090, page, *tcp})
    listen(machine, ports)
    opened(outside, own, ports, [*tcp, *([page] if untold else [])])
    opened(client, inside, ports, ports)
    received(machine, outside, own, sorted({1194, *udp}), udp)
    received(machine, client, inside, [1194], [1194])
    if not told:
        return
    tell(machine, told, {"wan": {"tcp": [443], "udp": [1194]}})
    opened(outside, own, ports, [443])
    opened(client, inside, ports, ports)
    received(machine, outside, own, [1194, 1195], [1194])
    tell(machine, told, {"wan": {"tcp": [443]}, "lan": {"tcp": [443]}})
    opened(outside, own, ports, [443])
    opened(client, inside, ports, [ssh, 443, page])
    received(machine, client, inside, [1194], [])
    # the host file's rules come first when they are loaded again, and what was told right after
    machine.succeed("systemctl reload nftables.service")
    machine.wait_until_succeeds("! nft list chain inet gateway lan_inbound | grep -xE '[[:space:]]*accept'")
    opened(client, inside, ports, [ssh, 443, page])
    # what is refused is named, and changes nothing
    refused = {"wan": {"tcp": [page]}}
    put(machine, f"{told}/firewall.json", json.dumps({"inbound": refused}))
    machine.fail("systemctl restart gateway-apply.service")
    argv = "$(systemctl show -P ExecStart gateway-apply.service | sed 's/.*argv..=\\([^;]*\\);.*/\\1/')"
    machine.succeed(f"({argv} 2>&1 || true) | grep -F 'inbound.wan.tcp: {page} is the page'")
    opened(outside, own, ports, [443])
    machine.succeed(f"rm {told}/firewall.json", "systemctl restart gateway-apply.service")
    opened(outside, own, ports, tcp)


def becomes_what_it_is_told(  # noqa: PLR0913 - the old and the new
    machine: BaseMachine, client: BaseMachine, *, lan: str, told: str, other: str, pool: list[str], name: str
) -> None:
    """Another LAN range takes the old one's place while it runs, and goes again with the file."""
    range_of_lan = {"gateway_cidr": other, "dhcp_start": pool[0], "dhcp_end": pool[1]}
    put(machine, f"{told}/lan.json", json.dumps(range_of_lan))
    machine.succeed("systemctl restart gateway-apply.service")
    for cidr, gone in ((other, lan), (lan, other)):
        at = ipaddress.IPv4Interface(cidr)
        machine.wait_until_succeeds(f"ip -4 -o address show | grep -F ' {cidr} '", timeout=seconds(60))
        machine.fail(f"ip -4 -o address show | grep -F ' {gone} '")
        client.succeed("networkctl reconfigure eth1")
        address = address_in(client, at.network)
        client.wait_until_succeeds(f"getent ahostsv4 {name} | grep -F '{at.ip} '", timeout=seconds(60))
        machine.succeed(f"{CHRONYC} accheck {address} | grep -F '208 Access allowed'")
        machine.succeed(f"{CHRONYC} accheck {ipaddress.IPv4Interface(gone).ip} | grep -F '209 Access denied'")
        client.succeed(ask_the_time(at.ip, 30))
        if cidr == other:
            machine.succeed(f"rm {told}/lan.json", "systemctl restart gateway-apply.service")


def switches_ssh_on_wan(machine: BaseMachine, outside: BaseMachine, *, wan: str, switch: str, port: int) -> None:
    """SSH is open on the WAN while the file is there: at once, after the rules are loaded again, and not longer."""
    own = str(of_wan(machine, wan))
    machine.wait_for_open_port(port)
    opened(outside, own, [port], [])
    machine.succeed(f"mkdir -p $(dirname {switch})", f"touch {switch}")
    machine.wait_until_succeeds(f"nft list set inet gateway ssh_wan | grep -wF {port}", timeout=seconds(30))
    opened(outside, own, [port], [port])
    machine.succeed("systemctl reload nftables.service")
    opened(outside, own, [port], [port])
    machine.succeed(f"rm {switch}")
    machine.wait_until_fails(f"nft list set inet gateway ssh_wan | grep -wF {port}", timeout=seconds(30))
    opened(outside, own, [port], [])


def asks_for_the_time_when_the_wan_is_back(machine: BaseMachine, outside: BaseMachine, *, wan: str, out: str) -> None:
    """Without a WAN the gateway keeps its own time; when the WAN is back it asks its servers at once."""
    machine.succeed(f"networkctl down {wan}")
    machine.wait_until_fails(f"ip -4 -o address show dev {wan} | grep -F inet", timeout=seconds(30))
    machine.succeed("systemctl restart chronyd.service")
    machine.fail(f"{CHRONYC} -n sources | grep -F '{out} '")
    asked = "$(systemctl show -P ExecMainExitTimestampMonotonic chrony-wan.service)"
    before = machine.succeed(f"echo {asked}").strip()
    machine.succeed(f"networkctl up {wan}")
    of_wan(machine, wan)
    machine.wait_until_succeeds(f"test {asked} -gt {before}", timeout=seconds(60))
    machine.succeed("test $(systemctl show -P ExecMainStatus chrony-wan.service) = 0")
    machine.wait_until_succeeds(f"{CHRONYC} -n sources | grep -F '^* {out} '", timeout=seconds(60))
    # 127.127.1.1, its own clock, is 7F7F0101
    machine.succeed(f"{CHRONYC} -c tracking | grep -v '^7F7F0101,'")
    outside.succeed(f"{CHRONYC} serverstats | grep -E 'NTP packets received *: [1-9]'")


def address_in(node: BaseMachine, network: ipaddress.IPv4Network) -> ipaddress.IPv4Address:
    """Wait for a node's address in a network and return it."""
    listed = "ip -4 -j address show scope global"
    pick = f'{listed} | grep -oE \'"local":"{str(network.network_address).split(".", maxsplit=1)[0]}[.][0-9.]+\''
    for line in node.wait_until_succeeds(pick, timeout=seconds(60)).split():
        address = ipaddress.IPv4Address(line.rpartition('"')[2])
        if address in network:
            return address
    raise AssertionError(f"no address in {network}")


def of_wan(machine: BaseMachine, wan: str) -> ipaddress.IPv4Address:
    """Wait for the gateway's address on the WAN and return it."""
    shown = machine.wait_until_succeeds(f"ip -4 -o address show dev {wan} | grep -F inet", timeout=seconds(90))
    return ipaddress.IPv4Interface(shown.split()[3]).ip


def ask_the_time(address: ipaddress.IPv4Address, patience: int) -> str:
    """Return the command that asks a server for the time, and sets no clock."""
    return f"chronyd -Q -t {patience} 'server {address} iburst maxsamples 1' 'pidfile /run/ask.pid' 'cmdport 0'"


def knock(address: object, port: int) -> str:
    """Return the command that succeeds where a TCP connection comes about."""
    return f"timeout 4 bash -c 'exec 3<>/dev/tcp/{address}/{port}'"


def opened(node: BaseMachine, address: str, ports: list[int], expected: list[int]) -> None:
    """Just those of some ports are reached."""
    tries = "; ".join(f"({knock(address, p)} && echo {p}) &" for p in ports).replace("&;", "&")
    found = sorted(int(p) for p in node.succeed(f"( {tries} wait ) 2>/dev/null").split())
    if found != sorted(set(expected)):
        raise AssertionError(f"{node.name} reaches {found} of {address}, and should reach {sorted(set(expected))}")


def listen(machine: BaseMachine, ports: list[int]) -> None:
    """Have something listen."""
    for port in ports:
        if not machine.execute(f"ss -Hltn 'sport = {port}' | grep -q .")[0]:
            continue
        machine.succeed(f"systemd-run --unit=listen-{port} systemd-socket-activate -l {port} --inetd -a cat")
        machine.wait_until_succeeds(knock("127.0.0.1", port))


def received(machine: BaseMachine, node: BaseMachine, address: str, ports: list[int], expected: list[int]) -> None:
    """A datagram to each port: just those that are expected arrive and are read there."""
    for port in ports:
        read = f"systemd-socket-activate -d -l {port} --inetd dd of=/run/read-{port} bs=999 count=1"
        machine.succeed(f"rm -f /run/read-{port}", f"systemd-run --collect --unit=read-{port} {read}")
        machine.wait_until_succeeds(f"ss -Hlun 'sport = {port}' | grep .")
        node.succeed(f"bash -c 'echo {node.name} >/dev/udp/{address}/{port}'")
    for port in ports:
        arrived = f"grep -x {node.name} /run/read-{port}"
        if port in expected:
            machine.wait_until_succeeds(arrived, timeout=seconds(20))
        else:
            machine.succeed("sleep 1")
            machine.fail(arrived)
        machine.execute(f"systemctl stop read-{port}.service")


def tell(machine: BaseMachine, directory: str, inbound: dict[str, dict[str, list[int]]]) -> None:
    """Tell the device who may reach it."""
    put(machine, f"{directory}/config.toml", "")
    put(machine, f"{directory}/firewall.json", json.dumps({"inbound": inbound}))
    machine.succeed("systemctl restart gateway-apply.service")


def put(machine: BaseMachine, file: str, text: str) -> None:
    """Write a file, where a link that leads nowhere may stand."""
    machine.succeed(f"mkdir -p $(dirname {file})", f"rm -f {file}", f"echo '{text}' >{file}")
