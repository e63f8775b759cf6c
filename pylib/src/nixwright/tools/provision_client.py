"""What the workstation says to a device's page: a source, signed by an admin's key of SSH, and the wait for its end."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nixwright.errors import NixwrightError, ToolError
from nixwright.provisioning.derived import NAMESPACE
from nixwright.provisioning.signed import NONCE_HEADER, SIGNATURE_HEADER, message
from nixwright.tools.command import output_of

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 30.0  # for an answer
_PAUSE = 1.0
_LONGEST = 4000.0  # an activation may take an hour, and settle


@dataclass(frozen=True, slots=True)
class Device:
    """A device's page: `http://172.20.30.1:8080`."""

    host: str
    port: int

    @classmethod
    def at(cls, text: str) -> Device:
        """Return the page at an address; raises NixwrightError where it is none."""
        parts = urlsplit(text if "//" in text else f"http://{text}")
        try:
            port = parts.port or 8080
        except ValueError:
            port = 0
        if parts.scheme != "http" or not parts.hostname or not port or parts.path.strip("/"):
            raise NixwrightError(f"{text!r} is no device's address: http://172.20.30.1:8080, or 172.20.30.1 alone")
        return cls(parts.hostname, port)

    def __str__(self) -> str:
        """Return the address."""
        return f"http://{self.host}:{self.port}"

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, Any]:
        """Return the answer. Raises ToolError where there is none, or the device refuses."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_SECONDS)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            said = json.loads(answer.read(1 << 20))
        except (OSError, http.client.HTTPException) as error:
            raise ToolError(f"{self} does not answer: {error}") from error
        except ValueError:
            raise ToolError(f"{self} is no device that this command knows") from None
        finally:
            connection.close()
        if not isinstance(said, dict) or answer.status >= http.client.BAD_REQUEST:
            why = said.get("error", "") if isinstance(said, dict) else ""
            raise ToolError(f"{self} refuses: {why or answer.reason}")
        return said

    def signed(self, key: Path, method: str, path: str, body: bytes) -> dict[str, Any]:
        """Ask for what an admin alone may: the key is a private one, or a public one whose private the agent holds."""
        nonce = str(self.ask("GET", "/nonce").get("nonce", ""))
        said = message(nonce, method, path, hashlib.sha256(body).hexdigest())
        return self.ask(method, path, body, **{NONCE_HEADER: nonce, SIGNATURE_HEADER: signature(key, said)})

    def wait(self, job: str, say: Callable[[str], None]) -> bool:
        """Tell what the device says of a job until that is decided; return whether it was done.

        Raises ToolError where the device is not heard of again: its address may be another now.
        """
        told, end = 0, time.monotonic() + _LONGEST
        silent = 0
        while time.monotonic() < end:
            try:
                found = self.ask("GET", job)
                silent = 0
            except ToolError:
                silent += 1
                if silent > 10:  # noqa: PLR2004 - the LAN's interface is made anew where its range changed
                    raise
                found = {}
            said = [str(line) for line in found.get("said", [])]
            for line in said[told:]:
                say(line)
            told = max(told, len(said))
            if found.get("state") in ("done", "failed"):
                return bool(found["state"] == "done")
            time.sleep(_PAUSE)
        raise ToolError(f"{self} has not decided in {_LONGEST:g} s")


def sign_argv(key: Path, file: Path) -> list[str]:
    """Return the command that signs a file; what it writes is beside that, with .sig."""
    return ["ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), str(file)]


def signature(key: Path, said: bytes) -> str:
    """Return a signature as the device takes it. Raises ToolError."""
    with TemporaryDirectory() as room:
        file = Path(room, "message")
        file.write_bytes(said)
        output_of(sign_argv(key, file), timeout=120, needs="it signs what the device is told")
        return base64.b64encode(file.with_suffix(".sig").read_bytes()).decode()


def import_argv(target: str) -> list[str]:
    """Return the command that gives a device its standard input as a source, over SSH."""
    return ["ssh", "--", target, "run0", "--pipe", "provision", "import", "-"]
