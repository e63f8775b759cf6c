"""Which units a host has, as far as its settings tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nixwright.options.settings import Setting

# The options of nixpkgs that start a service of another name.
CALLED = {"openssh": "sshd", "chrony": "chronyd", "resolved": "systemd-resolved"}
_STARTS = {
    ("networking", "useNetworkd"): ("systemd-networkd", "systemd-resolved"),
    ("systemd", "network", "enable"): ("systemd-networkd",),
    ("networking", "nftables", "enable"): ("nftables",),
    ("networking", "networkmanager", "enable"): ("NetworkManager",),
}
EVERYWHERE = ("dbus", "systemd-journald", "systemd-logind", "systemd-udevd")


def is_enabled(setting: Setting) -> bool:
    """Tell whether it turns a module below `services` on."""
    return setting.value is True and setting.path[0] == "services" and setting.path[-1] == "enable"


def unit_names(setting: Setting, kind: str) -> list[str]:
    """Return the units of a kind that a setting may start; a socket starts a service, too."""
    path = setting.path
    if path[0] == "systemd" and path[1] in {f"{kind}s", "sockets" if kind == "service" else ""}:
        inner = setting.value if isinstance(setting.value, dict) else {}
        return [name.partition("@")[0] for name in (path[2:3] or tuple(inner))]
    if is_enabled(setting):
        return [CALLED.get(path[1], path[1])]
    return list(_STARTS.get(path, ())) if setting.value is True else []
