"""A bootstrap SD card: a small NixOS with the host's WiFi, its administrators' keys and the tools to install it.

The image holds no secret: it is built in the Nix store. The network's key is written onto the card's FAT partition
after flashing, and read from there at each boot.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, ClassVar

from nixwright.errors import Mistake
from nixwright.installers.base import Installer
from nixwright.nix.values import Text, config, force, pkgs
from nixwright.parts.base import Context, Part
from nixwright.parts.facts import CardFirmware, CardImage, InstallerWifi
from nixwright.parts.mdns import Mdns
from nixwright.parts.ssh import Ssh
from nixwright.parts.wifi import Wifi, ask_for_profile
from nixwright.record import is_broken, record
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.host import Host
    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

FIRMWARE = "/boot/firmware"  # where sd-image.nix mounts the card's FAT partition
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PROFILES = "/run/NetworkManager/system-connections"
_TOOLS = ("disko", "git", "gptfdisk", "mkpasswd")
_READ_PROFILES = f"""\
install -d -m 700 {_PROFILES}
for profile in {FIRMWARE}/*.nmconnection; do
  install -m 600 "$profile" {_PROFILES}/
done
"""


@record
class SdImage(Installer):
    """A card to boot the board from, once, to install the host on its disk.

    It is a configuration of its own beside the host's, `name` (by itself the host's and `-sd`), reached at `NAME.local`
    as root with the keys of who may administer the host. `root` is the file system of the card's second partition.
    """

    name: str | None = None
    root: str = "ext4"

    def wrong(self) -> Iterator[Mistake]:
        """A name that is none."""
        if self.name is not None and not _LABEL.fullmatch(self.name):
            allowed = "up to 63 of a-z, 0-9 and -, no - at either end"
            yield Mistake("name", "is no host name", repr(self.name), allowed, 'SdImage(name="pi4-sd")')
        if self.root != "ext4":
            what = "the card's root is made by NixOS's sd-image.nix, and U-Boot reads its kernels there"
            yield Mistake("root", what, repr(self.root), '"ext4"', "leave it out; ZFS is for the host's own disk")

    def _name(self, host: str) -> str:
        return self.name or f"{host}-sd"

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """The installer is on the WiFi itself."""
        return (InstallerWifi(),)

    def image(self, host: Host) -> Host:
        """Return the card's system."""
        from nixwright.host import Host, User  # noqa: PLC0415 - a host has an installer

        name = self._name(host.name)
        keys = [k for u in host.users if not is_broken(u) and u.can_become_root for k in u.ssh_keys]
        wifi = next((p for p in host.parts if isinstance(p, Wifi) and not is_broken(p)), None)
        parts: list[Part] = [_Card(), Mdns(), Ssh(root=True)]
        if wifi is not None:
            parts.insert(1, Wifi(country=wifi.country, interface=wifi.interface))
        return Host(
            name,
            # a pool made here is exported before the host imports it; the id only has to be another one
            host_id=hashlib.sha256(name.encode()).hexdigest()[:8],
            state_version=host.state_version,
            board=host.board,
            parts=parts,
            users=[User("root", ssh_keys=list(dict.fromkeys(keys)))],
        )

    def steps(self, context: Context) -> Iterator[Step]:
        """Build, flash, tell it the network, log in."""
        name = self._name(context.name)
        yield Step(
            Phase.INSTALLER,
            "The card's image",
            "In the directory of the flake, on a machine that builds for aarch64: another ARM board, a Linux VM on an"
            " ARM Mac, or an x86 NixOS with `boot.binfmt.emulatedSystems` and `fixBinary`. Kernel and ZFS come from the"
            " binary cache; only what is this host's own is built.",
            f"nix build .#nixosConfigurations.{name}.config.system.build.sdImage -o result-{name}",
            f"`ls result-{name}/sd-image` shows {name}.img.zst.",
        )
        yield Step(
            Phase.INSTALLER,
            "The card",
            "The card is shown and asked for. It is told apart from the disks that this machine runs on.",
            f"sudo nixwright flash result-{name}/sd-image/{name}.img.zst",
            "It says that what was read back is what was written.",
        )
        wifi = "The card's first partition, FAT, holds the firmware; the profile of your WiFi is put beside it. The key"
        yield Step(
            Phase.INSTALLER,
            "The network's key onto the card",
            f"{wifi} stands there in clear: wipe the card, or delete the file, when the host is installed.",
            "sudo mkdir -p /mnt/card && sudo mount /dev/disk/by-label/FIRMWARE /mnt/card\n"
            f"sudo bash -c {_quoted(ask_for_profile('/mnt/card/wifi.nmconnection'))}\n"
            "sudo umount /mnt/card",
            "There is no error, and `lsblk` shows the card, unmounted.",
        )
        yield Step(
            Phase.INSTALLER,
            "Boot the card",
            "Card and disk in, power on; half a minute later the board is on the network. What git knows of the flake"
            " is copied there, and nothing beside it; what follows is done there.",
            f"git archive HEAD | ssh root@{name}.local 'mkdir -p flake && tar -x -C flake'\n"
            f"ssh root@{name}.local\ncd flake",
            f"The prompt says root@{name}.",
        )


@record
class _Card(Part):
    """What makes a system an SD card's."""

    module: ClassVar[str] = "sd-image"
    requires: ClassVar[tuple[type[Fact], ...]] = (CardFirmware,)
    nixpkgs_modules: ClassVar[tuple[str, ...]] = ("installer/sd-card/sd-image.nix",)

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """It boots from a card."""
        return (CardImage(),)

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `sdImage`, and to what keeps it small."""
        firmware = context.fact(CardFirmware)
        yield self.set("image.baseName", context.name)
        if firmware is not None:
            yield self.set("sdImage.populateFirmwareCommands", firmware.commands)
        fill: Value = Text(
            (
                "mkdir -p ./files/boot\n",
                config.boot.loader["generic-extlinux-compatible"].populateCmd,
                " -c ",
                config.system.build.toplevel,
                " -d ./files/boot\n",
            ),
            indented=True,
        )
        yield self.set("sdImage.populateRootCommands", fill)
        why = "sd-image.nix turns it on: 600 MB of firmware that this board has no use for"
        yield self.set("hardware.enableAllHardware", force(value=False), comment=why)
        why = "what is read and written from here; each other one brings its tools"
        yield self.set("boot.supportedFilesystems", force(["vfat", "zfs"]), comment=why)
        yield self.set("boot.zfs.forceImportRoot", value=False)
        yield self.set("documentation.enable", value=False)
        why = "what it would write is here already, and it brings the tools of btrfs"
        yield self.set("system.tools.nixos-generate-config.enable", value=False, comment=why)
        yield self.set("environment.systemPackages", [pkgs[name] for name in _TOOLS])
        yield self.set("nix.settings.experimental-features", ["nix-command", "flakes"])
        yield self.set("systemd.services.wifi-from-card", _profiles(), comment="the image has no key: see INSTALL.md")


def _profiles() -> dict[str, Value]:
    return {
        "description": "Profiles of the WiFi from the card's FAT partition",
        "wantedBy": ["NetworkManager.service"],
        "before": ["NetworkManager.service"],
        "unitConfig": {"RequiresMountsFor": FIRMWARE},
        "serviceConfig": {"Type": "oneshot", "RemainAfterExit": True},
        "script": _READ_PROFILES,
    }


def _quoted(text: str) -> str:
    escaped = text.replace("'", "'\\''")
    return f"'{escaped}'"
