"""ZFS labels, read from members that OpenZFS 2.4 made; `zdb -l` and `blkid` said there what is said here."""

from __future__ import annotations

import lzma
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from nixwright.probe import zfs
from nixwright.probe.compare import Look, _content, _Seen
from nixwright.probe.reader import open_reader
from nixwright.tools import signatures

DATA = Path(__file__).parent / "data"
LABEL = 256 << 10
MIB = 1 << 20
ZDB: dict[str, Any] = {"pool": "tank", "guid": 11574286286441957497, "host_id": 3735928559, "ashift": 12}


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return unpacked("zfs-exported", tmp_path)


def unpacked(name: str, directory: Path) -> Path:
    path = directory / name
    path.write_bytes(lzma.decompress((DATA / f"{name}.img.xz").read_bytes()))
    return path


def member(path: Path) -> zfs.Member | None:
    with open_reader(str(path)) as reader:
        return zfs.read(reader)


def test_an_exported_pool(exported: Path) -> None:
    assert member(exported) == zfs.Member(**ZDB, exported=True, copies=4)


def test_a_pool_in_use(tmp_path: Path) -> None:
    found = member(unpacked("zfs-in-use", tmp_path))
    assert found is not None
    assert (found.pool, found.exported, found.copies) == ("tank", False, 4)


def test_labels_that_are_gone_are_counted(exported: Path) -> None:
    whole = bytearray(exported.read_bytes())
    for number, at in enumerate((0, LABEL, len(whole) - 2 * LABEL, len(whole) - LABEL), 1):
        whole[at : at + LABEL] = bytes(LABEL)
        exported.write_bytes(whole)
        found = member(exported)
        assert (found.copies if found else 0) == 4 - number


def test_nothing_but_noise_is_no_member(tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(bytes(range(256)) * (8 * MIB // 256))
    assert member(path) is None
    path.write_bytes(b"\1" * 8 * MIB)
    assert member(path) is None


HOST: dict[str, Any] = {
    "host_id": "deadbeef",
    "pools": [
        {
            "name": "tank",
            "ashift": 12,
            "mounts": "legacy",
            "datasets": [
                {"name": "tank/nix", "at": "/nix", "wiped": False},
                {"name": "tank/root", "at": "/", "wiped": True},
            ],
        }
    ],
}
STATE = {"health": "ONLINE"}
THERE = {
    "tank/nix": {"mountpoint": "legacy", "canmount": "on"},
    "tank/root": {"mountpoint": "legacy", "canmount": "on"},
    "tank/root@blank": {"mountpoint": "-", "canmount": "-"},
}


def rows(
    path: Path, host: dict[str, Any] | None = None, there: dict[str, dict[str, str]] | None = None, pool: str = "tank"
) -> dict[str, tuple[str, str]]:
    look = Look(
        kind_of=lambda _: "",
        opened=lambda *_: nullcontext(None),
        boot_files=lambda _: None,
        datasets=lambda _: there,
        health=lambda _: STATE["health"],
        mounted=lambda _: None,
    )
    with open_reader(str(path)) as reader:
        found = _content(_Seen(host or HOST, None), "1 root", {"kind": "zfs_member", "pool": pool}, reader, look)
        return {r.subject.removeprefix("1 root, content").lstrip(", "): (r.state, r.found) for r in found}


def test_a_member_as_the_host_file_says(exported: Path) -> None:
    assert rows(exported) == {"": ("holds", ""), "datasets": ("not seen", "")}
    assert rows(exported, there=THERE) == dict.fromkeys(("", "tank/nix", "tank/root"), ("holds", ""))


def test_a_member_that_another_machine_holds(tmp_path: Path) -> None:
    used = unpacked("zfs-in-use", tmp_path)
    assert "state" not in rows(used)
    state = rows(used, HOST | {"host_id": "12345678"})["state"]
    assert state == ("differs", "still held by host deadbeef: zpool import tank there, zpool export tank")


def test_a_member_of_another_pool_and_one_of_other_sectors(exported: Path) -> None:
    other = {"pools": [HOST["pools"][0] | {"name": "pool"}]}
    assert rows(exported, HOST | other, pool="pool") == {"": ("differs", "member of pool tank")}
    assert rows(exported, HOST | {"pools": [HOST["pools"][0] | {"ashift": 13}]})["ashift"] == ("differs", "12")


@pytest.mark.parametrize(
    ("change", "subject", "said"),
    [
        ({"tank/nix": None}, "tank/nix", "no such dataset"),
        ({"tank/nix": {"mountpoint": "/x", "canmount": "on"}}, "tank/nix", "mountpoint /x, canmount on"),
        ({"tank/root@blank": None}, "tank/root", "none"),
    ],
)
def test_datasets_that_are_not_as_described(exported: Path, change: dict[str, Any], subject: str, said: str) -> None:
    there = {name: values for name, values in (THERE | change).items() if values is not None}
    assert rows(exported, there=there)[subject] == ("differs", said)


def test_a_pool_that_is_not_well(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STATE, "health", "DEGRADED")
    assert rows(exported, there=THERE)["health"] == ("differs", "DEGRADED")


def test_a_pool_that_is_imported_below_another_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenZFS 2.4 said it of a pool made with -R /tmp/mnt."""
    for name, text in {
        "zpool": "case $1 in get) echo /tmp/mnt;; list) echo ONLINE;; esac",
        "zfs": "printf '%s\\t%s\\ton\\n' tank none tank/root /tmp/mnt tank/nix /tmp/mnt/nix tank/x legacy",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(signatures, "imported_pools", lambda: {"tank"})
    found = signatures.datasets("tank") or {}
    assert {name: values["mountpoint"] for name, values in found.items()} == {
        "tank": "none",
        "tank/root": "/",
        "tank/nix": "/nix",
        "tank/x": "legacy",
    }
    assert signatures.health("tank") == "ONLINE"
    assert signatures.datasets("other") is None
