"""What a gateway's device may be told, value by value: how each is read, and where those of one file contradict."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.provisioning.lan import NARROWEST, WIDEST, interface_of, is_special

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LARGEST = 65_536  # bytes of a file: all that can be told fits in a tenth of it
LONGEST = 253  # characters of a name with its domain (RFC 1035)
ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SERVER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?")
RANGE = ("gateway_cidr", "dhcp_start", "dhcp_end")
MAC = "{mac}"


@dataclass(frozen=True)
class Wrong(Exception):  # noqa: N818 - one of several that are told together
    """A value that is wrong, and why."""

    what: str


def address(value: Any) -> ipaddress.IPv4Address:
    """Return an IPv4 address."""
    if not isinstance(value, str) or not ADDRESS.fullmatch(value):
        raise Wrong("is no IPv4 address")
    try:
        return ipaddress.IPv4Address(value)
    except ValueError:
        raise Wrong("is no IPv4 address") from None


def interface(value: Any) -> ipaddress.IPv4Interface:
    """Return an address with its prefix, that a host of that network may have."""
    found = interface_of(value) if isinstance(value, str) else None
    if found is None:
        raise Wrong("is no IPv4 address with a prefix")
    if found.ip in (found.network[0], found.network[-1]):
        raise Wrong(f"is no host of {found.network}")
    if is_special(found.ip):
        raise Wrong("is no address for a host")
    return found


def lan_interface(value: Any) -> ipaddress.IPv4Interface:
    """Return the gateway's address with a prefix that a LAN may have."""
    found = interface(value)
    if not WIDEST <= found.network.prefixlen <= NARROWEST:
        raise Wrong(f"has a prefix beyond /{WIDEST} to /{NARROWEST}")
    return found


def port(value: Any) -> int:
    """Return a port."""
    if type(value) is not int or not 1 <= value <= 65535:  # noqa: PLR2004 - a port is 16 bits
        raise Wrong("is no port: 1 to 65535")
    return value


def domain(value: Any) -> str:
    """Return a domain."""
    if not isinstance(value, str) or len(value) > LONGEST or not all(map(LABEL.fullmatch, value.split("."))):
        raise Wrong("is no domain: names of a-z 0-9 - with dots between")
    return value


def label(value: Any) -> str:
    """Return a host name."""
    if not isinstance(value, str) or not LABEL.fullmatch(value):
        raise Wrong("is no host name: a-z 0-9 -, at most 63")
    return value


def pattern(value: Any) -> str:
    """Return a host name with `{mac}` in it."""
    if not isinstance(value, str) or MAC not in value:
        raise Wrong(f"has no {MAC}: devices of one image would have one name")
    label(value.replace(MAC, "0" * 12))
    return value


def server(value: Any) -> str:
    """Return a server: a name or an address."""
    if not isinstance(value, str) or not SERVER.fullmatch(value):
        raise Wrong("is no host: a name or an address")
    return value


def mode(value: Any) -> str:
    """Return how the WAN gets its address."""
    if value not in ("dhcp", "static"):
        raise Wrong("is neither dhcp nor static")
    return str(value)


def text(value: Any) -> str:
    """Return a text; what it must be is looked at where it is compared."""
    if not isinstance(value, str):
        raise Wrong("is no text")
    return value


@dataclass(frozen=True)
class Many:
    """A list of values, none twice."""

    of: Callable[[Any], Any]
    most: int = 64


PORTS = {"tcp": Many(port, 1024), "udp": Many(port, 1024)}
SHAPES: dict[str, dict[str, Any]] = {
    "lan": {
        "gateway_cidr": lan_interface,
        "gateway_ip": text,
        "subnet": text,
        "netmask": text,
        "dhcp_start": address,
        "dhcp_end": address,
        "domain": domain,
        "hostname_pattern": pattern,
        "gateway_aliases": Many(label),
        "ntp_servers": Many(server),
    },
    "wan": {
        "mode": mode,
        "address": interface,
        "gateway": address,
        "dns_servers": Many(address),
        "dns_search_domains": Many(domain),
    },
    "firewall": {"inbound": {"wan": PORTS, "lan": PORTS}},
}


