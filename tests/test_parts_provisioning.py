from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

from gateway_host import GATEWAY
from host_project import project  # noqa: F401 - a fixture
from nixwright.options.schema import Schema
from nixwright.parts.facts import ContainerUnit, ContainerUser, Provisioned
from nixwright.parts.gateway import Gateway
from nixwright.parts.named_link import NamedLink
from nixwright.parts.provisioning import Provisioning, program_text
from nixwright.parts.ssh import Ssh
from nixwright.provisioning.device import Device
from nixwright.provisioning.shape import read
from parts_host import NixSnapshot, context, plain_layout, printed, told
from provisioning_example import WHOLE

if TYPE_CHECKING:
    from pathlib import Path

    from host_project import Project
    from syrupy.assertion import SnapshotAssertion

HOST = GATEWAY.replace(
    "        Ssh(),\n", '        Provisioning(directory="/var/lib/config"),\n        Ssh(),\n'
).replace("from nixwright.parts.ssh", "from nixwright.parts.provisioning import Provisioning\nfrom nixwright.parts.ssh")


def gateway() -> Gateway:
    return Gateway(NamedLink("wan", path="platform-ff540000.ethernet"), NamedLink("lan", driver="r8152"))


def test_the_module(snapshot: SnapshotAssertion) -> None:
    part = Provisioning()
    assert printed(part, context(part, gateway(), Ssh())) == snapshot(extension_class=NixSnapshot)


def test_no_page_without_a_lan() -> None:
    part = Provisioning()
    paths = [".".join(s.path) for s in part.settings(context(part, Ssh()))]
    assert not [path for path in paths if "provision-page" in path]


def test_every_option_is_one_of_nixos() -> None:
    part = Provisioning()
    schema = Schema.shipped()
    paths = [s.path for s in part.settings(context(part, gateway(), Ssh()))]
    assert len(paths) > 8
    assert [p for p in paths if not schema.nodes(p)] == []


def test_what_the_program_is_told_of_the_device() -> None:
    part = Provisioning()
    unit = ContainerUnit("proxy.service", None)
    host = context(part, gateway(), Ssh(port=2222), layout=plain_layout(), facts=[unit, ContainerUser("apps")])
    (text,) = (f.text for f in part.files(host) if f.name == "provision.toml")
    device = read(Device, tomllib.loads(text))
    assert (device.wan, device.lan, device.lan_address, device.ssh_port) == ("wan", "lan", "172.20.30.1", 2222)
    assert (device.reserved, device.units, device.containers_user) == (("ivan",), ("proxy.service",), "apps")
    assert device.labels == ("boot", "root")
    assert host.fact(Provisioned) == Provisioned("/data/config", 8080)


def test_what_a_device_is_told_must_stay_and_be_of_use() -> None:
    part = Provisioning(directory="/etc/config")
    assert [told(m)[:2] for m in part.host_rules(context(part))] == [
        ["Provisioning.directory", "does not survive a boot: the device would forget who it is"],
        ["Provisioning", "nobody could log in: those of whom a device is told come by SSH"],
    ]
    kept = Provisioning(directory="/persist/config")
    assert not [*kept.host_rules(context(kept, Ssh()))]


def test_the_program_stands_by_itself(tmp_path: Path) -> None:
    text = program_text()
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    program, device = tmp_path / "provision.py", tmp_path / "provision.toml"
    program.write_text(text, "utf-8")
    device.write_text(f'directory = {json.dumps(str(tmp_path / "config"))}\nwan = "wan"\nlan = "lan"\n', "utf-8")
    argv = [sys.executable, "-I", str(program), "--device", str(device), "--run", str(tmp_path / "run"), "validate"]
    right, wrong = tmp_path / "right.toml", tmp_path / "wrong.toml"
    right.write_text(WHOLE, "utf-8")
    wrong.write_text(WHOLE.replace('shell = "zsh"', 'shell = "fish"'), "utf-8")
    done = subprocess.run([*argv, str(right)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the configuration is right\n", "")
    done = subprocess.run([*argv, str(wrong)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("config.toml:6  users.ada.shell: is not one of those that are known\n")


def test_a_host_file(project: Project) -> None:  # noqa: F811
    answer = project.run("gen", project.host(HOST, "gw"))
    assert answer.status == 0, answer.err
    assert project.text("modules/gw/provision.py").endswith("    sys.exit(main())\n")
    assert 'lan = "lan"' in project.text("modules/gw/provision.toml")


def test_a_wrong_host_file(project: Project) -> None:  # noqa: F811
    text = HOST.replace('directory="/var/lib/config"', 'directory="config", seed="config.toml"')
    answer = project.run("gen", project.host(text, "gw"))
    assert answer.status == 2
    assert "Provisioning.directory" in answer.err
    assert "Provisioning.seed" in answer.err
