"""Containers as units of systemd, by Podman's Quadlet: without root unless asked for, and seen by nobody else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence  # noqa: TC003 - records are built from their annotations
from dataclasses import field as record_field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from nixwright.bounds import Ge, Le
from nixwright.checks.model import TOLD, Check, Difference, Sabotage
from nixwright.errors import Mistake
from nixwright.layout.paths import is_below, path_mistake
from nixwright.nix.values import Apply, NixPath, Text, force, lib, pkgs
from nixwright.parts.base import Context, File, Part
from nixwright.parts.facts import ContainerUnit, ContainerUser, LanGateway, Provisioned
from nixwright.parts.known_units import EVERYWHERE, unit_names
from nixwright.parts.programs import containers_apply
from nixwright.parts.provisioned_unit import applying
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step
from nixwright.scenarios import containers as scenario
from nixwright.unseen import UNSEEN, independent, right, wrong_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Expr, Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_IMAGE = re.compile(
    r"(?P<registry>[a-z0-9-]+(\.[a-z0-9-]+)*(:\d+)?)/[a-z0-9._/-]+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", re.ASCII
)
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINE = re.compile(r"[^\x00-\x1f\x7f]*")
_PART = re.compile(r"/[^\x00-\x20\x7f:%]*")
_NOBODYS = ("/dev", "/proc", "/run", "/sys", "/tmp")  # noqa: S108 - nobody takes what is written there to last
_ONLY_HERE = "127.0.0.1"
_FIRST_ID, _IDS = 200_000, 65_536  # what the containers' own users are on the host
_IMAGE_FIX = '"docker.io/library/nginx:1.29"'
_STORAGE = "rootless-storage.conf"
_ARCHIVE = "probe-image"
_BUSYBOX: Value = {"name": "localhost/probe", "tag": "1", "copyToRoot": [pkgs.busybox]}
_IMAGE_HERE = Difference(
    "no image can be fetched here: one is brought",
    {
        f"environment.etc.{_ARCHIVE}.source": Apply(pkgs.dockerTools.buildImage, (_BUSYBOX,)),
        "environment.systemPackages": [pkgs.curl],
        "virtualisation.memorySize": 1536,
        "virtualisation.diskSize": 2048,
    },
)


@record
class Port:
    """A port of the host that leads to one of a container; `on` "0.0.0.0" opens it to the networks, too."""

    host: Annotated[int, Ge(1), Le(65535)]
    container: Annotated[int, Ge(1), Le(65535)]
    on: str = _ONLY_HERE
    udp: bool = False

    def wrong(self) -> Iterator[Mistake]:
        """An address that is none."""
        if not _ADDRESS.fullmatch(self.on) or any(int(octet) > 255 for octet in self.on.split(".")):  # noqa: PLR2004
            yield Mistake(
                "on", "is no IPv4 address", repr(self.on), "an address of the host, or 0.0.0.0", '"127.0.0.1"'
            )

    @property
    def published(self) -> str:
        """As Quadlet's `PublishPort` has it."""
        return f"{self.on}:{self.host}:{self.container}{'/udp' if self.udp else ''}"


