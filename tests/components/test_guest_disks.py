"""Disks as a whole kernel with real udev has them: a stick that fails, one that is in use, one that was tampered with.

One guest for all of it, with a disk that no command names: its bytes are the same in the end.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nixwright
import pytest
from disk_images import HOST, PROGRAMS, make
from guest import Drive, Guest
from loop_devices import blank
from nixwright.install import lints, target
from nixwright.tools.block_devices import LSBLK, parse, refusals
from nixwright.tools.image import BLOCK
from programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
VM = "/dev/disk/by-id/virtio-vm"
OTHER = "/dev/disk/by-id/virtio-other"
USB = "/dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_{}-0:0"
STICK, WORN = USB.format("stick"), USB.format("worn")
BAD_BYTE = 5 * MIB
PYTHON = f"env PYTHONPATH={Path(nixwright.__file__).parents[1]} {sys.executable}"
NIXWRIGHT = f"{PYTHON} -m nixwright"
# What a disk of the target is, as far as the rules about disks in use ask.
EMPTY: dict[str, Any] = {"name": "vm", "pools": [], "disks": [{"device": VM, "size": None, "partitions": []}]}


@dataclass(frozen=True, slots=True)
class Machine:
    guest: Guest
    directory: Path  # the same path on both sides

    def flash(self, disk: str, *, image: str = "image") -> tuple[int, str]:
        """Flash a disk, with the name typed that it has there; the exit status and all that is said."""
        name = self.guest.succeed(f"readlink -f {disk}").strip().rpartition("/")[2]
        answer = self.guest.run(f"{NIXWRIGHT} flash {self.directory}/{image} {disk} --yes {name} 2>&1")
        return answer.status, answer.output

    def differing(self) -> dict[str, str]:
        """What verify-disk finds differing on the disk of HOST."""
        command = f"cd {self.directory}; {NIXWRIGHT} verify-disk hosts/vm.py {VM} --json"
        answer = self.guest.run(command)
        rows = json.loads(answer.output)["rows"]
        assert answer.status == (1 if any(r["state"] == "differs" for r in rows) else 0)
        return {r["subject"]: r["found"] for r in rows if r["state"] == "differs"}

    def objections(self) -> list[str]:
        """What stands against installing on the disk of HOST, as `install` asks the machine."""
        there = target.parse(self.guest.succeed(target.script([VM], [])))
        return [o.what for o in lints.of_disks(EMPTY, there, None)]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need("dmsetup", "lsblk", *PROGRAMS)
    here = tmp_path_factory.mktemp("machine")
    (here / "hosts").mkdir()
    (here / "hosts/vm.py").write_text(HOST)
    (here / "flake.nix").touch()
    noise = random.Random(5)  # noqa: S311
    (here / "image").write_bytes(noise.randbytes(9 * MIB + 100))
    (here / "other").write_bytes(noise.randbytes(16 * MIB))
    rule = f'[inject-error]\nevent = "none"\niotype = "read"\nerrno = "5"\nsector = "{BAD_BYTE // 512}"\n'
    (here / "rule").write_text(rule)
    make(here / "vm")
    worn = blank(here / "worn", 24 * MIB)
    drives = [
        Drive(here / "vm", "vm"),
        Drive(here / "other", "other"),
        Drive(blank(here / "stick", 24 * MIB), "stick", "usb"),
    ]
    extra = ["-drive", f"file=blkdebug:{here}/rule:{worn},format=raw,if=none,id=worn"]
    extra += ["-device", "usb-storage,drive=worn,serial=worn,removable=on"]
    before = digest(here / "other")
    with Guest(drives, modules=["dm_mod", "dm_crypt", "md_mod"], qemu=extra) as guest:
        guest.succeed(f"for n in {{1..600}}; do if test -e {WORN}; then exit; fi; sleep 0.1; done; exit 1")
        yield Machine(guest, here)
        guest.succeed("sync")
    assert digest(here / "other") == before


def test_a_stick_by_its_udev_name_and_no_other(machine: Machine) -> None:
    status, said = machine.flash(STICK)
    assert (status, "written, and read back alike" in said) == (0, True), said
    machine.guest.succeed("sync")
    held, image = (machine.directory / "stick").read_bytes(), (machine.directory / "image").read_bytes()
    assert held[: len(image)] == image


def test_a_stick_that_cannot_be_read_where_it_was_written(machine: Machine) -> None:
    """QEMU answers reads of one sector with an error of the medium, as a worn-out stick does."""
    status, said = machine.flash(WORN)
    assert status == 2
    assert "writing: 100 % of 9.0 MiB" in said
    found = re.search(r"nixwright: reading back /dev/sd[ab] failed at byte (\d+) or after: Input/output error", said)
    assert found is not None, said
    assert int(found[1]) == BLOCK


def test_an_error_of_device_mapper_while_reading_back(machine: Machine) -> None:
    """What was written well stands on a device whose rest, behind the first block, goes to the error target."""
    sectors = BLOCK // 512
    program = f"""\