def shown(value: Any) -> str:
    """Return a value as a message shows it: on one line, and short."""
    found = ascii(value)
    return found if len(found) <= 60 else f"{found[:57]}..."  # noqa: PLR2004 - a line of a terminal


def read(shape: Any, value: Any, place: str, wrong: list[str]) -> Any:
    """Return a value as its shape reads it; what is wrong is added to `wrong`, and None stands in its place."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            wrong.append(f"{place}: {shown(value)} is no table")
            return None
        unknown = sorted(value.keys() - shape.keys())
        wrong += [f"{place}.{shown(key)[1:-1]}: there is no such key: {', '.join(shape)}" for key in unknown]
        return {k: read(s, value[k], f"{place}.{k}", wrong) for k, s in shape.items() if k in value}
    if isinstance(shape, Many):
        if not isinstance(value, list) or len(value) > shape.most:
            wrong.append(f"{place}: {shown(value)} is no list of at most {shape.most}")
            return None
        found = [read(shape.of, v, f"{place}[{i}]", wrong) for i, v in enumerate(value)]
        wrong += [f"{place}[{i}]: {shown(v)} is there twice" for i, v in enumerate(value) if v in value[:i]]
        return found
    try:
        return shape(value)
    except Wrong as error:
        wrong.append(f"{place}: {shown(value)} {error.what}")
        return None


def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, whose keys must differ."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def told(directory: Path, name: str, wrong: list[str]) -> Any:
    """Return what the device was told in one file, checked by itself; None where there is no such file."""
    file = directory / f"{name}.json"
    try:
        with file.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        wrong.append(f"{file}: {error.strerror}")
        return None
    if len(raw) > LARGEST:
        wrong.append(f"{file}: is larger than {LARGEST} bytes")
        return None
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=no_key_twice)
    except (ValueError, RecursionError) as error:
        wrong.append(f"{file}: is no JSON: {str(error)[:80]}")
        return None
    found: list[str] = []
    value = read(SHAPES[name], value, "", found)
    if not found and name in AGREES:
        found += AGREES[name](value)
    wrong += [f"{file}: {line.removeprefix(': ').removeprefix('.')}" for line in found]
    return None if found else value


def lan_agrees(lan: dict[str, Any]) -> Iterator[str]:
    """Yield where the values of lan.json contradict each other."""
    if not any(key in lan for key in (*RANGE, "gateway_ip", "subnet", "netmask")):
        return
    missing = [key for key in RANGE if key not in lan]
    if missing:
        yield f".{missing[0]}: is missing: {', '.join(RANGE)} come together"
        return
    at, first, last = (lan[key] for key in RANGE)
    derived = {"gateway_ip": at.ip, "subnet": at.network, "netmask": at.network.netmask}
    for key, value in derived.items():
        if lan.get(key, str(value)) != str(value):
            yield f".{key}: {shown(lan[key])} is not that of {at}: {value}"
    low, high = at.network[1], at.network[-2]
    outside = [key for key in ("dhcp_start", "dhcp_end") if not low <= lan[key] <= high]
    for key in outside:
        yield f".{key}: {lan[key]} is outside of {at.network}: {low} to {high}"
    if outside:
        return
    if first > last:
        yield f".dhcp_start: {first} comes after dhcp_end, {last}"
    elif first <= at.ip <= last:
        yield f".dhcp_start: the gateway's own address, {at.ip}, is between {first} and {last}"


def wan_agrees(wan: dict[str, Any]) -> Iterator[str]:
    """Yield where the values of wan.json contradict each other."""
    if "mode" not in wan:
        yield ".mode: is missing: dhcp or static"
        return
    static = wan["mode"] == "static"
    if static != ("address" in wan):
        yield f".address: is {'missing: mode is static' if static else 'there, and mode is dhcp'}"
    elif static and "gateway" in wan and wan["gateway"] not in wan["address"].network:
        yield f".gateway: {wan['gateway']} is outside of {wan['address'].network}"


AGREES: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {"lan": lan_agrees, "wan": wan_agrees}
