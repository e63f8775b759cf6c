"""`new --machine`: the disks of another machine, over a real ssh connection to a real sshd on the loopback."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host_project import project  # noqa: F401 - a fixture
from nixwright.tools.disks import disks
from programs import need, search_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from host_project import Project


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A running sshd that takes the key in `tmp_path`."""
    need("sshd")
    if not os.access("/run/sshd", os.F_OK) and os.geteuid() == 0:
        Path("/run/sshd").mkdir()  # where sshd gives up its privileges
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    shutil.copy(tmp_path / "key.pub", tmp_path / "authorized")
    (tmp_path / "sshd_config").write_text(
        f"Port {number}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host_key\nPidFile none\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path}/authorized\nPasswordAuthentication no\nPermitRootLogin yes\nUsePAM no\n"
    )
    sshd = shutil.which("sshd", path=search_path())
    assert sshd
    server = subprocess.Popen([sshd, "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", number)) == 0:
                    break
            time.sleep(0.05)
        yield number
    finally:
        server.terminate()
        server.wait()


def test_the_disks_of_another_machine(
    port: int,
    tmp_path: Path,
    project: Project,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host attic\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {tmp_path}/key\n"
        f"  UserKnownHostsFile {tmp_path}/known\n  StrictHostKeyChecking accept-new\n  BatchMode yes\n"
    )
    wrapper = tmp_path / "bin/ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}")
    answer = project.run("new", "box", "--board", "qemu-vm", "--machine", "attic")
    assert (answer.status, answer.err) == (0, "")
    text = project.text("hosts/box.py")
    here = disks()  # it is this machine, asked from outside
    assert [d.device for d in here if f'"{d.device}"' not in text] == []
    assert ("DECIDE: which disk" in text) == (len(here) != 1 or "Seen" in text)
    (tmp_path / "authorized").write_text("")
    refused = project.run("new", "other", "--board", "qemu-vm", "--machine", "attic")
    assert (refused.status, (project.root / "hosts/other.py").exists()) == (2, False)
    assert "Permission denied" in refused.err
