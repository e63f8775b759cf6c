"""A whole `config.toml` for tests, bundles of it, and changes at random that make most of them wrong."""

from __future__ import annotations

import gzip
import io
import random
import subprocess
import tarfile
from typing import TYPE_CHECKING

from nixwright.provisioning.device import Device

if TYPE_CHECKING:
    from collections.abc import Mapping

ADA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL ada@laptop"
SECRET = "hunter2-correct-horse"  # noqa: S105 - a made-up one, that no message may show
DEVICE = Device(
    name="gw",
    wan="wan",
    lan="lan",
    lan_cidr="172.20.30.1/24",
    containers_user="appsvc",
    reserved=("ada-of-the-image",),
    units=("proxy.service",),
    labels=("boot-a", "boot-b", "rootfs-a", "rootfs-b", "data"),
)
SMALL = f"""\
version = 1

[users.ada]
isAdmin = true
ssh_key = "{ADA}"

[activation]
required = ["web"]
settle_seconds = 0

[containers.container.web.Container]
Image = "docker.io/library/nginx:1.29"
"""
WHOLE = f"""\
version = 1 # the only one

[users.ada]
isAdmin = true
ssh_key = "{ADA}"
shell = "zsh"

[users.bob]

[network]
dns_servers = ["192.0.2.53"]
dns_search_domains = ["example.org"]

[network.interfaces.wan]
mode = "static"
address = "192.0.2.7/24"
gateway = "192.0.2.1"

[network.interfaces.lan]
mode = "static"
address = "10.44.0.1/22"

[network.dnsmasq]
enable = true
interface = "lan"
gateway_cidr = "10.44.0.1/22"
dhcp_start = "10.44.1.0"
dhcp_end = "10.44.2.255"
domain = "house.example"
hostname_pattern = "gateway-{{mac}}"
gateway_aliases = ["door"]

[network.ntp]
servers = ["time.cloudflare.com", "192.0.2.9"]

[network.firewall.inbound]
wan = {{ tcp = [443], udp = [1194] }}
lan = {{ tcp = [80, 443], udp = [1194] }}

[activation]
required = ["web"]
timeout_seconds = 20
settle_seconds = 1
restart = ["dns"]
allow_degraded = ["worker"]
strategy = "rollback"

[os_upgrade]
server_url = "https://updates.example.org/rock64"

[containers.container.web]
privileged = false

[containers.container.web.Container]
Image = "docker.io/library/nginx:1.29"
PublishPort = ["8081:80", "0.0.0.0:8443:443/tcp", "9000"]
Volume = "${{FILES_DIR}}/www:/srv:ro"
Environment = ["TOKEN={SECRET}", "MODE=plain"]
ReadOnly = true
PidsLimit = 100

[containers.container.web.Unit]
After = "web-data-volume.service"

[containers.container.dns]
privileged = true
Container = {{ Image = "local.build", Volume = ["${{CONFIG_DIR}}/files/dns:/etc/dns"] }}
Install = {{ WantedBy = "multi-user.target" }}

[containers.container.worker.Container]
Image = "docker.io/library/busybox:1"
Network = "inner.network"

[containers.network.inner.Network]
Internal = true

[containers.volume.web-data]

[containers.build.local.Build]
SetWorkingDirectory = "${{FILES_DIR}}/dns"
ImageTag = "localhost/dns"
"""
FILES = {"files/www/index.html": b"<h1>hello</h1>\n", "files/dns/Dockerfile": b"FROM scratch\n" * 40}
_WORDS = (
    *(
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ".",
        ",",
        '"',
        "'",
        '"""',
        "'''",
        "\\",
        "\\u0000",
        "\n",
        "\r",
        "\0",
        "#",
        " ",
    ),
    *(
        "true",
        "false",
        "0",
        "-1",
        "65536",
        "8080",
        "1e400",
        "nan",
        "inf",
        "9" * 30,
        "1979-05-27",
        "0x1f",
        "../",
        "/etc",
    ),
    *(
        "[users.root]",
        "root",
        "[containers]",
        "privileged = true",
        "\u2028",
        "\u00e9",
        "\ud7ff",
        "10.0.0.0/8",
        "${FILES_DIR}",
    ),
    *("PodmanArgs", "[[users]]", "a.b.c = 1", "version = 1", "=[[[[[[[[", "{a={a={a=", "\\\n[Service]", "\x1b[2J"),
)


