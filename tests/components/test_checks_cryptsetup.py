"""What the check of the disks asks cryptsetup, asked of real containers in files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, cast

import pytest
from nixwright.scenarios import disks
from programs import need

if TYPE_CHECKING:
    from pathlib import Path

    from nixwright.scenarios.driver import QemuMachine


class Here:
    """This machine, as a scenario sees one."""

    def succeed(self, command: str) -> str:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], check=True, capture_output=True, text=True
        ).stdout

    def fail(self, command: str) -> None:
        assert subprocess.run(["bash", "-c", command], check=False, capture_output=True).returncode != 0


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_container_is_what_it_should_be(tmp_path: Path, version: str) -> None:
    need("cryptsetup")
    box = cast("QemuMachine", Here())
    image, keys = tmp_path / "image", [tmp_path / name for name in ("a", "b", "c")]
    with image.open("wb") as file:
        file.truncate(32 << 20)
    for key in keys:
        key.write_text(key.name)
    cheap = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
    box.succeed(f"cryptsetup luksFormat -q --type luks{version} {cheap} --key-file {keys[0]} {image}")
    box.succeed(f"cryptsetup luksAddKey -q {cheap} --key-file {keys[0]} {image} {keys[1]}")
    opens, refuses = [str(k) for k in keys[:2]], [str(keys[2])]
    disks.opens(box, containers={str(image): {"version": [version], "opens": opens, "refuses": refuses}})
    with pytest.raises(AssertionError, match="has 2 key slots, not 1"):
        disks.opens(box, containers={str(image): {"version": [version], "opens": opens[:1], "refuses": []}})
    with pytest.raises(subprocess.CalledProcessError):
        disks.opens(box, containers={str(image): {"version": ["3"], "opens": opens, "refuses": []}})
