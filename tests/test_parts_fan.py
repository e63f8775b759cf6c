from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from nixwright.boards.pibox import PiBox
from nixwright.boards.qemu_vm import QemuVm
from nixwright.errors import MistakeError
from nixwright.parts.facts import DeviceTree
from nixwright.parts.fan import PwmFan, VendorFan, overlay
from parts_host import CURVE, DtsSnapshot, NixSnapshot, context, curves, printed, told

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

BOARD = PiBox(firmware_volume_id="1A2B-3C4D")


def test_module_and_overlay(snapshot: SnapshotAssertion) -> None:
    fan = PwmFan(curve=CURVE)
    host = context(BOARD, fan)
    assert printed(fan, host) == snapshot(extension_class=NixSnapshot)
    assert [f.name for f in fan.files(host)] == ["fan.dts"]
    assert next(iter(fan.files(host))).text == snapshot(extension_class=DtsSnapshot)


def test_vendor_fan(snapshot: SnapshotAssertion) -> None:
    fan = VendorFan()
    assert printed(fan, context(BOARD, fan)) == snapshot(extension_class=NixSnapshot)
    assert fan.inputs == ("nixos-pibox",)
    assert PwmFan(curve=CURVE).inputs == ()


@given(curves())
def test_every_rising_curve_is_taken(curve: dict[int, int]) -> None:
    assert PwmFan(curve=curve).curve == curve


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (
            {55: 30, 45: 60},
            [
                "PwmFan.curve",
                "temperatures must rise",
                "{55: 30, 45: 60}",
                "rising °C below 90, each with 0 to 100 %",
                "PwmFan(curve={45: 30, 55: 60})",
            ],
        ),
        (
            {45: 60, 55: 30},
            [
                "PwmFan.curve",
                "a speed falls as it gets hotter",
                "{45: 60, 55: 30}",
                "rising °C below 90, each with 0 to 100 %",
                "PwmFan(curve={45: 30, 55: 60})",
            ],
        ),
        (
            {45: 0, 55: 101},
            [
                "PwmFan.curve.55",
                "a speed is no per cent",
                "55: 101",
                "rising °C below 90, each with 0 to 100 %",
                "55: 100",
            ],
        ),
        (
            {45: -1, 55: 100},
            [
                "PwmFan.curve.45",
                "a speed is no per cent",
                "45: -1",
                "rising °C below 90, each with 0 to 100 %",
                "45: 0",
            ],
        ),
        (
            {45: 0, 90: 100},
            [
                "PwmFan.curve.90",
                "a temperature is not between 1 and 89",
                "90: 100",
                "rising °C below 90, each with 0 to 100 %",
                "89: 100",
            ],
        ),
        (
            {45: 0},
            [
                "PwmFan.curve",
                "the fan never turns",
                "{45: 0}",
                "a step above 0 %",
                "PwmFan(curve={45: 0, 55: 30, 65: 60, 75: 100})",
            ],
        ),
    ],
)
def test_curves_that_are_refused(curve: dict[int, int], message: list[str]) -> None:
    with pytest.raises(MistakeError) as caught:
        PwmFan(curve=curve)
    assert [told(m) for m in caught.value.mistakes] == [message]


def test_an_empty_curve_is_refused() -> None:
    with pytest.raises(MistakeError, match="the fan never turns"):
        PwmFan(curve={})


def test_steps_that_change_nothing_take_no_trip() -> None:
    text = overlay({40: 0, 50: 30, 60: 30, 70: 100}, 3)
    assert "cooling-levels = <0 77 255>" in text
    assert text.count('type = "active"') == 2
    assert "temperature = <60000>" not in text


def test_a_fan_has_one_driver() -> None:
    ours, vendors = PwmFan(curve=CURVE), VendorFan()
    host = context(BOARD, ours, vendors)
    found = [*ours.host_rules(host), *vendors.host_rules(host)]
    assert [told(m)[:3] for m in found] == [["PwmFan", "the fan has two drivers", "PwmFan, VendorFan"]]
    assert not [*ours.host_rules(context(BOARD, ours))]


def test_a_fan_of_another_chip_is_refused() -> None:
    fan = PwmFan(curve=CURVE)
    host = context(QemuVm(), fan, facts=[DeviceTree("rockchip,rk3328", "rockchip/rk3328-rock64.dtb")])
    assert [told(m)[:3] for m in fan.host_rules(host)] == [
        ["PwmFan", "is for boards with a brcm,bcm2711", "rockchip,rk3328"]
    ]
