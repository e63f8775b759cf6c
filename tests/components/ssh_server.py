"""A real sshd on loopback, whose every session is one command."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens, with keys of its own below `directory`."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def target(self) -> str:
        """Who is logged in where: an sshd that is not root's takes nobody else."""
        return f"{getpass.getuser()}@127.0.0.1"

    @property
    def arguments(self) -> list[str]:
        """How nixwright reaches it."""
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", f"IdentityFile={self.directory}/key")
        flags = [part for option in (*options, "LogLevel=ERROR") for part in ("--ssh-option", option)]
        return ["--target", self.target, "--port", str(self.port), *flags]


@contextmanager
def server(directory: Path, session: Path) -> Iterator[Server]:
    """Serve: whatever a client asks for, `session` runs, with that in SSH_ORIGINAL_COMMAND."""
    need("sshd", "ssh-keygen")
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    config = directory / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {directory}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {directory}/key.pub\nForceCommand {session}\nPermitRootLogin yes\nLogLevel ERROR\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([shutil.which("sshd") or "sshd", "-D", "-e", "-f", config])
    try:
        _wait(port)
        yield Server(directory, port, process)
    finally:
        process.kill()
        process.wait()


def _wait(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")
