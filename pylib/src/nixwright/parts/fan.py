"""The fan of a Raspberry Pi 4 or CM4 board, on GPIO 18: driven by the kernel, or by the vendor's service.

`PwmFan` is the kernel's own `pwm-fan` driver with thermal trips in a device-tree overlay: no process, no access to
`/dev/mem`, and it cools from the moment the driver is loaded. `VendorFan` is KubeSail's program as nixos-pibox packages
it; it writes the PWM registers through `/dev/mem`, for which the kernel must be started with `iomem=relaxed`.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - records are built from their annotations
from typing import TYPE_CHECKING, Annotated, ClassVar

from nixwright.bounds import Ge, Le
from nixwright.errors import Mistake
from nixwright.nix.values import NixPath
from nixwright.parts.base import Context, File, Part
from nixwright.parts.facts import DeviceTree, FanControl
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step
from nixwright.unseen import independent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

SOC = "brcm,bcm2711"
_CRITICAL = 90  # °C at which the kernel's device tree for the CM4 powers the board off (cpu-crit)
_FULL = 255  # pwm-fan's cooling levels are of 255
_PERIOD = 40_000  # ns: 25 kHz, above hearing, as four-wire fans want it
_PER_CENT = 100


@record
class PwmFan(Part):
    """A fan that the kernel drives along a curve of steps: `PwmFan(curve={45: 0, 55: 30, 65: 60, 75: 100})`.

    `curve` says from which temperature (°C) on the fan runs at which share of full speed (%); below the first it is
    off. It steps down again `hysteresis` °C below the temperature that stepped it up.
    """

    curve: Mapping[int, int]
    hysteresis: Annotated[int, Ge(0), Le(20)] = 3

    module: ClassVar[str] = "fan"
    requires: ClassVar[tuple[type[Fact], ...]] = (DeviceTree,)

    def wrong(self) -> Iterator[Mistake]:
        """A curve that does not rise, leaves its bounds, or never turns the fan."""
        degrees, speeds = list(self.curve), list(self.curve.values())
        allowed = f"rising °C below {_CRITICAL}, each with 0 to {_PER_CENT} %"
        beyond = [t for t, speed in self.curve.items() if not (0 < t < _CRITICAL and 0 <= speed <= _PER_CENT)]
        if beyond:
            first, speed = beyond[0], self.curve[beyond[0]]
            what = (
                f"a temperature is not between 1 and {_CRITICAL - 1}"
                if not 0 < first < _CRITICAL
                else "a speed is no per cent"
            )
            fix = f"{_within(first, 1, _CRITICAL - 1)}: {_within(speed, 0, _PER_CENT)}"
            yield Mistake(f"curve.{first}", what, f"{first}: {speed}", allowed, fix)
        elif not any(speeds):
            what = "the fan never turns"
            yield Mistake(
                "curve",
                what,
                f"{dict(self.curve)}",
                "a step above 0 %",
                "PwmFan(curve={45: 0, 55: 30, 65: 60, 75: 100})",
            )
        elif degrees != sorted(degrees) or speeds != sorted(speeds):
            what = "temperatures must rise" if degrees != sorted(degrees) else "a speed falls as it gets hotter"
            right = dict(zip(sorted(degrees), sorted(speeds), strict=True))
            yield Mistake("curve", what, f"{dict(self.curve)}", allowed, f"PwmFan(curve={right})")

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """The fan is taken."""
        return (FanControl("PwmFan"),)

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to one overlay."""
        overlay: Value = {"name": "pwm-fan", "dtsFile": NixPath("./fan.dts")}
        yield self.set("hardware.deviceTree.overlays", [overlay], field="curve")

    def files(self, context: Context) -> Iterator[File]:
        """The overlay's source."""
        yield File("fan.dts", overlay(self.curve, self.hysteresis))

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """The board is a BCM2711's, and nobody else drives the fan."""
        return independent(_same_soc(self, context), _one_driver(self, context))

    def steps(self, context: Context) -> Iterator[Step]:
        """Look at the fan."""
        steps = ", ".join(f"{speed} % from {degrees} °C" for degrees, speed in self.curve.items())
        yield Step(
            Phase.VERIFY,
            "The kernel drives the fan",
            f"The curve: {steps}. The last command warms the processor for two minutes; it ends by itself.",
            "cat /sys/class/hwmon/hwmon*/name\n"
            "grep . /sys/class/thermal/thermal_zone0/trip_point_*_temp\n"
            "for _ in 1 2 3 4; do timeout 120 sh -c 'while :; do :; done' & done\n"
            "for _ in $(seq 24); do sleep 5; cat /sys/class/thermal/thermal_zone0/temp"
            " /sys/class/thermal/cooling_device*/cur_state; done",
            "`pwmfan` among the names; the fan's `cur_state` rises with the temperature, and one hears it.",
        )


