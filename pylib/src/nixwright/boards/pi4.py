"""The Raspberry Pi 4 with NixOS's own kernel: firmware, U-Boot and extlinux on the disk's first FAT partition.

The EEPROM finds that partition on card or USB disk and starts the firmware's start4.elf, which reads config.txt and
starts U-Boot; U-Boot reads extlinux/extlinux.conf beside it, with a kernel, an initrd and a device tree a generation.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Literal

from nixwright.boards.base import Board, System
from nixwright.bounds import Ge
from nixwright.errors import Mistake
from nixwright.layout.content import Vfat
from nixwright.layout.pool import Member
from nixwright.nix.values import Apply, Text, default, pkgs
from nixwright.options.host_view import HostView
from nixwright.options.rules_kit import wrong
from nixwright.parts.facts import (
    CardFirmware,
    CardImage,
    DeviceTree,
    EthernetHardware,
    NoKexec,
    SerialConsole,
    WifiHardware,
)
from nixwright.record import field_origin, origin_of, record
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Context, Fact

DEVICE_TREE = "broadcom/bcm2711-rpi-4-b.dtb"
_ETHERNET = ("genet", "mdio-bcm-unimac", "broadcom")
_NO_KEXEC = "a Pi 4 locks up when a kernel starts another one"
_U_BOOT_READS = 2 << 40  # bytes: beyond, U-Boot finds no partition on a USB disk (nixpkgs issue 127814)
# raspberrypi.com/documentation/computers/config_txt.html; U-Boot asks for enable_uart (arch/arm/mach-bcm283x/Kconfig)
_CONFIG_TXT = """\
arm_64bit=1
enable_uart=1
kernel=u-boot-rpi4.bin
enable_gic=1
armstub=armstub8-gic.bin
arm_boost=1
disable_overscan=1
avoid_warnings=1
"""


@record
class Pi4(Board):
    """A Raspberry Pi 4 B. `generations` is how many keep their boot files: each takes some 90 MB of /boot."""

    generations: Annotated[int, Ge(1)] = 4
    governor: Literal["conservative", "ondemand", "performance", "powersave", "schedutil"] = "ondemand"
    system: System = field(default="aarch64-linux", init=False)

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """Its networks, its device tree, its firmware, its console; and that it cannot kexec."""
        return (
            EthernetHardware(_ETHERNET),
            WifiHardware(("brcmfmac",), ("raspberrypiWirelessFirmware",)),
            DeviceTree("brcm,bcm2711", DEVICE_TREE),
            CardFirmware(_firmware()),
            NoKexec(_NO_KEXEC),
            SerialConsole("ttyS1", 115200),
        )

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to the boot chain, consoles, and what stage 1 needs to see a USB disk."""
        yield self.set("nixpkgs.hostPlatform", self.system)
        yield self.set("boot.loader.grub.enable", value=False)
        yield self.set("boot.loader.generic-extlinux-compatible.enable", value=True, comment="U-Boot reads it")
        limit = "boot.loader.generic-extlinux-compatible.configurationLimit"
        yield self.set(limit, self.generations, field="generations")
        yield self.set("hardware.deviceTree.name", DEVICE_TREE)
        yield self.set("hardware.deviceTree.filter", DEVICE_TREE.rpartition("/")[2])
        why = "ttyS1 is the UART on the pin header; ttyAMA0 leads to the Bluetooth chip"
        yield self.set("boot.kernelParams", ["console=ttyS1,115200", "console=tty1"], comment=why)
        modules = ["pcie-brcmstb", "reset-raspberrypi", "xhci_pci", "usb_storage", "uas", "usbhid"]
        why = "USB 3 hangs on PCIe, its controller's firmware on the reset line"
        yield self.set("boot.initrd.availableKernelModules", modules, comment=why)
        yield self.set("powerManagement.cpuFreqGovernor", default(self.governor), field="governor")

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """The firmware reads the first FAT partition, U-Boot only so far, and nothing here reads ZFS."""
        layout = context.layout
        if context.fact(CardImage) is not None:
            return
        esp = layout.esp or next((m for m in layout.mounts if m.path == "/boot" and isinstance(m.source, Vfat)), None)
        if esp is None or esp.path != "/boot":
            what = "firmware, U-Boot and kernels have no place"
            fix = 'Partition("boot", MiB(1024), ESP())'
            yield Mistake(
                "Pi4", what, "", "a FAT partition at /boot, the first of its disk", fix, field_origin(self, "")
            )
        for disk in layout.disks:
            fat = [p for p in disk.table.partitions if isinstance(p.content, Vfat)]
            if esp is not None and any(p.content is esp.source for p in fat) and fat[0].content is not esp.source:
                what = "the firmware reads the disk's first FAT partition, and this one is not mounted at /boot"
                origin = origin_of(fat[0])
                yield Mistake(
                    "Partition", what, fat[0].label, "/boot first", "put the partition with ESP() first", origin
                )
            if disk.size is not None and disk.size.bytes > _U_BOOT_READS:
                what = "U-Boot finds no partitions on a USB disk of more than 2 TiB"
                fix = "boot from a smaller one, with the pool's member on this one"
                yield Mistake("Disk.size", what, "", "2 TiB at most", fix, origin_of(disk).at("size"))
        for place in layout.places:
            if isinstance(place.content, Member) and place.disk.path.startswith("/dev/mmcblk"):
                what = "a pool on an SD card: it wears out, and a card that fails takes all of it"
                origin = origin_of(place.disk).at("device")
                yield Mistake("Disk.device", what, place.disk.path, "an SSD on USB", "name the SSD here", origin)

    def whole_rules(self, context: Context, said: Sequence[Setting]) -> Iterator[Mistake]:
        """U-Boot reads extlinux.conf and nothing else; UEFI firmware for it (pftf) with systemd-boot was given up."""
        view = HostView(said, complete=True)
        extlinux = view.one("boot.loader.generic-extlinux-compatible.enable")
        if extlinux is not None and extlinux.value is False:
            what = "leaves the Pi 4 without a boot entry: its U-Boot reads extlinux.conf, and no other loader's files"
            yield wrong(extlinux, what, fix="leave it on; another boot chain is a board of its own")

    def steps(self, context: Context) -> Iterator[Step]:
        """The EEPROM, the boot files, and what only the board can show."""
        if context.fact(CardImage) is not None:
            return
        yield Step(
            Phase.HARDWARE,
            "A board that boots from USB",
            "Card first, then USB is the order that a Pi 4 comes with since September 2020. An older one takes, once,"
            " the image `Misc utility images / Bootloader / USB Boot` of Raspberry Pi Imager. The SSD goes into a blue"
            " port; it needs more current than a weak power supply has.",
        )
        yield Step(
            Phase.INSTALL,
            "The boot files",
            "Firmware and U-Boot that have just booted this very board, from the card; NixOS adds the kernels.",
            "mount /boot/firmware 2>/dev/null; findmnt /boot/firmware && findmnt /mnt/boot\n"
            "find /boot/firmware -maxdepth 1 -type f ! -name '*.nmconnection' -exec cp -t /mnt/boot {} +\n"
            "ls /mnt/boot",
            "The last line shows config.txt, start4.elf and u-boot-rpi4.bin.",
        )
        yield Step(
            Phase.AFTER,
            "Without the card",
            "Power off, take the card out, power on: with the card in, the card would boot again.",
            "poweroff",
        )
        yield Step(
            Phase.VERIFY,
            "The board boots from its disk",
            "No screen was needed. With a serial cable on the pin header, U-Boot's menu shows the generations.",
            "tr -d '\\0' < /proc/device-tree/model; echo\nfindmnt /; findmnt /boot\nzpool status -x\n"
            "dmesg | grep -i -E 'uas|under-voltage'",
            "Raspberry Pi 4, both mounts on the SSD, `all pools are healthy`, and no under-voltage.",
        )


def _firmware() -> Value:
    """The Pi 4's own files of the firmware, U-Boot and config.txt, into ./firmware."""
    config_txt = Apply(pkgs.writeText, ("config.txt", _CONFIG_TXT))
    return Text(
        (
            "cp ",
            pkgs.raspberrypifw,
            "/share/raspberrypi/boot/{start4.elf,fixup4.dat,bcm2711-rpi-4-b.dtb} firmware/\ncp ",
            pkgs.ubootRaspberryPi4_64bit,
            "/u-boot.bin firmware/u-boot-rpi4.bin\ncp ",
            pkgs["raspberrypi-armstubs"],
            "/armstub8-gic.bin firmware/\ncp ",
            config_txt,
            " firmware/config.txt\n",
        ),
        indented=True,
    )
