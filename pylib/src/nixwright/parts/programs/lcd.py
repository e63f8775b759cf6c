"""Draw load, memory, disks and addresses on a small display, through its frame buffer (RGB565, 240x240)."""

from __future__ import annotations

import argparse
import fcntl
import os
import socket
import struct
import time
from pathlib import Path

WIDTH = HEIGHT = 240
GREY, DIM, BACK = (160, 160, 160), (70, 70, 70), (20, 20, 20)
GREEN, YELLOW, RED = (183, 225, 205), (252, 232, 178), (244, 199, 195)
SIOCGIFADDR = 0x8915
DRIVER = "panel-mipi-dbi"
# 5x7 glyphs: a byte a column, the lowest bit on top
GLYPHS = (
    "0=3e5149453e 1=00427f4000 2=4261514946 3=2141454b31 4=1814127f10 5=2745454539 6=3c4a494930 7=0171090503 "
    "8=3649494936 9=064949291e A=7e1111117e B=7f49494936 C=3e41414122 D=7f4141221c E=7f49494941 F=7f09090901 "
    "G=3e4149497a H=7f0808087f I=00417f4100 J=2040413f01 K=7f08142241 L=7f40404040 M=7f020c027f N=7f0408107f "
    "O=3e4141413e P=7f09090906 Q=3e4151215e R=7f09192946 S=4649494931 T=01017f0101 U=3f4040403f V=1f2040201f "
    "W=3f4038403f X=6314081463 Y=0708700807 Z=6151494543 -=0808080808 .=0060600000 /=2010080402 :=0036360000 "
    "%=2313086462 _=4040404040"
)
FONT = {entry[0]: bytes.fromhex(entry[2:]) for entry in GLYPHS.split()}


class Picture:
    """Pixels in RGB565, little endian, without padding."""

    def __init__(self) -> None:
        """Start black."""
        self.pixels = bytearray(WIDTH * HEIGHT * 2)

    def box(self, left: int, top: int, width: int, height: int, colour: tuple[int, int, int]) -> None:
        """Fill a rectangle; what lies outside is left out."""
        red, green, blue = colour
        left, right = max(left, 0), min(left + width, WIDTH)
        row = struct.pack("<H", red >> 3 << 11 | green >> 2 << 5 | blue >> 3) * max(right - left, 0)
        for y in range(max(top, 0), min(top + height, HEIGHT)):
            start = (y * WIDTH + left) * 2
            self.pixels[start : start + len(row)] = row

    def text(self, left: int, top: int, text: str, size: int, colour: tuple[int, int, int]) -> None:
        """Write text; a character is 6 by 8 times `size` pixels, an unknown one is blank."""
        for index, character in enumerate(text.upper()):
            for column, bits in enumerate(FONT.get(character, b"")):
                for row in range(7):
                    if bits >> row & 1:
                        self.box(left + (index * 6 + column) * size, top + row * size, size, size, colour)

    def centred(self, middle: int, top: int, text: str, size: int, colour: tuple[int, int, int]) -> None:
        """Write text round a column."""
        self.text(middle - (len(text) * 6 - 1) * size // 2, top, text, size, colour)


def level(share: float) -> tuple[int, int, int]:
    """Return the colour of a share of 1: calm, busy from 0.4, full from 0.7."""
    return RED if share > 0.7 else YELLOW if share > 0.4 else GREEN  # noqa: PLR2004 - said above


def size_of(count: float) -> str:
    """Return a number of bytes, short: 1.5T."""
    for unit in "BKMGT":
        if count < 1000 or unit == "T":  # noqa: PLR2004 - four characters at most
            return f"{count:.1f}{unit}" if count < 10 and unit != "B" else f"{count:.0f}{unit}"  # noqa: PLR2004
        count /= 1024
    return ""


def processor_times(proc: Path) -> tuple[int, int]:
    """Return the time the processors were busy, and all time, in ticks since the start."""
    times = [int(t) for t in (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(times) - times[3] - times[4], sum(times)


def memory(proc: Path) -> float:
    """Return the share of memory that is in use."""
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    size = {fields[0]: int(fields[1]) for fields in lines}
    return 1 - size["MemAvailable:"] / size["MemTotal:"]


def address(interface: str) -> str:
    """Return an interface's IPv4 address, or a dash."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            answer = fcntl.ioctl(asked, SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return "-"
    return socket.inet_ntoa(answer[20:24])


def picture(busy: float, used: float, disks: list[str], interfaces: list[str]) -> Picture:
    """Draw everything."""
    drawn = Picture()
    drawn.box(0, 0, WIDTH, HEIGHT, BACK)
    for middle, name, share in ((60, "CPU", busy), (180, "MEM", used)):
        drawn.centred(middle, 14, name, 3, GREY)
        drawn.centred(middle, 46, f"{share * 100:.0f}%", 4, level(share))
    for row, path in enumerate(disks):
        top = 92 + row * 46
        stat = os.statvfs(path)
        total, taken = stat.f_blocks * stat.f_frsize, (stat.f_blocks - stat.f_bfree) * stat.f_frsize
        drawn.box(10, top, 220, 40, GREY)
        drawn.box(11, top + 1, 218, 38, BACK)
        drawn.box(11, top + 1, int(218 * taken / total) if total else 0, 38, DIM)
        drawn.centred(120, top + 13, f"{size_of(taken)} / {size_of(total)}", 2, GREY)
    for row, interface in enumerate(interfaces):
        drawn.text(10, 190 + row * 24, f"{interface} {address(interface)}", 2, GREY)
    return drawn


def find(graphics: Path) -> Path | None:
    """Return the frame buffer of the display's driver; the kernel cuts the name to 15 characters."""
    for directory in sorted(graphics.glob("fb[0-9]*")):
        if (directory / "name").read_text().startswith(DRIVER):
            return Path("/dev") / directory.name
    return None


def main(arguments: list[str] | None = None) -> None:
    """Draw for ever, or once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--framebuffer", type=Path, help="default: that of the driver panel-mipi-dbi")
    parser.add_argument("--every", type=float, default=3, help="seconds between two pictures")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--disk", action="append", default=[], help="a path whose file system is shown")
    parser.add_argument("--interface", action="append", default=[], help="a network interface whose address is shown")
    parser.add_argument("--proc", type=Path, default=Path("/proc"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    target = options.framebuffer or find(Path("/sys/class/graphics"))
    if target is None:
        parser.error(f"no frame buffer of {DRIVER}: is the driver loaded, and the overlay in the device tree?")
    before = processor_times(options.proc)
    while True:
        time.sleep(0.1 if options.once else options.every)
        now = processor_times(options.proc)
        busy = (now[0] - before[0]) / max(now[1] - before[1], 1)
        drawn = picture(busy, memory(options.proc), options.disk, options.interface)
        with target.open("r+b", buffering=0) as framebuffer:
            framebuffer.write(drawn.pixels)
        if options.once:
            break
        before = now


if __name__ == "__main__":
    main()
