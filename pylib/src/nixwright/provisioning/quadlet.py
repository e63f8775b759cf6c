"""Containers of `config.toml` as files for podman's Quadlet, and what a rootless one may not ask for."""

from __future__ import annotations

import difflib
import ipaddress
import re
from typing import TYPE_CHECKING

from nixwright.provisioning.model import PAGE
from nixwright.provisioning.shape import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.provisioning.device import Device
    from nixwright.provisioning.model import ContainerEntry, ContainersEntry, Section
    from nixwright.provisioning.shape import Way

# the first start fetches the image; one that fails is started again, also where the network comes late
SERVICE: Section = {"Restart": "on-failure", "RestartSec": 10, "TimeoutStartSec": 900}
ROOTFUL = "containers/rootful"
ROOTLESS = "containers/rootless"
# what stands before the first / of an image: a host, or where else it is (`oci-archive:`)
_REGISTRY = re.compile(r"(localhost|[^/]*[.:][^/]*)/")
_EXAMPLE = '"docker.io/library/nginx:1.29"'
_DIGITS = "[0-9]{1,5}"
_RANGE = rf"{_DIGITS}(-{_DIGITS})?"
# [address:][port of the host:]port of the container[/protocol]
_PUBLISHED = re.compile(
    rf"((?P<at>\[[0-9a-fA-F:.]+\]|[0-9]+(\.[0-9]+){{3}}|localhost):)?((?P<host>{_RANGE})?:)?(?P<inner>{_RANGE}(/(tcp|udp|sctp))?)"
)
_UNPRIVILEGED, _LAST_PORT = 1024, 65_535  # net.ipv4.ip_unprivileged_port_start
_TOKENS = ("${CONFIG_DIR}", "${FILES_DIR}")
_PLACES = [token[2:-1] for token in _TOKENS]
_TOKEN = re.compile(r"\$\{?([A-Za-z_]{1,64})\}?")
# what would take a rootless container out of the place it has: another network, another file of settings
_NOT_ROOTLESS = ("ContainersConfModule", "GlobalArgs", "Pod", "PodmanArgs")
_SUFFIX = {"network": "-network", "volume": "-volume", "build": "-build"}


def unit_of(name: str, kind: str = "container") -> str:
    """Return the unit that Quadlet makes of a file: `web.service`, `web-network.service`."""
    return f"{name}{_SUFFIX.get(kind, '')}.service"


def container_faults(containers: ContainersEntry, device: Device) -> Iterator[Fault]:
    """What the types cannot say: an image, names and ports that are free, and no rootless container that wants out."""
    units: dict[str, Way] = dict.fromkeys(device.units, ())
    for kind in ("container", "network", "volume", "build"):
        for name in getattr(containers, kind):
            way: Way = ("containers", kind, name)
            if unit_of(name, kind) in units:
                other = units[unit_of(name, kind)]
                given = ".".join(map(str, other)) or "a container of the image"
                yield Fault(way, "has the unit of another", given, "another name")
            units.setdefault(unit_of(name, kind), way)
    for name, entry in containers.container.items():
        yield from _one(("containers", "container", name), entry, containers)
    yield from _misspelt_places(containers)
    yield from _published_ports(containers, device)


def _image(way: Way, entry: ContainerEntry) -> Iterator[Fault]:
    """A container has one image, and of whom it is fetched is said."""
    image = entry.container.get("Image")
    if "Rootfs" in entry.container:
        if image is not None:
            yield Fault((*way, "Rootfs"), "is there beside Image", "", "one of the two")
    elif not isinstance(image, str) or not image.strip():
        yield Fault((*way, "Image"), "a container needs one image", "", f"the name of an image: {_EXAMPLE}")
    elif not _REGISTRY.match(image) and not image.endswith((".build", ".image")):
        what = "names no registry: which of several is asked would be left to chance"
        yield Fault((*way, "Image"), what, "", f"registry/name:tag: {_EXAMPLE}")


def _one(way: Way, entry: ContainerEntry, containers: ContainersEntry) -> Iterator[Fault]:
    inside = (*way, "Container")
    yield from _image(inside, entry)
    for key, value in entry.container.items():
        for index, word in _words(value):
            at = (*inside, key) if index is None else (*inside, key, index)
            kind = {".build": "build", ".network": "network"}.get(re.sub(r"^[^.]*", "", str(word)), "")
            if key in ("Image", "Network") and kind and str(word).partition(".")[0] not in getattr(containers, kind):
                yield Fault(at, f"names what is not in containers.{kind}", "", ", ".join(getattr(containers, kind)))
            volume, dot, suffix = str(word).partition(":")[0].rpartition(".")
            if key == "Volume" and dot and suffix == "volume" and "/" not in volume and volume not in containers.volume:
                yield Fault(at, "names what is not in containers.volume", "", ", ".join(containers.volume))
            if key == "PublishPort" and _published(str(word)) is None:
                yield Fault(at, "is no port to publish", "", '"8081:80", "127.0.0.1:8081:80/udp"')
    if not entry.privileged:
        for key in sorted(set(_NOT_ROOTLESS) & set(entry.container)):
            yield Fault((*inside, key), "is not for a rootless container", "", "privileged = true, or without it")


