"""What `flash` decides without a disk: which may be written to, what an image is, how far the work is."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nixwright.cli import flash
from nixwright.cli.main import main
from nixwright.errors import NixwrightError, ToolError
from nixwright.report.progress import Progress
from nixwright.tools import block_devices, image
from nixwright.tools.block_devices import BlockDevice, find, parse, refusals

if TYPE_CHECKING:
    from collections.abc import Callable


def entry(name: str, kind: str = "disk", **more: Any) -> dict[str, Any]:
    """A device as lsblk 2.38 prints it."""
    plain = {"name": name, "path": f"/dev/{name}", "type": kind, "rm": False, "hotplug": False, "ro": False}
    empty = dict.fromkeys(("tran", "model", "serial", "fstype", "label"))
    return plain | {"size": 10**9, **empty, "mountpoints": [None], "maj:min": f"8:{len(name)}"} | more


def device(**more: Any) -> BlockDevice:
    said: dict[str, Any] = {"rm": True} | more
    return parse(json.dumps({"blockdevices": [entry(said.pop("name", "sdb"), **said)]}))[0]


def why(found: BlockDevice, parent: BlockDevice | None = None, pools: set[str] | None = None) -> list[str]:
    return list(refusals(found, parent, pools or set()))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"rm": False}, "is no removable disk"),
        ({"size": 0}, "has no medium in it"),
        ({"ro": True}, "is read-only (a lock on the card?)"),
        ({"mountpoints": ["/media/a"]}, "is mounted at /media/a"),
        ({"mountpoints": ["[SWAP]"]}, "is used as swap"),
        ({"fstype": "zfs_member", "label": "tank"}, "belongs to the ZFS pool tank, which is imported"),
        ({"children": [entry("sdb1", "part", mountpoints=["/"])]}, "holds /dev/sdb1, which is mounted at /"),
        ({"children": [entry("md0", "raid1")]}, "holds /dev/sdb, which is open as /dev/md0"),
        ({"type": "rom"}, "is no disk but a rom"),
    ],
)
def test_a_disk_is_refused_with_its_reason(more: dict[str, Any], reason: str) -> None:
    assert why(device(**more), pools={"tank"}) == [reason]


def test_a_free_removable_disk_is_not_refused() -> None:
    assert why(device()) == []
    assert why(device(rm=False, hotplug=True)) == []
    assert why(device(rm=False, tran="usb")) == []
    assert why(device(fstype="zfs_member", label="tank"), pools={"other"}) == []


def test_a_container_deep_inside_is_found() -> None:
    opened = entry("root", "crypt", path="/dev/mapper/root", mountpoints=["/home"])
    found = device(children=[entry("sdb1", "part", children=[opened])])
    assert why(found) == [
        "holds /dev/sdb1, which is open as /dev/mapper/root",
        "holds /dev/mapper/root, which is mounted at /home",
    ]


def test_a_partition_is_no_disk() -> None:
    disk = device(children=[entry("sdb1", "part", rm=True)])
    found = find([disk], "8:4")
    assert found is not None
    assert found == (disk.children[0], disk)
    assert why(*found) == ["is no disk but a partition of /dev/sdb: name the whole disk"]
    assert find([disk], "9:9") is None


def test_what_lsblk_never_says_is_an_error() -> None:
    for text in ("", "{}", '{"blockdevices": [{"name": "a"}]}', "lsblk: unknown column: MOUNTPOINTS"):
        with pytest.raises(ToolError, match=r"util-linux 2\.37"):
            parse(text)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[BlockDevice]:
    devices: list[BlockDevice] = []
    monkeypatch.setattr(flash, "block_devices", lambda: devices)
    monkeypatch.setattr(flash, "imported_pools", set)
    return devices


def test_without_a_disk_said_the_only_free_one_is_meant(machine: list[BlockDevice]) -> None:
    with pytest.raises(NixwrightError, match="there is no removable disk that is not in use"):
        flash._device(None, fixed=False)
    one, fixed, used = device(), device(rm=False), device(mountpoints=["/"])
    machine += [fixed, one, used]
    assert flash._device(None, fixed=False) is one
    machine.append(device(model="SD Card ", name="sdc", path="/dev/sdc"))
    with pytest.raises(
        NixwrightError, match=r"several disks can be meant, so say which:\n  /dev/sdb  953\.7 MiB\n.*Card"
    ):
        flash._device(None, fixed=False)


def test_of_a_real_machine_only_the_stick_is_offered(machine: list[BlockDevice]) -> None:
    """Recorded with lsblk 2.41 in a QEMU guest: a USB stick beside four virtio disks, the root's among them."""
    machine += parse((Path(__file__).parent / "data/lsblk-usb-stick.json").read_text())
    assert len(machine) == 5
    assert flash._device(None, fixed=False).path == "/dev/sda"
    assert [w[-2:] for w in map(why, machine[1:])] == [
        ["is mounted at /", "is no removable disk"],
        ["is no removable disk"],
        ["is no removable disk"],
        ["is mounted at /usr", "is no removable disk"],
    ]


