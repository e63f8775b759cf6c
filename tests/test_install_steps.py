"""The install steps of every example host: what they run must be there, in the user's own flake too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [*sorted(ROOT.glob("modules/*")), *sorted(ROOT.glob("templates/*/modules/*"))]
INSTALLS = [m / "INSTALL.md" for m in MODULES if (m / "disko.nix").exists()]
# disko/lib/default.nix: one script each in `system.build`
SCRIPTS = {"destroyFormatMount", "mount", "unmount"}


def commands(path: Path) -> str:
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("path", INSTALLS, ids=lambda p: p.parent.name)
def test_disko_is_the_one_that_the_flake_pins(path: Path) -> None:
    text = commands(path)
    assert not re.findall(r"^disko .*", text, re.MULTILINE), "the installer has no such program"
    ran = re.findall(r"^nix run (\S+)$", text, re.MULTILINE)
    prefix = f".#nixosConfigurations.{path.parent.name}.config.system.build."
    assert {r.removeprefix(prefix) for r in ran} <= SCRIPTS
    assert f"{prefix}destroyFormatMount" in ran
    assert f"{prefix}unmount" in ran or "unmount" not in text


@pytest.mark.parametrize("path", INSTALLS, ids=lambda p: p.parent.name)
def test_nothing_is_asked_of_inputs_that_the_users_flake_may_not_have(path: Path) -> None:
    text = commands(path)
    assert "--inputs-from" not in text
    asked = re.findall(r"\.#(\S+)", text)
    assert asked
    name = path.parent.name
    # NAME-sd is the card that installs it
    assert [a for a in asked if a != name and not re.match(rf"nixosConfigurations\.{name}(-sd)?\.", a)] == []


def test_the_firmware_is_of_an_input_that_the_host_names() -> None:
    text = commands(ROOT / "modules" / "pibox" / "INSTALL.md")
    assert "nixosConfigurations.pibox.pkgs.pibox.firmware" in text
    assert '"nixos-pibox"' in (ROOT / "modules" / "pibox" / "host.nix").read_text()
