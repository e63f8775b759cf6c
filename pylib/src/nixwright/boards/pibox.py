"""The PiBox: a Raspberry Pi Compute Module 4 on KubeSail's carrier, its system on a SATA disk.

How it boots: the EEPROM's loader reads the firmware from the FAT partition on the eMMC (a CM4 cannot boot from SATA),
the firmware starts U-Boot, U-Boot starts systemd-boot from `EFI/BOOT/BOOTAA64.EFI` on the same partition, and that
starts the kernel. The firmware hands U-Boot a device tree made for the vendor's kernel. systemd-boot replaces it by the
one that each generation brings for its own kernel, with our overlays in it (`installDeviceTree`); U-Boot first copies
into that what only the firmware knows (`board/raspberrypi/rpi/rpi.c`, update_fdt_from_fw). So a new kernel never meets
an old device tree, and what `dtoverlay=` lines in the eMMC's config.txt say does not reach it.

The kernel is nixpkgs' own. The one of nixos-hardware's raspberry-pi-4 says of itself that it has no EFI stub, and
systemd-boot's module refuses it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from nixwright.boards.base import Board, System
from nixwright.bounds import Ge
from nixwright.errors import Mistake
from nixwright.layout.content import ESP
from nixwright.nix.values import default
from nixwright.parts.facts import BootFirmware, DeviceTree, EthernetHardware, SerialConsole
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Context, Fact

# The tree of the CM4's own carrier board: the PiBox wires Ethernet, eMMC, UART and PCIe as that does.
DEVICE_TREE = "broadcom/bcm2711-rpi-cm4-io.dtb"
# The MAC, its management bus and the PHY, which the kernel asks for only when the MAC's driver is there.
_ETHERNET = ("genet", "mdio-bcm-unimac", "broadcom")
_BOOT_ORDER = "0xf514"  # from the right: USB disks, the eMMC, USB disks at the CM4's own port, from the start
_FIRMWARE = "pibox.firmware"  # of the flake nixos-pibox' overlay
_INSTALLER = "https://channels.nixos.org/nixos-26.05/latest-nixos-minimal-aarch64-linux.iso"


@record
class PiBox(Board):
    """A PiBox. `firmware_volume_id` is the volume id of the FAT partition on the eMMC, as `blkid` shows it.

    One makes it up: the install steps format the eMMC with it. `timeout` is how many seconds systemd-boot's menu stays.
    """

    firmware_volume_id: str
    timeout: Annotated[int, Ge(0)] = 10
    governor: Literal["conservative", "ondemand", "performance", "powersave", "schedutil"] = "ondemand"
    system: System = field(default="aarch64-linux", init=False)
    inputs: ClassVar[tuple[str, ...]] = ("nixos-pibox",)  # the firmware is built from it, and copied while installing

    def wrong(self) -> Iterator[Mistake]:
        """A volume id that udev would not show so."""
        given = self.firmware_volume_id
        if not re.fullmatch(r"[0-9A-F]{4}-[0-9A-F]{4}", given):
            digits = re.sub(r"[^0-9A-Fa-f]", "", given).upper()
            fix = f"{digits[:4]}-{digits[4:]}" if len(digits) == 8 else "1A2B-3C4D"  # noqa: PLR2004 - 32 bits
            allowed = "8 hexadecimal digits in capitals, a dash in the middle"
            yield Mistake(
                "firmware_volume_id", "is no FAT volume id", repr(given), allowed, f'firmware_volume_id="{fix}"'
            )

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """The wired network, the device tree, the firmware on the eMMC, and the console."""
        return (
            EthernetHardware(_ETHERNET),
            DeviceTree("brcm,bcm2711", DEVICE_TREE),
            BootFirmware(_FIRMWARE, "/boot"),
            SerialConsole("ttyS1", 115200),
        )

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to the boot chain, consoles, and what stage 1 needs to see the SATA disk."""
        yield self.set("nixpkgs.hostPlatform", self.system)
        yield self.set("boot.loader.systemd-boot.enable", value=True)
        why = "each generation starts with the device tree of its own kernel, not with the firmware's on the eMMC"
        yield self.set("boot.loader.systemd-boot.installDeviceTree", value=True, comment=why)
        why = "U-Boot takes no EFI variables from a running system; it finds EFI/BOOT/BOOTAA64.EFI without"
        yield self.set("boot.loader.efi.canTouchEfiVariables", value=False, comment=why)
        yield self.set("boot.loader.timeout", self.timeout, field="timeout")
        yield self.set("hardware.deviceTree.name", DEVICE_TREE)
        yield self.set("hardware.deviceTree.filter", DEVICE_TREE.rpartition("/")[2])
        why = "ttyS1 is the UART on the pin header; ttyAMA0 leads to the Bluetooth chip"
        yield self.set("boot.kernelParams", ["console=ttyS1,115200", "console=tty1"], comment=why)
        why = "the PCIe bus that the SATA controller is on"
        modules = ["pcie-brcmstb", "reset-raspberrypi"]
        yield self.set("boot.initrd.availableKernelModules", modules, comment=why)
        volume = {
            "device": f"/dev/disk/by-uuid/{self.firmware_volume_id}",
            "fsType": "vfat",
            "options": ["noatime", "umask=0077"],
        }
        yield self.set('fileSystems."/boot"', volume, field="firmware_volume_id", comment="on the eMMC")
        yield self.set("powerManagement.cpuFreqGovernor", default(self.governor), field="governor")

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """/boot is the eMMC's."""
        esp = context.layout.esp
        if esp is not None and esp.path == "/boot":
            yield Mistake(
                "PiBox",
                "a partition of the layout is mounted at /boot, where the eMMC's belongs: the firmware reads that one",
                esp.device,
                "",
                "ESP(at=None)",
                esp.origin if esp.origin.calls else field_origin(self, ""),
            )

    def steps(self, context: Context) -> Iterator[Step]:
        """EEPROM, eMMC, a machine to install with, the copy to the eMMC, and what to look at on the board."""
        disk = next((d.device for d in context.layout.disks if isinstance(d.device, str)), "")
        yield from _hardware(self.firmware_volume_id)
        yield _installer(context, disk)
        places = context.layout.places
        spare = next((p.device for p in places if isinstance(p.content, ESP)), None)
        yield from _boot_files(context.name, spare, _partition(context.layout))
        yield Step(
            Phase.VERIFY,
            "The board boots as it should",
            "The device tree must be the generation's own, not the firmware's.",
            "tr '\\0' '\\n' < /proc/device-tree/compatible\n"
            "bootctl status --no-pager\n"
            f"findmnt /boot && lsblk -o NAME,UUID,MOUNTPOINTS | grep {self.firmware_volume_id}\n"
            "lsusb",
            "`raspberrypi,4-compute-module-io` on the first line (the firmware's tree has no `-io`), systemd-boot"
            " started by U-Boot, /boot on mmcblk0p1, and what hangs on the USB ports.",
        )


