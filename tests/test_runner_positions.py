"""What Nix says of a generated file leads back to the line of the host file that made it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nixwright.load import Loaded, load
from nixwright.runner.positions import Said, binding_at, lines_behind, question, settings_of
from nixwright.tools.eval_records import short

DATA = Path(__file__).parent / "data/nix-errors"
ERRORS = {
    error["case"]: error for error in map(json.loads, (DATA / "errors.jsonl").read_text(encoding="utf-8").splitlines())
}
_NGINX = 'Host.settings.services.nginx.virtualHosts."a.b".root'
# The line behind each, empty where Nix' words name nothing of ours.
BEHIND = {
    "abort": "hosts/box.py:33  Host.settings.time.timeZone",
    "assertion-boot": "hosts/box.py:13  QemuVm",
    "attribute-missing": f"hosts/box.py:30  {_NGINX}",
    "bad-platform": "",
    "coerce": "hosts/box.py:33  Host.settings.time.timeZone",
    "conflict": "hosts/box.py:11  Host.name",
    "defined-twice": "hosts/box.py:25  Ssh.host_key",
    "division": "hosts/box.py:31  Host.settings.networking.firewall.allowedTCPPorts",
    "enum": "",
    "fs-assertion": "hosts/box.py:15  Disk",
    "infinite-recursion": "hosts/box.py:33  Host.settings.time.timeZone",
    "missing-file": "",
    "no-such-option": "hosts/box.py:25  Ssh",
    "no-such-suboption": "hosts/box.py:27  User.name",
    "no-value": "hosts/box.py:15  Disk",
    "not-a-module": "hosts/box.py:29  Host.settings.services.nginx.enable",
    "null": "hosts/box.py:33  Host.settings.time.timeZone",
    "path-absent": f"hosts/box.py:30  {_NGINX}",
    "read-only": "hosts/box.py:13  QemuVm.system",
    "removed-option": "hosts/box.py:25  Ssh",
    "string-int": "hosts/box.py:13  QemuVm",
    "syntax": "hosts/box.py:25  Ssh.host_key",
    "throw": "hosts/box.py:33  Host.settings.time.timeZone",
    "throws": "hosts/box.py:32  Host.settings.environment.etc.motd.text",
    "unclosed": "hosts/box.py:27  User.name",
    "undefined-variable": "hosts/box.py:25  Ssh.host_key",
    "unit": "",
    "unknown-platform-type": "hosts/box.py:13  QemuVm",
    "wrong-element": "hosts/box.py:31  Host.settings.networking.firewall.allowedTCPPorts",
    "wrong-type": "hosts/box.py:24  Ethernet",
}


@pytest.fixture(scope="module")
def box() -> Loaded:
    (loaded,) = load([DATA / "hosts/box.py"], DATA, about=question)
    assert not loaded.mistakes
    return loaded


def settings(box: Loaded) -> dict[str, list[Said]]:
    return {"box": settings_of(box.about, lambda file: Path(file).relative_to(DATA).as_posix())}


@pytest.mark.parametrize("case", ERRORS)
def test_a_recorded_error_leads_to_its_line(case: str, box: Loaded) -> None:
    found = lines_behind(ERRORS[case]["stderr"], settings(box), box.files)
    assert next(iter(found), "") == BEHIND[case]


def test_every_line_that_is_named_is_there(box: Loaded) -> None:
    lines = (DATA / "hosts/box.py").read_text().splitlines()
    for said in settings(box)["box"]:
        assert said.file == "hosts/box.py"
        assert lines[said.line - 1].strip()


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("assertion-boot", "Failed assertions:\n- You must set the option \u2018boot.loader.grub.devices\u2019"),
        ("wrong-type", "A definition for option `networking.useDHCP' is not of type `boolean'."),
        ("infinite-recursion", "infinite recursion encountered"),
    ],
)
def test_nix_own_words_stay(case: str, words: str) -> None:
    assert short(ERRORS[case]["stderr"]).startswith(words)


def test_words_that_name_nothing_of_ours_lead_nowhere(box: Loaded) -> None:
    assert lines_behind("error: the option `services.samba.enable' is odd", settings(box), box.files) == ()
    assert lines_behind("", settings(box), box.files) == ()
    assert lines_behind("error: at /nix/store/0-source/modules/other/x.nix:3:1", settings(box), box.files) == ()


NOTES = """\
from nixwright import Host, User
from nixwright.boards.qemu_vm import QemuVm
from nixwright.checks.model import SERVICES, Check, Difference, Node, Sabotage
from nixwright.layout import ESP, GPT, REST, Disk, Ext4, MiB, Partition
from nixwright.parts.ssh import Ssh

