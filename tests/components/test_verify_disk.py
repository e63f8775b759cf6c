"""`verify-disk` on disks that sgdisk, cryptsetup and mkfs made, and on what was done to them since."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from disk_images import HOST, MIB, PROGRAMS, STARTS, esp, luks, made, make, poke, put, run
from host_project import project  # noqa: F401 - a fixture
from loop_devices import blank, loop
from nixwright.layout.partition import GUIDS
from nixwright.probe import gpt
from nixwright.probe import luks as luks_header
from nixwright.probe.reader import open_reader
from programs import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from host_project import Answer, Project


@pytest.fixture(scope="session")
def good_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need(*PROGRAMS)
    return make(tmp_path_factory.mktemp("good") / "disk")


@pytest.fixture
def disk(good_disk: Path, tmp_path: Path) -> Path:
    run("cp", "--sparse=always", good_disk, tmp_path / "disk")
    return tmp_path / "disk"


def look(project: Project, disk: Path | str) -> Answer:  # noqa: F811 - pytest's way
    project.host(HOST, "vm")
    return project.run("verify-disk", "hosts/vm.py", str(disk))


def differing(project: Project, disk: Path | str) -> dict[str, tuple[str, str]]:  # noqa: F811
    project.host(HOST, "vm")
    answer = project.run("verify-disk", "hosts/vm.py", str(disk), "--json")
    rows = json.loads(answer.out)["rows"]
    found = {r["subject"]: (r["expected"], r["found"]) for r in rows if r["state"] == "differs"}
    assert answer.status == (1 if found else 0)
    return found


def test_a_disk_that_is_as_described(project: Project, disk: Path) -> None:  # noqa: F811
    before = disk.read_bytes()
    answer = look(project, disk)
    assert answer.status == 0
    assert answer.out.endswith("\n17 hold, 0 differ, 3 not seen.\n")
    assert "holds     1 boot, files, loader/entries/nixos-generation-1.conf: each file that\n" in answer.out
    assert max(map(len, answer.out.splitlines()[1:])) <= 80  # the first names the file
    assert disk.read_bytes() == before


def test_it_is_the_same_on_a_real_device(project: Project, disk: Path) -> None:  # noqa: F811
    with loop(disk) as device:
        assert differing(project, device) == {}


EXT4 = ("mkfs.ext4", "-q")


def damage_both(disk: Path) -> None:
    for at in (5000, 0x4000 + 5000):
        poke(disk, STARTS["swap"] * MIB + at, b"?")


TAMPERED: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "a label": (lambda d: run("sgdisk", "-c6:home", d), {"6 root, label": "'home'"}),
    "a type": (
        lambda d: run("sgdisk", "-t1:8300", d),
        {"1 boot, type": f"8300 ({GUIDS['8300']})"},
    ),
    "a place": (
        lambda d: run("sgdisk", "-d5", "-n5:0:+7M", "-c5:spare swap", "-t5:8200", d),
        {"5 spare swap": "sectors 296960 to 311295 (7.0 MiB)"},
    ),
    "a partition less": (lambda d: run("sgdisk", "-d6", d), {"6 root": "none of this number"}),
    "a partition more": (
        lambda d: run("sgdisk", "-d6", "-n6:0:+20M", "-c6:root", "-n7:0:0", "-c7:more", d),
        {"6 root": "sectors 313344 to 354303 (20.0 MiB)", "7 more": "sectors 354304 to 409566 (27.0 MiB)"},
    ),
    "no table": (lambda d: run("sgdisk", "-Z", d), {"partition table": "none"}),
    "another file system": (
        lambda d: put(d, "data", made(d.parent / "other", 64, *EXT4)),
        {"4 data, content": "ext4"},
    ),
    "no swap": (
        lambda d: poke(d, STARTS["spare swap"] * MIB, bytes(MIB)),
        {"5 spare swap, content": "nothing that is known"},
    ),
    "no container": (
        lambda d: put(d, "swap", made(d.parent / "other", 20, *EXT4)),
        {"3 swap, content": "ext4"},
    ),
    "an old container": (
        lambda d: put(d, "swap", luks(d.parent / "old", version=1)),
        {"3 swap, content": "LUKS1: another version"},
    ),
    "a damaged header": (
        lambda d: poke(d, STARTS["swap"] * MIB + 5000, b"?"),
        {"3 swap, content": "LUKS2: the main header is damaged"},
    ),
    "a second header that is gone": (
        lambda d: poke(d, STARTS["swap"] * MIB + 0x4000, bytes(4096)),
        {"3 swap, content": "LUKS2: the second header is gone"},
    ),
    "both headers damaged": (
        damage_both,
        {"3 swap, content": "LUKS2: both headers are damaged", "3 swap, keys": "0 key slots in use"},
    ),
    "a damaged main table": (
        lambda d: poke(d, 2 * 512 + 3, b"?"),
        {"partition table": "the main table has damaged entries"},
    ),
    "a damaged main header": (
        lambda d: poke(d, 512 + 60, b"?"),
        {"partition table": "the main table has a damaged header"},
    ),
    "a kernel that is gone": (
        lambda d: put(d, "boot", esp(d.parent / "esp", entry="/EFI/nixos/gone.efi")),
        {"1 boot, files, loader/entries/nixos-generation-1.conf": "missing: EFI/nixos/gone.efi"},
    ),
    "no init": (
        lambda d: put(d, "boot", esp(d.parent / "esp", init="quiet")),
        {"1 boot, files, loader/entries/nixos-generation-1.conf": "no init"},
    ),
    "nothing installed": (
        lambda d: put(d, "boot", made(d.parent / "esp", 40, "mkfs.vfat", "-F", "32")),
        {"1 boot, files": "none: NixOS is not installed on it"},
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_disk_that_was_tampered_with(project: Project, disk: Path, what: str) -> None:  # noqa: F811
    tamper, expected = TAMPERED[what]
    shutil.rmtree(disk.parent / "boot-files", ignore_errors=True)
    tamper(disk)
    assert {subject: found for subject, (_, found) in differing(project, disk).items()} == expected


def test_a_larger_disk_has_its_second_table_in_the_middle(project: Project, disk: Path) -> None:  # noqa: F811
    with disk.open("r+b") as file:
        file.truncate(300 * MIB)
    assert differing(project, disk)["partition table"][1] == (
        "the backup table is at sector 409599, not in the last one, 614399: the disk was another"
    )


def test_a_disk_that_is_too_small(project: Project, disk: Path) -> None:  # noqa: F811
    with disk.open("r+b") as file:
        file.truncate(100 * MIB)
    assert differing(project, disk)["disk"] == ("at least 153.0 MiB", "100.0 MiB")


def test_the_answer_says_both_sides(project: Project, disk: Path) -> None:  # noqa: F811
    run("sgdisk", "-c6:home", disk)
    answer = look(project, disk)
    assert answer.status == 1
    assert "DIFFERS   6 root, label\n            host file  'root'\n            disk       'home'\n" in answer.out
    assert "1 differs" in answer.out


def test_what_is_no_disk(project: Project, tmp_path: Path) -> None:  # noqa: F811
    assert look(project, tmp_path / "none").err == f"nixwright: {tmp_path}/none: No such file or directory\n"
    assert look(project, "/dev/null").err == "nixwright: /dev/null is neither a disk nor a file\n"
    assert look(project, blank(tmp_path / "empty", MIB)).status == 1


def test_tables_are_read_as_sgdisk_reads_them(tmp_path: Path) -> None:
    """Fifty tables with random partitions, labels beyond ASCII and types of all codes."""
    need("sgdisk")
    draw = random.Random(7)  # noqa: S311
    codes = [c for c in GUIDS if c != "EF02"]
    for _ in range(50):
        path = blank(tmp_path / "disk", draw.randrange(32, 512) * MIB + draw.randrange(4) * 512)
        numbers = draw.sample(range(1, 100), draw.randint(0, 6))
        labels = {n: draw.choice(["root", "luks key", "Größe №1", "a" * 36, ""]) for n in numbers}
        kinds = {n: draw.choice(codes) for n in numbers}
        command: list[str] = ["sgdisk", "--clear"]
        for n in numbers:
            command += [
                f"--new={n}:0:+{draw.randint(1, 4)}M",
                f"--change-name={n}:{labels[n]}",
                f"--typecode={n}:{kinds[n]}",
            ]
        run(*command, path)
        with open_reader(str(path)) as reader:
            table = gpt.read(reader)
        assert table is not None
        assert table.wrong == ()
        assert {e.number for e in table.entries} == set(numbers)
        for entry in table.entries:
            told = run("sgdisk", f"--info={entry.number}", path)
            assert f"Partition GUID code: {entry.type} " in told
            assert f"unique GUID: {entry.id}\n" in told
            assert f"First sector: {entry.first} " in told
            assert f"Last sector: {entry.last} " in told
            assert entry.type == GUIDS[kinds[entry.number]]
            assert entry.label == labels[entry.number]


def test_a_table_of_4096_byte_sectors(tmp_path: Path) -> None:
    """sgdisk makes one only on a device with such sectors: this one is moved by hand from 512 to 4096."""
    need("sgdisk")
    path = blank(tmp_path / "disk", 64 * MIB)
    with loop(path) as device:
        if subprocess.run(["losetup", "--sector-size", "4096", device], check=False, capture_output=True).returncode:
            pytest.skip("needs loop devices (root, and a kernel that has them)")
        run("sgdisk", "-n1:0:+16M", "-c1:data", device)
        with open_reader(device) as reader:
            on_device = gpt.read(reader)
    with open_reader(str(path)) as reader:
        in_file = gpt.read(reader)
    assert on_device == in_file
    assert on_device is not None
    assert (on_device.sector, on_device.entries[0].first, on_device.entries[0].last) == (4096, 256, 256 + 4095)


def test_no_damage_to_a_header_of_a_table_is_missed(good_disk: Path, tmp_path: Path) -> None:
    path = tmp_path / "begin"
    whole = bytearray(good_disk.read_bytes())
    for at in [*range(512, 512 + 92), *random.Random(3).sample(range(1024, 1024 + 128 * 128), 100)]:  # noqa: S311
        whole[at] ^= 0x5A
        path.write_bytes(whole[: 4 * MIB] + whole[-4 * MIB :])
        with open_reader(str(path)) as reader:
            table = gpt.read(reader)
        assert table is None or any("the main table" in w for w in table.wrong), at
        whole[at] ^= 0x5A


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("ways", [1, 3])
def test_headers_are_read_as_cryptsetup_reads_them(tmp_path: Path, version: int, ways: int) -> None:
    need("cryptsetup")
    path = luks(tmp_path / "c", version=version, ways=ways)
    if version == 2:
        run("cryptsetup", "config", "--label", "my data", path)
    with open_reader(str(path)) as reader:
        header = luks_header.read(reader)
    assert header == luks_header.Header(
        version, run("cryptsetup", "luksUUID", path).strip(), "my data" if version == 2 else "", ways
    )


def test_a_header_that_is_only_at_the_second_place_is_found(tmp_path: Path) -> None:
    need("cryptsetup")
    path = luks(tmp_path / "c")
    uuid = run("cryptsetup", "luksUUID", path).strip()
    poke(path, 0, bytes(0x4000))
    with open_reader(str(path)) as reader:
        header = luks_header.read(reader)
    assert header == luks_header.Header(2, uuid, "", 1, ("the main header is gone",))
    poke(path, 0x4000, bytes(0x4000))
    with open_reader(str(path)) as reader:
        assert luks_header.read(reader) is None


def test_a_header_with_an_absurd_size_is_damaged(tmp_path: Path) -> None:
    need("cryptsetup")
    path = luks(tmp_path / "c")
    poke(path, 8, struct.pack(">Q", 1 << 60))
    with open_reader(str(path)) as reader:
        header = luks_header.read(reader)
    assert header is not None
    assert header.wrong == ("the main header is damaged",)
