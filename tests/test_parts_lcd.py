from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nixwright.boards.pibox import PiBox
from nixwright.errors import MistakeError
from nixwright.parts.ethernet import Ethernet
from nixwright.parts.facts import DeviceTree
from nixwright.parts.lcd import COMPATIBLE, PiBoxLcd
from nixwright.parts.programs import lcd
from parts_host import DtsSnapshot, NixSnapshot, context, printed, told

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

BOARD = PiBox(firmware_volume_id="1A2B-3C4D")
PROGRAM = Path(lcd.__file__)
FIRMWARE = PROGRAM.with_name("lcd-firmware.sh")


def colour_at(pixels: bytes, x: int, y: int) -> int:
    return int(struct.unpack_from("<H", pixels, (y * lcd.WIDTH + x) * 2)[0])


def rgb565(colour: tuple[int, int, int]) -> int:
    return colour[0] >> 3 << 11 | colour[1] >> 2 << 5 | colour[2] >> 3


def as_art(pixels: bytes, width: int, height: int, size: int) -> list[str]:
    rows = range(0, height, size)
    return ["".join(".#"[colour_at(pixels, x, y) != 0] for x in range(0, width, size)) for y in rows]


def test_module_and_overlay(snapshot: SnapshotAssertion) -> None:
    part = PiBoxLcd(disks=["/nix", "/persist"], every=5)
    host = context(BOARD, Ethernet("eth0", dhcp=True), part)
    assert printed(part, host) == snapshot(extension_class=NixSnapshot)
    written = {f.name: f.text for f in part.files(host)}
    assert set(written) == {"lcd.dts", "lcd-firmware.sh", "lcd.py"}
    assert written["lcd.dts"] == snapshot(extension_class=DtsSnapshot)
    assert written["lcd.py"] == PROGRAM.read_text("utf-8")


def test_mistakes() -> None:
    with pytest.raises(MistakeError) as caught:
        PiBoxLcd(disks=["/", "nix", "/home"])
    assert [told(m)[:2] for m in caught.value.mistakes] == [
        ["PiBoxLcd.disks", "there is room for two"],
        ["PiBoxLcd.disks[1]", "is no absolute path"],
    ]
    part = PiBoxLcd()
    host = context(part, facts=[DeviceTree("rockchip,rk3328", "")])
    assert [m.field for m in part.host_rules(host)] == ["PiBoxLcd"]
    assert not [*part.host_rules(context(BOARD, part))]


def commands_as_the_driver_reads_them(data: bytes) -> list[tuple[int, bytes]]:
    """What drivers/gpu/drm/tiny/panel-mipi-dbi.c accepts; ValueError where it refuses."""
    if data[:15] != b"MIPI DBI".ljust(15, b"\0") or data[15:16] != b"\1" or len(data) < 18:
        raise ValueError(data[:16])
    at, found = 16, []
    while at + 1 < len(data):
        code, count = data[at], data[at + 1]
        found.append((code, data[at + 2 : at + 2 + count]))
        at += 2 + count
    if at != len(data):
        raise ValueError(at)
    return found


def test_the_driver_takes_the_commands(tmp_path: Path) -> None:
    subprocess.run(["sh", FIRMWARE, tmp_path], check=True)
    data = (tmp_path / f"{COMPATIBLE}.bin").read_bytes()
    found = commands_as_the_driver_reads_them(data)
    codes = "00 36 b2 3a b7 bb c0 c2 c3 c4 d0 c6 e0 e1 21 11 00 29"
    assert bytes(code for code, _ in found) == bytes.fromhex(codes)
    assert dict(found)[0x3A] == b"\x05"
    assert dict(found)[0xE0] == bytes.fromhex("d0040d11132b3f544c180d0b1f23")
    assert found[-2] == (0, b"\x78")  # ST7789 data sheet: 120 ms after waking up
    for wrong in (data[:-1], data + b"\0", b"X" + data[1:]):
        with pytest.raises(ValueError, match=r"."):
            commands_as_the_driver_reads_them(wrong)


def test_the_driver_finds_its_file() -> None:
    text = next(f.text for f in PiBoxLcd().files(context(BOARD)) if f.name == "lcd.dts")
    assert f'compatible = "{COMPATIBLE}", "panel-mipi-dbi-spi"' in text
    assert len(f"{COMPATIBLE}.bin") < 40  # the driver's buffer for the name


def test_it_draws_on_a_frame_buffer(tmp_path: Path) -> None:
    framebuffer = tmp_path / "fb0"
    framebuffer.write_bytes(b"\xaa" * lcd.WIDTH * lcd.HEIGHT * 2)
    (tmp_path / "stat").write_text("cpu  75 0 25 900 0 0 0 0 0 0\n")
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 200 kB\n")
    arguments = [
        "--once",
        "--framebuffer",
        str(framebuffer),
        "--proc",
        str(tmp_path),
        "--disk",
        "/",
        "--interface",
        "none0",
    ]
    subprocess.run([sys.executable, PROGRAM, *arguments], check=True)
    pixels = framebuffer.read_bytes()
    assert len(pixels) == 115_200
    expected = lcd.picture(0, 0.8, ["/"], ["none0"])
    assert pixels == bytes(expected.pixels)
    assert colour_at(pixels, 0, 0) == rgb565(lcd.BACK)
    assert colour_at(pixels, 10, 92) == rgb565(lcd.GREY)
    assert rgb565(lcd.RED) in {colour_at(pixels, x, y) for x in range(140, 230) for y in range(46, 74)}


def test_it_says_that_there_is_no_display(tmp_path: Path) -> None:
    (tmp_path / "fb0").mkdir()
    (tmp_path / "fb0/name").write_text("vc4drmfb\n")
    assert lcd.find(tmp_path) is None
    (tmp_path / "fb1").mkdir()
    (tmp_path / "fb1/name").write_text("panel-mipi-dbid\n")
    assert lcd.find(tmp_path) == Path("/dev/fb1")


def test_letters() -> None:
    drawn = lcd.Picture()
    drawn.text(0, 0, "L1%", 2, (255, 255, 255))
    assert as_art(bytes(drawn.pixels), 36, 14, 2) == [
        "#.......#...##....",
        "#......##...##..#.",
        "#.......#......#..",
        "#.......#.....#...",
        "#.......#....#....",
        "#.......#...#..##.",
        "#####..###.....##.",
    ]


@given(st.integers(-300, 300), st.integers(-300, 300), st.integers(-9, 300), st.integers(-9, 300))
def test_a_box_never_leaves_the_picture(left: int, top: int, width: int, height: int) -> None:
    drawn = lcd.Picture()
    drawn.box(left, top, width, height, (255, 255, 255))
    assert len(drawn.pixels) == 115_200
    wanted = max(0, min(left + width, 240) - max(left, 0)) * max(0, min(top + height, 240) - max(top, 0))
    assert drawn.pixels.count(b"\xff\xff") == wanted


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1.0K"), (1024**3, "1.0G"), (27 * 1024**3, "27G"), (10**13, "9.1T")],
)
def test_sizes_are_short(count: int, text: str) -> None:
    assert lcd.size_of(count) == text


def test_usage_counts_what_is_not_idle(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  10 1 20 100 9 3 4 5 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    assert lcd.processor_times(tmp_path) == (43, 152)