def _hardware(volume: str) -> Iterator[Step]:
    """What is done to the CM4 itself, by USB from a Linux machine."""
    yield Step(
        Phase.HARDWARE,
        "The boot order in the EEPROM",
        "The CM4 tries USB first, then its eMMC. Begin with the PiBox off, its switch at `rpiboot`, and a USB-C cable"
        " from it to a Linux machine with git, make, a C compiler and libusb (Debian: `libusb-1.0-0-dev pkg-config`).",
        "git clone --depth 1 --recurse-submodules https://github.com/raspberrypi/usbboot ~/usbboot\n"
        "make -C ~/usbboot\n"
        "cd ~/usbboot/recovery\n"
        "sed -i -e '/^BOOT_ORDER=/d' -e '/^ENABLE_SELF_UPDATE=/d' boot.conf\n"
        f"printf '[all]\\nBOOT_ORDER={_BOOT_ORDER}\\nENABLE_SELF_UPDATE=1\\n' >> boot.conf\n"
        "./update-pieeprom.sh\n"
        "sudo ../rpiboot -d .",
        "The red and the green LED blink in turn. Then take the power away and give it again.",
    )
    yield Step(
        Phase.FIRMWARE,
        "A file system for the firmware on the eMMC",
        "The eMMC shows up as a USB disk. Its letter may change while you work: look again before each that writes.",
        "sudo ~/usbboot/rpiboot -d ~/usbboot/mass-storage-gadget64\n"
        "lsblk -o NAME,SIZE,TRAN,MODEL,SERIAL\n"
        "read -r -p 'The eMMC, as in /dev/sdX: ' EMMC\n"
        "sudo sgdisk --zap-all --new=1:1MiB:0 --typecode=1:EF00 --change-name='1:EFI system partition' \"$EMMC\"\n"
        'sudo partprobe "$EMMC"; sudo udevadm settle\n'
        f'sudo mkfs.vfat -F 32 -n PIBOX -i {volume.replace("-", "")} "${{EMMC}}1"\n'
        f"ls -l /dev/disk/by-uuid/{volume}",
        "The last line shows the link to the new partition.",
    )


