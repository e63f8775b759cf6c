"""The PiBox's display, 240x240 with an ST7789 controller on SPI 0: what draws on today's kernels.

The vendor's service does not: it wants `/dev/spidev0.0`, which a kernel makes only for a node that the vendor's own
device tree has, sets pins through `/dev/mem`, which its unit may not open (`PrivateUsers=` takes its
capabilities out of force), and then listens on TCP, which the same unit forbids. So the display is given to the
kernel's own driver `panel-mipi-dbi`, by a device-tree overlay and the file of commands that this driver asks for, and a
small program draws on its frame buffer.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - records are built from their annotations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from nixwright.bounds import Ge, Le
from nixwright.checks.model import SERVICES, Check, Difference, Sabotage
from nixwright.errors import Mistake
from nixwright.nix.values import Apply, NixPath, Text, force, lib, pkgs
from nixwright.parts.base import Context, File, Part
from nixwright.parts.facts import DeviceTree, WiredNetwork
from nixwright.parts.fan import SOC
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step
from nixwright.scenarios import display

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

_UNIT = "pibox-lcd"
COMPATIBLE = "kubesail,pibox-lcd"  # names the driver's file of commands: firmware/<compatible>.bin


@record
class PiBoxLcd(Part):
    """The display on the front of a PiBox: load, memory, disks and addresses, drawn anew every few seconds.

    `disks` are paths whose file systems are shown; there is room for two.
    """

    disks: Sequence[str] = ("/nix",)
    every: Annotated[int, Ge(1), Le(3600)] = 3

    module: ClassVar[str] = "lcd"
    requires: ClassVar[tuple[type[Fact], ...]] = (DeviceTree,)

    def wrong(self) -> Iterator[Mistake]:
        """More disks than there is room for, and paths that are none."""
        if len(self.disks) > 2:  # noqa: PLR2004 - what fits
            yield Mistake(
                "disks", "there is room for two", repr(list(self.disks)), "at most 2", repr(list(self.disks[:2]))
            )
        for index, path in enumerate(self.disks):
            if not path.startswith("/"):
                yield Mistake(f"disks[{index}]", "is no absolute path", repr(path), "", repr(f"/{path}"))

    def in_vm(self, context: Context) -> Iterator[Difference]:
        """Without a panel the program would start again and again."""
        yield Difference("there is no panel to draw on", {f"systemd.services.{_UNIT}.wantedBy": force([])})

    def checks(self, context: Context) -> Iterator[Check]:
        """What the program may do, and what it says without a panel."""
        open_to_all = {f"systemd.services.{_UNIT}.serviceConfig": force({"ExecStart": "/bin/sh"})}
        yield Check(
            SERVICES,
            "the display's program may do little more than draw",
            display.unit_is_confined,
            {"unit": f"{_UNIT}.service", "exposure": 30},
            container=True,
            sabotages=[Sabotage("unconfined-display", "its unit runs as root and may do anything", open_to_all)],
        )
        yield Check(
            SERVICES,
            "without a panel the display's program says so",
            display.fails_for_want_of_a_panel,
            {"unit": f"{_UNIT}.service", "words": "no frame buffer of panel-mipi-dbi"},
            container=True,
            sabotages=[Sabotage("no-display", "the part is left out", without=[self.module])],
        )

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to an overlay, the driver and its file, and a service."""
        overlay: Value = {"name": "pibox-lcd", "dtsFile": NixPath("./lcd.dts")}
        yield self.set("hardware.deviceTree.overlays", [overlay])
        why = "the driver cannot be found by the panel's own name, which the device has"
        yield self.set("boot.kernelModules", ["panel-mipi-dbi"], comment=why)
        script = Text(("sh ", NixPath("./lcd-firmware.sh"), ' "$out/lib/firmware"'))
        build = Apply(pkgs.runCommand, ("pibox-lcd-firmware", {}, script))
        yield self.set("hardware.firmware", [build])
        rule = 'SUBSYSTEM=="graphics", KERNEL=="fbcon", ATTR{cursor_blink}="0"\n'
        why = "no console cursor blinks into the picture"
        yield self.set("services.udev.extraRules", rule, comment=why)
        for name, value in _service(self._arguments(context)).items():
            yield self.set(f"systemd.services.pibox-lcd.{name}", value)

    def _arguments(self, context: Context) -> str:
        """Return what the program is called with."""
        disks = "".join(f" --disk {path}" for path in self.disks)
        interfaces = "".join(f" --interface {network.interface}" for network in context.all(WiredNetwork))
        return f" --every {self.every}{disks}{interfaces}"

    def files(self, context: Context) -> Iterator[File]:
        """The overlay, the script that writes the driver's file, and the program."""
        yield File("lcd.dts", OVERLAY)
        yield File("lcd-firmware.sh", _text("lcd-firmware.sh"))
        yield File("lcd.py", _text("lcd.py"))

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """The board is one whose display this is."""
        tree = context.fact(DeviceTree)
        if tree is not None and tree.compatible != SOC:
            what = "is for the PiBox, whose chip is another"
            yield Mistake("PiBoxLcd", what, tree.compatible, SOC, "remove it", field_origin(self, ""))

    def steps(self, context: Context) -> Iterator[Step]:
        """Look at the display."""
        yield Step(
            Phase.VERIFY,
            "The display draws",
            "The driver's commands are the vendor's, but were not tried on a real PiBox: tell if the picture is"
            " mirrored or its colours are wrong.",
            "cat /sys/class/graphics/fb*/name\ndmesg | grep -i mipi\nsystemctl status pibox-lcd.service --no-pager",
            "`panel-mipi-dbid` among the names, no error of the driver, and CPU, MEM and the disks on the display.",
        )


