"""`flash` on real block devices: what it writes, what it notices, and what it leaves alone."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from loop_devices import blank, loop
from nixwright.cli import flash
from nixwright.cli.main import main
from nixwright.errors import ToolError
from nixwright.tools.block_devices import LSBLK, BlockDevice
from nixwright.tools.disk_writer import open_disk
from nixwright.tools.image import BLOCK, blocks
from programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 24 << 20


@pytest.fixture
def backing(tmp_path: Path) -> Path:
    return blank(tmp_path / "disk", SIZE)


@pytest.fixture
def disk(backing: Path) -> Iterator[str]:
    need("lsblk")
    with loop(backing) as device:
        yield device


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Nine megabytes and a half sector: no block, sector or page ends with it."""
    path = tmp_path / "image.img"
    path.write_bytes(random.Random(1).randbytes((9 << 20) + 100))  # noqa: S311
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("packed", ["", "gzip", "xz", "bzip2", "zstd", "lz4"])
def test_the_disk_holds_the_image_and_the_other_disk_what_it_held(
    disk: str, backing: Path, image: Path, packed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path = image.parent
    other = tmp_path / "other"
    other.write_bytes(bytes(range(256)) * (1 << 14))
    before, given = digest(other), image
    if packed:
        need(packed) if packed in {"zstd", "lz4"} else None
        given = tmp_path / "packed"
        with given.open("wb") as out:
            subprocess.run([packed, "-c", image], check=True, stdout=out)
    with loop(other):
        assert main(["flash", str(given), disk, "--fixed", "--yes", Path(disk).name]) == 0
    said = capsys.readouterr()
    size = image.stat().st_size
    held = backing.read_bytes()
    assert held[:size] == image.read_bytes()
    assert not any(held[size:])
    assert digest(other) == before
    assert "written, and read back alike" in said.out
    assert "writing: 100 % of 9.0 MiB\n" in said.err
    assert "verifying: 80 % of 9.0 MiB" in said.err


def test_a_disk_that_is_not_removable_is_refused(
    disk: str, backing: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digest(backing)
    assert main(["flash", str(image), disk, "--yes", Path(disk).name]) == 2
    assert capsys.readouterr().err == f"nixwright: {disk} is no removable disk. Nothing was written.\n"
    assert digest(backing) == before


def test_the_disk_of_the_running_system_is_refused(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("lsblk")
    listed = json.loads(subprocess.run(LSBLK, check=True, capture_output=True, text=True).stdout)["blockdevices"]
    root = next((d for d in listed if "/" in json.dumps(d) and "/" in d["mountpoints"]), None)
    if root is None or not os.access(root["path"], os.R_OK):
        pytest.skip("needs loop devices (root, and a kernel that has them)")
    assert main(["flash", str(image), root["path"], "--fixed", "--yes", root["name"]]) == 2
    assert f"{root['path']} is mounted at /" in capsys.readouterr().err


def test_a_mounted_disk_is_refused_by_name_and_by_the_kernel(
    tmp_path: Path, disk: str, backing: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    at = tmp_path / "mnt"
    at.mkdir()
    if subprocess.run(["mount", disk, at], check=False).returncode:
        pytest.skip("needs loop devices (root, and a kernel that has them)")
    try:
        os.sync()
        before = digest(backing)
        assert main(["flash", str(image), disk, "--fixed", "--yes", Path(disk).name]) == 2
        assert f"{disk} is mounted at {at}. Nothing was written." in capsys.readouterr().err
        with pytest.raises(ToolError, match="is in use: something of it is mounted"), open_disk(disk, writing=True):
            pass
        assert digest(backing) == before
    finally:
        subprocess.run(["umount", at], check=True)


def test_an_image_that_is_too_large_is_refused_before_a_byte_is_written(
    tmp_path: Path, disk: str, backing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backing_before = digest(backing)
    large = tmp_path / "large.gz"
    with large.open("wb") as out:
        source = subprocess.Popen(["head", "-c", str(SIZE + 1), "/dev/zero"], stdout=subprocess.PIPE)
        subprocess.run(["gzip", "-c"], check=True, stdin=source.stdout, stdout=out)
        source.communicate()
    assert main(["flash", str(large), disk, "--fixed", "--yes", Path(disk).name]) == 2
    assert "and " + disk + " only 24.0 MiB" in capsys.readouterr().err
    assert digest(backing) == backing_before


def test_a_disk_that_ends_early_is_noticed_while_writing(disk: str) -> None:
    with open_disk(disk, writing=True) as opened, pytest.raises(ToolError, match="is too small: it ends after"):
        opened.write(iter([bytes(BLOCK)] * 7))


def test_a_cut_archive_is_refused_before_a_byte_is_written(
    tmp_path: Path, disk: str, backing: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digest(backing)
    for packer in ("gzip", "xz", "bzip2", "zstd", "lz4"):
        need(packer) if packer in {"zstd", "lz4"} else None
        whole = subprocess.run([packer, "-c", image], check=True, capture_output=True).stdout
        cut = tmp_path / f"cut.{packer}"
        cut.write_bytes(whole[: len(whole) // 2])
        assert main(["flash", str(cut), disk, "--fixed", "--yes", Path(disk).name]) == 2, packer
        assert digest(backing) == before, packer
        assert capsys.readouterr().err.splitlines()[-1].startswith("nixwright: ")


def test_a_read_error_while_reading_back_is_noticed(disk: str, backing: Path, image: Path) -> None:
    """The disk loses its second half after it was written: reading there is an I/O error of the kernel's."""
    with open_disk(disk, writing=True) as opened:
        opened.write(blocks(image))
        os.truncate(backing, BLOCK + 4096)
        with pytest.raises(
            ToolError, match=rf"reading back {disk} failed at byte {BLOCK} or after: Input/output error"
        ):
            opened.verify()
    os.truncate(backing, SIZE)


def test_a_write_error_is_noticed(tmp_path: Path, image: Path) -> None:
    """The file behind the disk has no room for all of it: the kernel says so, in words that differ by version."""
    at = tmp_path / "full"
    at.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", at], check=False).returncode:
        pytest.skip("needs loop devices (root, and a kernel that has them)")
    words = r"failed at byte \d+ or after: (Input/output error|No space left)"
    try:
        with (
            loop(blank(at / "disk", SIZE)) as device,
            open_disk(device, writing=True) as opened,
            pytest.raises(ToolError, match=f"writing to {device} {words}"),
        ):
            opened.write(blocks(image))
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)


def test_a_byte_that_changed_is_noticed(disk: str, backing: Path, image: Path) -> None:
    with open_disk(disk, writing=True) as opened:
        opened.write(blocks(image))
        opened.verify()
        with backing.open("r+b") as file:
            file.seek(5 << 20)
            file.write(bytes([file.read(1)[0] ^ 1]))  # the byte after, too, is another: one bit would do
        with pytest.raises(ToolError, match=rf"does not hold what was written, in the {BLOCK} bytes from byte {BLOCK}"):
            opened.verify()


def test_what_is_written_is_on_the_disk_and_not_only_in_memory(disk: str, image: Path) -> None:
    """A stale page of the disk in memory, as an earlier reader leaves it, does not hide what the disk has."""
    Path(disk).read_bytes()
    with open_disk(disk, writing=True) as opened:
        opened.write(blocks(image))
        opened.verify()
    assert Path(disk).read_bytes()[: image.stat().st_size] == image.read_bytes()


def test_a_disk_that_was_swapped_for_another_is_not_written(
    disk: str, backing: Path, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between the question and the write the name came to mean another disk."""
    before = digest(backing)
    stale = BlockDevice(Path(disk).name, disk, "loop", SIZE, removable=True, number="7:999")
    monkeypatch.setattr(flash, "_device", lambda *_, **__: stale)
    assert main(["flash", str(image), disk, "--yes", Path(disk).name]) == 2
    assert "has become another disk: nothing was written" in capsys.readouterr().err
    assert digest(backing) == before


def test_without_the_name_typed_nothing_happens(disk: str, backing: Path, image: Path) -> None:
    before = digest(backing)
    argv = [sys.executable, "-m", "nixwright", "flash", str(image), disk, "--fixed"]
    for typed in ("", "y\n", "yes\n", "sda\n"):
        done = subprocess.run(argv, input=typed, capture_output=True, text=True, check=False)
        assert (done.returncode, digest(backing)) == (2, before)
        assert done.stderr.endswith(f"nixwright: that is not {Path(disk).name}: nothing was done\n")
    done = subprocess.run(argv, input=f"{Path(disk).name}\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert digest(backing) != before


def test_a_dry_run_writes_nothing_and_says_what_it_would(
    tmp_path: Path, disk: str, backing: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("zstd")
    if shutil.which("zstd"):
        subprocess.run(["zstd", "-q", image, "-o", tmp_path / "i.zst"], check=True)
    before = digest(backing)
    assert main(["flash", str(tmp_path / "i.zst"), disk, "--fixed", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"write {image.stat().st_size} bytes from its begin\n" in out
    if sys.version_info < (3, 14):
        assert out.startswith(f"zstd --decompress --stdout < {tmp_path}/i.zst\n")
    assert digest(backing) == before
