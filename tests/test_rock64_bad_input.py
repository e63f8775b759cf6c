"""What bad input gets, tried on the Rock64's own host file: the place, what was given, what is allowed, and the fix."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host_project import project  # noqa: F401 - a fixture
from nixwright.load import load
from nixwright.options.schema import Schema
from nixwright.options.settings import Setting
from nixwright.origin import Origin
from nixwright.settlement import settle
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from host_project import Project
    from syrupy.assertion import SnapshotAssertion

HOSTS = Path(__file__).parent.parent / "hosts"
SWITCH = 'ssh_switch="/data'
INBOUND = ("import Gateway", "import Gateway, Inbound")
KEY = (HOSTS / "rock64.py").read_text().partition("ssh_keys=[")[2].partition("]")[0]


class Message(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "txt"


WRONG = {
    "slots_of_unequal_size": [("root=MiB(1024)", "root=[MiB(1024), MiB(512)]")],
    "root_slot_beyond_an_update": [("root=MiB(1024)", "root=MiB(2048)")],
    "compatible_with_a_space": [('"rock64-gateway"', '"rock64 gateway"')],
    "compatible_of_200_characters": [('"rock64-gateway"', f'"{"a" * 200}"')],
    "emmc_by_its_kernel_name": [("    EMMC,\n", '    "/dev/mmcblk1",\n'), ("import EMMC, U_BOOT", "import U_BOOT")],
    "two_links_of_one_name": [('NamedLink("wan"', 'NamedLink("lan"')],
    "page_among_ports_of_the_wan": [
        (SWITCH, f"wan_inbound=Inbound(tcp=[8080], udp=[1194]),\n            {SWITCH}"),
        INBOUND,
    ],
    "no_ssh": [("        Ssh(),\n", "")],
    "no_provisioning": [("        Provisioning(),\n", "")],
    "container_with_a_capital": [
        ("Containers(),", 'Containers([Container("web", "docker.io/Library/nginx:1.A")]),'),
        ("import Containers", "import Container, Containers"),
    ],
    "root_slot_for_nothing": [("root=MiB(1024)", "root=MiB(1)")],
    "slots_that_start_late": [("start=MiB(16)", "start=MiB(4096)")],
    "nobody_may_sign": [('keyring="./rock64.pem"', 'keyring=""')],
    "service_that_is_not_there": [('"dnsmasq", ', '"dnsmask", ')],
    "port_in_two_scopes": [
        (SWITCH, f"wan_inbound=Inbound(tcp=[443]),\n            lan_inbound=Inbound(tcp=[80]),\n            {SWITCH}"),
        INBOUND,
    ],
    "page_on_the_wan": [(SWITCH, f"wan_inbound=Inbound(tcp=[443, 8080]),\n            {SWITCH}"), INBOUND],
    "container_on_the_pages_port": [
        ("Containers(),", 'Containers([Container("web", "docker.io/library/nginx:1.29", ports=[Port(8080, 80)])]),'),
        ("import Containers", "import Container, Containers, Port"),
    ],
    "ssh_on_the_pages_port": [("Ssh(),", "Ssh(port=8080),")],
    "containers_as_a_person": [("Containers(),", 'Containers(user="admin"),')],
    "container_without_an_image": [
        ("Containers(),", 'Containers([Container("web")]),'),
        ("import Containers", "import Container, Containers"),
    ],
    "container_with_an_empty_image": [
        ("Containers(),", 'Containers([Container("web", "")]),'),
        ("import Containers", "import Container, Containers"),
    ],
    "two_users_of_one_name": [("    users=[", '    users=[\n        User("admin"),')],
    "no_admin_with_a_key": [(KEY, "")],
    "an_admin_of_nothing": [('groups=["wheel"],', "")],
}


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused_and_nothing_is_written(
    name: str,
    project: Project,  # noqa: F811
    snapshot: SnapshotAssertion,
) -> None:
    answer = project.run("gen", rock64(project, WRONG[name]))
    assert answer.status == 2
    assert not (project.root / "modules").exists()
    assert answer.err == snapshot(extension_class=Message)


def test_a_lan_that_a_wan_may_have_too_is_warned_of(project: Project, snapshot: SnapshotAssertion) -> None:  # noqa: F811
    lan = (SWITCH, f'lan_range=LanRange("192.168.1.1/24"),\n            {SWITCH}')
    known = (
        "from nixwright.parts.named_link",
        "from nixwright.parts.lan_range import LanRange\nfrom nixwright.parts.named_link",
    )
    path = rock64(project, [lan, known])
    answer = project.run("gen", path)
    assert answer.status == 0
    assert answer.err == snapshot(extension_class=Message)
    assert "overlaps 192.168.1.0/24" in project.text("modules/rock64/gateway.nix")
    told = project.run("gen", "--json", path).out
    assert '"warnings": [\n    {\n      "file": "hosts/rock64.py",\n      "line": 42,' in told
    # who says which ranges the WAN has is not warned
    (project.root / path).write_text(
        (project.root / path).read_text().replace(SWITCH, f"wan_ranges=[],\n            {SWITCH}")
    )
    quiet = project.run("gen", path)
    assert (quiet.status, quiet.err) == (0, "")


def rock64(project: Project, changes: list[tuple[str, str]]) -> str:  # noqa: F811
    """Write the Rock64's host file with changes, and what lies beside it."""
    text = (HOSTS / "rock64.py").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = project.host(text, "rock64")
    shutil.copy(HOSTS / "rock64.pem", project.root / "hosts")
    return path


