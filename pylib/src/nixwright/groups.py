"""The groups of NixOS 26.05 that a user may be put into: those that always exist, and what makes the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

# nixos/modules/config/users-groups.nix; systemd's come with nixos/modules/system/boot/systemd*.
ALWAYS = frozenset(
    {
        "root",
        "wheel",
        "disk",
        "kmem",
        "tty",
        "floppy",
        "uucp",
        "lp",
        "cdrom",
        "tape",
        "audio",
        "video",
        "dialout",
        "nogroup",
        "users",
        "nixbld",
        "utmp",
        "adm",
        "input",
        "kvm",
        "render",
        "sgx",
        "shadow",
        "clock",
        "keys",
        "messagebus",
        "systemd-journal",
        "systemd-network",
        "systemd-resolve",
        "systemd-timesync",
    }
)
# `users.groups.<name>` in the module of the option that stands beside it.
MADE_BY = {
    "networkmanager": "networking.networkmanager.enable",
    "docker": "virtualisation.docker.enable",
    "podman": "virtualisation.podman.enable",
    "libvirtd": "virtualisation.libvirtd.enable",
    "incus-admin": "virtualisation.incus.enable",
    "vboxusers": "virtualisation.virtualbox.host.enable",
    "wireshark": "programs.wireshark.enable",
    "gamemode": "programs.gamemode.enable",
    "camera": "programs.gphoto2.enable",
    "scanner": "hardware.sane.enable",
    "i2c": "hardware.i2c.enable",
    "uinput": "hardware.uinput.enable",
    "plugdev": "hardware.rtl-sdr.enable",
    "rtkit": "security.rtkit.enable",
    "jellyfin": "services.jellyfin.enable",
    "nginx": "services.nginx.enable",
    "transmission": "services.transmission.enable",
    "syncthing": "services.syncthing.enable",
    "acme": "security.acme.certs",
}


def nobody_defines(group: str, paths: Collection[tuple[str, ...]]) -> bool:
    """Tell whether no module makes the group. `paths` are the option paths that the host sets to something."""
    if group in ALWAYS:
        return False
    maker = tuple(MADE_BY[group].split(".")) if group in MADE_BY else ("users", "groups", group)
    return not any(p[:3] == ("users", "groups", group) or p[: len(maker)] == maker for p in paths)


def about_group(group: str) -> str:
    """Return what a user does about a group that nothing defines: in words for the `fix` of a message."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    if MADE_BY.get(group, "").endswith(".enable"):
        return f'settings={{"{MADE_BY[group]}": True}} makes it; or leave it out'
    near = get_close_matches(group, sorted(ALWAYS | MADE_BY.keys()), n=1, cutoff=0.8)
    return f"did you mean {near[0]}?" if near else f'settings={{"users.groups.{group}": {{}}}}, or leave it out'
