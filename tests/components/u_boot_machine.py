"""A board that boots by Debian's own U-Boot in QEMU: flash with U-Boot's variables, a disk with slots A and B, a plug.

Three things differ from a Rock64. U-Boot as Debian builds it has no command of ours compiled in: it gets it from the
flash, where a fresh or torn environment is therefore made one that holds our command and nothing else. The disk is a
virtio disk. And what QEMU 7.2 does to the flash is made good (`Board.settled`).
"""

from __future__ import annotations

import struct
import subprocess
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nixwright.boards.u_boot import Environment, UBoot, fill, one_line
from nixwright.layout import GPT, REST, Disk, F2fs, MiB, Partition, Slots
from nixwright.layout.model import Layout
from programs import U_BOOT as FIRMWARE
from programs import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1 << 20
_FIRST, _SLOT = 16, 64  # MiB: where slot A begins, and how large each of its partitions is
SIZE = 0x40000  # bytes of the environment, as Debian's build has it: one copy, at the start of the second flash
_KEPT = 4096  # bytes of a flash sector that QEMU 7.2 keeps of what U-Boot writes
_FLASH = 64 * MIB
_RESET, _OFF = 0x84000009, 0x84000008  # PSCI
_DEFAULTS = {
    "bootdelay": "0",
    "scriptaddr": "0x40200000",
    "kernel_addr_r": "0x40400000",
    "fdt_addr_r": "0x43000000",
}
U_BOOT = UBoot(
    package="ubootQemuAarch64",
    device=("virtio", 0),
    button=100,
    environment=Environment("/dev/mtd0", 0x0, 0x2000, 0x1000),
    kernel_address=0x40400000,
    initrd_address=0x44000000,
    device_tree="qemu/virt.dtb",
)
DISK = Disk(
    "/dev/disk/by-id/virtio-board",
    GPT(
        Slots(boot=MiB(_SLOT), root=MiB(_SLOT), start=MiB(_FIRST)),
        Partition("data", REST, F2fs(at="/data"), at_first_boot=True),
    ),
)
SLOTS = Layout.of([DISK]).slots
_NEEDED = ("qemu-system-aarch64", FIRMWARE, "mkimage", "sgdisk", "mkfs.vfat", "mmd", "mcopy")


def kernel(*, starts: bool) -> bytes:
    """Return an arm64 kernel that prints its arguments, and then powers off where it `starts`, or resets the board.

    After the header (Documentation/arch/arm64/booting.rst): look for `init` in the device tree, which x0 points to,
    print from there to the next null byte on the PL011, and call PSCI.
    """
    call = _OFF if starts else _RESET
    words = (
        0x52A12001,  #       mov   w1, #0x9000000    the PL011
        0x528DCD23,  #       mov   w3, #0x6e69       "in"
        0x72AE8D23,  #       movk  w3, #0x7469, lsl #16  "it"
        0xB8404402,  # find: ldr   w2, [x0], #4
        0x6B03005F,  #       cmp   w2, w3
        0x54FFFFC1,  #       b.ne  find
        0xD1001000,  #       sub   x0, x0, #4
        0x38401402,  # next: ldrb  w2, [x0], #1
        0x39000022,  #       strb  w2, [x1]
        0x35FFFFC2,  #       cbnz  w2, next
        0x52800142,  #       mov   w2, #'\n'
        0x39000022,  #       strb  w2, [x1]
        0x52800000 | (call & 0xFFFF) << 5,  # mov   w0, #...
        0x72B08000,  #       movk  w0, #0x8400, lsl #16
        0xD4000002,  #       hvc   #0
        0x14000000,  #       b     .
    )
    header = struct.pack("<IIQQQ24x4sI", 0x14000010, 0, 0, 0x1000, 0xA, b"ARM\x64", 0)
    return header + struct.pack(f"<{len(words)}I", *words)


def environment(variables: dict[str, str]) -> bytes:
    """Return an environment as U-Boot stores it: CRC-32, `name=value`, null bytes between and to the end."""
    text = b"".join(f"{name}={value}".encode() + b"\0" for name, value in variables.items())
    data = text.ljust(SIZE - 4, b"\0")
    return struct.pack("<I", zlib.crc32(data)) + data


def variables(image: bytes) -> dict[str, str] | None:
    """Read an environment; None where its checksum is wrong."""
    (checksum,), data = struct.unpack("<I", image[:4]), image[4:SIZE]
    if zlib.crc32(data) != checksum:
        return None
    pairs = (entry.decode().partition("=") for entry in data[: data.index(b"\0\0")].split(b"\0"))
    return {name: value for name, _, value in pairs}