@record
class Container:
    """A container: `Container("web", "docker.io/library/nginx:1.29", ports=[Port(8081, 80)])`.

    `volumes` maps paths of the host to paths in the container (`"/data/web": "/srv"`, with `:ro` behind it read-only).
    `environment` is for what everybody may know; a secret is a file of the device that one of the volumes brings. A
    `privileged` one runs as root and in the host's own network; any other as the containers' user, who cannot open
    ports below 1024.
    """

    name: str
    image: str
    ports: Sequence[Port] = ()
    volumes: Mapping[str, str] = record_field(default_factory=dict)
    environment: Mapping[str, str] = record_field(default_factory=dict)
    command: Sequence[str] = ()
    privileged: bool = False

    def wrong(self) -> Iterator[Mistake]:
        """No image, names and paths that are none, ports that nothing could listen on."""
        return independent(self._names(), self._texts(), self._ports())

    def _names(self) -> Iterator[Mistake]:
        if not _NAME.fullmatch(self.name):
            yield Mistake("name", "is no name of a container", repr(self.name), "a-z, 0-9 and -", '"web"')
        found = _IMAGE.fullmatch(self.image)
        if not self.image:
            yield Mistake("image", "is missing: there is nothing to run", "", "registry/name:tag", _IMAGE_FIX)
        elif (lower := re.sub(r"^[^:@]*(:\d+/[^:@]*)?", lambda m: m[0].lower(), self.image)) != self.image:
            what, allowed = "has capital letters before its tag", "registry/name:tag"
            yield Mistake("image", what, repr(self.image), allowed, f'"{lower}"')
        elif found is None or not re.search(r"[.:]|^localhost$", found["registry"]):
            what = "names no registry: which of several is asked would be left to chance"
            yield Mistake("image", what, repr(self.image), "registry/name:tag", _IMAGE_FIX)
        elif found[4] is None and found[5] is None:
            what = "names no version: each start might run another"
            yield Mistake("image", what, repr(self.image), "with :TAG or @sha256:DIGEST", f'"{self.image}:1.0"')

    def _texts(self) -> Iterator[Mistake]:
        for outside, inside in self.volumes.items():
            yield from path_mistake("volumes", outside)
            if not _PART.fullmatch(inside.removesuffix(":ro")):
                allowed = "an absolute path, with :ro where nothing is written"
                yield Mistake("volumes", "is no path in a container", repr(inside), allowed, f'{{"{outside}": "/srv"}}')
        inside_once: set[str] = set()
        for inside in (text.removesuffix(":ro") for text in self.volumes.values()):
            if inside in inside_once:
                yield Mistake("volumes", "are two at one path", inside, "each path once", "mount one of them elsewhere")
            inside_once.add(inside)
        for name, value in self.environment.items():
            if not _VARIABLE.fullmatch(name) or not _LINE.fullmatch(value):
                allowed = "names of letters, digits and _, values of one line"
                yield Mistake("environment", "is no variable", f"{name}={value!r}", allowed, '{"TZ": "UTC"}')
        for index, word in enumerate(self.command):
            if not word or not _LINE.fullmatch(word):  # Quadlet drops an empty one and all that follow it
                allowed = "one line, and not empty"
                yield Mistake(f"command[{index}]", "is no word of a command line", repr(word), allowed, "")

    def _ports(self) -> Iterator[Mistake]:
        seen: set[tuple[int, bool]] = set()
        for index, port in enumerate(self.ports):
            where = f"ports[{index}]"
            if (port.host, port.udp) in seen:
                yield Mistake(where, "is taken by another of this container", str(port.host), "each port once", "")
            seen.add((port.host, port.udp))
            if port.host < 1024 and not self.privileged:  # noqa: PLR2004 - net.ipv4.ip_unprivileged_port_start
                what = "is for root alone, and this container runs without"
                yield Mistake(
                    where, what, str(port.host), "1024 to 65535", f"Port({8000 + port.host}, {port.container})"
                )
        if self.ports and self.privileged:
            what = "lead nowhere: a privileged container is in the host's own network"
            yield Mistake("ports", what, f"{len(self.ports)} of them", "", "remove them")

    @property
    def unit(self) -> str:
        """The unit that Quadlet makes of it."""
        return f"{self.name}.service"

    def quadlet(self) -> Expr:
        """Return the file that Quadlet makes a unit of."""
        lines: list[tuple[str | Expr, ...]] = [
            ("[Unit]",),
            (f"Description={self.name}, a container",),
            ("[Container]",),
            (f"Image={self.image}",),
            (f"Network={'host' if self.privileged else 'pasta'}",),
            *((f"PublishPort={port.published}",) for port in self.ports),
            *((f"Volume={outside}:{inside}",) for outside, inside in self.volumes.items()),
            *((("EnvironmentFile=", NixPath(f"./{self.name}-environment.conf")),) if self.environment else ()),
            *(((f"Exec={' '.join(map(_quoted, self.command))}",),) if self.command else ()),
            ("[Service]",),
            ("Restart=always",),
            ("TimeoutStartSec=900",),  # the first start fetches the image
            ("[Install]",),
            ("WantedBy=default.target" if not self.privileged else "WantedBy=multi-user.target",),
        ]
        return Text(tuple(piece for line in lines for piece in (*line, "\n")), indented=True)