def _published(word: str) -> re.Match[str] | None:
    """Return the pieces of what is published; None for ports or an address that are none, and for unequal ranges."""
    match = _PUBLISHED.fullmatch(word)
    if match is None:
        return None
    inner, host = _port_span(match["inner"].partition("/")[0]), _port_span(match["host"])
    try:
        ipaddress.ip_address((match["at"] or "127.0.0.1").replace("localhost", "127.0.0.1").strip("[]"))
    except ValueError:
        return None
    right = all(0 < span[0] <= span[-1] <= _LAST_PORT for span in (inner, host) if span)
    return match if right and len(host) in (0, len(inner)) else None


def _port_span(text: str | None) -> range:
    """Return the ports of a range, `80` or `80-89`; none for none."""
    low, _, high = (text or "").partition("-")
    return range(int(low), int(high or low) + 1) if low else range(0)


def _published_ports(containers: ContainersEntry, device: Device) -> Iterator[Fault]:
    """A port of the host has one owner; a rootless container's is none that is root's alone."""
    taken = {(device.ssh_port, "tcp"): "SSH"}
    if device.lan:
        taken[PAGE, "tcp"] = "the page that provisions the device"
    for name, entry in containers.container.items():
        way: Way = ("containers", "container", name, "Container", "PublishPort")
        for index, word in _words(entry.container.get("PublishPort", ())):
            match = _published(str(word))
            if entry.privileged or match is None:
                continue
            at: Way = way if index is None else (*way, index)
            ports, kind = _port_span(match["host"]), match["inner"].partition("/")[2] or "tcp"
            if ports and ports[0] < _UNPRIVILEGED:
                what = "is for root alone, and this container runs without"
                yield Fault(at, what, str(ports[0]), f"{_UNPRIVILEGED} to {_LAST_PORT}")
            for port in ports:
                if (port, kind) in taken:
                    yield Fault(at, f"is taken by {taken[port, kind]}", str(port), "another port of the device")
                    break
                taken[port, kind] = name


def _misspelt_places(containers: ContainersEntry) -> Iterator[Fault]:
    """What looks like a name of a place on the device is one."""
    sections: list[tuple[Way, Section]] = []
    for name, entry in containers.container.items():
        way: Way = ("containers", "container", name)
        sections += [((*way, "Container"), entry.container), ((*way, "Unit"), entry.unit)]
    sections += [(("containers", "volume", name, "Volume"), unit.volume) for name, unit in containers.volume.items()]
    sections += [(("containers", "build", name, "Build"), unit.build) for name, unit in containers.build.items()]
    for way, section in sections:
        for key, value in section.items():
            for index, word in _words(value):
                names = [match[1] for match in _TOKEN.finditer(str(word)) if match[0] not in _TOKENS]
                if any(difflib.get_close_matches(name, _PLACES, cutoff=0.7) for name in names):
                    at = (*way, key) if index is None else (*way, key, index)
                    yield Fault(at, "names no place on the device", "", ", ".join(_TOKENS))


def _words(value: object) -> Iterator[tuple[int | None, object]]:
    if isinstance(value, tuple):
        yield from enumerate(value)
    else:
        yield None, value


def quadlet_files(containers: ContainersEntry, directory: str) -> dict[str, str]:
    """Return the files by their path below the configuration's directory, which stands in for `${CONFIG_DIR}`.

    A rootless container reaches the network by pasta, and is reached at 127.0.0.1 alone; a privileged one has the
    host's network. What containers stand on is made for both kinds, each for those who use it.
    """
    tokens: dict[str, str] = dict(zip(_TOKENS, (directory, f"{directory}/files"), strict=True))
    made: dict[str, str] = {}
    for name, entry in containers.container.items():
        place = ROOTFUL if entry.privileged else ROOTLESS
        install = entry.install or {"WantedBy": "multi-user.target" if entry.privileged else "default.target"}
        sections = {"Unit": entry.unit, "Container": _section(entry), "Service": SERVICE, "Install": install}
        made[f"{place}/{name}.container"] = _unit_text(sections, tokens)
    for place in sorted({path.rpartition("/")[0] for path in made}):
        for name, network in containers.network.items():
            made[f"{place}/{name}.network"] = _unit_text({"Network": network.network}, tokens)
        for name, volume in containers.volume.items():
            made[f"{place}/{name}.volume"] = _unit_text({"Volume": volume.volume}, tokens)
        for name, build in containers.build.items():
            made[f"{place}/{name}.build"] = _unit_text({"Build": build.build}, tokens)
    return made


def _section(entry: ContainerEntry) -> Section:
    section = {key: value for key, value in entry.container.items() if key != "Network"}
    if entry.privileged:
        return {**section, "Network": "host"}
    if "PublishPort" in section:
        section["PublishPort"] = tuple(_at_home(str(word)) for _, word in _words(section["PublishPort"]))
    return {**section, "Network": "pasta"}


def _at_home(word: str) -> str:
    """Return a published port that only the device itself reaches."""
    match = _PUBLISHED.fullmatch(word)
    if match is None:
        raise ValueError("container_faults has let through a port that is none")
    return f"127.0.0.1:{match['host'] or ''}:{match['inner']}"


def _unit_text(sections: dict[str, Section], tokens: dict[str, str]) -> str:
    parts = []
    for heading, section in sections.items():
        lines = [f"{key}={_plain(word, tokens)}" for key, value in section.items() for _, word in _words(value)]
        if lines or heading in ("Network", "Volume", "Build"):
            parts.append("\n".join([f"[{heading}]", *lines, ""]))
    return "\n".join(parts)


def _plain(word: object, tokens: dict[str, str]) -> str:
    if isinstance(word, bool):
        return str(word).lower()
    text = str(word)
    for token, path in tokens.items():
        text = text.replace(token, path)
    return text
