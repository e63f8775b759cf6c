"""Units that put what a device was told in force: at boot, and again after each promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nixwright.nix.values import Commented
from nixwright.provisioning.device import Device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nixwright.nix.values import Value

TARGET = Device.target  # restarted after each promotion
RECOVER = "provision-recover.service"  # a promotion that was cut off is whole, or taken back


def applying(description: str, unit: Mapping[str, Any]) -> dict[str, Value]:
    """Return a unit's settings with what has it run with the target, after what a power cut left is decided.

    Without a limit of starts: who promotes what is refused, and again, comes to more than the five in ten seconds that
    systemd allows by default (DefaultStartLimitBurst= in systemd-system.conf(5)), and then nothing is taken back.
    """
    why = "as often as something is promoted, or taken back"
    first = {"requiredBy": TARGET, "partOf": TARGET, "before": TARGET, "after": RECOVER}
    return {
        "description": description,
        **{key: [name, *unit.get(key, [])] for key, name in first.items()},
        **{key: value for key, value in unit.items() if key not in first},
        "unitConfig": {"StartLimitIntervalSec": Commented(why, 0), **unit["unitConfig"]},
        "serviceConfig": {"Type": "oneshot", "RemainAfterExit": True, **unit["serviceConfig"]},
    }