def _installer(context: Context, disk: str) -> Step:
    """A machine to install with: neither emulated user programs nor booting the CM4 from USB have been seen to work."""
    keys = [key for user in context.users if "wheel" in user.groups for key in user.ssh_keys]
    serial, link = _serial(disk), disk.removeprefix("/dev/")
    key = f"echo '{keys[0]}' | sudo tee -a /root/.ssh/authorized_keys" if keys else "sudo passwd root"
    return Step(
        Phase.INSTALLER,
        "A virtual machine that installs",
        "The SSD hangs on the Linux machine by a SATA-to-USB adapter or a port of its own; the VM gets the whole of it."
        " The UEFI firmware's path is Debian's (`qemu-system-arm`, `qemu-efi-aarch64`). In the VM's console, where you"
        f" are logged in at once, let yourself in: `sudo mkdir -p /root/.ssh; {key}`. Leave the console by Ctrl-a x.",
        f"curl -L -o installer.iso {_INSTALLER}\n"
        f"sudo qemu-system-aarch64 -machine virt,gic-version=max -cpu max -m 4G -smp 4 -nographic \\\n"
        f"  -bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd \\\n"
        f"  -drive file=installer.iso,format=raw,if=virtio,readonly=on \\\n"
        f"  -drive file={disk},format=raw,if=none,id=ssd,cache=none \\\n"
        f"  -device virtio-blk-pci,drive=ssd,serial={serial} \\\n"
        f"  -nic user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:3333-:22\n"
        "# and in another terminal\n"
        "ssh -p 3333 -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no root@127.0.0.1\n"
        "# there: the names that the host's description has for the SSD and its partitions\n"
        "mkdir -p /run/udev/rules.d\n"
        "cat > /run/udev/rules.d/61-ssd.rules <<'RULES'\n"
        f'KERNEL=="vd*", ENV{{DEVTYPE}}=="disk", ATTRS{{serial}}=="{serial}", SYMLINK+="{link}"\n'
        f'KERNEL=="vd*", ENV{{DEVTYPE}}=="partition", ATTRS{{serial}}=="{serial}", SYMLINK+="{link}-part%n"\n'
        "RULES\n"
        "udevadm control --reload\n"
        "udevadm trigger --settle --subsystem-match=block",
        f"`lsblk {disk}` in the VM shows the SSD.",
    )


def _boot_files(name: str, spare: str | None, partition: str | None) -> Iterator[Step]:
    """The way of the boot files: to the SSD's spare ESP while installing, then by hand to the eMMC, once."""
    if spare is None:
        return
    yield Step(
        Phase.INSTALL,
        "A place for the boot files",
        "The eMMC is not in reach of the VM, so they go to the SSD's spare boot partition first, with the firmware that"
        " nixos-pibox builds. Do this before `nixos-install`, in the directory of your flake.",
        f"mkdir -p /mnt/boot\n"
        f"mount {shlex.quote(spare)} /mnt/boot\n"
        "export NIX_CONFIG='experimental-features = nix-command flakes'\n"
        f"nix build .#nixosConfigurations.{name}.pkgs.pibox.firmware -o /tmp/firmware\n"
        "cp -rL /tmp/firmware/. /mnt/boot/",
        "`ls /mnt/boot` shows config.txt, start4.elf and u-boot-rpi4.bin.",
    )
    yield Step(
        Phase.AFTER,
        "The boot files go to the eMMC",
        "Once: from then on NixOS writes to the eMMC itself. In the VM `umount /mnt/boot` and power off; expose the"
        " eMMC again as above, and on the Linux machine:",
        "sudo ~/usbboot/rpiboot -d ~/usbboot/mass-storage-gadget64\n"
        "lsblk -o NAME,SIZE,TRAN,MODEL,LABEL\n"
        "sudo mkdir -p /mnt/ssd /mnt/emmc\n"
        f"sudo mount -o ro {partition or shlex.quote(spare)} /mnt/ssd\n"
        "sudo mount LABEL=PIBOX /mnt/emmc\n"
        "sudo cp -rT /mnt/ssd /mnt/emmc\n"
        "sudo umount /mnt/ssd /mnt/emmc",
        f"The SSD back in its bay, the switch back from `rpiboot`, the USB-C cable out: {name} starts from its SSD.",
    )


def _partition(layout: Layout) -> str | None:
    """Return the spare boot partition by the disk's own stable name, or None where that has no parts."""
    for disk in layout.disks:
        for number, partition in enumerate(disk.table.partitions, 1):
            if isinstance(partition.content, ESP) and isinstance(disk.device, str):
                return f"{disk.device}-part{number}"
    return None


def _serial(disk: str) -> str:
    """Return a serial number for the VM's disk, made of its name; virtio takes 20 characters."""
    return re.sub(r"[^A-Za-z0-9]", "", disk.rpartition("_")[2] or disk)[-20:]
