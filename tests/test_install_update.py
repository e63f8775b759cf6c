"""`update`: what it runs, what it asks first, and what it says of firmware that nobody updates."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from host_project import EXAMPLE, Project, project  # noqa: F401 - a fixture
from nixwright.cli import main as main_module
from nixwright.install.update_plan import Update, plan
from nixwright.install.work import fill
from nixwright.load import load
from nixwright.tools.ssh import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
REMOTE = Remote.of("root@pibox", 22, ())


@pytest.fixture(scope="module")
def pibox() -> dict[str, Any]:
    (loaded,) = load([ROOT / "hosts/pibox.py"], ROOT, about=True)
    return loaded.about


def test_what_runs(pibox: dict[str, Any]) -> None:
    here, firmware = plan(pibox, REMOTE, Update("/p"))
    assert here.actions[0].argv == (
        *("nixos-rebuild", "switch", "--flake", "/p#pibox"),
        *("--target-host", "root@pibox"),
    )
    assert firmware.actions[0].argv[-1] == "/p#nixosConfigurations.pibox.pkgs.pibox.firmware"
    there, firmware = plan(pibox, REMOTE, Update("/p", on_target=True, way="boot"))
    assert there.actions[0].argv == (
        *("nixos-rebuild", "boot", "--flake", "/p#pibox"),
        *("--target-host", "root@pibox", "--build-host", "root@pibox"),
    )
    assert [a.argv[0] for a in firmware.actions] == ["nix", "ssh"]  # it is there where it was built


def test_a_host_without_firmware_of_its_own_has_no_such_step(pibox: dict[str, Any]) -> None:
    assert [s.key for s in plan(pibox | {"facts": []}, REMOTE, Update("/p"))] == ["switch"]


@pytest.fixture
def firmware(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The new system's firmware, and a /boot that has it."""
    new, boot = tmp_path / "new", tmp_path / "boot"
    for top in (new, boot):
        (top / "overlays").mkdir(parents=True)
        (top / "start4.elf").write_text("firmware 2")
        (top / "overlays/a.dtbo").write_text("overlay 2")
    (boot / "EFI").mkdir()  # what the boot loader put there is no concern of the firmware
    (tmp_path / "bin").mkdir()
    mountpoint = tmp_path / "bin/mountpoint"
    mountpoint.write_text('#!/bin/sh\ntest -d "$2"\n')
    mountpoint.chmod(0o755)
    return iter([(new, boot)])


def compared(pibox: dict[str, Any], new: Path, boot: Path) -> str:
    """Run the very script that is run on the target, with /boot elsewhere."""
    step = plan(pibox, REMOTE, Update("/p"))[1]
    command = fill(step.actions[-1].argv[-1], {"firmware": str(new)}).replace("/boot", str(boot))
    environment = {"PATH": f"{new.parent}/bin:/usr/bin:/bin"}
    return subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True, env=environment).stdout


def test_firmware_that_is_current(pibox: dict[str, Any], firmware: Iterator[tuple[Path, Path]]) -> None:
    new, boot = next(firmware)
    assert compared(pibox, new, boot).endswith(f"The firmware at {boot} is the new system's.\n")


def test_firmware_that_is_older(pibox: dict[str, Any], firmware: Iterator[tuple[Path, Path]]) -> None:
    new, boot = next(firmware)
    (boot / "start4.elf").write_text("firmware 1")
    (boot / "overlays/a.dtbo").unlink()
    assert compared(pibox, new, boot).endswith(
        f"The firmware at {boot} is older than the new system, or another:\n  ./overlays/a.dtbo\n  ./start4.elf\n"
        f"Refresh it, then reboot: cp -rL {new}/. {boot}/ && sync\n"
    )


def test_firmware_that_cannot_be_looked_at_is_no_success(
    pibox: dict[str, Any], firmware: Iterator[tuple[Path, Path]]
) -> None:
    new, boot = next(firmware)
    with pytest.raises(subprocess.CalledProcessError) as error:
        compared(pibox, new, boot / "none")
    assert "is not mounted: the firmware cannot be looked at" in error.value.stdout


# The command, with recorders in place of ssh, nix and nixos-rebuild


@pytest.fixture
def ready(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:  # noqa: F811
    project.host(EXAMPLE)
    project.run("gen", "hosts/pibox.py")
    (tmp_path / "bin").mkdir()
    builds = '{"system":{"value":"aarch64-linux"}}'
    firmware = '[{"outputs":{"out":"/nix/store/f"}}]'
    for name, text in {
        "ssh": "case $* in *hostname*) echo pibox;; esac",
        "nixos-rebuild": "exit ${REBUILD:-0}",
        "nix": f"case $* in *config*) echo '{builds}';; *) echo '{firmware}';; esac",
    }.items():
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/log\n{text}\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return project


def log(project: Project) -> list[str]:  # noqa: F811
    path = project.root / "log"
    names = [line.partition(" ")[0] for line in path.read_text().splitlines()] if path.exists() else []
    return [n for n in names if n in {"nix", "ssh", "nixos-rebuild"}]  # the rest are a script's further lines


UPDATE = ("update", "hosts/pibox.py", "--target", "root@pibox")


def test_checks_that_are_red_stop_it(ready: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def red(argv: list[str]) -> int:
        asked.append(argv)
        return 1

    real = main_module.main
    monkeypatch.setattr(main_module, "main", red)
    ready.capsys.readouterr()
    assert real([*UPDATE, "--yes", "pibox"]) == 2
    assert "the checks of pibox are not green: nothing was changed on the target" in ready.capsys.readouterr().err
    assert asked == [["test", "pibox", "--hosts", str(ready.root / "hosts/pibox.py"), "--root", str(ready.root)]]
    assert "nixos-rebuild" not in log(ready)


def test_green_it_goes_on(ready: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    real = main_module.main
    monkeypatch.setattr(main_module, "main", lambda _argv: 0)
    assert real([*UPDATE, "--yes", "pibox"]) == 0
    assert log(ready) == ["nix", "ssh", "nixos-rebuild", "nix", "nix", "ssh"]


def test_a_rebuild_that_fails(ready: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REBUILD", "3")
    done = ready.run(*UPDATE, "--yes", "pibox", "--unchecked")
    assert done.status == 2
    assert done.err.endswith(
        "nixwright: nixos-rebuild failed (exit status 3) at: Build the system, copy it, switch to it\n"
    )
    assert log(ready)[-1] == "nixos-rebuild"


def test_another_machine_is_told_of(ready: Project) -> None:
    path = ready.root / "bin/ssh"
    path.write_text(path.read_text().replace("echo pibox", "echo toaster"))
    done = ready.run(*UPDATE, "--yes", "no", "--unchecked")
    assert done.err.startswith("Note: root@pibox calls itself toaster, and would become pibox.\n")
    assert done.status == 2
    assert "nixos-rebuild" not in log(ready)


def test_stale_modules_stop_it(ready: Project) -> None:
    (ready.root / "hosts/pibox.py").write_text(EXAMPLE.replace("9999", "9998"))
    done = ready.run(*UPDATE, "--yes", "pibox", "--unchecked")
    assert done.status == 2
    assert (
        "modules/pibox/remote-unlock.nix is not what gen writes from the host file now\n    fix  nixwright gen"
        in done.err
    )
    assert "nixos-rebuild" not in log(ready)
