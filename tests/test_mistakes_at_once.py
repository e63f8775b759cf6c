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
    "pool": ("ashift=13", "ashift=20", "Zpool.ashift", "is out of bounds"),
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
    "group": ('groups=["wheel"]', 'groups=["wheel", 7]', "User.groups[1]", "has the wrong type"),
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
        "users.users.ivan.password",
        "a secret would be in the Nix store",
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


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(st.sampled_from(sorted(PLANTED))))
def test_any_of_them_together(names: set[str], tmp_path: Path) -> None:
    assert differences(names, told(host_with(*(n for n in PLANTED if n in names)), tmp_path)) == []


# Each leaves something of the host unknown, on which much would hang that is not told: one mistake, one message.
HOLES: dict[str, tuple[str, str, str]] = {
    "board of no class": ('board=PiBox(firmware_volume_id="1A2B-3C4D")', 'board="PiBox"', "Host.board"),
    "board not called": ('board=PiBox(firmware_volume_id="1A2B-3C4D")', "board=PiBox", "Host.board"),
    "board without its field": ('PiBox(firmware_volume_id="1A2B-3C4D")', "PiBox()", "PiBox.firmware_volume_id"),
    "no board": ('    board=PiBox(firmware_volume_id="1A2B-3C4D"),\n', "", "Host.board"),
    "no name": ('    name="pibox",\n', "", "Host.name"),
    "name misspelt": ('    name="pibox",', '    nmae="pibox",', "Host.nmae"),
    "host id a number": ('host_id="feeddead"', "host_id=0xFEEDDEAD", "Host.host_id"),
    "release a number": ('state_version="26.05"', "state_version=26.05", "Host.state_version"),
    "disk not in a list": ("disks=[ssd]", "disks=ssd", "Host.disks"),
    "disks misspelt": ("disks=[ssd]", "disk=[ssd]", "Host.disk"),
    "disk without a table": ("    GPT(\n", "    print(\n", "Disk.table"),
    "device no text": (DISK, "5", "Disk.device"),
    "size without a unit": ("GiB(8), Luks", "8, Luks", "Partition.size"),
    "size as text": ("GiB(8), Luks", 'GiB("8"), Luks', "GiB.count"),
    "content of no kind": ("content=Swap()", 'content="swap"', "Luks.content"),
    "content not called": ("content=tank.member()", "content=tank.member", "Luks.content"),
    "opens with no list": (
        'Luks("cryptroot", opens_with=[Passphrase(), key]',
        'Luks("cryptroot", opens_with=key',
        "Luks.opens_with",
    ),
    "keys of no list": ("Ext4(files=[key])", "Ext4(files=key)", "Ext4.files"),
    "key file's path": ('KeyFile("/keyfile"', "KeyFile(7", "KeyFile.path"),
    "pool without a name": ('Zpool(\n    "tank",', "Zpool(", "Zpool.name"),
    "a dataset as text": ('Dataset("local/nix", at="/nix")', '"local/nix"', "Zpool.datasets[1]"),
    "mount point no text": ('at="/", wiped=True', "at=True, wiped=True", "Dataset.at"),
    "mount point relative": ('at="/persist"', 'at="persist"', "Dataset.at"),
    "mount point misspelt": ('Dataset("local/root", at="/"', 'Dataset("local/root", att="/"', "Dataset.att"),
    "part not called": ("        Ssh(),", "        Ssh,", "Host.parts[5]"),
    "parts not in a list": ("    parts=[\n", "    parts=Ssh() or [\n", "Host.parts"),
    "part without its field": ('Ethernet("eth0", dhcp=True)', "Ethernet(dhcp=True)", "Ethernet.interface"),
    "part with a wrong field": ("Ssh()", "Ssh(prot=2222)", "Ssh.prot"),
    "key of a part missing": (
        'RemoteUnlock(port=9999, host_key="/persist/etc/ssh/initrd_ssh_host_ed25519_key")',
        "RemoteUnlock(port=9999)",
        "RemoteUnlock.host_key",
    ),
    "users not in a list": ("    users=[\n", '    users=User("root") or [\n', "Host.users"),
    "groups not in a list": ('groups=["wheel"]', 'groups="wheel"', "User.groups"),
    "groups misspelt": ('groups=["wheel"]', 'group=["wheel"]', "User.group"),
    "a key that is none": ("ssh_keys=[", "ssh_keys=[7 or ", "User.ssh_keys[0]"),
    "user without a name": ('            "ivan",\n', "", "User.name"),
    "settings no dict": ('settings={"services.tailscale.enable": True}', "settings=[]", "Host.settings"),
}


def fields_told(text: str, root: Path) -> list[str]:
    return sorted(field for field, _ in told(text, root).elements())


@pytest.mark.parametrize("name", HOLES)
def test_what_only_follows_is_not_told(name: str, tmp_path: Path) -> None:
    old, new, field = HOLES[name]
    assert EXAMPLE.count(old) >= 1
    assert fields_told(EXAMPLE.replace(old, new, 1), tmp_path) == [field]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(holes=st.sets(st.sampled_from(sorted(HOLES)), max_size=4), names=st.sets(st.sampled_from(sorted(PLANTED))))
def test_nothing_is_told_beside_what_is_wrong(holes: set[str], names: set[str], tmp_path: Path) -> None:
    text, wrong = EXAMPLE, []
    for old, new, field, *_ in [*(HOLES[n] for n in sorted(holes)), *((*PLANTED[n][:3],) for n in sorted(names))]:
        if text.count(old) == 1:
            text = text.replace(old, new, 1)
            wrong.append(field)
    assert set(fields_told(text, tmp_path)) <= set(wrong)


def test_every_mistake_of_every_host_file(project: Project) -> None:  # noqa: F811
    hosts = {
        "attic": SMALLEST.replace('"vm"', '"Attic"'),
        "cellar": SMALLEST.replace('"vm"', '"cellar"').replace("MiB(512)", "MiB(0)"),
        "loft": SMALLEST.replace('"vm"', '"loft"').replace("    users=", '    settings={"a.b": 1},\n    users='),
        "porch": "import nothing_of_this_name\n",
        "shed": SMALLEST.replace("host = Host(", "host = = Host("),
    }
    answer = project.run("gen", *(project.host(text, name) for name, text in hosts.items()))
    first = [line.split(":")[0] for line in answer.err.splitlines() if line.startswith("hosts/")]
    assert (answer.status, first) == (2, [f"hosts/{name}.py" for name in hosts])
    assert answer.err.endswith("5 mistakes. Nothing was written.\n")


def test_a_module_of_the_users_own_may_have_what_is_missing(project: Project) -> None:  # noqa: F811
    key, lacking = SMALLEST.index("    users="), SMALLEST.replace('ssh_keys=["', 'groups=["wheel2"], ssh_keys=["')
    assert "wheel2" in project.run("gen", project.host(lacking)).err
    answer = project.run("gen", project.host(f'{lacking[:key]}    imports=["./own.nix"],\n{lacking[key:]}'))
    assert "there is no such file" in answer.err
    (project.root / "hosts/own.nix").write_text("{ users.groups.wheel2 = { }; }\n")
    assert project.run("gen", "hosts/pibox.py").status == 0
    grub = lacking.replace("    users=", '    settings={"boot.loader.grub.enable": True},\n    users=')
    assert "boot.loader.grub.devices" in project.run("gen", project.host(grub.replace("wheel2", "wheel"))).err
    both = grub.replace("    users=", '    imports=["./own.nix"],\n    users=')
    assert "boot.loader.grub.devices" not in project.run("gen", project.host(both)).err
