"""The units of updates in real systemd's eyes: no ordering cycle, though the gate comes after what wants it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

from nixwright.parts.updates import Health, UpdateClient, Updates
from parts_host import context
from programs import need
from updates_host import slots_layout

if TYPE_CHECKING:
    from pathlib import Path

_UNIT = {"after": "After", "wants": "Wants", "requires": "Requires", "before": "Before"}


def units() -> dict[str, dict[str, Any]]:
    """The services and timers that the part says, by name."""
    part = Updates("gw", "./updates.pem", health=Health(["dnsmasq"]), client=UpdateClient("https://u.example.org"))
    found: dict[str, dict[str, Any]] = {}
    for setting in part.settings(context(part, layout=slots_layout())):
        if setting.path[:2] == ("systemd", "services"):
            whole = found.setdefault(f"{setting.path[2]}.service", {})
            if len(setting.path) > 3:
                whole[setting.path[3]] = setting.value
            else:
                whole |= setting.value  # type: ignore[arg-type]
        elif setting.path[:2] == ("systemd", "timers"):
            found[f"{setting.path[2]}.timer"] = setting.value  # type: ignore[assignment]
    return found


def write(at: Path, name: str, about: dict[str, Any]) -> None:
    """Write a unit as NixOS would, with a program that is there."""
    lines = ["[Unit]", *(f"{_UNIT[k]}={' '.join(about[k])}" for k in _UNIT if k in about)]
    lines += [f"{k}={v}" for k, v in about.get("unitConfig", {}).items()]
    if name.endswith(".service"):
        own = {k: v for k, v in about.get("serviceConfig", {}).items() if isinstance(v, str | int) and "Exec" not in k}
        lines += ["[Service]", "ExecStart=/bin/true"]
        lines += [f"{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in own.items()]
    else:
        lines += ["[Timer]", *(f"{k}={v}" for k, v in about["timerConfig"].items())]
    (at / name).write_text("\n".join(lines) + "\n")
    for target in about.get("wantedBy", []):
        (at / f"{target}.wants").mkdir(exist_ok=True)
        (at / f"{target}.wants" / name).symlink_to(at / name)


def verified(at: Path, found: dict[str, dict[str, Any]]) -> str:
    """Return what systemd says of multi-user.target with these units."""
    for name, about in found.items():
        write(at, name, about)
    (at / "data.mount").write_text("[Mount]\nWhat=/dev/disk/by-partlabel/data\nWhere=/data\nType=f2fs\n")
    path = f"{at}:/usr/lib/systemd/system:/lib/systemd/system"
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(at / name) for name in found), "multi-user.target"],
        env=os.environ | {"SYSTEMD_UNIT_PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_no_ordering_cycle(tmp_path: Path) -> None:
    need("systemd-analyze")
    found = units()
    assert set(found) == {"rauc.service", "health-gate.service", "update-client.service", "update-client.timer"}
    found["rauc.service"] |= {"wantedBy": ["multi-user.target"], "after": ["dbus.service"]}  # NixOS's own
    assert "ordering cycle" not in verified(tmp_path, found)


def test_a_cycle_is_seen(tmp_path: Path) -> None:
    need("systemd-analyze")
    found = units()
    found["health-gate.service"] |= {"before": ["rauc.service"]}
    found["rauc.service"] |= {"wantedBy": ["multi-user.target"]}
    assert "ordering cycle" in verified(tmp_path, found)
