"""QEMU's command lines: a machine with the disks of a host, under the very names that the host file has for them.

A name in /dev/disk/by-id is made by udev of what a disk says of itself (60-persistent-storage.rules, ata_id, usb_id):
a disk of QEMU's that says the same has the same name, and what is tried is the layout itself, not a copy of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixwright.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path

_ATA = re.compile(r"/dev/disk/by-id/ata-(?P<model>.{1,40})_(?P<serial>[A-Za-z0-9-]{1,20})")
_USB = re.compile(r"/dev/disk/by-id/usb-(?P<vendor>[^_]{1,8})_(?P<model>.{1,16})_(?P<serial>[A-Za-z0-9-]{1,40})-0:0")
_VIRTIO = re.compile(r"/dev/disk/by-id/virtio-(?P<serial>[A-Za-z0-9_.-]{1,20})")
_EMMC = re.compile(r"/dev/mmcblk0")
_MACHINES = {"x86_64-linux": "q35", "aarch64-linux": "virt,gic-version=max"}
_CONSOLES = {"x86_64-linux": "ttyS0", "aarch64-linux": "ttyAMA0"}


@dataclass(frozen=True, slots=True)
class Image:
    """A disk of the machine: its image, and the name under which the host has it (empty for any)."""

    path: Path
    name: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine. `memory` is in MiB, `ports` map one here to one there, `firmware` are UEFI's code and variables."""

    system: str
    images: tuple[Image, ...]
    firmware: tuple[str, str]
    memory: int = 4096
    processors: int = 2
    ports: tuple[tuple[int, int], ...] = ()
    window: bool = False
    accelerators: tuple[str, ...] = ("kvm", "tcg")  # the first that is there is taken


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that is started by itself, past the disks."""

    kernel: str
    initrd: str
    parameters: str


def argv(machine: Machine, kernel: Kernel | None = None, log: str = "") -> list[str]:
    """Return the command; with `log` the console goes to that file. Raises ToolError for a disk that QEMU has not."""
    code, variables = machine.firmware
    found = [f"qemu-system-{machine.system.partition('-')[0]}", "-name", "nixwright", "-machine"]
    found += [_MACHINES[machine.system], *(p for a in machine.accelerators for p in ("-accel", a)), "-cpu", "max"]
    found += ["-m", str(machine.memory), "-smp", str(machine.processors), "-nodefaults"]
    found += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_quoted(code)}"]
    found += ["-drive", f"if=pflash,unit=1,format=raw,file={_quoted(variables)}"]
    found += ["-device", "qemu-xhci,id=usb"]
    for number, image in enumerate(machine.images):
        found += _disk(number, image)
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in machine.ports)
    found += ["-nic", f"user,model=virtio-net-pci{forwards}", "-device", "virtio-rng-pci"]
    if machine.window:
        found += ["-device", "virtio-gpu-pci", "-device", "usb-kbd,bus=usb.0", "-device", "usb-tablet,bus=usb.0"]
        found += ["-serial", "vc"]
    else:
        found += ["-display", "none", "-serial", f"file:{_quoted(log)}" if log else "mon:stdio"]
    if kernel is not None:
        found += ["-kernel", kernel.kernel, "-initrd", kernel.initrd, "-append", kernel.parameters]
    return found


def console(system: str) -> str:
    """Return the machine's first serial port as the kernel calls it."""
    return _CONSOLES[system]


def _disk(number: int, image: Image) -> list[str]:
    drive = f"disk{number}"
    found = ["-drive", f"if=none,id={drive},format=qcow2,discard=unmap,file={_quoted(str(image.path))}"]
    if m := _ATA.fullmatch(image.name):
        bus = f"sata{number}"
        model = _quoted(m["model"].replace("_", " "))
        device = ["-device", f"ich9-ahci,id={bus}"]
        device += ["-device", f"ide-hd,bus={bus}.0,drive={drive},model={model},serial={m['serial']}"]
    elif m := _USB.fullmatch(image.name):
        bus = f"stick{number}"
        product = _quoted(m["model"].replace("_", " "))
        device = ["-device", f"usb-bot,bus=usb.0,id={bus},serial={m['serial']}"]
        device += ["-device", f"scsi-hd,bus={bus}.0,drive={drive},vendor={m['vendor']},product={product}"]
    elif m := _VIRTIO.fullmatch(image.name):
        device = ["-device", f"virtio-blk-pci,drive={drive},serial={m['serial']}"]
    elif _EMMC.fullmatch(image.name):
        device = ["-device", f"sdhci-pci,id=card{number}", "-device", f"sd-card,drive={drive}"]
    elif not image.name:
        device = ["-device", f"virtio-blk-pci,drive={drive}"]
    else:
        raise ToolError(f"QEMU has no disk that udev would call {image.name}: ata-, usb- and virtio- names work")
    return [*found, *device]


def _quoted(text: str) -> str:
    """Double the commas, by which QEMU tells options apart."""
    return text.replace(",", ",,")
