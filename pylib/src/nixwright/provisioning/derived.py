"""What is derived from `config.toml`: the files that the device's other programs read."""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from typing import TYPE_CHECKING

from nixwright.provisioning.gateway_files import LanFile, given
from nixwright.provisioning.lines import line_of, lines_of
from nixwright.provisioning.model import Config, InterfaceEntry
from nixwright.provisioning.quadlet import quadlet_files, unit_of
from nixwright.provisioning.rules import faults_of, pool_of
from nixwright.provisioning.shape import MOST_FAULTS, Fault, RefusedError, read, read_sound

if TYPE_CHECKING:
    from nixwright.provisioning.device import Device

SOURCE = "config.toml"
LONGEST = 256 * 1024  # bytes of config.toml: a hundred times what one needs
_MOST_DOTS = 100  # in a line
NAMESPACE = "nixwright-provision"  # a signature made for anything else is none
# what tomllib says, and how it reads to who knows no TOML
_TOMLLIB = (
    ("Cannot declare", "the table of this heading is there already", "a heading once"),
    ("Cannot overwrite a value", "this key is there already", "a key once in its table"),
    ("Invalid value", "no value begins like this", "a text in quotes, true, false, a number, [...] or {...}"),
    ("Invalid statement", "this line is none", "KEY = VALUE, [TABLE], or a comment behind #"),
)
# what a promotion brings, or takes away
DERIVED = (
    *(SOURCE, "lan.json", "wan.json", "firewall.json", "containers", "containers.json", "ssh-authorized-keys"),
    *("users.json", "health-required.json", "updates.json", "admin-signers", "activation.json", "files"),
)


class WrongConfigError(RefusedError):
    """A `config.toml` that is refused; `lines` are those of its faults, 0 where none is known."""

    def __init__(self, *faults: Fault, lines: tuple[int, ...] = ()) -> None:
        """Hold the faults, each with its line."""
        super().__init__(*faults)
        self.lines = lines or (0,) * len(faults)

    def report(self, name: str = SOURCE) -> str:
        """Return the faults as a person reads them, a place each."""
        told = []
        for fault, line in zip(self.faults, self.lines, strict=True):
            place = f"{name}:{line}" if line else name
            told.append(f"{place}  {fault.place()}: {fault.what}".replace("  : ", "  "))
            told += [
                f"  {word:8} {said}" for word, said in (("given", fault.given), ("allowed", fault.allowed)) if said
            ]
        return "\n".join(told)


