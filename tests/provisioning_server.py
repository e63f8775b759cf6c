"""A device that serves its page: the very program that a host gets, with a `systemctl` that says yes."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nixwright.parts.provisioning import program_text
from nixwright.provisioning.signed import message
from programs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def put(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def key(path: Path) -> str:
    need("ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return " ".join(path.with_suffix(".pub").read_text("utf-8").split()[:2])


def signed(path: Path, data: bytes, namespace: str = "nixwright-provision") -> str:
    argv = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(path), "-"]
    done = subprocess.run(argv, input=data, capture_output=True, check=True)
    return base64.b64encode(done.stdout).decode()


class Served:
    """A device that serves its page, with a `systemctl` that says yes."""

    def __init__(self, room: Path, port: int) -> None:
        self.room, self.port = room, port
        self.config = room / "config"

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    def nonce(self) -> str:
        return str(json.loads(self.ask("GET", "/nonce")[2])["nonce"])

    def signed(self, key: Path, method: str, path: str, body: bytes = b"", nonce: str = "") -> tuple[int, Any]:
        nonce = nonce or self.nonce()
        said = message(nonce, method, path, hashlib.sha256(body).hexdigest())
        headers = {"X-Provision-Nonce": nonce, "X-Provision-Signature": signed(key, said)}
        status, _, data = self.ask(method, path, body, **headers)
        return status, data

    def first(self, text: str) -> str:
        """Tell a device that was never told, by its page's form; return the job."""
        page = self.ask("GET", "/")[2].decode()
        parts = {"token": page.partition('name="token" value="')[2].partition('"')[0], "text": text, "do": "apply"}
        head = '--b\r\nContent-Disposition: form-data; name="'
        body = "".join(f'{head}{name}"\r\n\r\n{value}\r\n' for name, value in parts.items()) + "--b--\r\n"
        status, answer, _ = self.ask(
            "POST", "/apply", body.encode(), **{"Content-Type": "multipart/form-data; boundary=b"}
        )
        assert status == 303
        return answer["Location"]

    def job(self, path: str) -> dict[str, Any]:
        for _ in range(300):
            found: dict[str, Any] = json.loads(self.ask("GET", path)[2])
            if found["state"] != "running":
                return found
            time.sleep(0.1)
        raise AssertionError(path)


@contextmanager
def server(room: Path) -> Iterator[Served]:
    """Run the very program that a device gets."""
    put(room / "provision.py", program_text())
    put(room / "provision.toml", f'name = "gw"\nwan = "wan"\nlan = "lan"\ndirectory = "{room}/config"\n')
    (room / "bin").mkdir()
    put(room / "bin" / "systemctl", '#!/bin/sh\ncase "$*" in *ActiveState*) echo ActiveState=active ;; esac\n').chmod(
        0o755
    )
    words = ["--device", str(room / "provision.toml"), "--run", str(room / "run"), "serve"]
    with (room / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", str(room / "provision.py"), *words, "--address", "127.0.0.1", "--port", "0"],
            env={**os.environ, "PATH": f"{room / 'bin'}:{os.environ['PATH']}"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    line = ""
    try:
        for _ in range(200):
            line = (room / "log").read_text("utf-8")
            if line.startswith("the page is at") and line.endswith("\n"):
                break
            time.sleep(0.1)
        yield Served(room, int(line.rstrip("/\n").rpartition(":")[2]))
    finally:
        process.terminate()
        process.wait(30)


def until(holds: Callable[[], bool]) -> None:
    for _ in range(100):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come about")
