"""The containers of a host file, as Quadlet itself makes units of them. Debian 12's podman is older than Quadlet."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from nixwright.parts.containers import Container, Port
from nixwright.parts.programs import containers_apply as program
from nixwright.provisioning.derived import derived_files, parse
from nixwright.provisioning.quadlet import quadlet_files
from programs import need
from provisioning_example import DEVICE, WHOLE

if TYPE_CHECKING:
    from pathlib import Path

    from nixwright.nix.values import Text

NGINX = "docker.io/library/nginx:1.29"
HARD = ['daemon off; # "$x" 100% \\', "$$ %%", "a  b", "'", "é", "\\x20", "%n"]


def file_of(container: Container) -> str:
    """The file, as NixOS writes it to /etc, where the store is /store."""
    text: Text = container.quadlet()  # type: ignore[assignment]
    return "".join(p if isinstance(p, str) else f"/store/{p.text.removeprefix('./')}" for p in text.parts)  # type: ignore[attr-defined]


def units(directory: Path, *containers: Container) -> dict[str, str]:
    """What Quadlet makes of some containers, by the names of the units."""
    for container in containers:
        (directory / f"{container.name}.container").write_text(file_of(container))
    words = ["quadlet", "-dryrun", *([] if containers[0].privileged else ["-user"])]
    environment = os.environ | {"QUADLET_UNIT_DIRS": str(directory)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pieces = re.split(r"^---(\S+)---$", done.stdout, flags=re.MULTILINE)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def started(unit: str) -> list[str]:
    """The command line of a unit, as systemd reads it (systemd.service(5), "Command lines")."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)
    words = [word[1:-1] if word.startswith('"') else word for word in re.findall(r'"(?:\\.|[^"\\])*"|\S+', line)]

    def plain(match: re.Match[str]) -> str:
        octet = match[1]
        return chr(int(octet[1:], 16)) if octet.startswith("x") and len(octet) > 1 else octet

    return [re.sub(r"\\(x[0-9a-f]{2}|.)", plain, w).replace("$$", "$").replace("%%", "%") for w in words]


def test_a_container_without_root(tmp_path: Path) -> None:
    need("quadlet")
    web = Container(
        "web",
        NGINX,
        ports=[Port(8081, 80), Port(5353, 53, on="172.20.30.1", udp=True)],
        volumes={"/data/web": "/usr/share/nginx/html:ro"},
        environment={"TZ": "UTC"},
        command=["nginx", *HARD],
    )
    made = units(tmp_path, web)
    assert list(made) == [web.unit]
    words = started(made[web.unit])
    image = words.index(NGINX)
    assert words[image + 1 :] == ["nginx", *HARD]
    before = " ".join(words[:image])
    assert "--publish 127.0.0.1:8081:80 --publish 172.20.30.1:5353:53/udp" in before
    assert "--network pasta" in before
    assert "-v /data/web:/usr/share/nginx/html:ro" in before
    assert "--env-file /store/web-environment.conf" in before
    assert "WantedBy=default.target" in made[web.unit]
    assert "RequiresMountsFor=/data/web" in made[web.unit]


def test_a_privileged_container(tmp_path: Path) -> None:
    need("quadlet")
    dns = Container("dns", "quay.io/coredns/coredns:1.12.0", privileged=True)
    made = units(tmp_path, dns)
    assert "--network host" in " ".join(started(made[dns.unit]))
    assert "WantedBy=multi-user.target" in made[dns.unit]


def test_the_device_asks_quadlet_first(tmp_path: Path) -> None:
    need("quadlet")
    (tmp_path / "web.container").write_text(f"[Container]\nImage={NGINX}\n")
    (tmp_path / "lan.network").write_text("[Network]\nInternal=true\n")
    for scope in ("rootful", "rootless"):
        program.understood("quadlet", tmp_path, scope)
    (tmp_path / "web.container").write_text(f"[Container]\nImage={NGINX}\nImg=x\n")
    said = f"{tmp_path}: converting \"web.container\": unsupported key 'Img'"
    for scope in ("rootful", "rootless"):
        with pytest.raises(program.RefusedError, match=re.escape(said)):
            program.understood("quadlet", tmp_path, scope)


def test_what_a_device_is_told_quadlet_understands(tmp_path: Path) -> None:
    """All that `config.toml` can say of containers, and the units that are named for it."""
    need("quadlet")
    config = parse(WHOLE.encode(), DEVICE)
    named = json.loads(derived_files(config, DEVICE, dict.fromkeys(config.users, 20_000))["containers.json"])
    for path, text in quadlet_files(config.containers, "/data/config").items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for scope in ("rootful", "rootless"):
        source = tmp_path / "containers" / scope
        program.understood("quadlet", source, scope)
        environment = os.environ | {"QUADLET_UNIT_DIRS": str(source)}
        words = ["quadlet", "-dryrun", *(["-user"] if scope == "rootless" else [])]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        made = re.findall(r"^---(\S+)---$", done.stdout, flags=re.MULTILINE)
        assert set(made) == {program.unit_of(file.name) for file in source.iterdir()}
        assert {*named[scope]} <= {*made}
        assert ("--network pasta" in done.stdout) == (scope == "rootless")
        assert "0.0.0.0" not in done.stdout  # noqa: S104 - a published port is the device's own


def test_the_names_of_units_are_those_that_quadlet_gives(tmp_path: Path) -> None:
    need("quadlet")
    files = {
        "web.container": f"[Container]\nImage={NGINX}\n",
        "web.volume": "[Volume]\n",
        "lan.network": "[Network]\n",
        "own.build": "[Build]\nImageTag=localhost/own:1\nSetWorkingDirectory=/data/own\n",
        "all.pod": "[Pod]\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    environment = os.environ | {"QUADLET_UNIT_DIRS": str(tmp_path)}
    done = subprocess.run(["quadlet", "-dryrun"], env=environment, capture_output=True, text=True, check=True)
    made = set(re.findall(r"^---(\S+)---$", done.stdout, flags=re.MULTILINE))
    assert made == {program.unit_of(name) for name in files}
