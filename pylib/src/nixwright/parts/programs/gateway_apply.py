"""Make the gateway what its device was told: LAN range, names, time, WAN address, and who gets in.

`gateway-apply.py HOST CONFIG`: HOST is a TOML file with what the host file says, CONFIG the directory with what the
device was told (lan.json, wan.json, firewall.json: `nixwright.provisioning.gateway_files`). All of it is
checked and planned before anything is written. What is wrong is told with its place, and what runs goes on as it was.
"""

from __future__ import annotations

import argparse
import fcntl
import ipaddress
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from nixwright.provisioning.gateway_files import FILES, given, told
from nixwright.provisioning.networks import apart_faults, gateway_names

TABLE = "gateway"
DHCP, DNS, NTP = 67, 53, 123
TOLD = ("config.toml", "admin-signers")  # a device with one of them was told who it is


class WrongError(Exception):
    """What was told is wrong: a line for each mistake, `file: place: what`."""


def everything(host: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return what holds: what the device was told, and the host file's own for the rest; WrongError."""
    if not directory.is_dir():
        raise WrongError(f"{directory}: is not there: the data partition is not mounted, or not as it should be")
    wrong: list[str] = []
    found = {name: told(directory, name, wrong) for name in FILES}
    scopes = vars(found["firewall"].inbound) if found["firewall"] else {}
    inbound = {scope: vars(ports) for scope, ports in scopes.items() if ports is not None}
    if host["page"] in inbound.get("wan", {}).get("tcp", ()):
        what = f"{host['page']} is the page that provisions the device: it is for the LAN alone"
        wrong.append(f"{directory}/firewall.json: inbound.wan.tcp: {what}")
    own, wan = given(found["lan"]) if found["lan"] else {}, given(found["wan"]) if found["wan"] else {}
    lan = host["lan"] | own
    if not wrong:
        apart = apart_faults((), wan.get("address"), lan["gateway_cidr"])
        wrong += [f"{directory}/wan.json: {fault.line()}" for fault in apart]
    if wrong:
        raise WrongError("\n".join(wrong))
    return {"lan": lan, "wan": wan, "inbound": host["inbound"] | inbound, "moved": "gateway_cidr" in own}


def names_of(lan: dict[str, Any], own: str, mac: str) -> list[str]:
    """Return the gateway's names, where its MAC address is known."""
    return gateway_names(own, lan.get("hostname_pattern"), lan["gateway_aliases"], mac)


def dnsmasq(lan: dict[str, Any], names: list[str]) -> str:
    """Return what dnsmasq is told of the LAN."""
    at = ipaddress.IPv4Interface(lan["gateway_cidr"])
    options = [f"dhcp-option=option:{o},{at.ip}" for o in ("router", "dns-server", "ntp-server")]
    lines = [
        f"domain={lan['domain']}",
        f"local=/{lan['domain']}/",
        *(f"host-record={name}.{lan['domain']},{name},{at.ip}" for name in names),
        f"dhcp-range={lan['dhcp_start']},{lan['dhcp_end']},{at.network.netmask},24h",
        *options,
    ]
    return "\n".join(lines) + "\n"


def chrony(lan: dict[str, Any]) -> str:
    """Return what chronyd is told of the LAN: whom to ask, and who may ask."""
    allowed = f"allow {ipaddress.IPv4Interface(lan['gateway_cidr']).network}"
    return "\n".join([*(f"server {s} iburst" for s in lan["ntp_servers"]), allowed]) + "\n"


def lan_network(lan: dict[str, Any]) -> str:
    """Return the drop-in that takes the host file's address from the LAN's interface and gives it another."""
    return f"[Network]\nAddress=\nAddress={lan['gateway_cidr']}\n"


def wan_network(wan: dict[str, Any]) -> str:
    """Return the drop-in for the WAN's interface. What is said of the way out and of names outranks DHCP."""
    lines = ["[Network]", f"DHCP={'no' if wan['mode'] == 'static' else 'ipv4'}"]
    lines += [f"Address={wan['address']}"] if "address" in wan else []
    lines += [f"DNS={a}" for a in wan.get("dns_servers", [])]
    lines += [f"Domains={' '.join(wan['dns_search_domains'])}"] if wan.get("dns_search_domains") else []
    if "gateway" in wan:
        lines += ["[Route]", f"Gateway={wan['gateway']}"]
        lines += ["GatewayOnLink=yes"] if wan["mode"] == "dhcp" else []
    if wan["mode"] == "dhcp":
        lines += ["[DHCPv4]"] if "gateway" in wan or wan.get("dns_servers") else []
        lines += ["UseGateway=no"] if "gateway" in wan else []
        lines += ["UseDNS=no"] if wan.get("dns_servers") else []
    return "\n".join(lines) + "\n"


def inbound_rules(inbound: dict[str, Any], ssh: int, page: int) -> dict[str, list[str]]:
    """Return the rules of the chains for what comes in, by chain: of the WAN what is listed, of the LAN everything.

    A LAN with any port listed is closed but for those and what a LAN needs of its gateway.
    """
    lan = {kind: inbound["lan"].get(kind, []) for kind in ("tcp", "udp")}
    if any(lan.values()) or inbound["lan"].get("closed"):
        needed = {"tcp": [ssh, DNS, page], "udp": [DNS, DHCP, NTP]}
        of_lan = ["icmp type echo-request accept", *(r for k, p in lan.items() for r in accept(k, [*p, *needed[k]]))]
    else:
        of_lan = ["accept"]
    of_wan = [rule for kind in ("tcp", "udp") for rule in accept(kind, inbound["wan"].get(kind, []))]
    return {"wan_inbound": of_wan, "lan_inbound": of_lan}


def accept(kind: str, ports: list[int]) -> list[str]:
    """Return the rule that accepts some ports; none for none."""
    listed = ", ".join(map(str, sorted(set(ports))))
    return [f"{kind} dport {{ {listed} }} accept"] if listed else []


def transaction(host: dict[str, Any], inbound: dict[str, Any], *, untold: bool) -> str:
    """Return what nft is told, in one go: it takes all of it or nothing."""
    lines = []
    for chain, rules in inbound_rules(inbound, host["ssh"], host["page"]).items():
        lines.append(f"flush chain inet {TABLE} {chain}")
        lines += [f"add rule inet {TABLE} {chain} {rule}" for rule in rules]
    if host["page_on_wan"]:
        lines.append(f"flush set inet {TABLE} page_wan")
        lines += [f"add element inet {TABLE} page_wan {{ {host['page']} }}"] if untold else []
    return "\n".join(lines) + "\n"


def planned(host: dict[str, Any], holds: dict[str, Any], root: Path) -> dict[Path, tuple[str | None, str]]:
    """Return the text of every file, None where there shall be none, and the service that reads it."""
    run = root / "run"
    networks = run / "systemd" / "network"
    try:
        mac = (root / "sys/class/net" / host["wan_interface"] / "address").read_text("ascii").strip().replace(":", "")
    except OSError:
        mac = ""  # the interface is not there: the name of the host file stays
    lan, wan = holds["lan"], holds["wan"]
    return {
        networks / "20-lan.network.d/provisioned.conf": (
            lan_network(lan) if holds["moved"] else None,
            "systemd-networkd",
        ),
        networks / "10-wan.network.d/provisioned.conf": (wan_network(wan) if wan else None, "systemd-networkd"),
        run / "gateway/dnsmasq.conf": (dnsmasq(lan, names_of(lan, host["name"], mac)), "dnsmasq"),
        run / "gateway/chrony.conf": (chrony(lan), "chronyd"),
    }


def current(file: Path) -> str | None:
    """Return what a file, or the one that it links to, says now; None where there is none."""
    try:
        return file.read_text("utf-8")
    except OSError:
        return None


def write(file: Path, content: str | None) -> None:
    """Put a file, or a link, in its place in one step; None takes it away."""
    if content is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_text(content, "utf-8")
    new.chmod(0o644)
    new.replace(file)


def run(*words: str, stdin: str | None = None) -> None:
    """Run a program; WrongError with the first line of what it says where it fails."""
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=90)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WrongError(f"{' '.join(words)}: {error}") from error
    if done.returncode:
        said = next((line.strip() for line in done.stderr.splitlines() if line.strip()), f"status {done.returncode}")
        raise WrongError(f"{' '.join(words)}: {said}")


