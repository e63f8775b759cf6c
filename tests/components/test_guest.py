"""The guest that other tests stand on: what it promises in its docstring, and that it tells of what goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from guest import Drive, Guest, GuestError
from loop_devices import blank
from programs import need

if TYPE_CHECKING:
    from pathlib import Path


def test_disks_by_name_and_what_the_power_took(tmp_path: Path) -> None:
    need("sgdisk", "mkfs.ext4")
    inside = blank(tmp_path / "inside", 64 << 20)
    stick = blank(tmp_path / "stick", 32 << 20)
    disks = [Drive(inside, "first"), Drive(stick, "second", "usb")]
    with Guest(disks, modules=["dm_verity"]) as guest:
        names = guest.succeed("ls /dev/disk/by-id").split()
        assert names == ["usb-QEMU_QEMU_HARDDISK_second-0:0", "virtio-first"]
        assert guest.succeed("test -d /sys/module/dm_verity && cat /sys/block/sda/removable") == "1\n"
        with pytest.raises(GuestError, match="exit status 3 of: echo why; exit 3\nwhy\n"):
            guest.succeed("echo why; exit 3")
        with pytest.raises(GuestError, match="should have failed: true"):
            guest.fail("true")
        assert guest.run("false | true; echo never").status == 1
        guest.succeed(f"""\
sgdisk -n1:0:+16M -c1:data /dev/disk/by-id/virtio-first
udevadm settle
mkfs.ext4 -q /dev/disk/by-partlabel/data
mount /dev/disk/by-id/virtio-first-part1 /mnt
echo kept >/mnt/kept
sync -f /mnt
cmp {tmp_path}/stick /dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_second-0:0
echo seen by both >/shared/file
echo gone >/etc/only-there
""")
        assert (guest.shared / "file").read_text() == "seen by both\n"
        guest.send("for n in {1..1000}; do echo $n; echo $n >/mnt/lost-$n; sleep 0.01; done")
        guest.wait_for("\n5\n")
        guest.kill()
    with Guest(disks) as guest:
        guest.succeed("test ! -e /etc/only-there; mount /dev/disk/by-partlabel/data /mnt")
        assert guest.succeed("cat /mnt/kept; ls /mnt") == "kept\nkept\nlost+found\n"
        with pytest.raises(GuestError, match="no end of: echo begun; sleep 60\nbegun\n"):
            guest.run("echo begun; sleep 60", timeout=1)


def test_a_guest_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    with pytest.raises(GuestError, match="Could not open"), Guest([Drive(tmp_path / "none", "none")]):
        pass
