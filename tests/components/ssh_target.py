"""A target to install on: a real sshd on the loopback, in mount namespaces of its own, with a loop device as its disk.

What is real: ssh, Nix and its daemon's protocol, sgdisk, cryptsetup, mkfs, mounts. What is not: `nixos-install`, which
records what it is told, and disko's scripts, which do by hand what disko would do for this layout.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from loop_devices import blank, loop
from programs import need
from ssh_server import Server, server

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
DISK = "/dev/disk/by-id/virtio-vm"
HOST = """\
from nixwright import Host, SecretFile, User
from nixwright.boards.qemu_vm import QemuVm
from nixwright.layout import ESP, GPT, REST, Disk, Ext4, Luks, MiB, Partition, Passphrase, Swap
from nixwright.parts.ssh import Ssh

host = Host(
    name="vm",
    state_version="26.05",
    board=QemuVm(),
    disks=[
        Disk(
            "/dev/disk/by-id/virtio-vm",
            GPT(
                Partition("boot", MiB(40), ESP()),
                Partition("swap", MiB(20), Luks("cryptswap", opens_with=[Passphrase()], content=Swap())),
                Partition("root", REST, Ext4(at="/")),
            ),
        ),
    ],
    parts=[Ssh()],
    users=[User("ada", groups=["wheel"], password=SecretFile("/etc/passwords/ada"), ssh_keys=["KEY"])],
)
""".replace("KEY", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL ada@laptop")
FORMAT = """
echo format >>LOG
test "$1" = --yes-wipe-all-disks
sgdisk -Z -o -n1:0:+40M -c1:boot -t1:EF00 -n2:0:+20M -c2:swap -t2:8309 -n3:0:0 -c3:root -t3:8300 DISK >/dev/null
if test -e HANG/format; then touch HANG/reached; sleep 30; fi
PARTITIONS
mkfs.vfat -F 32 DISK-part1 >/dev/null
cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 DISK-part2 \\
  --key-file /run/luks-keys/cryptswap.passphrase