def mutant(seed: int, text: str) -> bytes:
    """Return a file with one to six changes: of its bytes, its lines, its words, its numbers."""
    rng = random.Random(seed)  # noqa: S311 - the same for the same seed
    data = bytearray(text.encode())
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(8)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + rng.choice((1, 1, 2, 8, 64))]
        elif kind == 2:
            data[at:at] = rng.choice(_WORDS).encode()
        elif kind == 3:
            start = rng.randrange(len(data) + 1)
            data[at:at] = data[start : start + rng.choice((1, 8, 80, 800))]
        else:
            data = bytearray(b"\n".join(_lines_changed(rng, bytes(data).split(b"\n"))))
    return bytes(data)


def _lines_changed(rng: random.Random, lines: list[bytes]) -> list[bytes]:
    """Return lines of which one is gone, doubled, elsewhere, or has another value: what is TOML mostly stays TOML."""
    at = rng.randrange(len(lines))
    line = lines[at]
    kind = rng.randrange(5)
    if kind == 0:
        return lines[:at] + lines[at + 1 :]
    if kind == 1:
        other = rng.randrange(len(lines))
        return [*lines[:at], lines[other], *lines[at:]]
    values = (
        b"true",
        b"1",
        b'""',
        b'"x"',
        b"[]",
        b'["web"]',
        b"{}",
        b"0.5",
        b'"10.44.0.1/22"',
        b"[443, 443]",
        b"8080",
        b"1.0",
    )
    if kind == 2 and b"=" in line:
        return [*lines[:at], line.partition(b"=")[0] + b"= " + rng.choice(values), *lines[at + 1 :]]
    if kind == 3:
        return [*lines[:at], line.replace(b"a", b"b", 1), *lines[at + 1 :]]
    digits = [index for index, byte in enumerate(line) if byte in b"0123456789"]
    if digits:
        changed = bytearray(line)
        changed[rng.choice(digits)] = rng.choice(b"0123456789")
        return [*lines[:at], bytes(changed), *lines[at + 1 :]]
    return lines


def archive(members: Mapping[str, bytes], *, kind: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar archive of some files."""
    room = io.BytesIO()
    with tarfile.open(fileobj=room, mode="w", format=kind) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return room.getvalue()


def packed(data: bytes, how: str) -> bytes:
    """Return bytes packed by `gz`, `zst`, or not at all."""
    if how == "gz":
        return gzip.compress(data, 1, mtime=0)
    if how == "zst":
        return subprocess.run(["zstd", "-1", "-q", "-c"], input=data, capture_output=True, check=True).stdout
    return data


def bundle_mutant(seed: int, how: str) -> bytes:
    """Return a bundle that was changed before it was packed, after, or both."""
    rng = random.Random(seed)  # noqa: S311 - the same for the same seed
    config = mutant(seed, WHOLE) if rng.random() < 0.3 else WHOLE.encode()
    name = rng.choice(("config.toml", "config.toml", "./config.toml", "../config.toml", "/config.toml", "config"))
    plain = bytearray(
        archive(
            {name: config, **FILES}, kind=rng.choice((tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT))
        )
    )
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 4)):  # mostly in the headers
            at = rng.choice((rng.randrange(512), rng.randrange(len(plain)))) % len(plain)
            plain[at] = rng.choice((rng.randrange(256), rng.choice(b"01234567/.\0xLg5ZS")))
    data = bytearray(packed(bytes(plain), how))
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
    return bytes(data)
