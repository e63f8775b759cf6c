"""Who may give a device another configuration: an admin, by a signature of SSH over request and a nonce of the device.

The message that is signed, each line with its newline: `nixwright-provision 1`, the nonce, the method, the path, and
the SHA-256 of the body in hexadecimal.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from nixwright.provisioning.derived import NAMESPACE

NONCE_HEADER = "X-Provision-Nonce"
SIGNATURE_HEADER = "X-Provision-Signature"
SECONDS = 300
MOST = 1024
MOST_OF_ONE = 16
_LONGEST_SIGNATURE = 16 * 1024


def message(nonce: str, method: str, path: str, digest: str) -> bytes:
    """Return what is signed."""
    return f"{NAMESPACE} 1\n{nonce}\n{method}\n{path}\n{digest}\n".encode()


class Nonces:
    """Numbers that a request may use once, for a while; no more than so many at a time, in all and for one client."""

    def __init__(self) -> None:
        """Begin without any: those of a server before this one are gone."""
        self._lock = threading.Lock()
        self._given: dict[str, tuple[str, float]] = {}

    def give(self, client: str, now: float | None = None) -> str | None:
        """Return a nonce; None where there are too many."""
        now = time.monotonic() if now is None else now
        with self._lock:
            self._given = {nonce: (who, end) for nonce, (who, end) in self._given.items() if end > now}
            of_one = sum(who == client for who, _ in self._given.values())
            if len(self._given) >= MOST or of_one >= MOST_OF_ONE:
                return None
            nonce = secrets.token_urlsafe(32)
            self._given[nonce] = (client, now + SECONDS)
            return nonce

    def use(self, nonce: str, now: float | None = None) -> bool:
        """Use a nonce up; return whether it was one."""
        now = time.monotonic() if now is None else now
        with self._lock:
            _, end = self._given.pop(nonce, ("", now))
        return end > now


def signer(signature: str, said: bytes, signers: Path) -> str | None:
    """Return who signed a message, of those in a file of allowed signers; None for nobody. `signature` is base64."""
    try:
        armored = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(armored) > _LONGEST_SIGNATURE or not signers.is_file():
        return None
    with tempfile.TemporaryDirectory() as room:
        file = Path(room, "signature")
        file.write_bytes(armored)
        found = _keygen("find-principals", "-s", str(file), "-f", str(signers))
        for name in found.decode("utf-8", "replace").split("\n") if found else []:
            if re.fullmatch("[a-z_][a-z0-9_-]{0,31}", name):
                words = ("verify", "-n", NAMESPACE, "-I", name, "-s", str(file), "-f", str(signers))
                if _keygen(*words, data=said) is not None:
                    return name
    return None


def _keygen(*words: str, data: bytes = b"") -> bytes | None:
    """Return what `ssh-keygen -Y` says; None where it fails."""
    argv = ["ssh-keygen", "-Y", *words]
    try:
        done = subprocess.run(argv, input=data, capture_output=True, timeout=10, check=False)
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return None
    return done.stdout if done.returncode == 0 else None
