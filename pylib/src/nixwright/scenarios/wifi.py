"""WiFi: the host joins a network by itself, over simulated radios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.scenarios.boots import wait_for_boot
from nixwright.scenarios.driver import seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import BaseMachine, QemuMachine


def joins_by_itself(machine: QemuMachine, *, interface: str, gateway: str, power_save: str) -> None:
    """Nobody logs in: the host is associated, has a lease, reaches the access point, and sleeps only where it may."""
    wait_for_boot(machine)
    machine.wait_for_unit("access-point.service")
    machine.wait_until_succeeds(f"iw dev {interface} link | grep -F 'Connected to'", timeout=seconds(300))
    machine.wait_until_succeeds(_has_way_out(interface, gateway), timeout=seconds(120))
    machine.wait_until_succeeds(f"ping -c 1 -W 20 -I {interface} {gateway}")
    # whoever drives the interface says so a moment after it is up
    asleep = f"iw dev {interface} get power_save | grep -Fx 'Power save: {power_save}'"
    machine.wait_until_succeeds(asleep, timeout=seconds(120))


def joins_once_put_right(machine: QemuMachine, *, interface: str, gateway: str, profile: str, key: str) -> None:
    """With another key in its profile the host stays out; once that is right and read again, it joins by itself."""
    machine.succeed(f"sed -i 's/={key}$/=not {key}/' {profile}", "systemctl restart NetworkManager.service")
    refused = "journalctl -u access-point.service | grep POSSIBLE-PSK-MISMATCH"
    machine.wait_until_succeeds(refused, timeout=seconds(300))
    machine.fail(_has_way_out(interface, gateway))
    machine.succeed(f"sed -i 's/=not {key}$/={key}/' {profile}", "nmcli connection reload")
    machine.wait_until_succeeds(_has_way_out(interface, gateway), timeout=seconds(400))
    machine.wait_until_succeeds(f"ping -c 1 -W 20 -I {interface} {gateway}")


def _has_way_out(interface: str, gateway: str) -> str:
    return f"ip -4 route show dev {interface} | grep -F 'default via {gateway}'"


def keys_are_roots(machine: BaseMachine, *, directories: list[str]) -> None:
    """What holds a network's key can be read by root alone."""
    for directory in directories:
        listed = machine.succeed(f"find {directory} -type f -printf '%m %u %p\\n' 2>/dev/null || true")
        for line in listed.splitlines():
            if not line.startswith("600 root "):
                raise AssertionError(f"others could read a network's key: {line}")
