"""The Rock64: an RK3328 whose boot ROM reads a boot loader from fixed sectors of the eMMC, before any partition."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal

from nixwright.boards.base import Board, System
from nixwright.boards.u_boot import INITRD, KERNEL, Environment, UBoot, shipped
from nixwright.errors import Mistake
from nixwright.layout.disk import Soldered
from nixwright.layout.partition import Raw
from nixwright.layout.sizes import MiB, Sectors
from nixwright.nix.values import Apply, NixPath, Text, config, pkgs
from nixwright.parts.base import File
from nixwright.parts.facts import BootVariables, DeviceTree, EthernetHardware, RootOverlay, SerialConsole, SlotBoot
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Context, Fact

EMMC = Soldered("/dev/mmcblk1", why="the eMMC module: the device tree numbers it 1, and the SD card 0")
# Where the boot ROM looks for its first loader, and that for U-Boot (Rockchip's partition map), each up to the next.
U_BOOT = (
    Raw("idbloader.img", Sectors(64), Sectors(16384 - 64)),
    Raw("u-boot.itb", Sectors(16384), MiB(8)),
)
DEVICE_TREE = "rockchip/rk3328-rock64.dtb"
_TRIMMED = "trimmed-kernel.nix"
_ADAPTERS = ("rtl8153a-2", "rtl8153a-3", "rtl8153a-4", "rtl8153b-2", "rtl8153c-1")
_CONSOLE = ("ttyS2", 1500000)
_PERIPHERAL = '&usb20_otg {\n\tdr_mode = "peripheral";\n};\n'
_LOADER = UBoot(
    package="ubootRock64",
    device=("mmc", 0),  # U-Boot numbers the eMMC 0
    button=100,
    environment=Environment("/dev/mtd0", offset=0x140000, size=0x2000, sector=0x1000),
    kernel_address=0x02080000,
    initrd_address=0x08000000,
    device_tree=DEVICE_TREE,
    kconfig=("CONFIG_USB_GADGET_DWC2_OTG=y",),
    device_tree_patch=("arch/arm/dts/rk3328-rock64-u-boot.dtsi", _PERIPHERAL),
)


@record
class Rock64(Board):
    """A Rock64 with an eMMC module: U-Boot from the gap before slot A, its variables in SPI flash.

    `kernel` is NixOS's own, which a binary cache has, or the same without drivers that a Rock64 has no use for: it is
    built at home, and leaves room in both slots (docs/rock64.md says how much less it is). `settings` may say any other
    (`boot.kernelPackages`).
    """

    system: System = field(default="aarch64-linux", init=False)
    kernel: Literal["stock", "trimmed"] = "stock"

    requires = (RootOverlay,)

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """Its network, its device tree, its console, what it starts from, and U-Boot's variables."""
        build = config.system.build
        files = (
            (KERNEL, Text((build.kernel, "/", config.system.boot.loader.kernelFile))),
            (INITRD, Text((build.initialRamdisk, "/", config.system.boot.loader.initrdFile))),
            (f"dtbs/{DEVICE_TREE}", Text((config.hardware.deviceTree.package, f"/{DEVICE_TREE}"))),
            ("boot.scr", build.bootScript),
        )
        raws = tuple((raw.name, Text((build.uboot, f"/{raw.name}"))) for raw in U_BOOT)
        return (
            EthernetHardware(("dwmac_rk",)),
            DeviceTree("pine64,rock64", DEVICE_TREE),
            SlotBoot(files, raws),
            SerialConsole(*_CONSOLE),
            BootVariables(_LOADER.environment.device),
        )

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to the boot chain, the console, and what stage 1 needs to see the eMMC."""
        yield self.set("nixpkgs.hostPlatform", self.system)
        yield self.set("hardware.deviceTree.name", DEVICE_TREE)
        yield self.set("hardware.deviceTree.filter", DEVICE_TREE.rpartition("/")[2])
        early = "earlycon=uart8250,mmio32,0xff130000"
        why = "the UART on pins 6, 8 and 10, at the speed that the boot ROM has"
        yield self.set("boot.kernelParams", [f"console={_CONSOLE[0]},{_CONSOLE[1]}", early], comment=why)
        modules = ["mmc_block", "dw_mmc_rockchip"]
        yield self.set("boot.initrd.availableKernelModules", modules)
        if self.kernel == "trimmed":
            built = Apply(pkgs.callPackage, (NixPath(f"./{_TRIMMED}"), {}))
            yield self.set("boot.kernelPackages", built, field="kernel")
            why = "disks of other machines, whose drivers this kernel does not have"
            yield self.set("boot.initrd.includeDefaultModules", value=False, field="kernel", comment=why)
        yield self.set("hardware.enableRedistributableFirmware", value=False)
        yield self.set("hardware.firmware", [_firmware()], comment="for network adapters on USB; the board needs none")
        yield from _LOADER.settings(self)

    def files(self, context: Context) -> Iterator[File]:
        """U-Boot's scripts, what builds them, and the kernel where it is not NixOS's own."""
        if self.kernel == "trimmed":
            yield File(_TRIMMED, shipped("rock64-kernel.nix"))
        if context.layout.slots:
            yield from _LOADER.files(context.layout.slots)

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """The boot ROM finds its loader, and U-Boot its slots, on the eMMC alone."""
        slots = context.layout.slots
        if not slots:
            if context.fact(RootOverlay) is None:  # whose part tells it
                what, fix = "U-Boot has no slots to choose from", "GPT(*U_BOOT, Slots(...), ...) on a Disk(EMMC, ...)"
                yield Mistake("Rock64", what, "", "slots A and B on the eMMC", fix, field_origin(self, ""))
            return
        disk = slots[0].boot.disk
        if disk.path != EMMC.device:
            what, fix = "U-Boot looks for its slots on the eMMC", "Disk(EMMC, ...)"
            yield Mistake("Disk.device", what, disk.path, EMMC.device, fix, field_origin(disk, "device"))
        found = {(r.name, r.start.sectors) for r in disk.table.raws}
        for raw in U_BOOT:
            if (raw.name, raw.start.sectors) not in found:
                what = f"the board does not start without {raw.name} at its sector"
                given = ", ".join(f"{r.name} at {r.start.sectors}" for r in disk.table.raws)
                allowed, fix = f"sector {raw.start.sectors}", "GPT(*U_BOOT, ...): from nixwright.boards.rock64"
                yield Mistake("Disk.table", what, given, allowed, fix, field_origin(disk, "table"))

    def steps(self, context: Context) -> Iterator[Step]:
        """The image onto the eMMC, and a first look."""
        name = context.name
        yield Step(
            Phase.HARDWARE,
            "The eMMC module in a USB adapter",
            "Power off and take the module off the board. A Rock64 that runs gives its eMMC away by USB, too: "
            "`boot_to_ums` there, and a cable from its USB 2 port to this machine.",
            "lsblk -o NAME,SIZE,MODEL,SERIAL,MOUNTPOINTS",
            "The eMMC is there, and nothing of it is mounted.",
        )
        yield Step(
            Phase.INSTALL,
            "The image onto the eMMC",
            "It holds U-Boot and slot A. Slot B and /data are made at the first boot.",
            f"nix build .#nixosConfigurations.{name}.config.system.build.image\nnixwright flash result",
            "What was written is read back, and is the same.",
        )
        yield Step(
            Phase.AFTER,
            "The first boot",
            "Put the module back and a serial cable on pins 6, 8 and 10, 1500000 baud. The first boot takes some"
            " seconds more: it makes slot B and /data.",
            expect="U-Boot's banner, then `boot.0` of slot A, then a login prompt.",
        )


def _firmware() -> Apply:
    """The firmware of USB network adapters, and nothing else of linux-firmware's hundreds of megabytes."""
    copies: list[object] = ["mkdir -p $out/lib/firmware/rtl_nic\n"]
    for name in _ADAPTERS:
        copies += ["cp ", pkgs["linux-firmware"], f"/lib/firmware/rtl_nic/{name}.fw $out/lib/firmware/rtl_nic/\n"]
    return Apply(pkgs.runCommand, ("rtl8153-firmware", {}, Text(tuple(copies), indented=True)))  # type: ignore[arg-type]
