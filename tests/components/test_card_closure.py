"""The bootstrap card is small: what it must not have is not even among what it is built from."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from programs import need, nixpkgs

if TYPE_CHECKING:
    from collections.abc import Sequence

CARD = Path(__file__).parents[2] / "modules/pi4-sd"
# Samba comes with CIFS, ffmpeg and WebKit with NetworkManager's VPN plugins, and an image has all firmware by default.
_NAMES = "samba|cifs-utils|ffmpeg|webkitgtk|openvpn|openconnect|vpnc|linux-firmware|xfsprogs|btrfs-progs"
FORBIDDEN = re.compile(f"-({_NAMES})-")
FACTS = """
let
  system = import (NIXPKGS + "/nixos/lib/eval-config.nix") { system = null; modules = [ MODULES ]; };
  inherit (system) config;
  named = map (p: p.pname or p.name);
in
{
  inherit (config) warnings;
  failed = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
  modules = config.boot.kernelModules;
  systems = builtins.attrNames (system.lib.filterAttrs (_: on: on) config.boot.supportedFilesystems);
  plugins = named config.networking.networkmanager.plugins;
  firmware = CONTENTS;
  root = config.fileSystems."/".fsType;
  image = config.image.fileName;
}
"""


def nix(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def modern() -> None:
    """Skip the test without a Nix that nixpkgs takes (lib/minver.nix)."""
    need("nix-instantiate")
    nixpkgs()
    version = re.search(r"(\d+)\.(\d+)", nix("nix-instantiate", "--version"))
    if version is None or (int(version[1]), int(version[2])) < (2, 18):
        pytest.skip("needs Nix 2.18, as nixpkgs does")


def facts(modules: Sequence[str]) -> dict[str, Any]:
    """What the configuration evaluates to; `modules` are Nix expressions."""
    listed = f"{{ imports = [ {' '.join(modules)} ]; }}"
    text = FACTS.replace("NIXPKGS", str(nixpkgs())).replace("MODULES", listed)
    text = text.replace("CONTENTS", "config.sdImage.populateFirmwareCommands")
    found: dict[str, Any] = json.loads(nix("nix-instantiate", "--eval", "--strict", "--json", "-E", text))
    return found


def built_from(modules: Sequence[str]) -> list[str]:
    """All derivations that the system is built from: more than its closure, which is known only once it is built."""
    listed = f"{{ imports = [ {' '.join(modules)} ]; }}"
    expression = f'(import ({nixpkgs()} + "/nixos/lib/eval-config.nix") {{ system = null; modules = [ {listed} ]; }})'
    drv = nix("nix-instantiate", "-E", f"{expression}.config.system.build.toplevel").strip()
    return nix("nix-store", "--query", "--requisites", drv.partition("!")[0]).split()


def test_the_card_evaluates() -> None:
    modern()
    found = facts([str(CARD)])
    assert (found["warnings"], found["failed"]) == ([], [])
    assert "brcmfmac" in found["modules"]
    assert found["systems"] == ["vfat", "zfs"]
    assert found["plugins"] == []
    assert {"start4.elf", "u-boot-rpi4.bin", "armstub8-gic.bin", "config.txt"} <= set(
        re.findall(r"[\w-]+\.(?:elf|bin|txt)", found["firmware"])
    )
    assert (found["root"], found["image"]) == ("ext4", "pi4-sd.img.zst")


def test_nothing_large_is_built_into_it() -> None:
    modern()
    names = built_from([str(CARD)])
    assert any("-raspberrypi-wireless-firmware-" in n for n in names)
    assert any(re.search(r"-zfs-kernel-|-zfs-user-", n) for n in names)
    assert [n for n in names if FORBIDDEN.search(n)] == []


@pytest.mark.parametrize(
    "settings",
    [
        '{ boot.supportedFilesystems = (import NIXPKGS/lib).mkOverride 10 [ "cifs" ]; }',
        "{ hardware.enableRedistributableFirmware = true; }",
        "({ pkgs, ... }: { networking.networkmanager.plugins = [ pkgs.networkmanager-openvpn ]; })",
    ],
)
def test_what_is_large_is_seen(settings: str) -> None:
    modern()
    names = built_from([str(CARD), settings.replace("NIXPKGS", str(nixpkgs()))])
    assert [n for n in names if FORBIDDEN.search(n)] != []