@pytest.mark.parametrize("said", ["/dev/null", "/dev/no-such-disk", "/etc/passwd"])
def test_what_is_no_disk(tmp_path: Path, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "i").write_bytes(b"x")
    assert main(["flash", str(tmp_path / "i"), said]) == 2
    told = capsys.readouterr().err
    assert told in {f"nixwright: {said} is no disk\n", f"nixwright: {said}: No such file or directory\n"}


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}


@settings(deadline=None)  # a disk that is busy is no failure
@given(st.binary(min_size=1, max_size=200_000), st.sampled_from(sorted(PACKERS)))
def test_every_prefix_of_an_archive_is_told_from_the_whole(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, packer: str
) -> None:
    path = tmp_path_factory.mktemp("image") / "image"
    packed = PACKERS[packer](data)
    path.write_bytes(packed)
    assert b"".join(image.blocks(path)) == data
    assert image.measure(path) == len(data)
    path.write_bytes(packed[: -1 - len(data) % 7])
    with pytest.raises(ToolError, match=r"is cut short|is damaged"):
        image.measure(path)


def test_images_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "zip").write_bytes(b"PK\x03\x04rest")
    (tmp_path / "void").write_bytes(gzip.compress(b""))
    for name, message in {
        "missing": "there is no such file",
        "": "is no file",
        "empty": "is empty",
        "zip": "is a zip archive",
        "void": "is empty inside",
    }.items():
        with pytest.raises(ToolError, match=message):
            image.measure(tmp_path / name)


def test_a_block_that_was_damaged_is_told(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(bytes(range(256)) * 100))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "i").write_bytes(packed)
    with pytest.raises(ToolError, match=r"is damaged|is cut short"):
        image.measure(tmp_path / "i")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal() -> None:
    times, stream = iter([0.0, 2.0, 2.1, 4.0]), Terminal()
    progress = Progress("writing", 4 << 20, stream, lambda: next(times))
    progress(1 << 20)
    progress(2 << 20)
    progress(4 << 20)
    assert stream.getvalue() == (
        "\r\033[Kwriting    ███████·······················  25 %  512.0 KiB/s  0:06 left"
        "\r\033[Kwriting    ██████████████████████████████ 100 %  1.0 MiB/s  0:00 left\n"
    )


def test_progress_is_lines_in_a_pipe() -> None:
    stream = io.StringIO()
    progress = Progress("verifying", 1000, stream)
    for done in range(0, 1001, 50):
        progress(done)
    assert stream.getvalue().splitlines() == [f"verifying: {p} % of 1000 B" for p in range(10, 101, 10)]


def test_pools_that_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_devices, "_POOLS", tmp_path / "zfs")
    assert block_devices.imported_pools() == set()
    (tmp_path / "zfs/tank").mkdir(parents=True)
    (tmp_path / "zfs/arcstats").touch()
    assert block_devices.imported_pools() == {"tank"}
