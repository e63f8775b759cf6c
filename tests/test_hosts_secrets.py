"""No secret gets out: not from a file that is referred to, the environment, `settings`, or an exception's own words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from host_project import EXAMPLE, SMALLEST, Project, project  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-Zq7vK2mX9pLw4TbR8sYd"  # random as a good key is; part of it counts too
PARTS = [CANARY, "Zq7vK2mX9pLw", "TbR8sYd"]


def everywhere(project: Project, *said: str) -> list[str]:  # noqa: F811
    """Where a part of the canary is found: what was said, and every file but those that hold it on purpose."""
    found = [f"said: {part}" for text in said for part in PARTS if part in text]
    for path in project.root.rglob("*"):
        if path.is_file() and path.parts[-2] not in {"hosts", "secret", "__pycache__"}:
            found += [str(path) for part in PARTS if part in path.read_text()]
    return found


def run(project: Project, text: str) -> list[str]:  # noqa: F811
    """Generate a host in every way; return where the canary is found."""
    name = project.host(text)
    said = []
    for options in ([], ["--json"], ["--check"], ["--diff"], ["--stdout"]):
        answer = project.run("gen", *options, name)
        said += [answer.out, answer.err]
    runbook = project.run("runbook", name)
    return everywhere(project, *said, runbook.out, runbook.err)


def test_the_net_catches(project: Project) -> None:  # noqa: F811
    """A canary in a comment of a generated file would be found."""
    (project.root / "modules").mkdir()
    (project.root / "modules/x.nix").write_text(f"# {CANARY}\n")
    assert everywhere(project, "") != []
    assert everywhere(project, f"... {PARTS[1]} ...") != []


@pytest.mark.parametrize(
    "reference",
    [
        'SecretFile("SECRET")',
        'SopsSecret("ivan", "secret/hash.yaml")',
        'AgeSecret("ivan", "secret/hash.age")',
    ],
)
def test_what_is_referred_to_is_never_read(reference: str, project: Project, tmp_path: Path) -> None:  # noqa: F811
    """The file is there, and readable, with the canary in it."""
    secret = tmp_path / "secret"
    secret.mkdir()
    for name in ("hash", "hash.yaml", "hash.age"):
        (secret / name).write_text(f"{CANARY}\n")
    text = EXAMPLE.replace('SecretFile("/persist/passwords/ivan")', reference.replace("SECRET", "/persist/hash"))
    text = text.replace("from nixwright import Host", "from nixwright import AgeSecret, SopsSecret, Host")
    assert run(project, text) == []
    assert (project.root / "modules/pibox/users.nix").exists()


SMUGGLED = {
    "psk": f'{{"networking.wireless.networks.home.psk": "{CANARY}"}}',
    "psk raw": f'{{"networking.wireless.networks.home.pskRaw": "{CANARY}"}}',
    "password": f'{{"users.users.ivan.initialPassword": "{CANARY}"}}',
    "text": f'{{"environment.etc.x.text": "token = {CANARY}"}}',
    "no name at all": f'{{"environment.etc.x.text": "{CANARY}"}}',
    "a name of a file": f'{{"services.tailscale.authKeyFile": "{CANARY}"}}',
    "a profile": f'{{"networking.networkmanager.ensureProfiles.profiles.h.wifi-security.psk": "{CANARY}"}}',
    "wrong type": f'{{"services.tailscale.enable": "{CANARY}"}}',
    "in a list": f'{{"boot.kernelParams": ["key={CANARY}"]}}',
    "no option": f'{{"services.nothing.password": "{CANARY}"}}',
    "a unit": f'{{"systemd.services.x.environment.TOKEN": "{CANARY}"}}',
    "an url": f'{{"services.x.url": "https://ivan:{CANARY}@example.org"}}',
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_smuggled_into_settings(how: str, project: Project) -> None:  # noqa: F811
    text = EXAMPLE.replace('{"services.tailscale.enable": True}', SMUGGLED[how])
    assert CANARY in text
    assert run(project, text) == []
    assert not (project.root / "modules").exists()


FIELDS = {
    "a password": ('SecretFile("/persist/passwords/ivan")', f'"{CANARY}"'),
    "in a reference": ('SecretFile("/persist/passwords/ivan")', f'SecretFile("{CANARY}")'),
    "a hash in a reference": ('SecretFile("/persist/passwords/ivan")', f'SecretFile("$y$j9T${CANARY}")'),
    "as a key": ('ssh_keys=["ssh-ed25519', f'ssh_keys=["-----BEGIN OPENSSH PRIVATE KEY----- {CANARY}", "ssh-ed25519'),
    "as a path": ('host_key="/persist/etc', f'host_key="{CANARY}'),
}


@pytest.mark.parametrize("how", FIELDS)
def test_smuggled_into_a_field(how: str, project: Project) -> None:  # noqa: F811
    old, new = FIELDS[how]
    assert old in EXAMPLE
    assert run(project, EXAMPLE.replace(old, new, 1)) == []
    assert not (project.root / "modules").exists()


RAISED = {
    "its own words": f'raise ValueError("cannot use {CANARY}")',
    "a variable": 'import os\npsk = os.environ["WIFI_PSK"]\nraise ValueError(f"cannot use {psk} here")',
    "a short one": 'psk = "tiny1"\nraise ValueError(f"cannot use {psk} here")',
    "a key error": 'import os\n{}[os.environ["WIFI_PSK"]]',
    "a status": 'import os\nraise SystemExit(os.environ["WIFI_PSK"])',
    "a group": 'import os\nraise ExceptionGroup("x " + os.environ["WIFI_PSK"], [ValueError(os.environ["WIFI_PSK"])])',
    "a syntax error": f'psk = "{CANARY}" = 3',
    "in a call": 'import os\ndef connect(psk):\n    raise OSError(f"no {psk!r}")\nconnect(os.environ["WIFI_PSK"])',
    "an assert": 'import os\nassert os.environ["WIFI_PSK"] == "x", os.environ["WIFI_PSK"]',
}


@pytest.mark.parametrize("how", RAISED)
def test_in_an_exception(how: str, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("WIFI_PSK", CANARY)
    name = project.host(SMALLEST.replace("host = Host(", f"{RAISED[how]}\nhost = Host("))
    answer = project.run("gen", name)
    assert answer.status == 2
    assert everywhere(project, answer.err, answer.out) == []
    assert "tiny1" not in answer.err
    as_json = project.run("gen", "--json", name)
    assert everywhere(project, as_json.out, as_json.err) == []
    assert len(json.loads(as_json.out)["mistakes"]) == 1


def test_from_the_environment_into_a_value_that_is_shown(
    project: Project,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WIFI_PSK", "short one")
    name = project.host(SMALLEST.replace('name="vm"', 'name=__import__("os").environ["WIFI_PSK"]'))
    answer = project.run("gen", name)
    assert answer.status == 2
    assert "short one" not in answer.err
    assert "is no host name" in answer.err
