"""verify-disk's last question: are the systems that the disk boots in the Nix store on it, with kernel and stage 1."""

from __future__ import annotations

from pathlib import Path

import pytest
from nixwright.probe.boot import inits
from nixwright.probe.closure import closure_rows, store_mount
from nixwright.probe.looks import mounts
from nixwright.tools.boot_files import BootFiles

SYSTEM = "/nix/store/abc-nixos-system-vm"
INIT = f"{SYSTEM}/init"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The root of a disk, mounted at some directory: its links are the host's, and lead nowhere from here."""
    store = tmp_path / "nix/store"
    for name in ("abc-nixos-system-vm", "def-linux", "ghi-initrd"):
        (store / name).mkdir(parents=True)
    (store / "def-linux/bzImage").touch()
    (store / "ghi-initrd/initrd").touch()
    (store / "abc-nixos-system-vm/init").touch()
    (store / "abc-nixos-system-vm/kernel").symlink_to("/nix/store/def-linux/bzImage")
    (store / "abc-nixos-system-vm/initrd").symlink_to("../ghi-initrd/initrd")
    profiles = tmp_path / "nix/var/nix/profiles"
    profiles.mkdir(parents=True)
    (profiles / "system").symlink_to("system-3-link")
    (profiles / "system-3-link").symlink_to(SYSTEM)
    return tmp_path


def rows(at: Path | None, *started: str, mount: str = "/") -> list[tuple[str, str, str, str]]:
    return [(r.state, r.subject, r.expected, r.found) for r in closure_rows("system", started, mount, at)]


WHOLE = "its init, kernel and initrd are in the store on the disk"


def test_a_system_that_a_boot_entry_starts(disk: Path) -> None:
    assert rows(disk, INIT, INIT) == [("holds", "system, abc-nixos-system-vm", WHOLE, "")]


@pytest.mark.parametrize(("mount", "below"), [("/", ""), ("/nix", "nix"), ("/nix/store", "nix/store")])
def test_wherever_the_store_lies(disk: Path, mount: str, below: str) -> None:
    assert rows(disk / below, INIT, mount=mount) == [("holds", "system, abc-nixos-system-vm", WHOLE, "")]


def test_without_boot_entries_it_is_what_was_installed_last(disk: Path) -> None:
    assert rows(disk) == [("holds", "system, as installed", WHOLE, "")]
    assert rows(disk / "nix", mount="/nix") == [("holds", "system, as installed", WHOLE, "")]
    (disk / "nix/var/nix/profiles/system").unlink()
    profile = "/nix/var/nix/profiles/system in the store on the disk"
    assert rows(disk) == [("differs", "system, as installed", profile, "no such path")]


@pytest.mark.parametrize("gone", ["nix/store/def-linux/bzImage", "nix/store/abc-nixos-system-vm/kernel"])
def test_a_kernel_that_is_gone(disk: Path, gone: str) -> None:
    (disk / gone).unlink()
    needed = "init and kernel and initrd"
    assert rows(disk, INIT) == [("differs", "system, abc-nixos-system-vm", needed, "missing: kernel")]


def test_a_system_that_was_collected_as_garbage(disk: Path) -> None:
    gone = "/nix/store/xyz-nixos-system-vm"
    assert rows(disk, f"{gone}/init", INIT) == [
        ("differs", "system, xyz-nixos-system-vm", f"{gone} in the store on the disk", "no such path"),
        ("holds", "system, abc-nixos-system-vm", WHOLE, ""),
    ]


def test_links_that_lead_in_a_circle_or_out_of_the_disk(disk: Path) -> None:
    kernel = disk / "nix/store/abc-nixos-system-vm/kernel"
    for target in ("kernel", "/etc/passwd", "../../../../../../../../etc/passwd"):
        kernel.unlink()
        kernel.symlink_to(target)
        assert rows(disk, INIT)[0][3] == "missing: kernel", target


def test_a_disk_that_is_not_mounted() -> None:
    told = "/nix of the host is not mounted here: mount it, then again"
    assert rows(None, INIT, mount="/nix") == [("not seen", "system", told, "")]


def test_where_the_store_lies() -> None:
    assert store_mount([{"path": p} for p in ("/", "/boot", "/nix", "/nix/store/x")]) == "/nix"
    assert store_mount([{"path": "/boot"}]) is None


def test_what_boot_entries_start(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "loader/entries/nixos-generation-1.conf": f"linux /EFI/k\noptions init={INIT} quiet\n",
        "loader/entries/nixos-generation-2.conf": f"linux /EFI/k\noptions quiet init={INIT}\n",
        "extlinux/extlinux.conf": "LABEL a\n  APPEND init=/nix/store/b-system/init loglevel=4\n  APPEND init=/bin/sh\n",
        "loader/loader.conf": "init=/nix/store/no/init",
    }
    monkeypatch.setattr(BootFiles, "read", lambda _, path: texts[path])
    assert inits(BootFiles("", tuple(texts))) == [INIT, "/nix/store/b-system/init"]
    assert inits(None) == []


def test_mounts_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "36 35 8:17 / /mnt/with\\040space rw,noatime shared:1 master:2 - ext4 /dev/sdb1 rw\n"
        "37 36 8:17 /below /mnt/bound rw - ext4 /dev/sdb1 rw\n"
        "38 36 0:52 / /mnt/nix rw - zfs tank/nix rw,xattr\n"
    )
    assert list(mounts(table)) == [
        ("8:17", "/dev/sdb1", Path("/mnt/with space")),
        ("0:52", "tank/nix", Path("/mnt/nix")),
    ]
