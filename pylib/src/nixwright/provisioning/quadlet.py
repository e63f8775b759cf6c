"""Containers of `config.toml` as files for podman's Quadlet, and what a rootless one may not ask for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixwright.provisioning.shape import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

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
# what would take a rootless container out of the place it has: another network, another file of settings
_NOT_ROOTLESS = ("ContainersConfModule", "GlobalArgs", "Pod", "PodmanArgs")
_SUFFIX = {"network": "-network", "volume": "-volume", "build": "-build"}


def unit_of(name: str, kind: str = "container") -> str:
    """Return the unit that Quadlet makes of a file: `web.service`, `web-network.service`."""
    return f"{name}{_SUFFIX.get(kind, '')}.service"


def container_faults(containers: ContainersEntry, taken: tuple[str, ...]) -> Iterator[Fault]:
    """What the types cannot say: an image, names that are free, and no rootless container that wants out."""
    units: dict[str, Way] = dict.fromkeys(taken, ())
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
            if key == "PublishPort" and not _PUBLISHED.fullmatch(str(word)):
                yield Fault(at, "is no port to publish", "", '"8080:80", "127.0.0.1:8080:80/udp"')
    if not entry.privileged:
        for key in sorted(set(_NOT_ROOTLESS) & set(entry.container)):
            yield Fault((*inside, key), "is not for a rootless container", "", "privileged = true, or without it")


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
    tokens = {"${CONFIG_DIR}": directory, "${FILES_DIR}": f"{directory}/files"}
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
