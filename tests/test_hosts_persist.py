"""Single paths that stay on a wiped root: what is printed, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from nixwright.errors import MistakeError
from nixwright.layout import ESP, GPT, REST, Dataset, Disk, GiB, Partition, Zpool
from nixwright.layout.model import Layout
from nixwright.parts.facts import KeptPath
from nixwright.parts.persist import KeptDirectory, Persist
from parts_host import NixSnapshot, context, printed, told

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion


def layout(**persist: Any) -> Layout:
    pool = Zpool(
        "rpool",
        [
            Dataset("local/root", at="/", wiped=True),
            Dataset("local/nix", at="/nix"),
            Dataset("safe/home", at="/home"),
            Dataset("safe/persist", **{"at": "/persist", **persist}),
        ],
    )
    return Layout.of(
        [Disk("/dev/disk/by-id/virtio-x", GPT(Partition("EFI", GiB(1), ESP()), Partition("root", REST, pool.member())))]
    )


FULL = Persist(
    directories=[
        "/var/lib/nixos",
        KeptDirectory("/var/lib/bluetooth", mode="0700"),
        KeptDirectory("/srv", user="ada", group="users"),
    ],
    etc_files=["/etc/wpa_supplicant/imperative.conf"],
)


def test_what_it_prints(snapshot: SnapshotAssertion) -> None:
    assert printed(FULL, context(FULL, layout=layout())) == snapshot(extension_class=NixSnapshot)


def test_what_stays_is_known_to_others() -> None:
    kept = context(FULL, layout=layout()).all(KeptPath)
    assert [(k.path, k.source, k.is_file) for k in kept] == [
        ("/var/lib/nixos", "/persist/var/lib/nixos", False),
        ("/var/lib/bluetooth", "/persist/var/lib/bluetooth", False),
        ("/srv", "/persist/srv", False),
        ("/etc/wpa_supplicant/imperative.conf", "/persist/etc/wpa_supplicant/imperative.conf", True),
        ("/etc/machine-id", "/persist/etc/machine-id", True),
    ]


def test_a_host_that_keeps_it_right() -> None:
    assert list(FULL.host_rules(context(FULL, layout=layout()))) == []


@pytest.mark.parametrize(
    ("fields", "field", "what"),
    [
        ({"directories": ["var/lib"]}, "Persist.directories[0]", "is no clean absolute path"),
        ({"directories": ["/srv", "/srv"]}, "Persist.directories[1]", "is kept twice"),
        ({"directories": ["/persist/srv"]}, "Persist.directories[0]", "is kept already: it is on /persist"),
        (
            {"etc_files": ["/etc/shadow"]},
            "Persist.etc_files[0]",
            "is written by NixOS, and cannot be kept",
        ),
        ({"etc_files": ["/etc/machine-id"]}, "Persist.etc_files[0]", "has a field of its own"),
        ({"etc_files": ["/var/lib/x/state"]}, "Persist.etc_files[0]", "is no file that a link can stand for"),
        ({"at": "persist"}, "Persist.at", "is no clean absolute path"),
    ],
)
def test_fields_that_are_refused(fields: dict[str, Any], field: str, what: str) -> None:
    with pytest.raises(MistakeError) as caught:
        Persist(**fields)
    assert [told(m)[:2] for m in caught.value.mistakes] == [[field, what]]


def test_a_mode_that_is_none() -> None:
    with pytest.raises(MistakeError) as caught:
        KeptDirectory("/srv", mode="u=rwx")
    assert [m.field for m in caught.value.mistakes] == ["KeptDirectory.mode"]


@pytest.mark.parametrize(
    ("persist", "part", "field"),
    [
        ({"wiped": True}, Persist(), "Persist.at"),
        ({"needed_for_boot": False}, Persist(), "Persist.at"),
        ({}, Persist(at="/var/persist"), "Persist.at"),
        ({}, Persist(directories=["/home/ada"]), "Persist.directories[0]"),
        ({}, Persist(directories=["/home"]), "Persist.directories[0]"),
    ],
)
def test_hosts_that_are_refused(persist: dict[str, Any], part: Persist, field: str) -> None:
    found = list(part.host_rules(context(part, layout=layout(**persist))))
    assert [m.field for m in found] == [field]
