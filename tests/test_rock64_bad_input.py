"""What bad input gets, tried on the Rock64's own host file: the place, what was given, what is allowed, and the fix."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host_project import project  # noqa: F401 - a fixture
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
    "ssh_on_the_pages_port": [("Ssh(),", "Ssh(port=8080),"), (SWITCH, 'domain="lan",  # "/data')],
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
