"""Rules of stage 1, boot loaders, the system's version and the network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixwright.nix.values import NixPath
from nixwright.options.host_view import UNKNOWN
from nixwright.options.rules_kit import Rule, missing, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.errors import Mistake
    from nixwright.options.host_view import HostView

SERVICES = "systemd stage 1 does not run it; write a unit in boot.initrd.systemd.services"
FILES = "systemd stage 1 does not run it; use boot.initrd.systemd.extraBin, initrdBin, contents or storePaths"
STAGE_1_HOOKS = {
    "preFailCommands": SERVICES,
    "preDeviceCommands": SERVICES,
    "preLVMCommands": SERVICES,
    "postDeviceCommands": SERVICES,
    "postResumeCommands": SERVICES,
    "postMountCommands": SERVICES,
    "network.postCommands": SERVICES,
    "extraUtilsCommands": FILES,
    "extraUtilsCommandsTest": FILES,
    "extraUdevRulesCommands": "systemd stage 1 does not run it; use boot.initrd.services.udev",
}
LOADERS = (
    "boot.loader.grub.enable",
    "boot.loader.systemd-boot.enable",
    "boot.loader.generic-extlinux-compatible.enable",
    "boot.loader.limine.enable",
    "boot.loader.refind.enable",
)
IFNAMSIZ = 16  # include/linux/if.h, the closing zero byte with it


def _scripted(view: HostView) -> bool:
    return view.value("boot.initrd.systemd.enable") is False


def stage_1_hooks(view: HostView) -> Iterator[Mistake]:
    """system/boot/systemd/initrd.nix: the hooks of the scripted stage 1."""
    if _scripted(view):
        return
    for name, fix in STAGE_1_HOOKS.items():
        for definition in view.all(f"boot.initrd.{name}"):
            if definition.value != "":
                what = "is a hook of the scripted stage 1, and stage 1 is systemd's in NixOS 26.05"
                yield wrong(definition, what, fix=fix.partition("; ")[2])


def luks_under_systemd(view: HostView) -> Iterator[Mistake]:
    """system/boot/luksroot.nix: options that only the scripted stage 1 has."""
    if _scripted(view):
        return
    for device in view.below("boot.initrd.luks.devices"):
        base = "boot.initrd.luks.devices"
        for name in ("preOpenCommands", "postOpenCommands"):
            definition = view.one(base, device, name)
            if definition and definition.value != "":
                fix = "bind a unit of boot.initrd.systemd.services to cryptsetup.target or cryptsetup-pre.target"
                yield wrong(definition, "is not supported by systemd stage 1", fix=fix)
        fallback, before_lvm = view.one(base, device, "fallbackToPassword"), view.one(base, device, "preLVM")
        if fallback and fallback.value is True:
            yield wrong(fallback, "is implied by systemd stage 1, which refuses to hear it", fix="remove it")
        if before_lvm and before_lvm.value is False:
            yield wrong(before_lvm, "has no effect with systemd stage 1", fix="remove it")
    reuse = view.one("boot.initrd.luks.reusePassphrases")
    if reuse:
        yield wrong(reuse, "has no effect with systemd stage 1, which always reuses them", fix="remove it")
    for name in ("gpgSupport", "fido2Support", "yubikeySupport"):
        definition = view.one(f"boot.initrd.luks.{name}")
        if definition and definition.value is True:
            fix = "use systemd-cryptenroll and crypttabExtraOpts of the device"
            yield wrong(definition, "is not supported by systemd stage 1", fix=fix)


def initrd_ssh(view: HostView) -> Iterator[Mistake]:
    """system/boot/initrd-ssh.nix: host keys made beforehand, and somebody who may come in."""
    enable = view.one("boot.initrd.network.ssh.enable")
    keys = view.one("boot.initrd.network.ssh.hostKeys")
    for key in view.elements("boot.initrd.network.ssh.hostKeys"):
        in_store = isinstance(key, NixPath) or (isinstance(key, str) and key.startswith("/nix/store/"))
        if keys and in_store:
            what = "a private key in the Nix store, where everybody can read it"
            fix = 'write the path on the host as text: "/persist/etc/ssh/initrd_ssh_host_ed25519_key"'
            yield wrong(
                keys, what, given=str(getattr(key, "text", key)), allowed="a path outside of the store", fix=fix
            )
    if not (enable and enable.value is True and view.complete):
        return
    option = "boot.initrd.network.ssh"
    if not view.elements(f"{option}.hostKeys") and not view.value(f"{option}.ignoreEmptyHostKeys"):
        what = "is missing: ssh in the initrd needs host keys that are made beforehand"
        fix = "ssh-keygen -t ed25519 -N '' -f KEY on the host, and the path of KEY here"
        yield missing(f"{option}.hostKeys", what, fix=fix, because=enable)
    allowed = (
        f"{option}.authorizedKeys",
        f"{option}.authorizedKeyFiles",
        "users.users.root.openssh.authorizedKeys.keys",
    )
    if not any(view.elements(name) for name in allowed):
        what = "is missing: nobody could log in to the initrd"
        yield missing(allowed[0], what, fix="list at least one public key", because=enable)


def boot_loaders(view: HostView) -> Iterator[Mistake]:
    """Each sets system.build.installBootLoader, which takes one; grub.nix: where GRUB goes must be said."""
    enabled = [d for name in LOADERS if (d := view.one(name)) and d.value is True]
    for second in enabled[1:]:
        first = ".".join(enabled[0].path)
        yield wrong(second, f"is a second boot loader beside {first}", allowed="one boot loader", fix="disable one")
    grub = view.one("boot.loader.grub.enable")
    if grub and grub.value is True and view.complete:
        said = [view.elements(f"boot.loader.grub.{n}") for n in ("device", "devices", "mirroredBoots")]
        if not any(said):
            what = "is missing: GRUB must know where to go"
            yield missing("boot.loader.grub.devices", what, fix='set the disks, or ["nodev"] for EFI', because=grub)
    removable = view.one("boot.loader.grub.efiInstallAsRemovable")
    if removable and removable.value is True:
        if view.value("boot.loader.grub.efiSupport") in (None, False):
            yield wrong(removable, "needs boot.loader.grub.efiSupport", fix="set boot.loader.grub.efiSupport = True")
        if view.value("boot.loader.efi.canTouchEfiVariables") is True:
            fix = "set boot.loader.efi.canTouchEfiVariables = False"
            yield wrong(removable, "is for machines whose EFI variables are left alone", fix=fix)
    mount = view.one("boot.loader.efi.efiSysMountPoint")
    if mount and isinstance(mount.value, str) and not mount.value.startswith("/"):
        yield wrong(mount, "is no absolute path", given=mount.value, fix=f'write "/{mount.value}"')


def resume_device(view: HostView) -> Iterator[Mistake]:
    """system/boot/stage-1.nix."""
    device = view.one("boot.resumeDevice")
    if device and isinstance(device.value, str) and device.value and not device.value.startswith("/"):
        yield wrong(
            device, "must be an absolute path, as it is no label", given=device.value, fix="name /dev/disk/by-*"
        )


def state_version(view: HostView) -> Iterator[Mistake]:
    """misc/version.nix: without it NixOS takes the current release, which changes under existing data."""
    said = view.one("system.stateVersion")
    if said is None:
        if view.complete:
            what = "is missing: programs would change the form of their data with each release"
            yield missing("system.stateVersion", what, fix="set the release that the host was installed with: 26.05")
    elif isinstance(said.value, str) and not re.fullmatch(r"[0-9]{2}\.[0-9]{2}", said.value):
        yield wrong(said, "is no release of NixOS", given=said.value, allowed="YY.MM, as 26.05")


def network_manager(view: HostView) -> Iterator[Mistake]:
    """services/networking/networkmanager.nix and wpa_supplicant.nix."""
    manager = view.one("networking.networkmanager.enable")
    networks = view.below("networking.wireless.networks")
    if manager and manager.value is True:
        if networks and not view.elements("networking.networkmanager.unmanaged"):
            what = "cannot be used beside NetworkManager, which then drives wpa_supplicant itself"
            fix = "let NetworkManager know the networks, or list interfaces in networking.networkmanager.unmanaged"
            yield wrong(next(iter(networks.values())), what, fix=fix)
        off = view.one("networking.wireless.enable")
        uses_iwd = view.value("networking.networkmanager.wifi.backend") == "iwd"
        if off and off.value is False and not uses_iwd and off.priority >= 100:  # noqa: PLR2004 - a plain definition
            what = "conflicts with NetworkManager, which enables wpa_supplicant for itself"
            yield wrong(off, what, fix="remove it: NetworkManager decides")
    for name, first in networks.items():
        keys = [k for k in ("psk", "pskRaw", "auth") if view.value("networking.wireless.networks", name, k) is not None]
        if len(keys) > 1:
            yield wrong(first, f"has more than one of psk, pskRaw and auth: {', '.join(keys)}", fix="keep one of them")


def interface_names(view: HostView) -> Iterator[Mistake]:
    """tasks/network-interfaces.nix: what the kernel takes."""
    for name, definition in view.below("networking.interfaces").items():
        if len(name) >= IFNAMSIZ:
            yield wrong(definition, "has too long a name for Linux", given=name, allowed="at most 15 characters")


def nftables(view: HostView) -> Iterator[Mistake]:
    """services/networking/firewall-nftables.nix."""
    if view.value("networking.nftables.enable") is not True:
        return
    for name in ("extraCommands", "extraStopCommands"):
        definition = view.one(f"networking.firewall.{name}")
        if definition and definition.value not in ("", UNKNOWN):
            fix = "use networking.firewall.extraInputRules, or networking.nftables.tables"
            yield wrong(definition, "is for iptables, and networking.nftables is enabled", fix=fix)


BOOT: tuple[Rule, ...] = (
    stage_1_hooks,
    luks_under_systemd,
    initrd_ssh,
    boot_loaders,
    resume_device,
    state_version,
    network_manager,
    interface_names,
    nftables,
)