import subprocess
from nixwright.errors import ToolError
from nixwright.tools.disk_writer import open_disk
with open_disk("/dev/mapper/worn", writing=True) as disk:
    disk.write(iter([bytes([7]) * {BLOCK}] * 3))
    disk.verify()
    table = "0 {sectors} linear {STICK} 0\\n{sectors} {2 * sectors} error\\n"
    subprocess.run(["dmsetup", "reload", "worn"], input=table, text=True, check=True)
    subprocess.run(["dmsetup", "resume", "worn"], check=True)
    try:
        disk.verify()
    except ToolError as error:
        print(error)
"""
    said = machine.guest.succeed(f"""\
dmsetup create worn --table "0 {3 * sectors} linear {STICK} 0"
trap 'dmsetup remove worn' EXIT
{PYTHON} - <<'END'
{program}END
""")
    assert said == f"reading back /dev/mapper/worn failed at byte {BLOCK} or after: Input/output error\n"


def test_a_stick_in_use_is_refused(machine: Machine) -> None:
    """By what lsblk lists, and by the kernel itself where nobody asks lsblk."""
    machine.guest.succeed(f"dmsetup create held --table '0 2048 linear {STICK} 0'; udevadm settle; sync")
    before = digest(machine.directory / "stick")
    status, said = machine.flash(STICK)
    kernel = machine.guest.run(f"""\
{PYTHON} -c 'from nixwright.tools.disk_writer import open_disk; open_disk("{STICK}", writing=True).__enter__()' 2>&1
""")
    machine.guest.succeed("dmsetup remove held; sync")
    assert status == 2
    assert "which is open as /dev/mapper/held. Nothing was written." in said, said
    assert f"{STICK} is in use: something of it is mounted, open, or part of a pool" in kernel.output
    assert digest(machine.directory / "stick") == before


@pytest.mark.parametrize(
    ("hold", "release", "why"),
    [
        (f"mkswap -q {STICK}; swapon {STICK}", f"swapoff {STICK}", ["is used as swap"]),
        (f"mkfs.ext4 -qF {STICK}; mount {STICK} /mnt", "umount /mnt", ["is mounted at /mnt"]),
    ],
    ids=["swap", "mounted"],
)
def test_uses_of_a_stick_that_lsblk_lists(machine: Machine, hold: str, release: str, why: list[str]) -> None:
    machine.guest.succeed(f"{hold}; udevadm settle")
    listed = parse(machine.guest.succeed(shlex.join(LSBLK)))
    machine.guest.succeed(f"{release}; wipefs -qa {STICK}; udevadm settle")
    (stick,) = (d for d in listed if d.serial == "stick")
    assert list(refusals(stick, None, set())) == why


def test_a_disk_that_holds_something_open_is_not_installed_on(machine: Machine) -> None:
    assert machine.objections() == []
    machine.guest.succeed(f"printf first | cryptsetup open --key-file - {VM}-part2 cryptkey; udevadm settle")
    found = machine.objections()
    machine.guest.succeed(f"mount {VM}-part6 /mnt")
    mounted = machine.objections()
    machine.guest.succeed("umount /mnt; cryptsetup close cryptkey")
    assert found == [f"{VM} holds /dev/vda2, which is open as /dev/mapper/cryptkey"]
    assert mounted == [
        *found,
        f"{VM} holds /dev/vda6, which is mounted at /mnt",
        "something is mounted at /mnt on the target",
    ]


def test_the_disk_of_a_host_whole_and_tampered_with(machine: Machine) -> None:
    """With the container open and the root mounted, what is inside is looked at, too."""
    system = "/mnt/nix/store/x-nixos"
    machine.guest.succeed(f"""\
printf first | cryptsetup open --key-file - {VM}-part2 cryptkey
mkfs.ext4 -q /dev/mapper/cryptkey
mount {VM}-part6 /mnt
mkdir -p {system}
touch {system}/init {system}/kernel {system}/initrd
udevadm settle
sync
""")
    assert machine.differing() == {}
    machine.guest.succeed(f"""\
rm {system}/kernel
mkswap -q /dev/mapper/cryptkey
sync
sgdisk -c4:home {VM}
""")
    assert machine.differing() == {
        "2 luks key, cryptkey, content": "swap",
        "4 data, label": "'home'",
        "system, x-nixos": "missing: kernel",
    }