@record
class VendorFan(Part):
    """KubeSail's fan service as nixos-pibox packages it; its curve is in the program (on at 65 °C, off at 60 °C)."""

    module: ClassVar[str] = "fan"
    inputs: ClassVar[tuple[str, ...]] = ("nixos-pibox",)

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """The fan is taken."""
        return (FanControl("VendorFan"),)

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `services.piboxPwmFan`; its module adds `iomem=relaxed` to the kernel's parameters."""
        why = "starts the kernel with iomem=relaxed"
        yield self.set("services.piboxPwmFan.enable", value=True, comment=why)

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """Nobody else drives the fan."""
        return _one_driver(self, context)

    def steps(self, context: Context) -> Iterator[Step]:
        """Look at the fan."""
        yield Step(
            Phase.VERIFY,
            "The vendor's service drives the fan",
            "It starts the fan at 65 °C and stops it below 60 °C.",
            "grep -o iomem=relaxed /proc/cmdline\nsystemctl status piboxPwmFan.service --no-pager",
            "`iomem=relaxed`, and a service that is active.",
        )


def overlay(curve: Mapping[int, int], hysteresis: int) -> str:
    """Return the overlay's source for a curve of °C to %: `pwm-fan` on PWM channel 0, a trip and a map for each step.

    Channel 0 is on GPIO 18 as its alternative function 5. A step that changes nothing (0 % first, or one speed
    twice) takes no trip. Each map holds the fan at one level, so that the highest trip that is reached decides.
    """
    steps: list[tuple[int, int]] = []
    for degrees, speed in curve.items():
        if speed != (steps[-1][1] if steps else 0):
            steps.append((degrees, speed))
    levels = " ".join(
        str(level) for level in (0, *((speed * _FULL + _PER_CENT // 2) // _PER_CENT for _, speed in steps))
    )
    trips = "\n".join(
        _TRIP.format(n=n, millidegrees=t * 1000, hysteresis=hysteresis * 1000) for n, (t, _) in enumerate(steps, 1)
    )
    maps = "\n".join(_MAP.format(n=n) for n in range(1, len(steps) + 1))
    return _OVERLAY.format(soc=SOC, period=_PERIOD, levels=levels, trips=trips, maps=maps)


_OVERLAY = """\
/dts-v1/;
/plugin/;

/ {{
	compatible = "{soc}";
}};

&gpio {{
	fan_pins: fan-pins {{
		brcm,pins = <18>;
		brcm,function = <2>; /* alternative function 5: PWM channel 0 */
	}};
}};

&pwm {{
	#pwm-cells = <3>;
	pinctrl-names = "default";
	pinctrl-0 = <&fan_pins>;
	status = "okay";
}};

&{{/}} {{
	fan: pwm-fan {{
		compatible = "pwm-fan";
		#cooling-cells = <2>;
		pwms = <&pwm 0 {period} 0>;
		cooling-levels = <{levels}>; /* of 255 */
	}};
}};

&{{/thermal-zones/cpu-thermal}} {{
	trips {{
{trips}
	}};

	cooling-maps {{
{maps}
	}};
}};
"""

_TRIP = """\
		fan_trip{n}: fan-{n} {{
			temperature = <{millidegrees}>;
			hysteresis = <{hysteresis}>;
			type = "active";
		}};"""

_MAP = """\
		fan-{n} {{
			trip = <&fan_trip{n}>;
			cooling-device = <&fan {n} {n}>;
		}};"""


def _within(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def _same_soc(part: Part, context: Context) -> Iterator[Mistake]:
    """An overlay for one chip does nothing on another: the kernel's build skips it without a word."""
    tree = context.fact(DeviceTree)
    if tree is not None and tree.compatible != SOC:
        name = type(part).__name__
        yield Mistake(name, f"is for boards with a {SOC}", tree.compatible, SOC, "remove it", field_origin(part, ""))


def _one_driver(part: Part, context: Context) -> Iterator[Mistake]:
    """One pin has one driver; told once, by the first of them."""
    names = [fan.by for fan in context.all(FanControl)]
    name = type(part).__name__
    if len(names) > 1 and names[0] == name:
        yield Mistake(name, "the fan has two drivers", ", ".join(names), "one", "keep one", field_origin(part, ""))
