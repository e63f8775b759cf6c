"""Disks as real programs make them, in sparse files: what a host file describes, and what was done to it since."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
HOST = """\
from nixwright import Host, User
from nixwright.boards.qemu_vm import QemuVm
from nixwright.layout import ESP, GPT, REST, Disk, Ext4, F2fs, KeyFile, Luks, MiB, Partition, Passphrase, Swap

key = KeyFile("/keyfile")
host = Host(
    name="vm",
    state_version="26.05",
    board=QemuVm(),
    disks=[
        Disk(
            "/dev/disk/by-id/virtio-vm",
            GPT(
                Partition("boot", MiB(40), ESP()),
                Partition("luks key", MiB(20), Luks("cryptkey", opens_with=[Passphrase()], content=Ext4(files=[key]))),
                Partition("swap", MiB(20), Luks("cryptswap", opens_with=[key], content=Swap())),
                Partition("data", MiB(64), F2fs(at="/data")),
                Partition("spare swap", MiB(8), Swap()),
                Partition("root", REST, Ext4(at="/")),
            ),
        ),
    ],
    users=[User("root", ssh_keys=["KEY"])],
)
""".replace("KEY", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL ivan@laptop")
PROGRAMS = ("sgdisk", "cryptsetup", "mkfs.vfat", "mkfs.ext4", "mkfs.f2fs", "blkid", "mcopy")
# Where each partition of HOST begins, in MiB.
STARTS = {"boot": 1, "luks key": 41, "swap": 61, "data": 81, "spare swap": 145, "root": 153}
_CHEAP = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--batch-mode")


def run(*argv: object, stdin: str = "") -> str:
    return subprocess.run([str(a) for a in argv], check=True, input=stdin, capture_output=True, text=True).stdout


def make(path: Path) -> Path:
    """Make the disk of HOST: 200 MiB."""
    with path.open("wb") as file:
        file.truncate(200 * MIB)
    sizes = {"boot": "+40M", "luks key": "+20M", "swap": "+20M", "data": "+64M", "spare swap": "+8M", "root": "0"}
    types = {"boot": "EF00", "luks key": "8309", "swap": "8309", "spare swap": "8200"}
    for number, (label, size) in enumerate(sizes.items(), 1):
        kind = f"-t{number}:{types.get(label, '8300')}"
        run("sgdisk", f"-n{number}:0:{size}", f"-c{number}:{label}", kind, path)
    put(path, "boot", esp(path.parent / "esp"))
    put(path, "luks key", luks(path.parent / "key"))
    put(path, "swap", luks(path.parent / "swap"))
    put(path, "data", made(path.parent / "data", 64, "mkfs.f2fs", "-q"))
    put(path, "spare swap", made(path.parent / "spare", 8, "mkswap"))
    put(path, "root", made(path.parent / "root", 46, "mkfs.ext4", "-q"))
    return path


def made(path: Path, size: int, *command: str) -> Path:
    """Make a file system of `size` MiB in a file."""
    with path.open("wb") as file:
        file.truncate(size * MIB)
    run(*command, path)
    return path


def luks(path: Path, *, version: int = 2, ways: int = 1) -> Path:
    """Make a LUKS container of 20 MiB with some key slots."""
    with path.open("wb") as file:
        file.truncate(20 * MIB)
    run("cryptsetup", "luksFormat", "--type", f"luks{version}", *_CHEAP, path, "-", stdin="first")
    for number in range(1, ways):
        (path.parent / "new-key").write_text(f"key {number}")
        run("cryptsetup", "luksAddKey", *_CHEAP, "--key-file", "-", path, path.parent / "new-key", stdin="first")
    return path


def esp(path: Path, *, entry: str = "/EFI/nixos/kernel.efi", init: str = "init=/nix/store/x-nixos/init") -> Path:
    """Make a boot partition with systemd-boot, a kernel, a stage 1, and an entry that names them."""
    made(path, 40, "mkfs.vfat", "-F", "32")
    files = path.parent / "boot-files"
    texts = {
        "EFI/BOOT/BOOTX64.EFI": "loader",
        "EFI/nixos/kernel.efi": "kernel",
        "EFI/nixos/initrd.efi": "stage 1",
        "loader/entries/nixos-generation-1.conf": (
            f"title NixOS\nlinux {entry}\ninitrd /EFI/nixos/initrd.efi\noptions {init} quiet\n"
        ),
    }
    for name, text in texts.items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(text)
    run("mcopy", "-s", "-i", path, files / "EFI", files / "loader", "::/")
    return path


def put(disk: Path, label: str, part: Path) -> None:
    """Write a partition's content to its place."""
    run("dd", f"if={part}", f"of={disk}", "bs=1M", f"seek={STARTS[label]}", "conv=notrunc,sparse", "status=none")


def poke(disk: Path, at: int, data: bytes) -> None:
    """Overwrite some bytes."""
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(data)
