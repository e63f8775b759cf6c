"""Bundles that real RAUC refuses, and U-Boot's variables as the checks of updates and the real tools have them."""

from __future__ import annotations

import shutil
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from nixwright.scenarios import updates as scenario
from programs import need
from updates_bench import first_boot

if TYPE_CHECKING:
    from pathlib import Path


def test_a_wrong_bundle_starts_nothing(tmp_path: Path) -> None:
    with first_boot(tmp_path) as (bench, guest):
        disks = bench.disks
        # a board that keeps no time, and no time server yet: the signature was good when it was made
        guest.succeed(
            "date -s 2020-01-01; rauc --conf=/shared/rauc.conf info /shared/good; date -s @$(date +%s -r /shared/good)"
        )
        empty = disks.slot("b")
        said = {}
        for name, file in bench.wrong().items():
            shutil.copy(file, guest.shared / "wrong")
            said[name] = guest.fail("cp /shared/wrong /run/wrong; rauc install /run/wrong 2>&1")
            guest.succeed("sync")
            assert disks.slot("a") == bench.running, name
            if name == "changed":
                assert disks.starts() == ["A"], "what is half written may be started"
            else:
                assert (disks.slot("b"), disks.starts()) == (empty, ["A", "B"]), name
        assert "signature verification failed" in said["signature"]
        assert "Compatible mismatch" in said["compatible"]
        assert "Bundle format 'plain' not allowed" in said["plain"]
        assert "ignature" in said["half"]


def test_the_variables_of_the_checks_are_those_of_the_tools(tmp_path: Path) -> None:
    need("fw_printenv")
    machine: Any = SimpleNamespace(state_dir=tmp_path)
    file = tmp_path / "empty1.qcow2"
    config = tmp_path / "fw_env.config"
    config.write_text(f"{file} 0x0 0x2000\n")
    said = {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "2"}
    scenario.set_variables(machine, said)
    shown = subprocess.run(["fw_printenv", "-c", config], check=True, capture_output=True, text=True).stdout
    assert dict(line.split("=") for line in shown.split("\n") if line) == said
    subprocess.run(["fw_setenv", "-c", config, "BOOT_B_LEFT", "1"], check=True)
    assert scenario.variables(machine) == said | {"BOOT_B_LEFT": "1"}
    file.write_bytes(b"torn" + file.read_bytes()[4:])
    assert scenario.variables(machine)["BOOT_ORDER"] == "A B"
