"""Units that put what a device was told in force: at boot, and again after each promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nixwright.nix.values import Commented

if TYPE_CHECKING:
    from nixwright.nix.values import Value

TARGET = "provisioned.target"  # restarted after each promotion
RECOVER = "provision-recover.service"  # a promotion that was cut off is whole, or taken back


def applying(description: str, unit: dict[str, Any]) -> dict[str, Value]:
    """Return a unit's settings with what has it run with the target, after what a power cut left is decided.

    Without a limit of starts: who promotes what is refused, and again, comes to more than the five in ten seconds that
    systemd allows by default (DefaultStartLimitBurst= in systemd-system.conf(5)), and then nothing is taken back.
    """
    why = "as often as something is promoted, or taken back"
    return {
        "description": description,
        "requiredBy": [TARGET],
        "partOf": [TARGET, *unit.pop("partOf", [])],
        "before": [TARGET, *unit.pop("before", [])],
        "after": [RECOVER, *unit.pop("after", [])],
        **unit,
        "unitConfig": {"StartLimitIntervalSec": Commented(why, 0), **unit["unitConfig"]},
        "serviceConfig": {"Type": "oneshot", "RemainAfterExit": True, **unit["serviceConfig"]},
    }
