"""U-Boot that chooses between slots A and B: its own command, the slots' boot.scr, and where its environment lies.

The command that chooses is part of U-Boot and no update touches it; boot.scr starts the slot that it lies in. What
decides for this, and against U-Boot's RAUC boot method: docs/decisions/12-slot-choice.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.nix.values import Apply, NixPath, Text, config, pkgs
from nixwright.parts.base import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.model import Slot
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Part

TRIES = 3  # RAUC's own default, too: what it sets BOOT_A_LEFT to
KERNEL, INITRD = "Image", "initrd"  # as a boot slot holds them; the device tree is below dtbs/
UMS_COMMAND = "boot_to_ums"
_LOCALS = ("pass", "slot", "left", "part", "next", "below", "digit")  # of select-slot.cmd, each behind `nw_`


@dataclass(frozen=True, slots=True)
class Environment:
    """Where U-Boot keeps its variables: two copies, one behind the other, so that a torn write leaves the older one.

    `device` is Linux's name of the flash; `offset`, `size` of a copy and `sector`, the least that is erased, in bytes.
    """

    device: str
    offset: int
    size: int
    sector: int

    def __post_init__(self) -> None:
        """Both copies stand on whole sectors, or writing one would erase the other. Raises ValueError."""
        if self.offset % self.sector or self.size % self.sector:
            raise ValueError(f"{self.offset:#x} and {self.size:#x} are no multiples of the sector, {self.sector:#x}")

    @property
    def offsets(self) -> tuple[int, int]:
        """Where the two copies begin."""
        return self.offset, self.offset + self.size

    @property
    def fw_env_config(self) -> str:
        """/etc/fw_env.config: device, offset, size and sector of each copy."""
        return "".join(f"{self.device} {o:#x} {self.size:#x} {self.sector:#x}\n" for o in self.offsets)

    @property
    def kconfig(self) -> tuple[str, ...]:
        """The lines of U-Boot's configuration that say the same."""
        return (
            "# CONFIG_ENV_IS_IN_MMC is not set",
            "CONFIG_ENV_IS_IN_SPI_FLASH=y",
            f"CONFIG_ENV_OFFSET={self.offsets[0]:#x}",
            f"CONFIG_ENV_SIZE={self.size:#x}",
            f"CONFIG_ENV_SECT_SIZE={self.sector:#x}",
            "CONFIG_ENV_REDUNDANT=y",
            f"CONFIG_ENV_OFFSET_REDUND={self.offsets[1]:#x}",
        )


