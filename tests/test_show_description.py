"""A host as plain data, as it comes back from the child that loads its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from nixwright.load import Loaded, load

ROOT = Path(__file__).parent.parent
MIB = 1024**2


@pytest.fixture(scope="module")
def pibox() -> Loaded:
    """The PiBox of hosts/, described."""
    (loaded,) = load([ROOT / "hosts/pibox.py"], ROOT, about=True)
    return loaded


def test_nothing_is_described_unless_asked_for() -> None:
    (loaded,) = load([ROOT / "hosts/pibox.py"], ROOT)
    assert loaded.files
    assert loaded.about == {}


def test_disks_are_told_to_the_byte(pibox: Loaded) -> None:
    (disk,) = pibox.about["disks"]
    ends = [(p["start"], p["size"]) for p in disk["partitions"]]
    assert ends == [
        (1 * MIB, 1023 * MIB),
        (1024 * MIB, 32 * MIB),
        (1056 * MIB, 8192 * MIB),
        (9248 * MIB, None),  # the rest of a disk whose size is not said
    ]
    root = disk["partitions"][3]
    assert root["device"] == f"{disk['device']}-part4"
    assert root["content"]["ways"] == ["passphrase", "/keyfile"]
    assert root["content"]["content"] == {"kind": "zfs_member", "pool": "tank"}


def test_containers_say_who_is_asked(pibox: Loaded) -> None:
    files = {c["name"]: c["passphrase_file"] for c in pibox.about["containers"]}
    assert files == {
        "cryptkey": "/run/luks-keys/cryptkey.passphrase",
        "cryptswap": None,
        "cryptroot": "/run/luks-keys/cryptroot.passphrase",
    }


def test_mounts_are_the_layouts_and_the_boards(pibox: Loaded) -> None:
    mounts = {m["path"]: m for m in pibox.about["mounts"]}
    assert [p for p, m in mounts.items() if m["wiped"]] == ["/"]
    assert mounts["/boot"]["by"] == "PiBox.firmware_volume_id"
    assert mounts["/home/ivan"]["inside"] == ["cryptroot"]
    assert pibox.about["survival"]["wiped"][-1] == {"path": "/var", "but": ["/var/lib", "/var/log/journal"]}


def test_secrets_are_places(pibox: Loaded) -> None:
    places = {s["what"]: s["where"] for s in pibox.about["secrets"]}
    assert places == {
        "passphrase of cryptkey": "typed at boot",
        "passphrase of cryptroot": "typed at boot, only where the key file fails",
        "password of ivan": "/persist/passwords/ivan",
        "ssh host key of stage 1": "/persist/etc/ssh/initrd_ssh_host_ed25519_key",
    }


def test_a_default_says_what_it_comes_to(pibox: Loaded) -> None:
    parts = {p["kind"]: p for p in pibox.about["parts"]}
    assert "/persist/etc/ssh/ssh_host_ed25519_key" in parts["Ssh"]["defaults"]["host_key"]
    assert "port" not in parts["RemoteUnlock"]["defaults"]


def test_the_steps_are_those_of_the_install_page(pibox: Loaded) -> None:
    page = pibox.files["modules/pibox/INSTALL.md"]
    titles = [s["title"] for s in pibox.about["steps"]]
    assert [line[4:] for line in page.splitlines() if line.startswith("### ")] == titles
