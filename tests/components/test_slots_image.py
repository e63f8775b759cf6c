"""Slot A as the image has it, and what real systemd-repart makes of it at first boot, on files; the squashfs, too."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from guest import Drive, Guest
from layout_slots import emmc, told_by_repart
from loop_devices import blank
from nixwright.layout.image import image_size, table_script
from nixwright.layout.model import Layout
from nixwright.parts.overlay_root import slot_rules
from programs import need

DISK = 3 << 30
GAP, SLOT_A = (64 * 512, 16 << 20), (16 << 20, 1168 << 20)
SQUASHFS = Path(__file__).parents[2] / "pylib/src/nixwright/parts/programs/squashfs.sh"


def flashed(path: Path, script: str) -> Path:
    """A disk with the image's table, random bytes in the gap and at the start of slot A, and room behind."""
    blank(path, image_size(emmc()))
    subprocess.run(["sfdisk", "--quiet", path], input=script, check=True, text=True, stdout=subprocess.DEVNULL)
    with path.open("r+b") as file:
        for start, end in (GAP, (SLOT_A[0], SLOT_A[0] + (1 << 20)), (144 << 20, 145 << 20)):
            file.seek(start)
            file.write(os.urandom(end - start))
    os.truncate(path, DISK)
    return path


def digest(path: Path, span: tuple[int, int]) -> str:
    """What stands in a run of bytes: each piece that is not all zeros, with its place. Holes are not read."""
    found, at, piece = hashlib.sha256(), span[0], 1 << 20
    with path.open("rb") as file:
        while at < span[1]:
            with contextlib.suppress(OSError):  # nothing but a hole from here
                at = max(at, os.lseek(file.fileno(), at, os.SEEK_DATA) // piece * piece)
            data = os.pread(file.fileno(), min(piece, span[1] - at), at)
            if data.strip(b"\0"):
                found.update(f"{at} ".encode() + data)
            at += len(data)
    return found.hexdigest()


def repart(path: Path, parts: dict[str, Any], *arguments: str) -> str:
    """Run systemd-repart as stage 1 does."""
    directory = path.parent / "repart.d"
    directory.mkdir(exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    for name, values in parts.items():
        lines = "".join(f"{k}={v}\n" for k, v in values.items())
        (directory / f"{name}.conf").write_text(f"[Partition]\n{lines}")
    argv = ["systemd-repart", f"--definitions={directory}", "--dry-run=no", "--empty=refuse", *arguments, str(path)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if "Failed to make loopback device" in done.stderr:
        pytest.skip("needs loop devices (root, and a kernel that has them)")
    assert done.returncode == 0, done.stderr
    return done.stderr


def table(path: Path) -> dict[str, tuple[int, int]]:
    """Label to start and size, in MiB; the end of the last is rounded down."""
    listed = subprocess.run(["sfdisk", "--dump", path], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"start= *(\d+), size= *(\d+),.*name=\"([^\"]+)\"", listed)
    return {name: (int(start) // 2048, int(size) // 2048) for start, size, name in found}


WHOLE = {
    "boot-a": (16, 128),
    "rootfs-a": (144, 1024),
    "boot-b": (1168, 128),
    "rootfs-b": (1296, 1024),
    "data": (2320, 3 * 1024 - 2320 - 1),
}


def test_the_first_boot_makes_slot_b_and_data_and_touches_nothing_else(tmp_path: Path) -> None:
    need("systemd-repart", "sfdisk", "mkfs.vfat", "mkfs.f2fs", "blkid")
    disk = flashed(tmp_path / "disk", table_script(emmc(), "rock64"))
    parts = told_by_repart(Layout.of([emmc()]))
    before = digest(disk, GAP), digest(disk, SLOT_A)
    repart(disk, parts, "--discard=no")
    assert table(disk) == WHOLE
    assert (digest(disk, GAP), digest(disk, SLOT_A)) == before
    for label, kind in (("boot-b", "vfat"), ("data", "f2fs")):
        probe = ["blkid", "--probe", "--offset", str(WHOLE[label][0] << 20), "-o", "value", "-s", "TYPE", str(disk)]
        assert subprocess.run(probe, check=True, capture_output=True, text=True).stdout.strip() == kind
    again = digest(disk, (0, DISK))
    assert "No changes." in repart(disk, parts, "--discard=no")
    assert digest(disk, (0, DISK)) == again


def test_with_another_table_the_gap_lives_by_discard_alone(tmp_path: Path) -> None:
    """The sabotage: what systemd-repart does by itself, where the table counts the gap as free."""
    need("systemd-repart", "sfdisk", "mkfs.vfat", "mkfs.f2fs")
    script = re.sub(r"first-lba: \d+", "first-lba: 34", table_script(emmc(), "rock64"))
    parts = told_by_repart(Layout.of([emmc()]))
    for argument, kept in (("--discard=no", True), ("--discard=yes", False)):
        disk = flashed(tmp_path / "disk", script)
        before = digest(disk, GAP)
        repart(disk, parts, argument)
        assert (digest(disk, GAP) == before) is kept
    disk = flashed(tmp_path / "disk", table_script(emmc(), "rock64"))
    before = digest(disk, GAP)
    repart(disk, parts, "--discard=yes")
    assert digest(disk, GAP) == before  # the image's own table hides the gap


def test_real_udev_names_the_partitions_of_the_slot_that_booted(tmp_path: Path) -> None:
    need("sfdisk")
    slots = Layout.of([emmc()])
    disk = blank(tmp_path / "card", 4 << 30)
    with Guest(disks=[Drive(disk, "card", "sd")], kernel="rauc.slot=boot.1") as guest:
        (guest.shared / "90-slots.rules").write_text(slot_rules(slots, 'KERNELS=="mmcblk0"'))
        (guest.shared / "table").write_text(table_script(emmc(), "rock64"))
        # those of slot B as first boot adds them, small
        guest.succeed(
            "mkdir -p /run/udev/rules.d && cp /shared/90-slots.rules /run/udev/rules.d && udevadm control --reload\n"
            "sfdisk --quiet /dev/mmcblk0 </shared/table\n"
            "printf 'size=1MiB\\n%.0s' 1 2 | sfdisk --quiet --append /dev/mmcblk0 && udevadm settle"
        )
        found = guest.succeed("readlink -f /dev/disk/by-slot/boot /dev/disk/by-slot/root").split()
    assert found == ["/dev/mmcblk0p3", "/dev/mmcblk0p4"]


def test_with_slot_a_left_out_slot_b_never_comes(tmp_path: Path) -> None:
    """The other sabotage: what is told of slot B would be taken for slot A."""
    need("systemd-repart", "sfdisk", "mkfs.vfat", "mkfs.f2fs")
    disk = flashed(tmp_path / "disk", table_script(emmc(), "rock64"))
    parts = told_by_repart(Layout.of([emmc()]))
    repart(disk, {k: v for k, v in parts.items() if not k.startswith(("10-", "20-"))}, "--discard=no")
    assert "boot-b" not in table(disk)
    assert table(disk) != WHOLE


def store(directory: Path) -> Path:
    """Two store paths, and the file that names them."""
    small, large = directory / "aaaa-system", directory / "bbbb-library"
    for path, size in ((small, 10), (large, 3 << 20)):
        path.mkdir()
        (path / "file").write_bytes(os.urandom(size))
    paths = directory / "store-paths"
    paths.write_text(f"{small}\n{large}\n")
    return paths


def test_the_squashfs_has_each_path_at_its_place_and_what_boot_mounts(tmp_path: Path) -> None:
    need("mksquashfs")
    out = tmp_path / "root.squashfs"
    subprocess.run(["bash", SQUASHFS, store(tmp_path), str(8 << 20), "3", out], check=True, capture_output=True)
    listed = subprocess.run(["unsquashfs", "-ll", out], check=True, capture_output=True, text=True).stdout
    modes = {line.split()[-1].removeprefix("squashfs-root"): line.split()[:2] for line in listed.splitlines() if line}
    assert modes[f"{tmp_path}/bbbb-library/file"][1] == "root/root"
    assert {"/dev", "/proc", "/sys", "/run", "/etc", "/var", "/boot", "/data", "/usr/bin"} <= modes.keys()
    assert modes["/root"][0] == "drwx------"


def test_a_squashfs_that_is_too_large_says_by_how_much_and_what_is_largest(tmp_path: Path) -> None:
    need("mksquashfs")
    out = tmp_path / "root.squashfs"
    done = subprocess.run(
        ["bash", SQUASHFS, store(tmp_path), str(1 << 20), "3", out], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    said = re.search(r"has (\d+) bytes, and the root slot takes (\d+): (\d+) \((\d+) MiB\) too many", done.stderr)
    assert said is not None, done.stderr
    size, limit, over = (int(said[i]) for i in (1, 2, 3))
    assert (limit, over) == (1 << 20, size - limit)
    assert done.stderr.index("bbbb-library") < done.stderr.index("aaaa-system")
    assert not out.exists()