def parse(data: bytes, device: Device) -> Config:
    """Return a configuration. Raises WrongConfigError with all that is wrong, and where."""
    if len(data) > LONGEST:
        raise WrongConfigError(Fault((), "is too large", f"{len(data)} bytes", f"at most {LONGEST}"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WrongConfigError(
            Fault((), "is no UTF-8 text", "", "a text file, saved as UTF-8"), lines=(line,)
        ) from None
    try:
        _judge_lines(text)
        value = tomllib.loads(text)
    except RecursionError:
        raise WrongConfigError(Fault((), "is nested too deeply")) from None
    except ValueError as error:
        raise _no_toml(error, text) from None
    try:
        config = read(Config, value)
        found = [*faults_of(vars(config), device)]
        if not found:
            return config
    except RefusedError as error:
        found = [*error.faults, *faults_of(read_sound(Config, value, error.faults), device)]
    except RecursionError:
        raise WrongConfigError(Fault((), "is nested too deeply")) from None
    lines = lines_of(text)
    told = sorted(((line_of(lines, fault.way), fault) for fault in found[:MOST_FAULTS]), key=lambda entry: entry[0])
    raise WrongConfigError(*(fault for _, fault in told), lines=tuple(line for line, _ in told))


def _judge_lines(text: str) -> None:
    """Refuse a key of so many parts that `tomllib`, which keeps each beginning of it, takes all memory."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS:
            fault = Fault((), "has a line with too many dots", str(line.count(".")), f"at most {_MOST_DOTS}")
            raise WrongConfigError(fault, lines=(number,))


def _no_toml(error: ValueError, text: str) -> WrongConfigError:
    """Return what `tomllib` says, but for words that it quotes, at the line that it names."""
    said, _, place = str(error).partition(" (at ")
    words = place.removesuffix(")").replace(",", "").split()
    end = text.count("\n") + 1
    line = int(words[1]) if words[:1] == ["line"] and words[1].isdigit() else end if place else 0
    plain = re.sub(r"'[^']{3,}'", "...", said.partition(": ")[0]).partition("\n")[0]
    what, allowed = next((entry[1:] for entry in _TOMLLIB if plain.startswith(entry[0])), (plain[:80], ""))
    return WrongConfigError(Fault((), f"is no TOML: {what}", "", allowed), lines=(line,))


def derived_files(config: Config, device: Device, numbers: dict[str, int]) -> dict[str, str]:
    """Return the derived files by their path; `numbers` are the users' own, by their names."""
    found: dict[str, object] = {
        "users.json": {
            name: {"uid": numbers[name], "admin": user.admin, "shell": user.shell}
            for name, user in config.users.items()
        },
        "containers.json": _container_units(config),
        "health-required.json": _required(config, device),
        "activation.json": {
            "timeout_seconds": config.activation.timeout_seconds,
            "settle_seconds": config.activation.settle_seconds,
            "allow_degraded": [_running(config, device, name) for name in config.activation.allow_degraded],
        },
        "lan.json": _lan_file(config),
        "wan.json": _wan_file(config, device),
        "firewall.json": _firewall_file(config),
        "updates.json": {"server_url": config.upgrade.server_url} if config.upgrade else None,
    }
    texts = {path: json.dumps(value, indent=2) + "\n" for path, value in found.items() if value}
    keys = {f"ssh-authorized-keys/{name}": f"{user.ssh_key}\n" for name, user in config.users.items() if user.ssh_key}
    signers = [
        f'{name} namespaces="{NAMESPACE}" {" ".join(user.ssh_key.split(" ")[:2])}\n'
        for name, user in config.users.items()
        if user.admin and user.ssh_key
    ]
    return texts | keys | {"admin-signers": "".join(signers)} | quadlet_files(config.containers, device.directory)


def _container_units(config: Config) -> dict[str, object]:
    containers = config.containers.container
    return {
        "rootful": [unit_of(name) for name, entry in containers.items() if entry.privileged],
        "rootless": [unit_of(name) for name, entry in containers.items() if not entry.privileged],
        "restart": [unit_of(name) for name in config.activation.restart],
    }


def _running(config: Config, device: Device, name: str) -> str:
    """Return a container as the health gate names it: `web.service`, `appsvc@web.service` in its user's manager."""
    rootful = config.containers.container[name].privileged or not device.containers_user
    return unit_of(name) if rootful else f"{device.containers_user}@{unit_of(name)}"


def _required(config: Config, device: Device) -> list[str]:
    return [_running(config, device, name) for name in config.activation.required]


def _lan_file(config: Config) -> dict[str, object]:
    entry, ntp = config.network.dnsmasq, config.network.ntp
    servers = ntp.servers if ntp else None
    if entry is None:
        return given(LanFile(ntp_servers=servers))
    at = ipaddress.IPv4Interface(entry.gateway_cidr)
    first, last = pool_of(entry)
    return given(
        LanFile(
            gateway_cidr=str(at),
            gateway_ip=str(at.ip),
            subnet=str(at.network),
            netmask=str(at.network.netmask),
            dhcp_start=str(first),
            dhcp_end=str(last),
            domain=entry.domain,
            hostname_pattern=entry.hostname_pattern,
            gateway_aliases=entry.gateway_aliases,
            ntp_servers=servers,
        )
    )


def _wan_file(config: Config, device: Device) -> dict[str, object] | None:
    """What the WAN's interface says; what it leaves out, the network as a whole."""
    network = config.network
    entry = network.interfaces.get(device.wan)
    own = entry or InterfaceEntry("dhcp")
    made = given(
        InterfaceEntry(
            own.mode,
            own.address,
            own.gateway or network.default_gateway,
            own.dns_servers or network.dns_servers,
            own.dns_search_domains or network.dns_search_domains,
        )
    )
    return made if entry or len(made) > 1 else None


def _firewall_file(config: Config) -> dict[str, object] | None:
    if config.network.firewall is None:
        return None
    inbound = config.network.firewall.inbound
    scopes = {"wan": inbound.wan, "lan": inbound.lan}
    made = {name: {"tcp": list(p.tcp), "udp": list(p.udp)} for name, p in scopes.items() if p is not None}
    return {"inbound": made}