def fields_told(project: Project, changes: list[tuple[str, str]]) -> list[str]:  # noqa: F811
    (loaded,) = load([project.root / rock64(project, changes)], project.root)
    return sorted(m.field for m in loaded.mistakes)


SLOTS = "        Slots(boot=MiB(128), root=MiB(1024), start=MiB(16)),\n"
DATA = '        Partition("data", REST, F2fs("/data"), at_first_boot=True),\n'
AFTER, LATER = "        Provisioning(),\n", "        Containers(),\n"
OTHERS = 'wan=NamedLink("a", path="a"), lan=NamedLink("b", path="b")'
QUANTITIES = ("import GPT, REST, Disk, F2fs, MiB", "import GPT, REST, Disk, F2fs, KiB, MiB")
RANGE = (
    (SWITCH, f'lan_range=LanRange("10.44.0.1/15"),\n            {SWITCH}'),
    (
        "from nixwright.parts.named_link",
        "from nixwright.parts.lan_range import LanRange\nfrom nixwright.parts.named_link",
    ),
)
WEB = ("import Containers", "import Container, Containers")
# What is changed, and the fields that are told, each once: what only follows from them is not.
ALONE: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "a LAN too wide": ([*RANGE], ["LanRange.gateway"]),
    "a LAN too wide, and no overlay": ([*RANGE, ("        OverlayRoot(),\n", "")], ["LanRange.gateway", "Rock64"]),
    "a LAN too wide, and a mount point that is none": (
        [*RANGE, ('F2fs("/data")', "F2fs(5)"), ("        Ssh(),", "        Ssh(port=0),")],
        ["F2fs.at", "LanRange.gateway", "Ssh.port"],
    ),
    "a link's name": ([('NamedLink("lan"', 'NamedLink("l an"')], ["NamedLink.name"]),
    "a container's name": (
        [
            ("Containers(),", 'Containers([Container("we b", "docker.io/library/nginx:1")]),'),
            WEB,
            ('interfaces=["lan"]', 'interfaces=["lan"], containers=["web"]'),
        ],
        ["Container.name"],
    ),
    "a user's name of no text": ([('"admin"', "5")], ["User.name"]),
    "a user without a name": ([('"admin"', "None")], ["User.name"]),
    "a host's name of no text": ([('name="rock64"', "name=5")], ["Host.name"]),
    "a user's name with a quote": ([('"admin"', "'ad\"m$in'")], ["User.name"]),
    "a user's name on two lines": ([('"admin"', '"a\\nb"')], ["User.name"]),
    "a user's name of nothing": ([('"admin"', '""')], ["User.name"]),
    "no overlay": ([("        OverlayRoot(),\n", "")], ["Rock64"]),
    "no disks": ([("    disks=[emmc],\n", "")], ["OverlayRoot"]),
    "no slots": ([(SLOTS, ""), ("        *U_BOOT,\n", "")], ["OverlayRoot"]),
    "no data": ([(DATA, "")], ["OverlayRoot"]),
    "no data, and logs where they are lost": (
        [(DATA, ""), ("VolatileLogs()", 'VolatileLogs(at="/var/log")')],
        ["OverlayRoot", "VolatileLogs.at"],
    ),
    "two gateways": ([(LATER, f"{LATER}        Gateway({OTHERS}),\n")], ["Host.parts[8]"]),
    "two of Provisioning": ([(AFTER, f'{AFTER}        Provisioning(directory="/data/b"),\n')], ["Host.parts[6]"]),
    "two of Containers": ([(AFTER, f'{AFTER}        Containers(user="b"),\n')], ["Host.parts[8]"]),
    "two ways in": ([(AFTER, f"{AFTER}        Ssh(port=2222),\n")], ["Host.parts[6]"]),
    "two overlays": ([(AFTER, f"{AFTER}        OverlayRoot(memory=50),\n")], ["Host.parts[6]"]),
    "a root slot of odd KiB": ([("root=MiB(1024)", "root=KiB(131073)"), QUANTITIES], ["Slots.root"]),
    "a server with a password": ([("https://updates", "https://user:pw@updates")], ["UpdateClient.server"]),
    "a type that is none": ([("at_first_boot=True", 'at_first_boot=True, type="zz"')], ["Partition.type"]),
    "a root slot for nothing": ([("root=MiB(1024)", "root=MiB(1)")], ["Slots.root"]),
    "a boot slot for nothing": ([("boot=MiB(128)", "boot=MiB(1)")], ["Slots.boot"]),
    "slots that start late": ([("start=MiB(16)", "start=MiB(4096)")], ["Slots.start"]),
    "no SSH": ([("        Ssh(),\n", "")], ["Gateway.ssh_switch", "Provisioning", "RecoveryVpn"]),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_only_follows_is_not_told(name: str, project: Project) -> None:  # noqa: F811
    changes, fields = ALONE[name]
    assert fields_told(project, changes) == fields


def test_what_to_say_instead_is_an_attribute_path() -> None:
    path = ("environment", "etc", "a/b", "mode")
    said = [Setting(path, mode, Origin(), f"Part.{mode}", "", "part") for mode in ("0400", "0600")]
    (mistake,) = settle(said, Schema.chosen()).mistakes
    assert mistake.what == 'environment.etc."a/b".mode is set twice, differently'
    assert mistake.fix == "say which: settings={'environment.etc.\"a/b\".mode': ...}"