mkfs.ext4 -q -F DISK-part3
"""
MOUNT = """
echo mount >>LOG
PARTITIONS
mkdir -p /mnt
mount DISK-part3 /mnt
mkdir -p /mnt/boot
mount --bind BOOT /mnt/boot  # not every kernel has vfat: what is put here goes to the partition when it is unmounted
"""
UNMOUNT = """
echo unmount >>LOG
mcopy -s -o -i DISK-part1 BOOT/EFI BOOT/loader ::/
for n in 1 2 3; do losetup --detach DISK-part$n; done
"""
# Not every kernel makes devices of a loop device's partitions: they are loop devices over it.
PARTITIONS = """
part() {
  if ! losetup DISK-part$1 >/dev/null 2>&1; then
    ln -sf "$(losetup --find --show --offset $2MiB --sizelimit $3MiB DISK)" DISK-part$1
  fi
}
part 1 1 40
part 2 41 20
part 3 61 258
"""
INSTALL = """#!/bin/bash -eu
echo nixos-install "$@" >>LOG
mountpoint -q /mnt/boot
if test -e HANG/install; then touch HANG/reached; sleep 30; fi
test -s "/mnt/nix/store/$(basename "$4")/system"  # so it lies below a root, whatever the store is called here
cp LOADER/* -r /mnt/boot/
"""
_ENTER = """
mount --make-rprivate /
mkdir -p "$T/dev/disk/by-id" "$T/dev/pts"
for n in null zero full random urandom tty ptmx loop-control; do cp -a "/dev/$n" "$T/dev/"; done
for n in {0..63}; do mknod "$T/dev/loop$n" b 7 "$n"; done  # more than there may be now
ln -s "../../$(basename "$LOOP")" "$T/dev/disk/by-id/virtio-vm"
ln -s /proc/self/fd "$T/dev/fd"
mount --rbind /dev/pts "$T/dev/pts"
mount --rbind "$T/dev" /dev
mount -t tmpfs none /run
mount -t tmpfs none /sys/firmware
mkdir /sys/firmware/efi
awk 'index($5, "/mnt/") == 1 { print $5 }' /proc/self/mountinfo | while read -r at; do umount --lazy "$at" || true; done
mount --bind "$T/os-release" "$(readlink -f /etc/os-release)"
exec sleep infinity
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A running target. `log` is what its stand-ins did, `hang` a directory of what they shall wait in."""

    directory: Path
    device: str
    server: Server
    environment: dict[str, str]

    @property
    def log(self) -> list[str]:
        path = self.directory / "log"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def hang(self) -> Path:
        return self.directory / "hang"

    def drop(self) -> None:
        """Break every connection, as a network does: nobody says goodbye."""
        for pid in _children(self.server.process.pid):
            for each in (pid, *_children(pid)):
                with_suppressed_kill(each)

    def run(self, *argv: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run nixwright on this machine."""
        return subprocess.run(
            self.command(*argv), input=typed, capture_output=True, text=True, check=False, env=self.environment
        )

    def command(self, *argv: str) -> list[str]:
        return [sys.executable, "-m", "nixwright", argv[0], *self.server.arguments, *argv[1:]]


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid)], check=False, capture_output=True, text=True)
    return [int(child) for child in listed.stdout.split()]


def with_suppressed_kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def target(directory: Path) -> Iterator[Target]:
    """Run a target; skip where this machine cannot have one."""
    need("sshd", "nix", "losetup", "sgdisk", "cryptsetup", "mkfs.vfat", "mkfs.ext4", "mcopy")
    image = blank(directory / "disk", 320 * MIB)
    with loop(image) as device, _namespace(directory, device) as holder:
        environment = _programs(directory)
        try:
            with server(directory, _session(directory, holder)) as reached:
                yield Target(directory, device, reached, environment)
        finally:
            _release(holder, device)


def _release(holder: int, device: str) -> None:
    """Unmount and detach what an installation left: loop devices over the disk."""
    script = f"""
if mountpoint -q /mnt; then umount --recursive /mnt; fi
losetup --associated {device} | cut -d: -f1 | while read -r left; do losetup --detach "$left"; done
"""
    subprocess.run(["nsenter", "--target", str(holder), "--mount", "bash", "-euc", script], check=True)


@contextmanager
def _namespace(directory: Path, device: str) -> Iterator[int]:
    (directory / "os-release").write_text("ID=nixos\n")
    environment = os.environ | {"T": str(directory), "LOOP": device}
    holder = subprocess.Popen(["unshare", "--mount", "bash", "-euc", _ENTER], env=environment)
    (directory / "holder").write_text(str(holder.pid))
    try:
        for _ in range(200):
            if Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n":
                break
            if holder.poll() is not None:
                pytest.skip("needs loop devices (root, and a kernel that has them)")
            time.sleep(0.05)
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


def _programs(directory: Path) -> dict[str, str]:
    """Make the flake, the stand-ins, and the environment that both sides have."""
    (directory / "hang").mkdir()
    (directory / "boot").mkdir()
    (directory / "bin").mkdir()
    (directory / "home").mkdir()
    (directory / "loader/EFI/BOOT").mkdir(parents=True)
    (directory / "loader/loader/entries").mkdir(parents=True)
    (directory / "loader/EFI/BOOT/BOOTX64.EFI").write_text("loader")
    entry = "linux /EFI/BOOT/BOOTX64.EFI\noptions init=/nix/store/x/init\n"
    (directory / "loader/loader/entries/nixos.conf").write_text(entry)
    install = directory / "bin/nixos-install"
    install.write_text(_fill(INSTALL, directory))
    install.chmod(0o755)
    real = shutil.which("ssh")
    logged = directory / "local/ssh"
    logged.parent.mkdir()
    logged.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{directory}/argv\nexec {real} "$@"\n')
    logged.chmod(0o755)
    project = directory / "project"
    (project / "hosts").mkdir(parents=True)
    (project / "hosts/vm.py").write_text(HOST)
    (project / "flake.nix").write_text(_flake(directory))
    store = {f"NIX_{n}_DIR": os.environ[f"NIX_{n}_DIR"] for n in ("STORE", "STATE", "LOG", "CONF")}
    config = "build-users-group =\nsandbox = false\nexperimental-features = nix-command flakes\nsubstitute = false\n"
    path = f"{directory}/local:{os.environ['PATH']}"
    state = {"XDG_STATE_HOME": f"{directory}/state", "HOME": f"{directory}/home", "NIX_CONFIG": config}
    return os.environ | store | state | {"PATH": path}


def _fill(text: str, directory: Path) -> str:
    text = text.replace("PARTITIONS", PARTITIONS)
    values = {
        "LOG": directory / "log",
        "DISK": DISK,
        "HANG": directory / "hang",
        "BOOT": directory / "boot",
        "LOADER": directory / "loader",
    }
    for name, value in values.items():
        text = text.replace(name, str(value))
    return text


def _flake(directory: Path) -> str:
    """A flake whose system is 24 MB of noise, so that copying it takes a while, without any nixpkgs."""
    scripts = {"destroyFormatMount": ("disko-destroy-format-mount", FORMAT + MOUNT), "mount": ("disko-mount", MOUNT)}
    scripts["unmount"] = ("disko-unmount", UNMOUNT)
    lines = []
    for name, (program, text) in scripts.items():
        whole = f"#!/bin/bash -eu\n{_fill(text, directory)}"
        (directory / "project" / program).write_text(whole)
        made = f"mkdir -p $out/bin; cp ${{./{program}}} $out/bin/{program}; chmod 755 $out/bin/{program}"
        lines.append(f'{name} = made "{program}" "{made}";')
    noise = "mkdir $out; head -c 24000000 /dev/urandom > $out/system"
    body = "\n".join(lines)
    return f"""{{
  outputs = _: {{
    nixosConfigurations.vm.config.system.build = let
      made = name: text: derivation {{
        inherit name;
        system = "x86_64-linux";
        builder = "/bin/sh";
        PATH = "/usr/bin:/bin";
        args = [ "-ec" text ];
      }};
    in {{
      {body}
      toplevel = made "nixos-system-vm" "{noise}";
    }};
  }};
}}
"""


def _session(directory: Path, holder: int) -> Path:
    """Write what a connection runs: what was asked for, in the target's namespace."""
    # the same store as here, as the memory of an installer is one with what it was built in
    exported = "\n".join(f"export {k}='{v}'" for k, v in os.environ.items() if k.startswith("NIX_"))
    session = directory / "session"
    session.write_text(
        f"#!/bin/bash\n{exported}\nexport NIX_CONFIG='build-users-group ='\n"
        f"export PATH={directory}/bin:{os.environ['PATH']}\n"
        f'exec nsenter --target {holder} --mount -- bash -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    session.chmod(0o755)
    return session
