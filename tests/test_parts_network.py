from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from nixwright.boards.pibox import PiBox
from nixwright.errors import MistakeError
from nixwright.parts.base import UserView
from nixwright.parts.ethernet import Ethernet
from nixwright.parts.remote_unlock import RemoteUnlock
from nixwright.parts.ssh import Ssh
from parts_host import (
    DISK,
    IVAN,
    KEY,
    MarkdownSnapshot,
    NixSnapshot,
    context,
    pibox_layout,
    plain_layout,
    printed,
    told,
)

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

BOARD = PiBox(firmware_volume_id="1A2B-3C4D")
KEY_PATH = "/persist/etc/ssh/initrd_ssh_host_ed25519_key"
UNLOCK = RemoteUnlock(port=9999, host_key=KEY_PATH)


def test_dhcp(snapshot: SnapshotAssertion) -> None:
    part = Ethernet("eth0", dhcp=True)
    assert printed(part, context(part)) == snapshot(extension_class=NixSnapshot)


def test_a_fixed_address(snapshot: SnapshotAssertion) -> None:
    part = Ethernet("end0", address="192.168.1.4/24", gateway="192.168.1.1", nameservers=["192.168.1.1"])
    assert printed(part, context(part)) == snapshot(extension_class=NixSnapshot)
    host = context(BOARD, part, UNLOCK)
    assert printed(UNLOCK, host) == snapshot(extension_class=NixSnapshot)
    assert "HostName 192.168.1.4\n" in "".join(s.commands for s in UNLOCK.steps(host))


@pytest.mark.parametrize(
    ("fields", "field", "what"),
    [
        ({"interface": "eth 0", "dhcp": True}, "Ethernet.interface", "is no interface name"),
        ({"interface": "eth0"}, "Ethernet.dhcp", "has no way to an address"),
        ({"interface": "eth0", "dhcp": True, "address": "10.0.0.1/8"}, "Ethernet.dhcp", "gets its address in two ways"),
        ({"interface": "eth0", "address": "10.0.0.1"}, "Ethernet.address", "is no address with a prefix"),
        ({"interface": "eth0", "dhcp": True, "gateway": "10.0.0"}, "Ethernet.gateway", "is no IP address"),
        ({"interface": "eth0", "dhcp": True, "nameservers": ["x"]}, "Ethernet.nameservers[0]", "is no IP address"),
    ],
)
def test_addresses_that_are_refused(fields: dict[str, Any], field: str, what: str) -> None:
    with pytest.raises(MistakeError) as caught:
        Ethernet(**fields)
    assert [told(m)[:2] for m in caught.value.mistakes] == [[field, what]]


def test_remote_unlock(snapshot: SnapshotAssertion) -> None:
    host = context(BOARD, Ethernet("eth0", dhcp=True), Ssh(), UNLOCK)
    assert not [*UNLOCK.host_rules(host)]
    assert printed(UNLOCK, host) == snapshot(extension_class=NixSnapshot)
    steps = "\n\n".join(f"## {s.title}\n\n{s.why}\n\n{s.commands}\n\n{s.expect}" for s in UNLOCK.steps(host))
    assert steps == snapshot(extension_class=MarkdownSnapshot)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/nix/store/0000-key", "a private key in the Nix store can be read by everybody"),
        ("./key", "is no absolute path that a shell takes unquoted"),
    ],
)
def test_keys_that_are_refused(path: str, what: str) -> None:
    with pytest.raises(MistakeError) as caught:
        RemoteUnlock(host_key=path)
    assert [told(m)[:2] for m in caught.value.mistakes] == [["RemoteUnlock.host_key", what]]


def test_a_key_that_is_wiped() -> None:
    part = RemoteUnlock(host_key="/etc/ssh/initrd_key")
    assert [told(m) for m in part.host_rules(context(BOARD, part))] == [
        [
            "RemoteUnlock.host_key",
            "does not survive a boot: the next install of a boot loader would find no key",
            "/etc/ssh/initrd_key",
            "a path on a file system that is not wiped",
            f'host_key="{KEY_PATH}"',
        ]
    ]


def test_nothing_to_unlock_nobody_to_do_it_and_a_shared_key() -> None:
    found = UNLOCK.host_rules(context(BOARD, UNLOCK, Ssh(host_key=KEY_PATH), layout=plain_layout(), users=[]))
    assert [told(m)[1] for m in found] == [
        "the root file system is not encrypted: there is nothing to unlock",
        "nobody could unlock: no user in wheel has an SSH key",
        "is the running system's own: it would lie on the unencrypted boot partition",
    ]


def test_only_wheel_unlocks() -> None:
    users = [UserView("guest", (), ("ssh-ed25519 AAAA guest",)), IVAN, UserView("eve", ("wheel",), (KEY,))]
    host = context(BOARD, Ethernet("eth0", dhcp=True), UNLOCK, users=users)
    keys = next(s.value for s in UNLOCK.settings(host) if s.path[-1] == "authorizedKeys")
    assert keys == [KEY]


def test_ssh(snapshot: SnapshotAssertion) -> None:
    assert printed(Ssh(), context(Ssh())) == snapshot(extension_class=NixSnapshot)
    other = Ssh(port=2222)
    assert printed(other, context(other, layout=plain_layout())) == snapshot(extension_class=NixSnapshot)
    assert not [*Ssh().host_rules(context(Ssh()))]


def test_ssh_without_a_way_in() -> None:
    part = Ssh(host_key="/root/key")
    found = [told(m)[:2] for m in part.host_rules(context(part, users=[UserView("ivan", ("wheel",), ())]))]
    assert found == [
        ["Ssh.host_key", "the host key does not survive a boot: clients would refuse the host after each"],
        ["Ssh", "nobody can log in: passwords are off, and no user has an SSH key"],
    ]
    with pytest.raises(MistakeError, match="is no absolute path"):
        Ssh(host_key="key")


def test_the_layout_is_the_pibox() -> None:
    layout = pibox_layout()
    assert layout.disks[0].device == DISK
    assert layout.survives(KEY_PATH)
    assert not layout.survives("/etc/ssh/key")
