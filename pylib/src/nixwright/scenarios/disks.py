"""What the check of a host's disks does: an installer formats them with disko's scripts, looks, and keeps them."""

from __future__ import annotations

import re
import shlex
import shutil
from typing import TYPE_CHECKING

from nixwright.scenarios.boots import wait_for_boot
from nixwright.scenarios.driver import seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine


def formats(machine: QemuMachine, *, passphrases: dict[str, str], tables: dict[str, list[list[str]]]) -> None:
    """The host's disko scripts format and mount; each table is sector by sector what the description says."""
    wait_for_boot(machine)
    for file, text in passphrases.items():
        machine.succeed(f"install -d -m 0700 $(dirname {file}); printf '%s' '{text}' > {file}")
    machine.succeed("destroy-format-mount --yes-wipe-all-disks >&2")
    for device, wanted in tables.items():
        printed = machine.succeed(f"sgdisk --print {device}")
        rows = re.findall(r"^ +(\d+) +(\d+) +(\d+) +\S+ \S+ +(\S+) +(.*?)$", printed, re.MULTILINE)
        # a type that sgdisk has no code for is FFFF
        found = [[n, first, last, "GUID" if code == "FFFF" else code, name] for n, first, last, code, name in rows]
        if found != wanted:
            raise AssertionError(f"{device}: {found} where the description says {wanted}")


def opens(machine: QemuMachine, *, containers: dict[str, dict[str, list[str]]]) -> None:
    """Each LUKS container has its version and as many slots as keys, opens with its keys, and with no others."""
    slot = r"^ *[0-9]+: luks2$|^Key Slot [0-9]+: ENABLED$"
    for device, wanted in containers.items():
        for version in wanted["version"]:
            machine.succeed(f"cryptsetup luksDump {device} | grep -E '^Version:[[:space:]]*{version}$'")
        slots = machine.succeed(f"cryptsetup luksDump {device} | grep -cE '{slot}' || true").strip()
        if slots != str(len(wanted["opens"])):
            raise AssertionError(f"{device} has {slots} key slots, not {len(wanted['opens'])}")
        for key in wanted["opens"]:
            machine.succeed(f"cryptsetup open --test-passphrase --key-file {key} {device}")
        for key in wanted["refuses"]:
            machine.fail(f"cryptsetup open --test-passphrase --key-file {key} {device}")


def properties(machine: QemuMachine, *, pools: dict[str, dict[str, str]], datasets: dict[str, dict[str, str]]) -> None:
    """Pools and datasets have the properties of the description."""
    for kind, all_of_it in (("zpool", pools), ("zfs", datasets)):
        for name, wanted in all_of_it.items():
            for key, value in wanted.items():
                found = machine.succeed(f"{kind} get -H -p -o value {key} {name}").strip()
                if found != value:
                    raise AssertionError(f"{key} of {name} is {found}, not {value}")


def again(machine: QemuMachine, *, mounts: list[str], keys: str) -> None:
    """What is formatted is unmounted, mounted again by another day's installer, and formatted again without loss."""
    for mount in mounts:
        machine.succeed(f"touch /mnt{mount}/kept-by-the-installer")
    _unmounts(machine)
    machine.succeed("! findmnt -R /mnt")
    # another day's installer has no copies of the key files
    machine.succeed(f"test ! -e {keys} || find {keys} -type f ! -name '*.passphrase' -delete")
    for script in ("mount-disks", "format-disks", "mount-disks"):
        machine.succeed(f"{script} >&2")
        for mount in mounts:
            machine.succeed(f"test -e /mnt{mount}/kept-by-the-installer")


def _unmounts(machine: QemuMachine) -> None:
    machine.succeed("unmount-disks >&2")
    # a container is closed once udev, which looks at it a moment longer, lets go
    machine.wait_until_succeeds('test -z "$(ls /dev/mapper | grep -v control)"', timeout=seconds(60))


def leaves_others_alone(machine: QemuMachine, *, bystander: str) -> None:
    """The disk of another pool has the same bytes after everything was formatted anew, and that pool is whole."""
    pool, place = "bystander", "/run/bystander"
    machine.succeed(
        f"zpool create -f -O mountpoint={place} {pool} {bystander}", f"touch {place}/kept", f"zpool export {pool}"
    )
    # not by the kernel's cache: ZFS writes past it
    look = f"dd if={bystander} bs=1M iflag=direct | sha256sum"
    before = machine.succeed(look)
    _unmounts(machine)
    machine.succeed("destroy-format-mount --yes-wipe-all-disks >&2")
    if machine.succeed(look) != before:
        raise AssertionError(f"{bystander}, which the description does not name, was written to")
    machine.succeed(f"zpool import {pool}", f"test -e {place}/kept", f"zpool export {pool}")


def passwords_are_written(machine: QemuMachine, *, passwords: dict[str, str], written: dict[str, str]) -> None:
    """What a person types when the host is installed is hashed and written, by the commands of the install steps."""
    for user, commands in written.items():
        # without a terminal of its own mkpasswd reads what it is given
        machine.succeed(f"echo {shlex.quote(passwords[user])} | setsid -w sh -c {shlex.quote(commands)}")


def keeps(machine: QemuMachine, *, images: list[str]) -> None:
    """The disks stay as the installer leaves them: what starts from them gets copies."""
    machine.succeed("unmount-disks >&2; sync")
    machine.shutdown()
    for image in images:
        shutil.copyfile(machine.state_dir / image, machine.out_dir / image)
