"""The thirteen dead ends that others went into on the way to a headless Pi 4: each is closed, and how.

Refused by `gen`: kexec on a Pi 4, its WiFi driver left out, the newest kernel with ZFS, another boot chain, a key in
clear (`test_bad_input_hosts.py`, `test_hosts_secrets.py`). Told before an installation begins: a target that is no
NixOS, files that Git does not know, a processor that cannot be built for, a WiFi profile that is not there
(`test_install_plan.py`). Impossible by construction, and so asserted of every plan: what is below.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nixwright.install import work
from nixwright.install.plan import Options, plan
from nixwright.load import load
from nixwright.tools.ssh import Remote

ROOT = Path(__file__).parents[1]
HOSTS = sorted(p.stem for p in ROOT.glob("hosts/*.py"))
REMOTE = Remote.of("root@192.0.2.7", 22, ())


def commands(host: str, *, on_target: bool) -> str:
    """All that an installation of a host runs, as `--dry-run` prints it."""
    (loaded,) = load([ROOT / f"hosts/{host}.py"], ROOT, about=True)
    steps = plan(loaded.about, REMOTE, Options("/project", on_target=on_target), (), formatted=False)
    return work.told(steps, {})


@pytest.mark.parametrize("on_target", [False, True])
@pytest.mark.parametrize("host", HOSTS)
def test_no_installation_goes_there(host: str, *, on_target: bool) -> None:
    told = commands(host, on_target=on_target)
    assert "nixos-anywhere" not in told  # its phases kexec, or fail on a machine with little memory
    assert "kexec" not in told
    assert "path:" not in told  # it would copy a secret that Git ignores to the store
    assert "--impure" not in told
    (install,) = re.findall(r"nixos-install --root .*", told)
    assert "--flake" not in install  # it builds with the target's disk as its store, which no emulation can
    assert "--system <system>" in install


def test_the_network_is_looked_for_before_the_first_boot() -> None:
    told = commands("pi4", on_target=False)
    assert told.index("no profile of a WiFi") < told.index("nixos-install --root")


def test_no_runbook_goes_there() -> None:
    for path in ROOT.glob("modules/*/INSTALL.md"):
        text = path.read_text()
        assert "path:" not in text, path
        assert "--impure" not in text, path
    assert "kexec" not in (ROOT / "modules/pi4/INSTALL.md").read_text()


def test_the_boot_chain_of_a_pi_is_one_fat_partition() -> None:
    """What was given up had a FAT partition for the firmware and another file system for the kernels."""
    text = (ROOT / "modules/pi4/disko.nix").read_text()
    assert text.count('"vfat"') == 1
    assert "generic-extlinux-compatible" in (ROOT / "modules/pi4/board.nix").read_text()
    assert not (ROOT / "flake.lock").read_text().count("nixos-raspberrypi")