@record
class Containers(Part):
    """Podman, with its images and containers below `storage`, on a file system that stays.

    What runs without root runs as `user`, a system user whose services start at boot. On a host with `Provisioning` the
    containers of which a device was told run beside `declared` ones.
    """

    declared: Sequence[Container] = ()
    storage: str = "/data/containers"
    user: str = "appsvc"
    uid: Annotated[int, Ge(300), Le(399)] = 390  # below those that NixOS gives by itself

    module: ClassVar[str] = "containers"

    def wrong(self) -> Iterator[Mistake]:
        """Two of one name, two on one port, a path or a user that is none."""
        return independent(self._twice(), self._places())

    def _twice(self) -> Iterator[Mistake]:
        names: set[str] = set()
        ports: dict[tuple[int, bool], str] = {}
        for index, container in enumerate(self.declared):
            if container.name in names:
                what, fix = "there is another of this name", "rename one"
                yield Mistake(f"declared[{index}].name", what, repr(container.name), "each name once", fix)
            names.add(container.name)
            for port in container.ports:
                taken = ports.setdefault((port.host, port.udp), container.name)
                if taken != container.name:
                    yield Mistake(f"declared[{index}].ports", f"is {taken}'s", str(port.host), "each port once", "")

    def _places(self) -> Iterator[Mistake]:
        yield from path_mistake("storage", self.storage)
        if not _USER.fullmatch(self.user) or self.user == "root":
            yield Mistake("user", "is no user for containers", repr(self.user), "a-z, 0-9, _ and -", '"appsvc"')

    @property
    def home(self) -> str:
        """The home of the containers' user: what it fetches and writes lies there."""
        return f"{self.storage}/{self.user}"

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """The units of the declared containers."""
        user = right(self, "user")
        known = [(UNSEEN if "name" in wrong_fields(c) else c.unit, c) for c in self.declared]
        units = [ContainerUnit(unit, None if c.privileged else user) for unit, c in known]
        return [ContainerUser(user), *units]

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `virtualisation.podman`, a user, and Quadlet's files below /etc/containers/systemd."""
        yield self.set("virtualisation.podman.enable", value=True)
        graph = f"{self.storage}/storage"
        yield self.set("virtualisation.containers.storage.settings.storage.graphroot", graph, field="storage")
        log = "virtualisation.containers.containersConf.settings.containers.log_driver"
        yield self.set(log, "journald", comment="a container's words are in the journal, like those of any unit")
        ids: Value = [{"startUid": _FIRST_ID, "count": _IDS}]
        user: Value = {
            "isSystemUser": True,
            "uid": self.uid,
            "group": self.user,
            "home": self.home,
            "linger": True,
            "subUidRanges": ids,
            "subGidRanges": [{"startGid": _FIRST_ID, "count": _IDS}],
        }
        if not self._is_a_persons(context):
            yield self.set(f"users.users.{self.user}", user, field="user", comment="runs the containers, from boot on")
            yield self.set(f"users.groups.{self.user}.gid", self.uid, field="user")
        yield from self._home()
        for index, container in enumerate(self.declared):
            below = "" if container.privileged else f"users/{self.uid}/"
            path = f'environment.etc."containers/systemd/{below}{container.name}.container".text'
            yield self.set(path, container.quadlet(), field=f"declared[{index}]")
        if context.fact(Provisioned) is not None:
            yield from self._told(context.all(Provisioned)[0].directory)

    def _home(self) -> Iterator[Setting]:
        manager = f"user@{self.uid}.service"
        why = "the storage may be mounted late; where the user may have put links, root does nothing (+ is root)"
        own = f"-o {self.user} -g {self.user}"
        config = f"{self.home}/.config/containers"
        make: Value = {
            "requiredBy": [manager],
            "before": [manager],
            "unitConfig": {"RequiresMountsFor": self.storage},
            "serviceConfig": {
                "Type": "oneshot",
                "RemainAfterExit": True,
                "User": self.user,
                "ExecStart": [
                    Text(("+", pkgs.coreutils, f"/bin/install -d -m 0755 {self.storage}")),
                    Text(("+", pkgs.coreutils, f"/bin/install -d -m 0700 {own} {self.home}")),
                    Text((pkgs.coreutils, f"/bin/mkdir -p -m 0700 {self.home}/.config {config}")),
                    Text((pkgs.coreutils, "/bin/ln -sfn ", NixPath(f"./{_STORAGE}"), f" {config}/storage.conf")),
                ],
            },
        }
        yield self.set("systemd.services.containers-home", make, field="storage", comment=why)
        why = "podman's containers wait until the network is online, and 90 s where nobody asks for that"
        yield self.set("systemd.services.containers-home.wants", ["network-online.target"], comment=why)

    def _told(self, directory: str) -> Iterator[Setting]:
        quadlet = Text((pkgs.podman, "/libexec/podman/quadlet"))
        python = Apply(lib.getExe, (pkgs.python3,))
        arguments = f" {directory} {self.user} {self.uid} "
        run = Text((python, " ", NixPath("./containers-apply.py"), arguments, *quadlet.parts))
        unit: dict[str, Value] = {
            "after": [f"user@{self.uid}.service"],
            "wants": [f"user@{self.uid}.service"],
            "path": [pkgs["util-linux"]],
            "unitConfig": {
                "RequiresMountsFor": f"{directory} {self.storage}",
                "ConditionPathExists": f"{directory}/config.toml",
            },
            "serviceConfig": {"ExecStart": run},
        }
        apply = applying("The containers of which the device was told", unit)
        yield self.set("systemd.services.containers-apply", apply)
        why = "Quadlet follows a link, and leaves one alone that leads nowhere; /run/containers is root's alone"
        for below, scope in (("", "rootful"), (f"users/{self.uid}/", "rootless")):
            path = f'environment.etc."containers/systemd/{below}told".source'
            yield self.set(path, f"/run/containers-told/{scope}", comment=why if not below else "")

    def files(self, context: Context) -> Iterator[File]:
        """Where the user's storage is, variables of containers, and the program for those that a device is told."""
        # from 6 on, Podman takes root's storage for everybody's where the user's own file does not say otherwise
        storage = ["[storage]", 'driver = "overlay"', f'graphroot = "{self.home}/.local/share/containers/storage"']
        yield File(_STORAGE, "\n".join([*storage, f'runroot = "/run/user/{self.uid}/containers"', ""]))
        for container in self.declared:
            if container.environment:
                lines = "".join(f"{name}={value}\n" for name, value in container.environment.items())
                yield File(f"{container.name}-environment.conf", lines)
        if context.fact(Provisioned) is not None:
            yield File("containers-apply.py", Path(containers_apply.__file__).read_text("utf-8"))

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """Storage and volumes stay, nobody else has the user's name, and the page has its port."""
        rules = (self._stays, self._volumes_stay, self._own_user, self._page)
        return independent(*(rule(context) for rule in rules))

    def whole_rules(self, context: Context, said: Sequence[Setting]) -> Iterator[Mistake]:
        """No unit of the host's own is called like a privileged container's: systemd would start that one."""
        units = {name for setting in said for name in unit_names(setting, "service")} | {*EVERYWHERE}
        for container in self.declared:
            if container.privileged and (container.name in units or container.name.startswith("systemd-")):
                what, allowed = "is the name of a unit that the host has", "a name of its own"
                fix, where = f'"{container.name}-container"', field_origin(container, "name")
                yield Mistake("Container.name", what, repr(container.name), allowed, fix, where)

    def _volumes_stay(self, context: Context) -> Iterator[Mistake]:
        for container in self.declared if context.layout.mounts else ():
            for outside, inside in container.volumes.items():
                passing = any(is_below(outside, path) for path in _NOBODYS)
                if not inside.endswith(":ro") and not passing and not context.layout.survives(outside):
                    what = "does not survive a boot: what the container writes there would be lost"
                    allowed = "a path on a file system that is not wiped, or :ro behind the container's"
                    fix, where = f'{{"/data/{container.name}": "{inside}"}}', field_origin(container, "volumes")
                    yield Mistake("Container.volumes", what, outside, allowed, fix, where)

    def _page(self, context: Context) -> Iterator[Mistake]:
        told = context.fact(Provisioned)
        if told is None or context.fact(LanGateway) is None:
            return
        for container in self.declared:
            for index, port in enumerate(container.ports):
                if port.host == told.port and not port.udp:
                    what = "is taken by the page that provisions the device"
                    fix, where = f"Port({port.host + 1}, {port.container})", field_origin(container, f"ports[{index}]")
                    yield Mistake(f"Container.ports[{index}]", what, str(port.host), "any other port", fix, where)

    def _stays(self, context: Context) -> Iterator[Mistake]:
        if context.layout.mounts and not context.layout.survives(self.storage):
            what = "does not survive a boot: each would fetch all images again, and lose what containers wrote"
            allowed, where = "a path on a file system that is not wiped", field_origin(self, "storage")
            yield Mistake("Containers.storage", what, self.storage, allowed, 'storage="/data/containers"', where)

    def _own_user(self, context: Context) -> Iterator[Mistake]:
        if self._is_a_persons(context):
            what, where = "is a person's: containers have a user of their own", field_origin(self, "user")
            yield Mistake("Containers.user", what, repr(self.user), "a name that no user has", 'user="appsvc"', where)

    def _is_a_persons(self, context: Context) -> bool:
        return any(user.name == self.user for user in context.users)

    def in_vm(self, context: Context) -> Iterator[Difference]:
        """Nothing could be started."""
        yield Difference("images come from the network, which a check has not", without=[self.module])

    def checks(self, context: Context) -> Iterator[Check]:
        """Those that a device is told of run, and are taken back where they do not."""
        told = context.fact(Provisioned)
        if told is None:
            return
        yield Check(
            TOLD,
            "containers that it is told of run as they should, are taken back where they do not, and start at boot",
            scenario.run_as_told,
            {
                "directory": told.directory,
                "user": self.user,
                "uid": self.uid,
                "home": self.home,
                "archive": f"/etc/{_ARCHIVE}",
            },
            keeps=[self.module],
            differences=[_IMAGE_HERE],
            sabotages=[
                Sabotage(
                    "not-found",
                    "Quadlet does not find what a device is told",
                    {f'environment.etc."containers/systemd/users/{self.uid}/told".source': force("/var/empty")},
                ),
                Sabotage(
                    "storage-in-memory",
                    "images do not outlast a boot",
                    {"virtualisation.containers.storage.settings.storage.graphroot": force("/run/containers/lost")},
                ),
            ],
        )

    def steps(self, context: Context) -> Iterator[Step]:
        """See that they run."""
        if not self.declared:
            return
        as_user = f"sudo -u {self.user} XDG_RUNTIME_DIR=/run/user/{self.uid} systemctl --user"
        lines = [f"{'systemctl' if c.privileged else as_user} is-active {c.unit}" for c in self.declared]
        why = "The first start fetches the images: it may take minutes."
        yield Step(Phase.VERIFY, "The containers run", why, "\n".join(lines), "`active` from each.")


def _quoted(word: str) -> str:
    """Return a word as a unit's command line has it: nothing in it is expanded."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
