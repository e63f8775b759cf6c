from __future__ import annotations

import json
import os
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from gateway_host import GATEWAY
from host_project import project  # noqa: F401 - a fixture
from nixwright.layout.model import Layout
from nixwright.options.schema import Schema
from nixwright.options.settings import Setting, parse_path
from nixwright.origin import Origin
from nixwright.parts.containers import Container, Containers, Port
from nixwright.parts.facts import ContainerUnit, ContainerUser, Provisioned
from nixwright.parts.programs import containers_apply as program
from parts_host import NixSnapshot, context, pibox_layout, plain_layout, printed, told
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from host_project import Project
    from syrupy.assertion import SnapshotAssertion

NGINX = "docker.io/library/nginx:1.29"
TOLD = Provisioned("/data/config", 8080)


class Message(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "txt"


def everything() -> Containers:
    web = Container(
        "web",
        NGINX,
        ports=[Port(8081, 80), Port(5353, 53, on="0.0.0.0", udp=True)],  # noqa: S104 - said aloud
        volumes={"/data/web": "/usr/share/nginx/html:ro"},
        environment={"TZ": "Europe/Amsterdam", "MOTD": 'a "b" $c %d \\ e'},
        command=["nginx", "-g", 'daemon off; # "$x" 100% \\'],
    )
    return Containers([web, Container("dns", "quay.io/coredns/coredns:1.12.0", privileged=True)])


def test_a_host_with_containers(snapshot: SnapshotAssertion) -> None:
    part = everything()
    host = context(part, layout=plain_layout(), facts=[TOLD])
    assert not [*part.host_rules(host)]
    assert printed(part, host) == snapshot(extension_class=NixSnapshot)
    written = {f.name: f.text for f in part.files(host)}
    assert set(written) == {"web-environment.conf", "containers-apply.py", "rootless-storage.conf"}
    assert tomllib.loads(written["rootless-storage.conf"])["storage"] == {
        "driver": "overlay",
        "graphroot": "/data/containers/appsvc/.local/share/containers/storage",
        "runroot": "/run/user/390/containers",
    }
    assert written["web-environment.conf"] == 'TZ=Europe/Amsterdam\nMOTD=a "b" $c %d \\ e\n'
    assert [f.name for f in Containers().files(context())] == ["rootless-storage.conf"]


def test_root_does_nothing_where_the_user_may_have_put_links() -> None:
    """What runs in a container may have got out, as the user: a link at ~/.config would have led root anywhere."""
    part = Containers(storage="/data/c", user="svc")
    home: Any
    (home,) = (s.value for s in part.settings(context(part)) if s.path[-1] == "containers-home")
    assert home["serviceConfig"]["User"] == "svc"
    commands = ["".join(map(str, text.parts)) for text in home["serviceConfig"]["ExecStart"]]
    of_root = [command for command in commands if command.startswith("+")]
    assert [command.split(" ")[-1] for command in of_root] == ["/data/c", "/data/c/svc"]  # whose parents are root's
    assert len(commands) > len(of_root)
    assert all("/data/c/svc/.config" in command for command in commands if command not in of_root)


def test_what_the_health_gate_learns() -> None:
    assert [*everything().provides(Layout.of([]))] == [
        ContainerUser("appsvc"),
        ContainerUnit("web.service", "appsvc"),
        ContainerUnit("dns.service", None),
    ]


def test_a_port_is_for_the_host_alone_unless_said() -> None:
    assert Port(8081, 80).published == "127.0.0.1:8081:80"
    assert Port(8081, 80, on="172.20.30.1", udp=True).published == "172.20.30.1:8081:80/udp"


def test_every_option_is_one_of_nixos() -> None:
    part, schema = everything(), Schema.shipped()
    paths = [s.path for s in part.settings(context(part, facts=[TOLD]))]
    assert len(paths) > 10
    assert [p for p in paths if not schema.nodes(p)] == []


def test_storage_that_is_lost_and_a_user_that_is_a_persons() -> None:
    part = Containers(storage="/var/lib/containers", user="ivan")
    assert [told(m)[:2] for m in part.host_rules(context(part, layout=pibox_layout()))] == [
        [
            "Containers.storage",
            "does not survive a boot: each would fetch all images again, and lose what containers wrote",
        ],
        ["Containers.user", "is a person's: containers have a user of their own"],
    ]


@pytest.mark.parametrize(
    ("outside", "inside", "lost"),
    [
        ("/var/web", "/srv", True),
        ("/var/web", "/srv:ro", False),
        ("/persist/x", "/srv", False),
        ("/run/x", "/x", False),
    ],
)
def test_a_volume_that_is_lost(outside: str, inside: str, lost: bool) -> None:  # noqa: FBT001 - of a table
    part = Containers([Container("web", NGINX, volumes={outside: inside})], storage="/persist/containers")
    found = [told(m)[:3] for m in part.host_rules(context(part))]
    what = "does not survive a boot: what the container writes there would be lost"
    assert found == ([["Container.volumes", what, outside]] if lost else [])


@pytest.mark.parametrize("name", ["health-gate", "rauc", "dbus", "systemd-networkd"])
def test_a_unit_that_the_host_has(name: str) -> None:
    said = [
        Setting(parse_path(path), value, Origin(), "Host.settings", "", "settings")
        for path, value in (("services.rauc.enable", True), ("systemd.services.health-gate.script", "true"))
    ]
    for privileged in (True, False):
        part = Containers([Container(name, NGINX, privileged=privileged)])
        found = [told(m)[:2] for m in part.whole_rules(context(part), said)]
        assert found == ([["Container.name", "is the name of a unit that the host has"]] if privileged else [])


WRONG: dict[str, str] = {
    "no_image": 'Container("web", "")',
    "image_left_out": 'Container("web")',
    "image_without_registry": 'Container("web", "nginx:1.29")',
    "image_without_version": 'Container("web", "docker.io/library/nginx")',
    "name": 'Container("Web Server", "docker.io/library/nginx:1.29")',
    "two_of_one_name": 'Container("web", "docker.io/a/b:1"), Container("web", "docker.io/a/c:1")',
    "one_port_twice": (
        'Container("a", "docker.io/a/b:1", ports=[Port(8081, 80)]), '
        'Container("b", "docker.io/a/b:1", ports=[Port(8081, 81)])'
    ),
    "port_of_root": 'Container("web", "docker.io/a/b:1", ports=[Port(80, 80)])',
    "port_that_is_none": 'Container("web", "docker.io/a/b:1", ports=[Port(70000, 80)])',
    "address_that_is_none": 'Container("web", "docker.io/a/b:1", ports=[Port(8081, 80, on="lan")])',
    "ports_of_a_privileged_one": 'Container("web", "docker.io/a/b:1", ports=[Port(80, 80)], privileged=True)',
    "two_volumes_at_one_path": 'Container("web", "docker.io/a/b:1", volumes={"/data/a": "/s", "/data/b": "/s:ro"})',
    "digits_of_another_script": 'Container("web", "docker.io/a/b:1", ports=[Port(8081, 80, on="١٢٧.0.0.1")])',
    "version_of_another_script": 'Container("web", "docker.io/a/b:é")',
    "unit_of_the_host": 'Container("sshd", "docker.io/a/b:1", privileged=True)',
    "paths": 'Container("web", "docker.io/a/b:1", volumes={"data": "/srv", "/data/web": "srv"})',
    "variables": 'Container("web", "docker.io/a/b:1", environment={"A B": "c", "D": "e\\nf"}, command=["a\\nb", ""])',
    "secret_in_clear": (
        'Container("web", "docker.io/a/b:1", environment={"TOKEN": "ghp_0123456789abcdefghijABCDEFGHIJ012345"})'
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_host_file(name: str, project: Project, snapshot: SnapshotAssertion) -> None:  # noqa: F811
    text = GATEWAY.replace(
        "from nixwright.parts.gateway import",
        "from nixwright.parts.containers import Container, Containers, Port\nfrom nixwright.parts.gateway import",
    ).replace("        Ssh(),\n", f"        Containers([{WRONG[name]}]),\n        Ssh(),\n")
    answer = project.run("gen", project.host(text, "gw"))
    assert answer.status == 2
    assert "Traceback" not in answer.err
    assert answer.err == snapshot(extension_class=Message)


class Device:
    """Two managers that note what is asked of them, and a Quadlet that refuses what has no `[Container]`."""

    def __init__(self, root: Path) -> None:
        self.root, self.config = root, root / "data/config"
        self.log = root / "asked"
        (root / "bin").mkdir()
        (root / "run/user/390").mkdir(parents=True)
        systemctl = f"""#!/bin/sh
case "$*" in *"show "*) cat {root}/units 2>/dev/null; exit 0;; esac
echo "$*" >>{self.log}
! test -e {root}/refuses
"""
        runuser = f'#!/bin/sh\necho "as $2" >>{self.log}\nshift 3\nexec "$@"\n'
        quadlet = (
            "#!/bin/sh\n"
            'for file in "$QUADLET_UNIT_DIRS"/*; do\n'
            'echo "quadlet-generator[7]: Loading source unit file $file" >&2\n'
            'grep -q "^.Container.$" "$file" || { echo "quadlet-generator[7]: converting \\"$(basename "$file")\\": no '
            'Container" >&2; exit 1; }\ndone\n'
        )
        for name, text in (("systemctl", systemctl), ("runuser", runuser), ("quadlet", quadlet)):
            (root / "bin" / name).write_text(text)
            (root / "bin" / name).chmod(0o755)

    def tell(self, rootful: dict[str, str], rootless: dict[str, str], restart: Sequence[str] = ()) -> None:
        units: dict[str, Any] = {"restart": list(restart)}
        for scope, files in (("rootful", rootful), ("rootless", rootless)):
            directory = self.config / "containers" / scope
            directory.mkdir(parents=True, exist_ok=True)
            for file in directory.iterdir():
                file.unlink()
            for name, text in files.items():
                (directory / name).write_text(text)
            units[scope] = [program.unit_of(name) for name in files if name.endswith(".container")]
        (self.config / "containers.json").write_text(json.dumps(units))

    def apply(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        self.log.write_text("")
        monkeypatch.setenv("PATH", f"{self.root}/bin:/usr/bin:/bin")
        quadlet = str(self.root / "bin/quadlet")
        argv = ["containers-apply", str(self.config), "appsvc", "390", quadlet, "--root", str(self.root)]
        monkeypatch.setattr("sys.argv", argv)
        program.main()
        return self.log.read_text().splitlines()

    def files(self) -> list[str]:
        target = self.root / "run/containers-told"
        return sorted(str(f.relative_to(target)) for f in target.rglob("*") if f.is_file())


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


A, B = "[Container]\nImage=docker.io/a/a:1\n", "[Container]\nImage=docker.io/a/b:1\n"


def test_what_a_device_is_told_runs(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.tell({"dns.container": A}, {"web.container": A, "web.volume": "[Container]\n"})
    as_user = ["as appsvc"]
    assert device.apply(monkeypatch) == [
        *as_user,  # whether the image has a unit of this name
        "daemon-reload",
        "--no-block start dns.service",
        *as_user,
        "--user daemon-reload",
        *as_user,
        "--user --no-block start web.service",
    ]
    assert device.files() == ["rootful/dns.container", "rootless/web.container", "rootless/web.volume"]
    # the user's Quadlet reads its own, and nobody else either: a container's variables may be secret
    for scope, group in (("rootful", 0), ("rootless", 390)):
        place = device.root / "run/containers-told" / scope
        for path, mode in ((place, 0o750), *((file, 0o640) for file in place.iterdir())):
            found = path.stat()
            assert found.st_mode & 0o777 == mode
            assert os.geteuid() != 0 or (found.st_uid, found.st_gid) == (0, group)
    # a second time nothing is loaded again; what has stopped is started
    assert [w for w in device.apply(monkeypatch) if "start" not in w] == as_user
    device.tell({}, {"web.container": B, "web.volume": "[Container]\n"}, restart=["web.service"])
    assert device.apply(monkeypatch) == [
        "stop dns.service",
        "daemon-reload",
        *as_user,
        "--user daemon-reload",
        *as_user,
        "--user --no-block try-restart web.service",
        *as_user,
        "--user --no-block start web.service",
    ]
    assert device.files() == ["rootless/web.container", "rootless/web.volume"]


def test_the_names_of_units_are_quadlets() -> None:
    names = ["web.container", "web.volume", "lan.network", "web.build", "web.pod", "all.kube"]
    units = ["web.service", "web-volume.service", "lan-network.service", "web-build.service", "web-pod.service"]
    assert [program.unit_of(name) for name in names] == [*units, "all.service"]


def test_nothing_is_asked_of_a_user_who_has_nothing(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    (device.root / "run/user/390").rmdir()
    device.tell({"dns.container": A}, {})
    assert device.apply(monkeypatch) == ["daemon-reload", "--no-block start dns.service"]


@pytest.mark.parametrize(
    ("units", "says"),
    [
        (
            "{",
            "/containers.json: is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        ('{"units": []}', "/containers.json: is no table of rootful, rootless, restart"),
        ('{"rootful": ["--force"]}', "/containers.json: rootful: is no list of names of services"),
        ('{"restart": ["../a.service"]}', "/containers.json: restart: is no list of names of services"),
        ('{"rootless": "web.service"}', "/containers.json: rootless: is no list of names of services"),
    ],
)
def test_what_is_refused_changes_nothing(
    units: str, says: str, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.tell({"dns.container": A}, {})
    device.apply(monkeypatch)
    device.tell({"dns.container": B}, {"web.container": A})
    (device.config / "containers.json").write_text(units)
    with pytest.raises(SystemExit, match=f"^{re.escape(f'[containers-apply] {device.config}{says}')}$"):
        device.apply(monkeypatch)
    assert device.files() == ["rootful/dns.container"]
    assert (device.root / "run/containers-told/rootful/dns.container").read_text() == A


def test_what_quadlet_does_not_understand_changes_nothing(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.tell({"dns.container": A}, {"web.container": "[Kontainer]\n"})
    where = f"{device.config}/containers/rootless"
    says = f'[containers-apply] {where}: converting "web.container": no Container'
    with pytest.raises(SystemExit, match=f"^{re.escape(says)}$"):
        device.apply(monkeypatch)
    assert (device.files(), device.log.read_text()) == ([], "")


def test_a_container_with_the_name_of_a_unit_of_the_image_changes_nothing(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.tell({"dns.container": A, "sshd.container": A}, {})
    own, other = "Id=sshd.service\nFragmentPath=/etc/systemd/system/sshd.service", "Id=dns.service\nFragmentPath="
    (device.root / "units").write_text(f"{other}\n\n{own}\n")
    says = "sshd.service is a unit of the image (/etc/systemd/system/sshd.service): the container needs another name"
    with pytest.raises(SystemExit, match=re.escape(f"[containers-apply] {says}")):
        device.apply(monkeypatch)
    assert (device.files(), device.log.read_text()) == ([], "")
    # one that Quadlet made, as after a restart of this program's unit, is none of the image's
    (device.root / "units").write_text("Id=sshd.service\nFragmentPath=/run/systemd/generator/sshd.service\n")
    device.apply(monkeypatch)
    assert device.files() == ["rootful/dns.container", "rootful/sshd.container"]


def test_a_manager_that_refuses_is_told_of(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.tell({"dns.container": A}, {})
    (device.root / "refuses").touch()
    with pytest.raises(SystemExit, match=re.escape("[containers-apply] systemctl daemon-reload (rootful): ")):
        device.apply(monkeypatch)
