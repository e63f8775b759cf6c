"""How a gateway becomes what its device was told: a program, the files that it writes, and the units that run it.

What depends on the LAN's range lies in files of its own below /run/gateway, which dnsmasq and chronyd include. At boot
they are links to what the host file says, and the program puts others in their place where the device was told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nixwright.checks.source import program
from nixwright.nix.values import Apply, NixPath, Text, lib, pkgs
from nixwright.parts.base import File
from nixwright.parts.programs import gateway_apply
from nixwright.parts.provisioned_unit import RECOVER, applying
from nixwright.provisioning.toml_text import toml_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.nix.values import Value

_SERVICES = ("systemd-networkd.service", "dnsmasq.service", "chronyd.service")


@dataclass(frozen=True, slots=True)
class Told:
    """What the host file says, as the program takes it, and the directory of what the device is told."""

    host: dict[str, Any]
    directory: str

    NAMES: ClassVar[str] = "/run/gateway/dnsmasq.conf"
    TIME: ClassVar[str] = "/run/gateway/chrony.conf"

    def files(self) -> Iterator[File]:
        """The program, what the host file says, and that as dnsmasq and chronyd read it."""
        yield File("gateway-apply.py", program(gateway_apply.__file__))
        yield File("gateway.toml", toml_text(self.host))
        lan = self.host["lan"]
        names = gateway_apply.names_of(lan, self.host["name"], "")
        yield File("lan-dnsmasq.conf", gateway_apply.dnsmasq(lan, names))
        yield File("lan-chrony.conf", gateway_apply.chrony(lan))

    def settings(self) -> Iterator[tuple[str, Value, str]]:
        """Yield paths, values and comments: the links, and a unit for the boot and one for what comes after."""
        links: Value = {
            "/run/gateway": {"d": {"mode": "0755"}},
            self.NAMES: {"L": {"argument": Text((NixPath("./lan-dnsmasq.conf"),))}},
            self.TIME: {"L": {"argument": Text((NixPath("./lan-chrony.conf"),))}},
        }
        why = "what holds until the device is told otherwise, and where it cannot be read"
        yield 'systemd.tmpfiles.settings."10-gateway"', links, why
        python = Apply(lib.getExe, (pkgs.python3,))
        run = (python, " ", NixPath("./gateway-apply.py"), " ", NixPath("./gateway.toml"), f" {self.directory}")
        mounted: dict[str, Value] = {"RequiresMountsFor": self.directory}
        service: dict[str, Value] = {"Type": "oneshot", "RemainAfterExit": True, "NoNewPrivileges": True}
        boot: Value = {
            "description": "The networks as the device was told, before they start",
            "wantedBy": ["multi-user.target"],
            "after": ["nftables.service", RECOVER],
            "before": list(_SERVICES),
            "path": [pkgs.nftables],
            "unitConfig": mounted,
            "serviceConfig": {**service, "ExecStart": Text((*run, " --booting"))},
        }
        yield "systemd.services.gateway-boot", boot, ""
        apply: dict[str, Value] = {
            "wantedBy": ["nftables.service"],
            "after": ["nftables.service", "gateway-boot.service", *_SERVICES],
            "partOf": ["nftables.service"],
            "path": [pkgs.nftables],
            "unitConfig": {**mounted, "ReloadPropagatedFrom": "nftables.service"},
            "serviceConfig": {**service, "ExecStart": Text(run), "ExecReload": Text(run)},
        }
        why = "after a promotion, and when the rules are loaded again, which are the host file's"
        yield "systemd.services.gateway-apply", applying("The networks as the device was told", apply), why
