"""A virtual machine under QEMU with UEFI: the smallest board there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nixwright.boards.base import Board, System
from nixwright.errors import Mistake
from nixwright.parts.facts import EthernetHardware
from nixwright.record import field_origin, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Context, Fact

_CONSOLE = {"x86_64-linux": "ttyS0", "aarch64-linux": "ttyAMA0"}  # the first UART of QEMU's machines q35 and virt


@record
class QemuVm(Board):
    """A guest of QEMU (machines q35 or virt) with UEFI, virtio disks and network, and a serial console.

    `editor` lets whoever is at the console edit the kernel's parameters, and so become root. `console_mode` is
    systemd-boot's: "max" takes all of a graphical console.
    """

    system: System = "x86_64-linux"
    editor: bool = True
    console_mode: Literal["0", "1", "2", "5", "auto", "max", "keep"] = "keep"

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """The wired network."""
        return (EthernetHardware(("virtio_net",)),)

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to the boot loader, the console and the drivers."""
        yield self.set("nixpkgs.hostPlatform", self.system, field="system")
        yield self.set("boot.loader.systemd-boot.enable", value=True)
        if not self.editor:
            yield self.set("boot.loader.systemd-boot.editor", value=False, field="editor")
        if self.console_mode != "keep":
            yield self.set("boot.loader.systemd-boot.consoleMode", self.console_mode, field="console_mode")
        yield self.set("boot.loader.efi.canTouchEfiVariables", value=True)
        esp = context.layout.esp
        if esp is not None and esp.path != "/boot":
            yield self.set("boot.loader.efi.efiSysMountPoint", esp.path)
        yield self.set("boot.kernelParams", [f"console={_CONSOLE[self.system]},115200", "console=tty1"])
        yield self.set("boot.initrd.availableKernelModules", ["virtio_pci", "virtio_blk", "virtio_scsi", "ahci"])
        yield self.set("services.qemuGuest.enable", value=True)

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """UEFI reads an EFI system partition, and so does who installs the boot loader."""
        if context.layout.esp is None:
            what = "no EFI system partition is mounted: the boot loader has no place"
            fix = 'Partition("boot", MiB(512), ESP())'
            yield Mistake("QemuVm", what, "", "an ESP with a mount point", fix, field_origin(self, ""))
