"""The outside programs that tests drive: where they come from on Debian, and what is left out without them.

`need("sgdisk")` in a test skips it, with the package named, where the program is missing. Run as a script (by `./run`,
with whatever Python there is), this prints the Debian packages that are missing, or with `--left-out` a line for each.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

# Debian keeps administrators' programs out of a plain user's PATH; most of ours work there all the same.
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/libexec/podman")
RAUC_POLICY = "/usr/share/dbus-1/system.d/de.pengutronix.rauc.conf"
U_BOOT = "/usr/lib/u-boot/qemu_arm64/u-boot.bin"


@dataclass(frozen=True, slots=True)
class Program:
    """A program (or a file, by its path), its Debian 12 package (empty: in none), and what goes untested without it."""

    name: str
    package: str
    proves: str


PROGRAMS = (
    Program(
        "nix", "nix-bin", "checks that are run, told apart and interrupted, with plain derivations in place of VMs"
    ),
    Program("nix-instantiate", "nix-bin", "generated modules against real Nix; the functions for other flakes"),
    Program("sgdisk", "gdisk", "partition tables against real sgdisk"),
    Program("cryptsetup", "cryptsetup-bin", "LUKS headers and key files against real cryptsetup"),
    Program("dtc", "device-tree-compiler", "device-tree overlays against a real compiler"),
    Program("fdtoverlay", "device-tree-compiler", "device-tree overlays applied to a real tree"),
    Program("fdtget", "device-tree-compiler", "what applied overlays say"),
    Program("mkfs.vfat", "dosfstools", "vfat as it is really made"),
    Program("mkfs.ext4", "e2fsprogs", "ext4 as it is really made"),
    Program("systemd-repart", "systemd", "what is made at first boot, by real systemd-repart"),
    Program("sfdisk", "fdisk", "the partition table of an image that is flashed"),
    Program("rsyslogd", "rsyslog", "that rsyslog takes its configuration"),
    Program("logrotate", "logrotate", "that logs are rotated on a device whose root forgets"),
    Program("mksquashfs", "squashfs-tools", "root slots, also in a bundle, and what is said of one that is too large"),
    Program("mkfs.f2fs", "f2fs-tools", "f2fs as it is really made"),
    Program("lsblk", "util-linux", "that only a removable disk that nobody uses is flashed"),
    Program("losetup", "mount", "disks as the kernel has them: flashing, and telling good from bad"),
    Program("blkid", "util-linux", "what stands on a disk, for verify-disk"),
    Program("zstd", "zstd", "images packed with zstd"),
    Program("lz4", "lz4", "images packed with lz4"),
    Program("mmd", "mtools", "the boot partition of a slot"),
    Program("mcopy", "mtools", "the boot partition's files, for verify-disk"),
    Program("qemu-img", "qemu-utils", "the disks of a virtual machine"),
    Program("qemu-system-x86_64", "qemu-system-x86", "that QEMU takes the machine's command line"),
    Program("modprobe", "kmod", "disks as a whole kernel of its own has them, in a small QEMU guest"),
    Program("dmsetup", "dmsetup", "disks that fail, and disks in use, by device-mapper"),
    Program("udevadm", "udev", "the names that real udev gives to disks"),
    Program("qemu-system-aarch64", "qemu-system-arm", "U-Boot choosing between slots A and B, at every power cut"),
    Program(U_BOOT, "u-boot-qemu", "the same by Debian's own U-Boot"),
    Program("mkimage", "u-boot-tools", "the script that U-Boot runs, as mkimage wraps it"),
    Program("fw_printenv", "libubootenv-tool", "U-Boot's variables as Linux reads and writes them"),
    Program("sshd", "openssh-server", "installing over a real connection that breaks"),
    Program("ssh-keygen", "openssh-client", "another configuration of a device, signed by an admin's key"),
    Program("shellcheck", "shellcheck", "the shell that install steps and units run"),
    Program("ip", "iproute2", "machines as network namespaces: what the gateway lets through"),
    Program("nft", "nftables", "the gateway's rules against real nft"),
    Program("dnsmasq", "dnsmasq-base", "addresses and names of the gateway's LAN"),
    Program("chronyd", "chrony", "time for the gateway's LAN"),
    Program("chronyc", "chrony", "who may ask the gateway for the time"),
    Program("rauc", "rauc", "bundles as RAUC makes, signs and refuses them"),
    Program("dbus-daemon", "dbus-daemon", "RAUC as a service, in a small QEMU guest"),
    Program(RAUC_POLICY, "rauc-service", "the same"),
    Program("openssl", "openssl", "the certificates of bundles and servers"),
    Program("systemd-analyze", "systemd", "which of two versions is newer"),
    Program("chromium", "chromium", "the page that provisions a device, in a real browser"),
    Program("git", "git", "that committed files are what gen writes"),
    Program("quadlet", "", "the units that Quadlet makes of containers' files"),  # Debian 12's podman is older
    Program("nixfmt", "", "that the original formatter changes no generated file"),
    Program("nixfmt-rs", "", "that nixfmt's twin changes no generated file"),
    Program("nix-eval-jobs", "", "checks of a host that are evaluated in parallel"),
)
BY_NAME = {program.name: program for program in PROGRAMS}


def search_path() -> str:
    """Return PATH with the administrators' directories in it."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([*path, *(p for p in SBIN if p not in path)])


def missing() -> list[Program]:
    """Return the programs of the table that this machine lacks."""
    return [p for p in PROGRAMS if not _is_there(p.name)]


def _is_there(name: str) -> bool:
    return Path(name).is_file() if name.startswith("/") else shutil.which(name, path=search_path()) is not None


def need(*names: str) -> None:
    """Skip the running test where one of the programs is missing; KeyError for a program not in the table."""
    import pytest  # noqa: PLC0415 - this file also runs before anything is installed

    for name in names:
        program = BY_NAME[name]
        if not _is_there(name):
            source = f"Debian package {program.package}" if program.package else "no Debian package has it"
            pytest.skip(f"needs {name} ({source})")


def nixpkgs() -> Path:
    """Return the directory of a complete nixpkgs; skip the running test where nobody named one."""
    return _named("NIXWRIGHT_NIXPKGS", "a complete nixpkgs")


def u_boot_source() -> Path:
    """Return the directory of U-Boot's source, where nothing was built; skip the test where nobody named one."""
    return _named("NIXWRIGHT_U_BOOT", "U-Boot's source")


def _named(variable: str, what: str) -> Path:
    import pytest  # noqa: PLC0415 - as above

    named = os.environ.get(variable)
    if not named:
        pytest.skip(f"needs {what}: set {variable} to its directory")
    return Path(named)


def main(arguments: list[str]) -> None:
    """Print the missing Debian packages on one line; with `--left-out`, what is not tested without each program."""
    absent = missing()
    if "--left-out" in arguments:
        for program in absent:
            print(f"  {program.name} ({program.package or 'not in Debian'}): {program.proves}")  # noqa: T201
    else:
        print(" ".join(sorted({p.package for p in absent if p.package})))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