def runs(service: str) -> bool:
    """Tell whether a service runs: one that does not reads its file when it starts."""
    return subprocess.run(["systemctl", "is-active", "--quiet", service], check=False).returncode == 0


def wake(services: list[str]) -> None:
    """Have services read their files again."""
    for service in filter(runs, services):
        if service == "systemd-networkd":
            run("networkctl", "reload")
        else:
            run("systemctl", "reset-failed", f"{service}.service")  # what it is told often is no crash loop
            run("systemctl", "restart", f"{service}.service")


def apply(host: dict[str, Any], directory: Path, root: Path, *, booting: bool) -> list[str]:
    """Make the gateway what it was told; return what changed. With WrongError everything is as it was."""
    holds = everything(host, directory)
    files = planned(host, holds, root)
    # one that is being provisioned for the first time is told, too: who finds the page on the WAN must not stay in
    rules = transaction(host, holds["inbound"], untold=not any((directory / name).exists() for name in TOLD))
    run("nft", "-c", "-f", "-", stdin=rules)
    before = {file: current(file) for file in files}
    changed = [file for file, (content, _) in files.items() if content != before[file]]
    services = list(dict.fromkeys(files[file][1] for file in changed))
    try:
        for file in changed:
            write(file, files[file][0])
        if not booting:
            wake(services)
        run("nft", "-f", "-", stdin=rules)
    except (OSError, WrongError) as error:
        for file in changed:
            write(file, before[file])
        if not booting:
            for service in services:
                with suppress(WrongError):  # the first failure is the one that is told
                    wake([service])
        raise WrongError(str(error)) from error
    return [str(file) for file in changed]


def main() -> None:
    """Apply once; status 1 where something is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host", type=Path, help="what the host file says")
    parser.add_argument("config", type=Path, help="the directory of what the device was told")
    parser.add_argument("--booting", action="store_true", help="restart nothing: what reads the files starts later")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where /run and /sys are")
    given = parser.parse_args()
    lock = given.root / "run/gateway/lock"
    lock.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            host = tomllib.loads(given.host.read_text("utf-8"))
            for file in apply(host, given.config, given.root, booting=given.booting):
                print(f"[gateway-apply] changed {file}")  # noqa: T201 - the journal reads it
        except WrongError as error:
            sys.exit("\n".join(f"[gateway-apply] {line}" for line in str(error).splitlines()))


if __name__ == "__main__":
    main()