host = Host(
    name="notes",
    state_version="26.05",
    board=QemuVm(),
    disks=[Disk("/dev/disk/by-id/virtio-a", GPT(Partition("b", MiB(512), ESP()), Partition("a", REST, Ext4(at="/"))))],
    parts=[Ssh()],
    users=[User("root", ssh_keys=["KEY"])],
    checks=[
        Check(
            SERVICES,
            "nothing of note",
            holds={"services.nginx.enable": False},
            container=True,
            nodes=[Node("client", {"services.chrony.enable": True, "services.chrony.nosuch": True})],
            differences=[
                Difference("a test", {"services.nosuch.enable": True, "environment.etc.x.text": "y"}),
            ],
            sabotages=[Sabotage("broken", "it breaks", {"services.nginx.enable": True})],
        ),
    ],
)
"""
_IN = "at /nix/store/0-source/checks/notes"
_NO_OPTION = (
    "error: The option `%s' does not exist. Definition values:\n- In `/nix/store/0-source/checks/notes/%s': true"
)


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    root = tmp_path_factory.mktemp("notes")
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL"
    (root / "notes.py").write_text(NOTES.replace("KEY", key))
    (loaded,) = load([root / "notes.py"], root, about=question)
    assert not loaded.mistakes
    return loaded


def line(words: str) -> int:
    return next(n for n, text in enumerate(NOTES.splitlines(), 1) if words in text)


@pytest.mark.parametrize(
    ("words", "to", "field"),
    [
        # as recorded of a real test, but for the names
        (_NO_OPTION % ("containers.machine.services.nosuch", "services.nix"), "Difference(", "Host.checks"),
        (_NO_OPTION % ("containers.client.services.chrony.nosuch", "services.nix"), 'Node("client"', "Host.checks"),
        (_NO_OPTION % ("nodes.machine.users.users.root.nosuch", "boots.nix"), "host = Host(", "Host"),
        (f"error: thrown\n{_IN}/services.nix:LINE:7: nosuch.enable", "Difference(", "Host.checks"),
        (f"error: thrown\n{_IN}/sabotages/services.nix:LINE:7: nginx.enable", "Sabotage(", "Host.checks"),
        (f"error: thrown\n{_IN}/sabotages/services.nix:LINE:7: permitrootlogin", "Ssh()", "Ssh"),
    ],
)
def test_what_a_check_says_leads_to_who_brings_it(words: str, to: str, field: str, notes: Loaded) -> None:
    said = {"notes": settings_of(notes.about, lambda file: Path(file).name)}
    words, _, bound = words.partition("LINE:7: ") if "LINE" in words else (words, "", "")
    if bound:
        file = words.rpartition("0-source/")[2].rpartition(":")[0]
        rows = notes.files[file].splitlines()
        words += f"{next(n for n, row in enumerate(rows, 1) if bound in row.lower())}:7"
    assert lines_behind(words, said, notes.files)[:1] == (f"notes.py:{line(to)}  {field}",)


def test_what_the_host_says_does_not_lead_to_its_checks(notes: Loaded) -> None:
    said = {"notes": settings_of(notes.about, lambda file: Path(file).name)}
    assert lines_behind("error: The option `services.chrony.enable' is odd", said, notes.files) == ()


TEXT = """\
{ lib, ... }:
{
  a = {
    b.c = 1;
    d = [
      "x"
    ];
    "e.f" = {
      g = ''
        h = 2
      '';
    };
  };

  i = lib.mkDefault 3;
}
"""


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (1, ()),
        (3, ("a",)),
        (4, ("a", "b", "c")),
        (6, ("a", "d")),
        (9, ("a", "e.f", "g")),
        (15, ("i",)),
        (99, ()),
    ],
)
def test_the_binding_around_a_line(line: int, path: tuple[str, ...]) -> None:
    assert binding_at(TEXT, line) == path
