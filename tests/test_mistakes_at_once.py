"""All mistakes in one run: each once, whatever else is wrong, and none that only follows from another."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from host_project import EXAMPLE, SMALLEST, Project, project  # noqa: F401 - a fixture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nixwright.load import load
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

DISK = '"/dev/disk/by-id/ata-Samsung_SSD_870_QVO_1TB_S5RRNF0R123456"'
CURVE = "{45: 0, 55: 30, 65: 60, 75: 100}"
SETTING = '"services.tailscale.enable": True'
LAST_USER = '            password=SecretFile("/persist/passwords/ivan"),\n        ),\n'

# What is replaced, by what, and the field and the first words of the mistake that it makes.
PLANTED: dict[str, tuple[str, str, str, str]] = {
    "board": ('firmware_volume_id="1A2B-3C4D"', 'firmware_volume_id="1A2B"', "PiBox.firmware_volume_id", "is no"),
    "disk": (DISK, '"/dev/sda"', "Disk.device", "a disk is named by"),
    "label": ('"luks key"', f'"{"l" * 37}"', "Partition.label", "the label is too long"),
    "container": ('Luks("cryptswap"', 'Luks("crypt swap"', "Luks.name", "is no name"),
    "pool": ("ashift=13", "ashift=20", "Zpool.ashift", "has the wrong type or value"),
    "size": ("reserved=GiB(200)", "reserved=GiB(0)", "GiB.count", "a size must be positive"),
    "host id": ('"feeddead"', '"feed"', "Host.host_id", "is no hostId"),
    "release": ('"26.05"', '"26.5"', "Host.state_version", "is no NixOS release"),
    "part": (CURVE, "{55: 30, 45: 60}", "PwmFan.curve", "temperatures must rise"),
    "field of a part": ("RemoteUnlock(port=9999", "RemoteUnlock(prot=9999", "RemoteUnlock.prot", "RemoteUnlock has no"),
    "two fields": ("dhcp=True)", 'dhcp=True, address="192.168.1.4/24")', "Ethernet.dhcp", "gets its address in two"),
    "list of a part": ("PiBoxLcd()", 'PiBoxLcd(disks=["root"])', "PiBoxLcd.disks[0]", "is no absolute path"),
    "part and layout": ("Ssh()", 'Ssh(host_key="/etc/ssh/key")', "Ssh.host_key", "the host key does not survive"),
    "parts and datasets": (
        'ZfsUpkeep(scrub="monthly")',
        'ZfsUpkeep(scrub="monthly", snapshots=False)',
        "ZfsUpkeep.snapshots",
        "a dataset asks for snapshots that are off",
    ),
    "group": ('groups=["wheel"]', 'groups=["wheel", 7]', "User.groups[1]", "has the wrong type or value"),
    "user": (LAST_USER, f'{LAST_USER}        User("Eva"),\n', "User.name", "is no user name"),
    "key": (
        "    users=[\n",
        '    users=[\n        User("eva", ssh_keys=["eva@laptop"]),\n',
        "User.ssh_keys[0]",
        "does not name a type",
    ),
    "password": ('"/persist/passwords/ivan"', '"/etc/ivan"', "User.password", "would be gone after the next boot"),
    "option": (
        SETTING,
        f'{SETTING}, "services.tailscale.prot": 1',
        "services.tailscale.prot",
        "is no option of this NixOS release",
    ),
    "option's type": (SETTING, f'{SETTING}, "services.fwupd.enable": 1', "services.fwupd.enable", "has the wrong type"),
    "option's path": (SETTING, f'{SETTING}, "services..x": 1', "Host.settings", "is no attribute path"),
    "secret": (
        SETTING,
        f'{SETTING}, "users.users.ivan.password": "x"',
        "Host.settings.users.users.ivan.password",
        "sets users.users.ivan.password: a secret",
    ),
    "rule of NixOS": (
        SETTING,
        f'{SETTING}, "boot.initrd.postDeviceCommands": "true"',
        "boot.initrd.postDeviceCommands",
        "is a hook of the scripted stage 1",
    ),
    "swap on a zvol": (
        SETTING,
        f'{SETTING}, "swapDevices": [{{"device": "/dev/zvol/tank/swap"}}]',
        "swapDevices",
        "is swap on a ZFS volume",
    ),
    "import": (
        "    settings={",
        '    imports=["./none.nix"],\n    settings={',
        "Host.imports[0]",
        "there is no such file",
    ),
}


class Message(SingleFileSnapshotExtension):
    """Each message in a text file of its own."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


def host_with(*names: str) -> str:
    """The example with those mistakes in it."""
    text = EXAMPLE
    for old, new, _, _ in (PLANTED[n] for n in names):
        assert text.count(old) == 1 or old == SETTING, old
        text = text.replace(old, new, 1)
    return text


def told(text: str, root: Path) -> Counter[tuple[str, str]]:
    """Field and words of every mistake that one run tells."""
    path = root / "hosts/pibox.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    (loaded,) = load([path], root)
    return Counter((m.field, m.what) for m in loaded.mistakes)


def differences(names: set[str], found: Counter[tuple[str, str]]) -> list[str]:
    """What is not told just once, and what is told beside it."""
    left = found.copy()
    wrong = []
    for name in sorted(names):
        _, _, field, words = PLANTED[name]
        fitting = [key for key in left if key[0] == field and key[1].startswith(words)]
        if sum(left[k] for k in fitting) != 1:
            wrong.append(f"{name}: told {sum(left[k] for k in fitting)} times")
        for key in fitting:
            del left[key]
    return wrong + [f"beside: {field}: {what}" for field, what in left]


def test_every_mistake_is_told_once_in_one_run(project: Project, snapshot: SnapshotAssertion) -> None:  # noqa: F811
    answer = project.run("gen", project.host(host_with(*PLANTED)))
    assert (answer.status, (project.root / "modules").exists()) == (2, False)
    assert answer.err.endswith(f"{len(PLANTED)} mistakes. Nothing was written.\n")
    assert answer.err == snapshot.use_extension(Message)


@pytest.mark.parametrize("name", PLANTED)
def test_a_mistake_alone(name: str, tmp_path: Path) -> None:
    assert differences({name}, told(host_with(name), tmp_path)) == []


@pytest.mark.parametrize("name", PLANTED)
def test_one_that_is_fixed_uncovers_no_other(name: str, tmp_path: Path) -> None:
    others = set(PLANTED) - {name}
    assert differences(others, told(host_with(*(n for n in PLANTED if n in others)), tmp_path)) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(st.sampled_from(sorted(PLANTED))))
def test_any_of_them_together(names: set[str], tmp_path: Path) -> None:
    assert differences(names, told(host_with(*(n for n in PLANTED if n in names)), tmp_path)) == []
