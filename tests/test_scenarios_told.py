"""What the check of a told device asks for, and under which answers it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fake_machine import FakeMachine
from nixwright.checks.model import TOLD
from nixwright.parts.containers import Container, Containers
from nixwright.parts.facts import ContainerUser, LanGateway, Provisioned, RootOverlay
from nixwright.parts.provisioning import Provisioning
from nixwright.parts.ssh import Ssh
from nixwright.provisioning.bundle import read_source
from nixwright.provisioning.derived import parse
from nixwright.provisioning.device import Device
from nixwright.scenarios import containers, provisioned
from parts_host import context
from provisioning_example import ADA

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("driver_of_26_05")

DIRECTORY = "/data/config"
FLASH = {"directory": DIRECTORY, "seed": "/boot/config.toml", "fresh": "/run/nixwright/fresh-flash"}
APPSVC: dict[str, Any] = {
    "directory": DIRECTORY,
    "user": "appsvc",
    "uid": 390,
    "home": "/data/containers/appsvc",
    "archive": "/etc/probe-image",
}


class Machine(FakeMachine):
    """A fake machine with a place for the stick."""

    def __init__(self, answers: dict[str, Any], state_dir: Path) -> None:
        super().__init__({"cat /root/key.pub": ADA} | answers)
        self.state_dir = state_dir


def machine_at(state_dir: Path, answers: dict[str, Any]) -> Any:
    """Return one, of no particular type (see `fake_machine`)."""
    return Machine(answers, state_dir)


# what fails on a device that is as it should be
FIRST = {
    f"test -e {DIRECTORY}/config.toml": False,
    "getent passwd sam": False,
    "test -e /dev/disk/by-label/STICK": [True, False, False],
}
RUNS = {"grep -v 127.0.0.1": [True, False], "provision import": [True, False, False, False]}


def test_a_device_finds_who_it_is_on_a_stick_and_on_a_fresh_flash(tmp_path: Path) -> None:
    machine = machine_at(tmp_path, FIRST)
    provisioned.finds_who_it_is(machine, **FLASH)
    assert (tmp_path / "stick.img").stat().st_size == 16 << 20
    asked = [c for c in machine.commands if c.startswith("monitor")]
    plug = f"monitor drive_add 0 if=none,id=stick,format=raw,file={tmp_path}/stick.img"
    usb = "monitor device_add usb-storage,id=stick,drive=stick,removable=on"
    assert asked == [plug, usb, *["monitor device_del stick", plug, usb] * 2]
    # the mark of a fresh flash comes after the stick was taken, and the flash's file then comes first
    told = machine.commands.index("touch /run/nixwright/fresh-flash")
    assert any("cmp /root/right.toml" in c for c in machine.commands[:told])
    assert any("cmp /root/seed.toml" in c for c in machine.commands[told:])
    # a host without an overlay has no such file
    alone = machine_at(tmp_path, FIRST)
    provisioned.finds_who_it_is(alone, directory=DIRECTORY, seed="", fresh="")
    assert not [c for c in alone.commands if "seed.toml /" in c or "touch" in c]


@pytest.mark.parametrize(
    "answers",
    [
        {"cmp /root/right.toml": False},
        {"cmp /root/seed.toml": False},
        {"/run/provision/refused": False},
        {f"test -e {DIRECTORY}/config.toml": True},
        {"getent passwd sam": True},
        {"id eva": False},
    ],
)
def test_a_device_that_does_not_fails(answers: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        provisioned.finds_who_it_is(machine_at(tmp_path, answers | FIRST | answers), **FLASH)


def test_containers_run_as_they_should(tmp_path: Path) -> None:
    machine = machine_at(tmp_path, RUNS)
    containers.run_as_told(machine, **APPSVC)
    after = machine.commands[machine.commands.index(next(c for c in machine.commands if "unknown" in c)) :]
    assert machine.calls.count("shutdown") == 1
    assert [c for c in after if "8082" in c and "curl" in c]


@pytest.mark.parametrize(
    "answers",
    [
        {"podman load": False},
        {"provision import": [False]},
        {"provision import": [True, True]},
        {"provision import": [True, False, True]},
        {"provision import": [True, False, False, True]},
        {"grep -F 'sshd.service is a unit of the image'": False},
        {"systemctl is-active sshd": False},
        {"curl": False},
        {"grep -v 127.0.0.1": [True, True]},
        {"grep -v 127.0.0.1": [False]},
        {"stat -c %u": False},
        {"grep -F 'unsupported key": False},
        {"cmp /root/site/config.toml": False},
    ],
)
def test_containers_that_do_not_fail_it(answers: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        containers.run_as_told(machine_at(tmp_path, answers | RUNS | answers), **APPSVC)


def test_what_the_checks_tell_a_device_is_what_they_say_of_it(tmp_path: Path) -> None:
    """Of the texts, the first and the last are right, and the others wrong in just what the check wants to see."""
    site = {"key": ADA, "seconds": 9, "image": "localhost/probe:1", "command": "httpd", "more": ""}
    device = Device(containers_user="appsvc")
    config = parse(containers.SITE.format(**site).encode(), device)
    assert [name for name, entry in config.containers.container.items() if entry.privileged] == ["dns"]
    assert parse(containers.SITE.format(**site | {"more": 'Immage = "a"'}).encode(), device)
    taken = parse(containers.SITE.format(**site | {"more": containers.TAKEN}).encode(), device)
    assert taken.containers.container["sshd"].privileged
    text = provisioned.CONFIG.format(key=ADA, unit="probe", more="", seconds=9)
    (tmp_path / "config.toml").write_text(text)
    assert parse(read_source(tmp_path / "config.toml", tmp_path), device).activation.required == ("probe",)


def test_who_has_it() -> None:
    told, user = Provisioned(DIRECTORY, 8080), ContainerUser("appsvc")
    facts = [told, user, RootOverlay("/run/fresh", "/data"), LanGateway("wan", "lan")]
    part = Provisioning()
    found = [c for c in part.checks(context(part, Ssh(), facts=facts)) if c.name == TOLD]
    assert [(c.values["seed"], c.values["fresh"], c.container) for c in found] == [
        ("/boot/config.toml", "/run/fresh", False)
    ]
    declared = Containers([Container("web", "docker.io/library/nginx:1.29")], uid=391)
    assert not [*declared.checks(context(declared))]
    (check,) = declared.checks(context(declared, facts=facts))
    assert (check.name, check.values["uid"], check.keeps) == (TOLD, 391, ["containers"])
    assert [s.name for s in check.sabotages] == ["not-found", "storage-in-memory"]
