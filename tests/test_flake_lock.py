"""flake.lock says what flake.nix asks for, in the form that Nix itself would write."""

from __future__ import annotations

import base64
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from programs import PROGRAMS

ROOT = Path(__file__).parent.parent
FLAKE = (ROOT / "flake.nix").read_text()
TEXT = (ROOT / "flake.lock").read_text()
LOCK: dict[str, Any] = json.loads(TEXT)
NODES: dict[str, Any] = {name: node for name, node in LOCK["nodes"].items() if name != "root"}
ASKED = dict(re.findall(r'^ +([a-z-]+)(?:\.url = | = \{\n +url = )"([^"]+)";', FLAKE, re.MULTILINE))


def test_it_is_laid_out_as_nix_writes_it() -> None:
    assert json.dumps(LOCK, indent=2, sort_keys=True) + "\n" == TEXT
    assert LOCK["version"] == 7


def test_each_input_of_the_flake_is_locked_to_the_place_it_names() -> None:
    assert set(ASKED) == {"nixpkgs", "disko", "nixos-hardware", "nixos-pibox"}
    assert set(LOCK["nodes"]["root"]["inputs"]) == set(ASKED)
    for name, url in ASKED.items():
        original = NODES[name]["original"]
        ref = f"/{original['ref']}" if "ref" in original else ""
        assert url == f"github:{original['owner']}/{original['repo']}{ref}"


@pytest.mark.parametrize("name", sorted(NODES))
def test_a_pin_is_whole(name: str) -> None:
    locked = NODES[name]["locked"]
    assert re.fullmatch(r"[0-9a-f]{40}", locked["rev"])
    kind, _, digest = locked["narHash"].partition("-")
    assert (kind, len(base64.b64decode(digest, validate=True))) == ("sha256", 32)
    assert {k: NODES[name]["original"][k] for k in ("owner", "repo", "type")} == {
        k: locked[k] for k in ("owner", "repo", "type")
    }


def test_there_is_one_nixpkgs_and_everything_follows_it() -> None:
    assert [name for name, node in NODES.items() if node["locked"]["repo"] == "nixpkgs"] == ["nixpkgs"]
    for name in ("disko", "nixos-hardware", "nixos-pibox"):
        assert NODES[name]["inputs"]["nixpkgs"] == ["nixpkgs"]
        assert re.search(rf'{name} = \{{[^}}]*inputs\.nixpkgs\.follows = "nixpkgs";', FLAKE)


def test_every_node_is_reached() -> None:
    reached, todo = set(), ["root"]
    while todo:
        node = LOCK["nodes"][todo.pop()]
        todo += (names := [i for i in node.get("inputs", {}).values() if isinstance(i, str)])
        reached |= set(names)
    assert reached == set(NODES)


# nixpkgs' name of what a Debian package or a Python requirement brings, where it is another.
NIXPKGS = {
    "cryptsetup-bin": "cryptsetup",
    "dbus-daemon": "dbus",
    "device-tree-compiler": "dtc",
    "dmsetup": "lvm2",
    "dnsmasq-base": "dnsmasq",
    "fdisk": "util-linux",
    "gdisk": "gptfdisk",
    "libubootenv-tool": "ubootTools",
    "mount": "util-linux",
    "nix-bin": "nix",
    "openssh-client": "openssh",
    "openssh-server": "openssh",
    "qemu-system-x86": "qemu_test",
    "qemu-utils": "qemu_test",
    "squashfs-tools": "squashfsTools",
    "u-boot-tools": "ubootTools",
    "udev": "systemd",
}
# Debian's own files, and what is too large for a check: those tests are for Debian
NOT_IN_THE_SANDBOX = {"chromium", "qemu-system-arm", "rauc-service", "u-boot-qemu"}
# nixpkgs has no package of them: mypy does without these types
NOT_IN_NIXPKGS = {"types-jsonschema"}


def test_the_sandbox_has_what_the_tests_drive_and_import() -> None:
    text = (ROOT / "nix" / "test-tools.nix").read_text()
    head, _, lists = text.partition("}:")
    given = set(re.findall(r"^ +(?:p\.)?([A-Za-z0-9_-]+)$", lists, re.MULTILINE))
    assert set(re.findall(r"^  ([A-Za-z0-9_-]+),$", head, re.MULTILINE)) - {"lib", "stdenv", "python3"} <= given
    project = tomllib.loads((ROOT / "pylib" / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    wanted = {m[0] for r in requirements if (m := re.match(r"[a-z-]+", r))} - NOT_IN_NIXPKGS
    wanted |= {NIXPKGS.get(p.package, p.package) for p in PROGRAMS if p.package} - NOT_IN_THE_SANDBOX
    assert wanted - given == set()
