"""`verify-disk` on a disk with slots: as it is flashed, as the first boot leaves it, and with something missing."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from host_project import project  # noqa: F401 - a fixture
from layout_slots import emmc
from loop_devices import blank
from nixwright.layout.image import image_size, table_script
from programs import need

if TYPE_CHECKING:
    from pathlib import Path

    from host_project import Project

HOST = """\
from nixwright import Host, User
from nixwright.boards.rock64 import EMMC, U_BOOT, Rock64
from nixwright.layout import GPT, REST, Disk, F2fs, MiB, Partition, Slots
from nixwright.parts.overlay_root import OverlayRoot

slots = Slots(boot=MiB(128), root=MiB(1024), start=MiB(16))
data = Partition("data", REST, F2fs("/data"), at_first_boot=True)
host = Host(
    name="vm",
    state_version="26.05",
    board=Rock64(),
    disks=[Disk(EMMC, GPT(*U_BOOT, slots, data))],
    parts=[OverlayRoot()],
    users=[User("root", ssh_keys=["KEY"])],
)
""".replace("KEY", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL ivan@laptop")
MIB = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Slot A with real file systems, and something where the boot ROM looks."""
    need("sfdisk", "mkfs.vfat", "mksquashfs", "blkid", "sgdisk", "mkfs.f2fs", "mcopy")
    disk = blank(tmp_path / "disk", image_size(emmc()))
    script = table_script(emmc(), "vm")
    subprocess.run(["sfdisk", "--quiet", disk], input=script, check=True, text=True, stdout=subprocess.DEVNULL)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "init").write_text("x")
    root = tmp_path / "root"
    subprocess.run(["mksquashfs", tmp_path / "tree", root, "-quiet", "-no-progress"], check=True, capture_output=True)
    put(disk, {64 * 512: b"loader", 16384 * 512: b"u-boot", 144 * MIB: root.read_bytes()})
    put(disk, {16 * MIB: made(tmp_path / "boot", 128, "mkfs.vfat")})
    return disk


def made(path: Path, mib: int, *mkfs: str) -> bytes:
    subprocess.run([*mkfs, blank(path, mib * MIB)], check=True, capture_output=True)
    return path.read_bytes()


def put(disk: Path, pieces: dict[int, bytes]) -> None:
    with disk.open("r+b") as file:
        for at, data in pieces.items():
            file.seek(at)
            file.write(data)


def rows(project: Project, disk: Path) -> dict[str, tuple[str, str]]:  # noqa: F811 - pytest's way
    project.host(HOST, "vm")
    answer = project.run("verify-disk", "hosts/vm.py", str(disk), "--json")
    return {r["subject"]: (r["state"], r["found"]) for r in json.loads(answer.out)["rows"]}


def test_as_it_is_flashed(project: Project, image: Path) -> None:  # noqa: F811
    found = rows(project, image)
    assert {s for s, (state, _) in found.items() if state == "differs"} == set()
    assert found["1 boot-a, content"][0] == found["2 rootfs-a, content"][0] == "holds"
    assert {found[name][0] for name in ("3 boot-b", "4 rootfs-b", "5 data", "u-boot.itb")} == {"not seen"}


def test_what_is_missing_of_slot_a_and_of_the_boot_loader_is_told(project: Project, image: Path) -> None:  # noqa: F811
    put(image, {64 * 512: bytes(512), 144 * MIB: bytes(MIB)})
    found = rows(project, image)
    assert {s for s, (state, _) in found.items() if state == "differs"} == {"idbloader.img", "2 rootfs-a, content"}


def test_as_the_first_boot_leaves_it(project: Project, image: Path, tmp_path: Path) -> None:  # noqa: F811
    with image.open("r+b") as file:
        file.truncate(3 << 30)
    grow = ["sgdisk", "-e", "-n3:1168M:+128M", "-c3:boot-b", "-t3:ea00", "-n4:1296M:+1024M", "-c4:rootfs-b", "-t4:8305"]
    subprocess.run([*grow, "-n5:2320M:0", "-c5:data", str(image)], check=True, capture_output=True)
    put(image, {1168 * MIB: made(tmp_path / "b", 128, "mkfs.vfat")})
    put(image, {2320 * MIB: made(tmp_path / "d", 100, "mkfs.f2fs", "-q")})
    found = rows(project, image)
    assert {s for s, (state, _) in found.items() if state == "differs"} == set()
    assert found["5 data, content"][0] == "holds"
    assert found["4 rootfs-b, content"][0] == "not seen"  # empty until the first update
