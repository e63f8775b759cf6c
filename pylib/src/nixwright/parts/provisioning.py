"""One image for all devices: each is told at first boot who it is, and later by whoever signs for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from nixwright import provisioning
from nixwright.checks.source import program
from nixwright.errors import Mistake
from nixwright.layout.paths import path_mistake
from nixwright.nix.values import Apply, NixPath, Text, lib, pkgs
from nixwright.parts.base import Context, File, Part
from nixwright.parts.facts import (
    ContainerUnit,
    ContainerUser,
    LanGateway,
    Provisioned,
    RootOverlay,
    SshServer,
    VitalUnit,
    WiredNetwork,
)
from nixwright.parts.provisioned_unit import RECOVER, TARGET, applying
from nixwright.parts.provisioning_checks import of_provisioning
from nixwright.provisioning.model import PAGE
from nixwright.provisioning.toml_text import toml_text
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step
from nixwright.unseen import independent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.checks.model import Check
    from nixwright.layout.model import Layout
    from nixwright.nix.values import Expr, Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

PROGRAM, DEVICE = "provision.py", "provision.toml"
_MEMORY = "384M"  # a source of the largest size, twice, and the server


@record
class Provisioning(Part):
    """A `config.toml` makes a device of the image: from the boot partition, a USB stick, a page on the LAN, or signed.

    It is checked as a whole, and lies below `directory`, on a file system that stays, with what is derived from it.
    `seed` is read at the first boot of a fresh flash alone, of a host with `OverlayRoot`; None: never.
    The page is on a LAN that the host serves, and nowhere else.
    """

    directory: str = "/data/config"
    seed: str | None = "/boot/config.toml"

    module: ClassVar[str] = "provisioning"

    def wrong(self) -> Iterator[Mistake]:
        """Paths that are none."""
        yield from path_mistake("directory", self.directory)
        if self.seed is not None:
            yield from path_mistake("seed", self.seed)

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """Where other parts find what the device was told, and that it must be able to become that."""
        return (Provisioned(self.directory, PAGE), VitalUnit(TARGET))

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """What a device was told stays, somebody can log into it, and the page has its port."""
        return independent(self._stays(context), self._reached(context), self._page_has_its_port(context))

    def _page_has_its_port(self, context: Context) -> Iterator[Mistake]:
        server = context.fact(SshServer)
        if server is not None and server.port == PAGE and context.fact(LanGateway) is not None:
            what, where = "has the port of SSH: one of the two would not start", field_origin(self, "")
            yield Mistake("Provisioning", what, f"Ssh(port={PAGE})", "SSH on another port", "Ssh()", where)

    def _stays(self, context: Context) -> Iterator[Mistake]:
        if context.layout.mounts and not context.layout.survives(self.directory):
            what = "does not survive a boot: the device would forget who it is"
            allowed, where = "a path on a file system that is not wiped", field_origin(self, "directory")
            yield Mistake("Provisioning.directory", what, self.directory, allowed, 'directory="/data/config"', where)

    def _reached(self, context: Context) -> Iterator[Mistake]:
        if context.fact(SshServer) is None:
            what = "nobody could log in: those of whom a device is told come by SSH"
            yield Mistake("Provisioning", what, "", "", "Ssh()", field_origin(self, ""))

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to one program and the units that run it."""
        program: Value = Apply(pkgs.writeShellScriptBin, ("provision", Text(("exec ", *self._run(), ' "$@"'))))
        yield self.set("environment.systemPackages", [program])
        yield self.set("programs.zsh.enable", value=True, comment="a shell that config.toml may give a user")
        yield self.set("users.allowNoPasswordLogin", value=True, comment="who logs in, the device is told")
        keys = f"{self.directory}/ssh-authorized-keys/%u"
        yield self.set("services.openssh.authorizedKeysFiles", [keys], field="directory")
        yield self.set("services.openssh.authorizedKeysInHomedir", value=False)
        target: Value = {
            "description": "The device is what it was told to be",
            "wantedBy": ["multi-user.target"],
            "after": [RECOVER],
        }
        yield self.set("systemd.targets.provisioned", target, comment="restarted after each promotion")
        yield self.set("systemd.services.provision-recover", self._recover())
        yield self.set("systemd.services.provision-apply", self._apply())
        yield self.set("systemd.services.provision-first-boot", self._first_boot())
        lan = context.fact(LanGateway)
        if lan is not None:
            yield from self._page(lan.lan)

    def _run(self) -> tuple[str | Expr, ...]:
        python = Apply(lib.getExe, (pkgs.python3,))
        return (python, " -I ", NixPath(f"./{PROGRAM}"), " --device ", NixPath(f"./{DEVICE}"))

    def _service(self, words: str, **more: Value) -> dict[str, Value]:
        return {
            "ExecStart": Text((*self._run(), f" {words}")),
            "RuntimeDirectory": "provision",
            "RuntimeDirectoryMode": "0700",
            "RuntimeDirectoryPreserve": True,
            "UMask": "0022",
            **more,
        }

    def _recover(self) -> Value:
        return {
            "description": "What a power cut left of a promotion, decided",
            "wantedBy": ["multi-user.target"],
            "before": [TARGET],
            "unitConfig": {"RequiresMountsFor": self.directory},
            "serviceConfig": self._service("recover", Type="oneshot", RemainAfterExit=True),
        }

    def _apply(self) -> Value:
        unit: dict[str, Value] = {
            "before": ["sshd.service"],
            "unitConfig": {"RequiresMountsFor": self.directory},
            "serviceConfig": self._service("apply"),
        }
        return applying("The users of whom the device was told", unit)

    def _first_boot(self) -> Value:
        return {
            "description": "Who this device is, from the boot partition or a USB stick",
            "wantedBy": ["multi-user.target"],
            "after": [TARGET, RECOVER],
            "path": [pkgs["util-linux"], pkgs.zstd],
            "unitConfig": {
                "RequiresMountsFor": self.directory,
                "ConditionPathExists": f"!{self.directory}/config.toml",
                **({"WantsMountsFor": self.seed} if self.seed else {}),
            },
            "serviceConfig": self._service(
                "first-boot --wait", Type="exec", MemoryMax=_MEMORY, Restart="on-failure", RestartSec=2
            ),
        }

    def _page(self, lan: str) -> Iterator[Setting]:
        why = "the page is there as soon as the LAN's interface is, goes with it, and is reached through no other"
        socket: Value = {
            "wantedBy": [f"sys-subsystem-net-devices-{lan}.device"],
            "listenStreams": [f"0.0.0.0:{PAGE}"],
            "socketConfig": {"BindToDevice": lan},
        }
        yield self.set("systemd.sockets.provision-page", socket, comment=why)
        service: Value = {
            "description": "The page that tells a device who it is",
            "after": [RECOVER],
            "partOf": ["provision-page.socket"],
            "path": [pkgs.openssh, pkgs.zstd],
            "unitConfig": {"RequiresMountsFor": self.directory},
            "serviceConfig": self._service(
                "serve", MemoryMax=_MEMORY, TasksMax=64, PrivateTmp=True, Restart="always", RestartSec=2
            ),
        }
        yield self.set("systemd.services.provision-page", service)

    def device(self, context: Context) -> dict[str, Value]:
        """Return what the program knows of the device: `nixwright.provisioning.device.Device` as data."""
        gateway, server = context.fact(LanGateway), context.fact(SshServer)
        lan, overlay = "" if gateway is None else gateway.lan, context.fact(RootOverlay)
        at = [n.address for n in context.all(WiredNetwork) if n.interface == lan and n.address]
        return {
            "name": context.name,
            "directory": self.directory,
            "wan": "" if gateway is None else gateway.wan,
            "lan": lan,
            "lan_cidr": at[0] if at else "",
            "ssh_port": 22 if server is None else server.port,
            "containers_user": next((user.name for user in context.all(ContainerUser)), ""),
            "reserved": [user.name for user in context.users],
            "units": [container.unit for container in context.all(ContainerUnit)],
            "shells": {
                "bash": "/run/current-system/sw/bin/bash",
                "sh": "/bin/sh",
                "zsh": "/run/current-system/sw/bin/zsh",
            },
            "seed": (self.seed or "") if overlay else "",
            "fresh": "" if overlay is None else overlay.fresh,
            "labels": sorted({p.partition.label.lower().replace(" ", r"\x20") for p in context.layout.places}),
        }

    def files(self, context: Context) -> Iterator[File]:
        """The program, and what it knows of the device."""
        yield File(PROGRAM, program_text())
        yield File(DEVICE, toml_text(self.device(context)))

    def checks(self, context: Context) -> Iterator[Check]:
        """A device is told who it is, rightly and wrongly."""
        server = context.fact(SshServer)
        if server is not None:
            device = self.device(context)
            yield from of_provisioning(self.directory, server.port, str(device["seed"]), str(device["fresh"]))

    def steps(self, context: Context) -> Iterator[Step]:
        """Tell the device who it is."""
        device = self.device(context)
        page = f"http://{str(device['lan_cidr']).partition('/')[0]}:{PAGE}/"
        seed = device["seed"]
        ways = [*([f"as `{seed}`, on the boot partition of what was flashed"] if seed else []), "on a USB stick (vfat)"]
        ways += [f"on the page {page} from the LAN"] if context.fact(LanGateway) else []
        yield Step(
            Phase.AFTER,
            "Tell the device who it is",
            f"A `config.toml`, or a bundle with one: {', '.join(ways)}. What is wrong with it, this says beforehand:",
            f"nixwright provision validate config.toml --host hosts/{context.name}.py",
            "`the configuration is right`.",
        )


def program_text() -> str:
    """Return the device's program, in one file that stands by itself."""
    return program(str(Path(provisioning.__file__).with_name("program.py")))