def _text(name: str) -> str:
    """Return one of the programs that are shipped with this package."""
    return (Path(__file__).with_name("programs") / name).read_text("utf-8")


def _service(arguments: str) -> dict[str, Value]:
    """Return the unit: a user of its own that may write frame buffers, and little else."""
    program = Text((Apply(lib.getExe, (pkgs.python3,)), " ", NixPath("./lcd.py"), arguments))
    return {
        "description": "Load, memory, disks and addresses on the PiBox's display",
        "wantedBy": ["multi-user.target"],
        "serviceConfig": {
            "ExecStart": program,
            "Restart": "always",
            "RestartSec": 5,
            "DynamicUser": True,
            "SupplementaryGroups": ["video"],
            "DevicePolicy": "closed",
            "DeviceAllow": ["char-fb rw"],
            "CapabilityBoundingSet": "",
            "IPAddressDeny": "any",
            "LockPersonality": True,
            "MemoryDenyWriteExecute": True,
            "NoNewPrivileges": True,
            "ProtectClock": True,
            "ProtectControlGroups": True,
            "ProtectHome": "read-only",
            "ProtectHostname": True,
            "ProtectKernelLogs": True,
            "ProtectKernelModules": True,
            "ProtectKernelTunables": True,
            "RestrictAddressFamilies": ["AF_INET"],
            "RestrictNamespaces": True,
            "RestrictRealtime": True,
            "SystemCallArchitectures": "native",
            "SystemCallFilter": ["@system-service", "~@privileged @resources"],
        },
    }


# Pins and speed are the vendor's. The clock he asks for, 80 MHz, becomes 62.5 MHz: 500 MHz by an even number.
OVERLAY = f"""\
/dts-v1/;
/plugin/;

/ {{
	compatible = "{SOC}";
}};

&gpio {{
	lcd_pins: lcd-pins {{
		brcm,pins = <9 10 11>;
		brcm,function = <4>; /* alternative function 0: SPI 0 */
	}};

	lcd_control_pins: lcd-control-pins {{
		brcm,pins = <8 22 25>; /* chip select, backlight, data or command */
		brcm,function = <1>; /* output */
	}};
}};

&{{/}} {{
	lcd_backlight: lcd-backlight {{
		compatible = "gpio-backlight";
		gpios = <&gpio 22 0>;
		default-on;
	}};
}};

&spi {{
	pinctrl-names = "default";
	pinctrl-0 = <&lcd_pins &lcd_control_pins>;
	cs-gpios = <&gpio 8 1>; /* active low */
	status = "okay";

	#address-cells = <1>;
	#size-cells = <0>;

	display@0 {{
		compatible = "{COMPATIBLE}", "panel-mipi-dbi-spi";
		reg = <0>;
		spi-max-frequency = <62500000>;
		dc-gpios = <&gpio 25 0>;
		backlight = <&lcd_backlight>;
		write-only;
		width-mm = <23>;
		height-mm = <23>;

		panel-timing {{
			clock-frequency = <0>; /* not used, but must be there */
			hactive = <240>;
			vactive = <240>;
			hback-porch = <0>;
			vback-porch = <0>;
			hfront-porch = <0>;
			vfront-porch = <0>;
			hsync-len = <0>;
			vsync-len = <0>;
		}};
	}};
}};
"""
