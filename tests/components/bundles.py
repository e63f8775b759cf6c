"""Bundles as RAUC makes them, and who signs them: made anew for each run, by real openssl and rauc."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixwright.scenarios.updates import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority with a signer of bundles, and with a web server on `localhost`."""

    at: Path

    @classmethod
    def make(cls, at: Path) -> Authority:
        """Make keys and certificates below a directory."""
        at.mkdir(parents=True, exist_ok=True)
        made = cls(at)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"]
        _openssl(at, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority of a test")
        for name, extension in (("signer", "keyUsage=digitalSignature"), ("server", "subjectAltName=DNS:localhost")):
            own = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-addext", extension]
            not_authority = ["-addext", "basicConstraints=critical,CA:FALSE"]
            _openssl(at, "req", "-x509", *key, *own, *not_authority, "-CA", "ca.pem", "-CAkey", "ca.key")
        return made

    @property
    def certificate(self) -> Path:
        """The authority's own: the keyring."""
        return self.at / "ca.pem"

    @property
    def signer(self) -> tuple[Path, Path]:
        """The signer's certificate and key."""
        return self.at / "signer.pem", self.at / "signer.key"

    @property
    def server(self) -> tuple[Path, Path]:
        """The web server's certificate and key."""
        return self.at / "server.pem", self.at / "server.key"


def bundle(  # noqa: PLR0913 - each is what a test is about
    authority: Authority,
    at: Path,
    *,
    version: str = "2.0.0",
    compatible: str = "gw",
    form: str = "verity",
    images: tuple[bytes, bytes] | None = None,
) -> Path:
    """Make a signed bundle of a boot and a root image, small ones where none are given; return its path, below `at`."""
    content = at / "content"
    content.mkdir(parents=True)
    (content / "manifest.raucm").write_text(MANIFEST.format(version=version, compatible=compatible, format=form))
    # RAUC refuses what a few blocks hold
    for name, image in zip(("boot.vfat", "rootfs.squashfs"), images or (os.urandom(65536),) * 2, strict=True):
        (content / name).write_bytes(image)
    certificate, key = authority.signer
    made = at / "update.raucb"
    command = ["rauc", "bundle", f"--cert={certificate}", f"--key={key}", str(content), str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def _openssl(at: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=at, check=True, capture_output=True)
