"""`update`, `status`, `rollback` of a device with slots over real connections, which its restarts break."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from bundles import Authority, bundle
from host_project import project  # noqa: F401 - a fixture
from nixwright.cli import device as device_module
from programs import need
from slots_device import SlotsDevice
from slots_host import HOST
from ssh_server import server

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from host_project import Project


def test_an_update_and_back_again(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    need("rauc", "openssl", "mksquashfs")
    authority = Authority.make(tmp_path / "authority")
    update = bundle(authority, tmp_path / "update", compatible="box")
    project.host(HOST, "box")
    project.run("gen", "hosts/box.py")
    shutil.copy(authority.certificate, tmp_path / "hosts/updates.pem")
    monkeypatch.setattr(device_module, "_AGAIN", 0.05)
    device = SlotsDevice(tmp_path / "device").make()
    (tmp_path / "ssh").mkdir()
    with server(tmp_path / "ssh", device.at / "here/ssh") as reached:
        there = ("hosts/box.py", *reached.arguments)
        answer = project.run("update", *there, "--bundle", str(update), "--yes", "box")
        assert answer.status == 0, answer.err
        assert answer.out.endswith("Slot B runs and is good.\n")
        assert (device.at / "installed").read_bytes() == update.read_bytes()
        assert json.loads(project.run("status", *there, "--json").out)["slot"] == "B"
        answer = project.run("rollback", *there, "--yes", "box")
        assert (answer.status, answer.out.endswith("Slot A runs and is good.\n")) == (0, True), answer.err
        assert device.changed[1:] == ["systemctl reboot", "rauc status mark-active other", "systemctl reboot"]
        device.write(device.state | {"comes_back": False})
        answer = project.run("rollback", *there, "--yes", "box", "--wait", "0.3")
        assert answer.status == 2
        assert f"{reached.target} did not come back within 0.3 s" in answer.err