@dataclass
class Board:
    """The board. `boot` lets it run until it powers off or resets, `cut` takes the power away before."""

    directory: Path
    default: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Make disk and flash: both slots whole, no variable set."""
        need(*_NEEDED)
        sectors = DISK.table.slots
        assert sectors is not None
        with self.disk.open("wb") as file:
            file.truncate((_FIRST + 4 * _SLOT + 8) * MIB)
        for number, part in enumerate(sectors.partitions, 1):
            start = _FIRST + (number - 1) * _SLOT
            _run("sgdisk", f"-n{number}:{start}M:+{_SLOT}M", f"-c{number}:{part.label}", self.disk)
        self.default = _DEFAULTS | {"bootcmd": one_line(U_BOOT.select_slot(SLOTS))}
        with self.flash.open("wb") as file:
            file.write(environment(self.default))
            file.truncate(_FLASH)
        tree = self.directory / "virt.dtb"
        _run(
            "qemu-system-aarch64",
            "-machine",
            f"virt,dumpdtb={tree}",
            "-cpu",
            "cortex-a57",
            "-m",
            "256",
            "-display",
            "none",
        )
        for slot in "AB":
            self.write_slot(slot)

    def copy(self, directory: Path) -> Board:
        """Return a board of its own that is as this one."""
        found = object.__new__(Board)
        found.directory, found.default = directory, self.default
        for path in (self.disk, self.flash, self.directory / "virt.dtb"):
            _run("cp", "--sparse=always", path, directory)
        return found

    @property
    def disk(self) -> Path:
        """The disk with the slots."""
        return self.directory / "disk.img"

    @property
    def flash(self) -> Path:
        """The flash with U-Boot's variables."""
        return self.directory / "flash.img"

    def write_slot(self, name: str, *, starts: bool = True, left_out: tuple[str, ...] = (), torn: str = "") -> None:
        """Write a boot slot: the real script and a kernel. `left_out` files are missing, and `torn` is half a file."""
        source = fill(
            U_BOOT.boot_cmd(SLOTS), build=f"build of {name}", init="/nix/store/x-nixos/init", parameters="loglevel=4"
        )
        commands = self.directory / "boot.cmd"
        commands.write_text(source)
        script = self.directory / "boot.scr"
        _run("mkimage", "-C", "none", "-A", "arm64", "-T", "script", "-d", commands, script)
        (self.directory / "Image").write_bytes(kernel(starts=starts))
        (self.directory / "initrd").write_bytes(b"initrd" * 100)
        image = self.directory / "boot.fat"
        with image.open("wb") as file:
            file.truncate(_SLOT * MIB)
        _run("mkfs.vfat", image)
        _run("mmd", "-i", image, "::dtbs", "::dtbs/qemu")
        places = {"Image": "::", "initrd": "::", "boot.scr": "::", "virt.dtb": "::dtbs/qemu/"}
        for file_name, place in places.items():
            if file_name in left_out:
                continue
            source_file = self.directory / file_name
            if file_name == torn:
                source_file = self.directory / "torn" / file_name
                source_file.parent.mkdir(exist_ok=True)
                whole = (self.directory / file_name).read_bytes()
                source_file.write_bytes(whole[: len(whole) // 2])
            _run("mcopy", "-o", "-i", image, source_file, place)
        self.put(name, image.read_bytes())

    def put(self, name: str, data: bytes) -> None:
        """Write bytes to the start of a boot slot."""
        with self.disk.open("r+b") as file:
            file.seek((_FIRST + {"A": 0, "B": 2}[name] * _SLOT) * MIB)
            file.write(data)

    @property
    def variables(self) -> dict[str, str]:
        """What stands in the flash beside what a fresh board has."""
        found = variables(self.settled()) or {}
        return {name: value for name, value in found.items() if self.default.get(name) != value}

    @property
    def counts(self) -> tuple[str | None, str | None, str | None]:
        """BOOT_ORDER, and how many tries A and B have left."""
        found = self.variables
        return found.get("BOOT_ORDER"), found.get("BOOT_A_LEFT"), found.get("BOOT_B_LEFT")

    def set(self, **given: str) -> None:
        """Set variables, as RAUC or a person does from the running system."""
        self._write(environment(self.default | self.variables | given))

    def _write(self, image: bytes) -> None:
        with self.flash.open("r+b") as file:
            file.write(image)

    def settled(self) -> bytes:
        """Return the environment as the flash of a board would hold it, and write it so.

        QEMU 7.2 keeps only the first 4 KiB of what U-Boot writes to a sector after an erase, and leaves the rest
        erased; all that U-Boot writes there are null bytes, since what we store is shorter.
        """
        with self.flash.open("rb") as file:
            image = file.read(SIZE)
        image = image[:_KEPT] + image[_KEPT:].replace(b"\xff", b"\0")
        self._write(image)
        return image

    def boot(self, seconds: float = 240.0) -> str:
        """Power on, and return what the console said until the board powered off or reset."""
        return self._run(lambda _: None, seconds)

    def cut(self, wanted: str, later: float = 0.0, seconds: float = 240.0) -> str:
        """Power on, and take the power away once the console says something and `later` seconds have gone by."""
        return self._run(lambda text: later if wanted in text else None, seconds)

    def _run(self, enough: Callable[[str], float | None], seconds: float) -> str:
        if variables(self.settled()) is None:
            self._write(environment(self.default))  # a U-Boot with our command compiled in goes on with that
        console = self.directory / "console.log"
        with console.open("wb") as out:
            process = subprocess.Popen(self._argv(), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            try:
                end = time.monotonic() + seconds
                while process.poll() is None:
                    said = console.read_text("utf-8", "replace")
                    wait = enough(said)
                    if wait is not None:
                        time.sleep(wait)
                        break
                    assert time.monotonic() < end, f"neither off nor reset after {seconds} s:\n{said}"
                    time.sleep(0.02)
            finally:
                process.kill()
                process.wait()
        return console.read_text("utf-8", "replace").replace("\r", "")

    def _argv(self) -> list[str]:
        return [
            *("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a57", "-m", "256", "-nographic", "-no-reboot"),
            *("-net", "none", "-bios", FIRMWARE),
            *("-drive", f"if=pflash,format=raw,index=1,file={self.flash}"),
            *("-drive", f"if=none,id=disk,format=raw,file={self.disk}", "-device", "virtio-blk-device,drive=disk"),
        ]


def booted(console: str) -> list[str]:
    """Return the slots whose kernels ran, by what those kernels printed of their arguments."""
    lines = [line for line in console.splitlines() if line.startswith("init=/")]
    return ["AB"[int(line.partition("rauc.slot=boot.")[2][0])] for line in lines]


def _run(*argv: object) -> None:
    subprocess.run([str(a) for a in argv], check=True, stdin=subprocess.DEVNULL, capture_output=True)
