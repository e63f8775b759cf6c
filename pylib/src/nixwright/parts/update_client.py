"""A client that asks a server for updates: its fields, its unit and its timer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixwright.errors import Mistake
from nixwright.nix.values import Apply, NixPath, Text, lib, pkgs
from nixwright.parts.facts import LanGateway, Provisioned
from nixwright.parts.health import RAUC
from nixwright.parts.health import UNIT as GATE
from nixwright.record import is_broken, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.model import Slot
    from nixwright.nix.values import Expr, Value
    from nixwright.parts.base import Context

UNIT = "update-client"
PROGRAM = "update_client.py"
_SERVER = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?")
_SPAN = re.compile(r"[1-9][0-9]*(min|h|d)")
_TRY_LATER = 75  # what the program exits with where the server cannot be reached
_HASHES = 50  # a verity bundle's hash tree is less than one part in so many
_SIGNATURE = 1024 * 1024  # bytes: room for manifest and signature


@record
class UpdateClient:
    """Ask `server` for a newer version every so often, fetch its bundle by HTTPS, install it, and reboot.

    Without a server it is the one that the device was told when it was provisioned; that one counts in any case. Older
    versions are left alone, unless `downgrade` says otherwise.
    """

    server: str | None = None
    every: str = "1h"
    downgrade: bool = False

    def wrong(self) -> Iterator[Mistake]:
        """What is no HTTPS URL, and what is no time."""
        if self.server is not None and not _SERVER.fullmatch(self.server):
            fix = 'UpdateClient("https://updates.example.org")'
            yield Mistake("server", "is no https URL", repr(self.server), "https, a host, perhaps a path", fix)
        if not _SPAN.fullmatch(self.every):
            yield Mistake("every", "is no time", repr(self.every), "a number with min, h or d", 'every="1h"')


@dataclass(frozen=True, slots=True)
class Own:
    """What the client knows of the host that it runs on."""

    compatible: str
    version: str | Expr
    keyring: Expr
    at: str  # the directory on the device that lasts


def settings(client: UpdateClient, own: Own, context: Context) -> dict[str, Value]:
    """Return the client's unit and timer, by the paths of their options."""
    told = context.fact(Provisioned)
    lan = context.fact(LanGateway)
    device = f"{told.directory}/updates.json" if told else None
    named = [f"--server={client.server}"] if client.server is not None and not is_broken(client) else []
    arguments: list[Expr | str] = [
        Apply(lib.getExe, (pkgs.python3,)),
        Text((NixPath(f"./{PROGRAM}"),)),
        *named,
        *([f"--settings={device}"] if device else []),
        f"--current={own.version}" if isinstance(own.version, str) else Text(("--current=", own.version)),
        f"--compatible={own.compatible}",
        Text(("--keyring=", own.keyring)),
        "--authorities=/etc/ssl/certs/ca-certificates.crt",
        f"--good={own.at}/good.json",
        f"--tried={own.at}/tried.json",
        f"--refused=/run/{UNIT}/refused.json",
        f"--directory={own.at}/bundles",
        f"--limit={limit(context.layout.slots)}",
        *(["--downgrade"] if client.downgrade else []),
        *([f"--interface={lan.wan}"] if lan else []),
    ]
    unit: dict[str, Value] = {"RequiresMountsFor": own.at}
    if not named and device:
        unit["ConditionPathExists"] = device
    service: Value = {
        "description": "Look for an update, and install it",
        "requires": [f"{GATE}.service"],
        "wants": ["network-online.target"],
        "after": [f"{GATE}.service", "network-online.target"],
        "unitConfig": unit,
        "path": [RAUC],
        "serviceConfig": {
            "Type": "oneshot",
            "ExecStart": Apply(lib.concatStringsSep, (" ", arguments)),
            "SuccessExitStatus": _TRY_LATER,
            "ReadWritePaths": [own.at],
            "RuntimeDirectory": UNIT,
            "RuntimeDirectoryPreserve": True,
            "ProtectSystem": "strict",
            "ProtectHome": True,
            "PrivateTmp": True,
            "PrivateDevices": True,
            "ProtectKernelModules": True,
            "ProtectKernelTunables": True,
            "ProtectControlGroups": True,
            "RestrictAddressFamilies": ["AF_UNIX", "AF_INET", "AF_INET6"],
            "RestrictNamespaces": True,
            "RestrictSUIDSGID": True,
            "LockPersonality": True,
            "MemoryDenyWriteExecute": True,
            "NoNewPrivileges": True,
            "SystemCallArchitectures": "native",
        },
    }
    timer: Value = {"OnBootSec": "5min", "OnUnitActiveSec": client.every, "RandomizedDelaySec": "10min"}
    return {
        f"systemd.services.{UNIT}": service,
        f"systemd.timers.{UNIT}": {"wantedBy": ["timers.target"], "timerConfig": timer},
    }


def limit(slots: tuple[Slot, ...]) -> int:
    """Return how large a bundle may be, in bytes: both images as large as their slots, hashes and signature."""
    sizes = [place.partition.size for place in (slots[0].boot, slots[0].root)] if slots else []
    both = sum(getattr(size, "bytes", 0) for size in sizes)
    return both + both // _HASHES + _SIGNATURE
