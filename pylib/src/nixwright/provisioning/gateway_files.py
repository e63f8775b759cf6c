"""What a gateway's program is told: `lan.json`, `wan.json` and `firewall.json`, which are derived from `config.toml`.

They are of the same types, so what is written is what is read. A file that is not there means: what the host file says.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.provisioning.model import (
    Address,
    Cidr,
    FirewallEntry,
    InterfaceEntry,
    Labels,
    LanCidr,
    LanDomain,
    MacName,
    Servers,
)
from nixwright.provisioning.networks import host_faults, interface_faults, pool_faults
from nixwright.provisioning.plain_json import no_key_twice
from nixwright.provisioning.shape import Fault, RefusedError, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 65_536  # bytes of a file: all that can be told fits in a tenth of it
_RANGE = ("gateway_cidr", "dhcp_start", "dhcp_end")


@dataclass(frozen=True)
class LanFile:
    """The range of a LAN, whole or not at all, and what goes with it. What follows from the range agrees with it."""

    gateway_cidr: LanCidr | None = None
    gateway_ip: Address | None = None
    subnet: Cidr | None = None
    netmask: Address | None = None
    dhcp_start: Address | None = None
    dhcp_end: Address | None = None
    domain: LanDomain | None = None
    hostname_pattern: MacName | None = None
    gateway_aliases: Labels | None = None
    ntp_servers: Servers | None = None


FILES: dict[str, Any] = {"lan": LanFile, "wan": InterfaceEntry, "firewall": FirewallEntry}


def given(entry: LanFile | InterfaceEntry) -> dict[str, Any]:
    """Return what a table says, without what it leaves out."""
    return {key: value for key, value in vars(entry).items() if value not in (None, ())}


def told(directory: Path, name: str, wrong: list[str]) -> Any:
    """Return what the device was told in one file, checked by itself; None where there is none, or it is `wrong`."""
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
        entry = read(FILES[name], value)
    except RefusedError as error:
        wrong += [f"{file}: {fault.line()}" for fault in error.faults]
        return None
    except (ValueError, RecursionError) as error:
        wrong.append(f"{file}: is no JSON: {str(error)[:80]}")
        return None
    faults = [f"{file}: {fault.line()}" for fault in _faults(entry)]
    wrong += faults
    return None if faults else entry


def _faults(entry: object) -> Iterator[Fault]:
    if isinstance(entry, LanFile):
        yield from lan_faults(entry)
    elif isinstance(entry, InterfaceEntry):
        yield from interface_faults((), entry)


def lan_faults(lan: LanFile) -> Iterator[Fault]:
    """Where the values of lan.json contradict each other."""
    said = given(lan)
    if not any(key in said for key in (*_RANGE, "gateway_ip", "subnet", "netmask")):
        return
    missing = [key for key in _RANGE if key not in said]
    if missing:
        yield Fault((missing[0],), "is missing", "", f"{', '.join(_RANGE)} come together")
        return
    at, first, last = (said[key] for key in _RANGE)
    interface = ipaddress.IPv4Interface(at)
    network = interface.network
    derived = {"gateway_ip": interface.ip, "subnet": network, "netmask": network.netmask}
    for key, value in derived.items():
        if said.get(key, str(value)) != str(value):
            yield Fault((key,), f"is not that of {at}", said[key], str(value))
    found = [*host_faults(("gateway_cidr",), interface)]
    yield from found
    if not found:
        yield from pool_faults((), interface, (ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)))
