"""The Pi 4: WiFi in its ways, mDNS, the board, its card, and references to secrets."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from host_project import project  # noqa: F401 - a fixture
from nixwright.boards.pi4 import Pi4
from nixwright.errors import MistakeError
from nixwright.parts.facts import InstallerWifi
from nixwright.parts.mdns import Mdns
from nixwright.parts.wifi import Network, Wifi, ask_for_profile, keyfile
from nixwright.reference import AgeSecret, Credential, EnvironmentFile, Reference, SecretFile, SopsSecret, Use
from parts_host import NixSnapshot, context, pibox_layout, plain_layout, printed
from programs import need

if TYPE_CHECKING:
    from host_project import Project
    from syrupy.assertion import SnapshotAssertion

PSK = EnvironmentFile("/var/lib/secrets/wifi.env", "HOME_PSK")
WORK = EnvironmentFile("/var/lib/secrets/wifi.env", "WORK_PSK")
BOARD = Pi4()
NOWHERE = Use("the key", "Network.psk")


@pytest.mark.parametrize(
    "part",
    [
        Wifi(country="NL"),
        Wifi(networks=[Network("Home WiFi", psk=PSK), Network("Work", psk=WORK, hidden=True)]),
        Wifi(networks=[Network("Home WiFi", psk=PSK)], by="wpa_supplicant", country="NL"),
        Wifi(networks=[Network("Home", psk=SopsSecret("wifi", "secrets/pi4.env"))], power_save=True),
        Wifi(networks=[Network("Home", psk=AgeSecret("wifi", "secrets/wifi.age"))], by="wpa_supplicant"),
    ],
    ids=["installed", "declared", "supplicant", "sops", "supplicant-agenix"],
)
def test_wifi(part: Wifi, snapshot: SnapshotAssertion) -> None:
    assert printed(part, context(BOARD, part, layout=plain_layout())) == snapshot(extension_class=NixSnapshot)


@pytest.mark.parametrize("by", ["avahi", "resolved"])
def test_mdns(by: Any, snapshot: SnapshotAssertion) -> None:
    part = Mdns(by=by)
    assert printed(part, context(part, Wifi(), layout=plain_layout())) == snapshot(extension_class=NixSnapshot)


def test_mdns_without_networkmanager_says_nothing_to_it() -> None:
    part = Mdns(by="resolved")
    assert "connection.mdns" not in printed(part, context(part, layout=plain_layout()))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"country": "Holland"}, "Wifi.country"),
        ({"interface": "wlan 0"}, "Wifi.interface"),
        ({"by": "wpa_supplicant"}, "Wifi.networks"),
        ({"networks": [Network("a", psk=PSK), Network("a", psk=WORK)]}, "Wifi.networks[1]"),
        (
            {
                "by": "wpa_supplicant",
                "networks": [Network("a", psk=PSK), Network("b", psk=EnvironmentFile("/etc/b.env", "B"))],
            },
            "Wifi.networks",
        ),
    ],
)
def test_wifi_that_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(MistakeError) as caught:
        Wifi(**fields)
    assert [m.field for m in caught.value.mistakes] == [field]


@pytest.mark.parametrize("ssid", ["", "x" * 33, 'a"b', "a$b", "a\nb"])
def test_names_that_no_network_has(ssid: str) -> None:
    with pytest.raises(MistakeError) as caught:
        Network(ssid, psk=PSK)
    assert [m.field for m in caught.value.mistakes] == ["Network.ssid"]


def test_a_profile_that_is_wiped_is_refused() -> None:
    part = Wifi()
    assert [m.field for m in part.host_rules(context(BOARD, part, layout=pibox_layout()))] == ["Wifi.networks"]
    assert list(part.host_rules(context(BOARD, part, layout=plain_layout()))) == []


def test_the_profile_is_a_keyfile_that_any_parser_reads() -> None:
    profile = configparser.RawConfigParser()
    profile.read_string(keyfile("Home WiFi", "correct horse"))
    assert dict(profile["wifi-security"]) == {"key-mgmt": "wpa-psk", "psk": "correct horse"}
    assert profile["wifi"]["ssid"] == "Home WiFi"
    assert profile["connection"]["autoconnect"] == "true"
    assert (profile["ipv4"]["method"], profile["ipv6"]["method"]) == ("auto", "auto")


def test_the_step_that_asks_writes_just_that_profile(tmp_path: Path) -> None:
    path = tmp_path / "wifi.nmconnection"
    typed = "Home WiFi\nc$rrect `horse` \\ \"'\n"
    subprocess.run(["bash", "-euc", ask_for_profile(str(path))], input=typed, text=True, check=True)
    assert path.read_text() == keyfile("Home WiFi", "c$rrect `horse` \\ \"'")
    assert path.stat().st_mode & 0o777 == 0o600


def test_who_installs_by_wifi_copies_what_is_known_to_work() -> None:
    part = Wifi()
    by_card = context(BOARD, part, layout=plain_layout(), facts=[InstallerWifi()])
    first = next(iter(part.steps(by_card)))
    assert "install -m 600 -o root -g root /run/NetworkManager" in first.commands
    assert "read -r -s" in next(iter(part.steps(context(BOARD, part, layout=plain_layout())))).commands


def test_the_host_and_its_card(project: Project, snapshot: SnapshotAssertion) -> None:  # noqa: F811
    """The card has the host's WiFi and its administrators' keys; its one host file yields both."""
    text = (Path(__file__).parent.parent / "hosts/pi4.py").read_text()
    assert project.run("gen", project.host(text, "pi4")).status == 0
    card = {p.name: p.read_text() for p in (project.root / "modules/pi4-sd").iterdir()}
    assert card["sd-image.nix"] == snapshot(extension_class=NixSnapshot)
    assert '"${modulesPath}/installer/sd-card/sd-image.nix"' in card["default.nix"]
    assert "bas@laptop" in card["users.nix"]
    assert 'PermitRootLogin = "prohibit-password"' in card["ssh.nix"]
    assert card["wifi.nix"].partition("\n")[2] == project.text("modules/pi4/wifi.nix").partition("\n")[2]
    assert not any("tailscale" in t for t in card.values())
    assert not (project.root / "checks/pi4-sd").exists()


REFERENCES = [
    SecretFile("/var/lib/secrets/x"),
    PSK,
    Credential("auth-key", unit="tailscaled-autoconnect"),
    SopsSecret("x", "secrets/pi4.yaml"),
    AgeSecret("x", "secrets/x.age"),
]


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("hashed", [False, True])
def test_the_steps_of_a_reference_are_shell(reference: Reference, hashed: bool) -> None:  # noqa: FBT001
    need("shellcheck")
    for step in reference.steps(Use("the secret", "User.password", hashed=hashed), plain_layout()):
        text = f"#!/usr/bin/env bash\n{step.commands}\n"
        done = subprocess.run(["shellcheck", "-"], input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout


def test_what_each_reference_needs() -> None:
    said = {type(r).__name__: list(r.settings(Use("x", "y", hashed=True))) for r in REFERENCES}
    assert said["SecretFile"] == said["EnvironmentFile"] == []
    (path, value, _), *_ = said["Credential"]
    assert path == 'systemd.services."tailscaled-autoconnect".serviceConfig.LoadCredentialEncrypted'
    assert value == ["auth-key:/etc/credstore.encrypted/auth-key.cred"]
    assert said["SopsSecret"][0][1]["neededForUsers"] is True  # type: ignore[index,call-overload]
    assert [r.inputs for r in REFERENCES] == [(), (), (), ("sops-nix",), ("agenix",)]


@pytest.mark.parametrize("reference", [*REFERENCES[1:3]], ids=lambda r: type(r).__name__)
def test_a_hash_is_in_a_file_of_its_own(reference: Reference) -> None:
    found = reference.rules(plain_layout(), Use("the password", "User.password", hashed=True))
    assert [m.field for m in found] == ["User.password"]
    assert list(reference.rules(plain_layout(), NOWHERE)) == []


def test_a_credential_whose_store_is_wiped() -> None:
    found = Credential("x", unit="y").rules(pibox_layout(), NOWHERE)
    assert [m.given for m in found] == ["/etc/credstore.encrypted/x.cred"]
    kept = Credential("x", unit="y", store="/persist/credstore").rules(pibox_layout(), NOWHERE)
    assert list(kept) == []


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (SecretFile, {"path": "hunter2"}),
        (SecretFile, {"path": "/nix/store/x"}),
        (EnvironmentFile, {"path": "/etc/x", "variable": "hunter2 hunter2"}),
        (Credential, {"name": "hunter2 hunter2", "unit": "x"}),
        (Credential, {"name": "x", "unit": "x.service"}),
        (SopsSecret, {"name": "x", "file": "/etc/x.yaml"}),
        (SopsSecret, {"name": "x", "file": "hunter2"}),
        (AgeSecret, {"name": "x", "file": "../x.age"}),
    ],
)
def test_references_that_are_none(kind: Any, fields: dict[str, str]) -> None:
    with pytest.raises(MistakeError) as caught:
        kind(**fields)
    assert len(caught.value.mistakes) == 1
    assert "hunter2" not in str([(m.given, m.what, m.fix) for m in caught.value.mistakes])