@dataclass(frozen=True, slots=True)
class UBoot:
    """A board's U-Boot. `device` is the disk as U-Boot calls it (`mmc 0`), `button` the GPIO that asks for USB storage.

    `package` of `pkgs` is built with `kconfig` beside what this needs, and `device_tree_patch` appended to its file.
    """

    package: str
    device: tuple[str, int]
    button: int
    environment: Environment
    kernel_address: int
    initrd_address: int
    device_tree: str  # "rockchip/rk3328-rock64.dtb"
    kconfig: tuple[str, ...] = ()
    device_tree_patch: tuple[str, str] = ("", "")  # a file of U-Boot's source, and what is appended to it

    def settings(self, part: Part) -> Iterator[Setting]:
        """U-Boot and the script as build products; on the running system the tools for U-Boot's variables."""
        build: Value = Apply(pkgs.callPackage, (NixPath("./u-boot.nix"), {}))
        yield part.set("system.build.uboot", build)
        arguments: Value = {
            "toplevel": config.system.build.toplevel,
            "kernelParams": config.boot.kernelParams,
            "kernel": Text((config.system.build.kernel, "/", config.system.boot.loader.kernelFile)),
        }
        yield part.set("system.build.bootScript", Apply(pkgs.callPackage, (NixPath("./boot-script.nix"), arguments)))
        why = "where u-boot.nix says that U-Boot keeps its variables"
        yield part.set('environment.etc."fw_env.config".text', self.environment.fw_env_config, comment=why)
        command = Apply(pkgs.writeShellScriptBin, (UMS_COMMAND, "fw_setenv START_UMS 1 && exec systemctl reboot\n"))
        yield part.set("environment.systemPackages", [pkgs.ubootTools, command])

    def files(self, slots: tuple[Slot, ...]) -> Iterator[File]:
        """The two scripts, and what builds them."""
        yield File("select-slot.cmd", self.select_slot(slots))
        yield File("boot.cmd", self.boot_cmd(slots))
        yield File("u-boot.nix", self._package())
        yield File("boot-script.nix", self._boot_script())

    def select_slot(self, slots: tuple[Slot, ...]) -> str:
        """Return the command that chooses a slot, one line a step, each ended as `one_line` needs it."""
        return fill(
            shipped("select-slot.cmd"),
            device=" ".join(map(str, self.device)),
            devtype=self.device[0],
            devnum=f"{self.device[1]:x}",
            button=str(self.button),
            tries=str(TRIES),
            fewer=str(TRIES - 1),
            forget=" ".join(f"setenv nw_{name};" for name in _LOCALS),
            **_partitions(slots),
        )

    def boot_cmd(self, slots: tuple[Slot, ...]) -> str:
        """Return the source of boot.scr. `@build@`, `@init@` and `@parameters@` are left to Nix, which knows them."""
        return fill(
            shipped("boot.cmd"),
            devtype=self.device[0],
            devnum=f"{self.device[1]:x}",
            initrd_address=f"{self.initrd_address:#010x}",
            kernel=KERNEL,
            initrd=INITRD,
            device_tree=f"dtbs/{self.device_tree}",
            **_partitions(slots),
        )

    def _package(self) -> str:
        wanted = (*self.environment.kconfig, *_KCONFIG, *self.kconfig)
        file, text = self.device_tree_patch
        return fill(
            shipped("u-boot.nix"),
            package=self.package,
            kconfig="\n".join(f"    {line}" for line in wanted),
            file=file,
            text="\n".join(f"    {line}" for line in text.splitlines()),
        )

    def _boot_script(self) -> str:
        return fill(shipped("boot-script.nix"), room=str(self.initrd_address - self.kernel_address))


# What chooses a slot needs of U-Boot, and what a person with a USB cable does. Nothing else may start a slot uncounted.
_KCONFIG = (
    "CONFIG_CMD_GPIO=y",
    "CONFIG_CMD_SAVEENV=y",
    "CONFIG_CMD_SOURCE=y",
    "CONFIG_CMD_USB_MASS_STORAGE=y",
    "CONFIG_HUSH_PARSER=y",
    "CONFIG_HUSH_OLD_PARSER=y",  # the one that the tests have
    "# CONFIG_HUSH_MODERN_PARSER is not set",
    "CONFIG_LEGACY_IMAGE_FORMAT=y",
    "CONFIG_USB_GADGET=y",
    "CONFIG_USB_GADGET_DOWNLOAD=y",  # without it there is no ums, whatever is said of it
    "# CONFIG_EFI_LOADER is not set",
    "# CONFIG_USB_FUNCTION_FASTBOOT is not set",
    "# CONFIG_USB_FUNCTION_SDP is not set",
    "# CONFIG_USB_FUNCTION_THOR is not set",
    "CONFIG_USE_BOOTCOMMAND=y",
)


def one_line(command: str) -> str:
    """Return a command as U-Boot's configuration takes it: in one line, without comments. u-boot.nix does so, too."""
    return " ".join(line.strip() for line in command.splitlines() if not line.startswith("#"))


def fill(text: str, /, **values: str) -> str:
    """Put values in the place of their names between at signs."""
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _partitions(slots: tuple[Slot, ...]) -> dict[str, str]:
    """Return the numbers of the boot partitions, as U-Boot reads numbers: hexadecimal."""
    return {f"boot_{slot.name.lower()}": f"{slot.boot.number:x}" for slot in slots}


def shipped(name: str) -> str:
    """Return one of the files that are shipped with this package."""
    return (Path(__file__).with_name("programs") / name).read_text("utf-8")
