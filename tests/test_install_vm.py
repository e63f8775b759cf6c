"""`vm`: the commands that it runs, and that QEMU and Nix take them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from host_project import EXAMPLE, SMALLEST, Project, project  # noqa: F401 - a fixture
from nixwright.cli import main as main_module
from nixwright.errors import ToolError
from nixwright.install import vm_plan
from nixwright.install.vm_plan import Vm
from nixwright.load import load
from nixwright.tools.qemu import Image, Kernel, Machine, argv
from programs import need

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pibox() -> dict[str, Any]:
    (loaded,) = load([ROOT / "hosts/pibox.py"], ROOT, about=True)
    return loaded.about


def machine(*names: str, **more: Any) -> Machine:
    images = tuple(Image(Path(f"/d{n}.qcow2"), name) for n, name in enumerate(names))
    return Machine("x86_64-linux", images, ("/code", "/variables"), **more)


def after(found: list[str], flag: str) -> list[str]:
    return [found[i + 1] for i, part in enumerate(found) if part == flag]


# Looked at in a guest: udev 262 gives these disks these names in /dev/disk/by-id, and the card /dev/mmcblk0.
@pytest.mark.parametrize(
    ("name", "devices"),
    [
        (
            "/dev/disk/by-id/ata-Samsung_SSD_870_QVO_1TB_S5RRNF0R123456",
            [
                "ich9-ahci,id=sata0",
                "ide-hd,bus=sata0.0,drive=disk0,model=Samsung SSD 870 QVO 1TB,serial=S5RRNF0R123456",
            ],
        ),
        (
            "/dev/disk/by-id/usb-Samsung_Portable_SSD_T5_1234567A666E-0:0",
            [
                "usb-bot,bus=usb.0,id=stick0,serial=1234567A666E",
                "scsi-hd,bus=stick0.0,drive=disk0,vendor=Samsung,product=Portable SSD T5",
            ],
        ),
        ("/dev/disk/by-id/virtio-hello", ["virtio-blk-pci,drive=disk0,serial=hello"]),
        ("/dev/mmcblk0", ["sdhci-pci,id=card0", "sd-card,drive=disk0"]),
        ("", ["virtio-blk-pci,drive=disk0"]),
    ],
)
def test_a_disk_has_the_name_that_the_host_file_says(name: str, devices: list[str]) -> None:
    found = after(argv(machine(name)), "-device")
    assert found[: len(devices) + 1] == ["qemu-xhci,id=usb", *devices]


@pytest.mark.parametrize(
    "name", ["/dev/disk/by-id/nvme-Samsung_SSD_980_S64", "/dev/disk/by-path/pci-0000:00", "/dev/disk/by-id/ata-A,b_c d"]
)
def test_a_name_that_no_disk_of_qemu_has(name: str) -> None:
    with pytest.raises(ToolError, match="QEMU has no disk that udev would call"):
        argv(machine(name))


def test_ports_window_and_kernel() -> None:
    found = argv(machine("", ports=((2222, 22), (8080, 80)), window=True), Kernel("/k", "/i", "init=/x console=a"))
    assert after(found, "-nic") == [
        "user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:8080-:80"
    ]
    assert "virtio-gpu-pci" in found
    assert found[-6:] == ["-kernel", "/k", "-initrd", "/i", "-append", "init=/x console=a"]
    assert argv(machine(""))[-4:] == ["-display", "none", "-serial", "mon:stdio"]
    assert after(argv(machine(""), log="/a,b"), "-serial") == ["file:/a,,b"]


def test_disks_of_the_declared_size_and_the_boot_partition_of_the_board(pibox: dict[str, Any], tmp_path: Path) -> None:
    vm = Vm("/p", tmp_path)
    disks = pibox["disks"][0] | {"size": 10**12}
    found = vm_plan.images(pibox | {"disks": [disks]}, vm)
    assert [(i.path.name, size) for i, size in found] == [
        ("main.qcow2", 10**12),
        ("volume-1A2B-3C4D.qcow2", vm_plan.VOLUME),
    ]
    assert vm_plan.format_volumes(pibox) == "mkfs.vfat -F 32 -i 1A2B3C4D /dev/disk/by-id/virtio-1A2B-3C4D"
    with pytest.raises(ToolError, match="has no disks"):
        vm_plan.images(pibox | {"disks": []}, vm)


def test_the_images_are_sparse(pibox: dict[str, Any], tmp_path: Path) -> None:
    need("qemu-img")
    for command in vm_plan.create(pibox, Vm("/p", tmp_path)):
        subprocess.run(command, check=True)
    told = subprocess.run(["qemu-img", "info", tmp_path / "main.qcow2"], check=True, capture_output=True, text=True)
    assert "virtual size: 512 GiB" in told.stdout
    assert (tmp_path / "main.qcow2").stat().st_size < 1 << 20


def test_the_expression_is_nix(pibox: dict[str, Any]) -> None:
    need("nix-instantiate")
    text = vm_plan.expression(pibox, '/a "b" ${c}', "ssh-ed25519 AAAA installer")
    done = subprocess.run(
        ["nix-instantiate", "--parse", "-"], input=text, check=True, capture_output=True, text=True
    ).stdout
    assert "vm-installer" in done
    assert '"/a \\"b\\" \\${c}"' in done


def test_qemu_takes_the_command(tmp_path: Path) -> None:
    """It starts paused and is told to quit: devices, drives and options are all right."""
    need("qemu-system-x86_64", "qemu-img")
    names = [
        "/dev/disk/by-id/ata-Samsung_SSD_870_QVO_1TB_S5RRNF0R123456",
        "/dev/disk/by-id/usb-Samsung_Portable_SSD_T5_1234567A666E-0:0",
        "/dev/disk/by-id/virtio-hello",
        "/dev/mmcblk0",
    ]
    images = []
    for number, name in enumerate(names):
        images.append(Image(tmp_path / f"a,b {number}.qcow2", name))
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", images[-1].path, "64M"], check=True)
    for name in ("code", "variables"):
        (tmp_path / name).write_bytes(bytes(1 << 20))
    firmware = (f"{tmp_path}/code", f"{tmp_path}/variables")
    made = Machine("x86_64-linux", tuple(images), firmware, memory=256, ports=((0, 22),), accelerators=("tcg",))
    done = subprocess.run(
        [*argv(made), "-S"], input="\x01cquit\n", capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


# The command


def test_a_dry_run_says_all(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    project.host(EXAMPLE)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    done = project.run("vm", "hosts/pibox.py", "--dry-run", "--forward", "2222:22", "--passphrase", "cryptkey=/x")
    commands = [shlex.split(line) for line in done.out.splitlines() if line.startswith(("qemu", "XDG"))]
    assert [c[0] for c in commands] == [
        "qemu-img",
        "qemu-img",
        "qemu-system-aarch64",
        "XDG_STATE_HOME=/state/nixwright/vm/pibox",
        "qemu-system-aarch64",
    ]
    assert commands[3][-4:] == ["--passphrase", "cryptkey=/x", "--yes", "pibox"]
    assert commands[2][commands[2].index("-append") + 1] == "init=<system>/init console=ttyAMA0"
    assert done.err == ""


def test_what_is_installed_is_only_started(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    project.host(SMALLEST, "vm")
    home = project.root / "state/nixwright/vm/vm"
    home.mkdir(parents=True)
    (home / "installed").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(project.root / "state"))
    once = project.run("vm", "hosts/vm.py", "--dry-run").out
    assert once.count("\n") == 2
    assert "-serial mon:stdio" in once
    assert "qemu-img" in project.run("vm", "hosts/vm.py", "--dry-run", "--fresh").out
    done = project.run("vm", "hosts/vm.py", "--fresh", "--yes", "no")
    assert done.status == 2
    assert home.exists()


@pytest.fixture
def recorded(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """Recorders in place of Nix, QEMU and ssh; the log of what they were told."""
    project.host(SMALLEST, "vm")
    project.run("gen", "hosts/vm.py")
    (tmp_path / "bin").mkdir()
    system = '{"system":{"value":"x86_64-linux"}}'
    link = tmp_path / "state/nixwright/vm/vm/installer"
    until_off = f"for _ in $(seq 600); do test -e {tmp_path}/off && exit; sleep 0.1; done"
    for name, text in {
        "nix": f"case $* in *'config show'*) echo '{system}';; *) mkdir -p {link}; touch {link}/variables;; esac",
        "qemu-img": "true",
        "qemu-system-x86_64": f"case $* in *-kernel*) {until_off};; esac",
        "ssh": f"case $* in *poweroff*) touch {tmp_path}/off;; esac",
        "ssh-keygen": 'for last; do :; done; echo "ssh-ed25519 AAAA installer" >"$last.pub"',
    }.items():
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\necho {name} "$@" | head -1 >>{tmp_path}/log\n{text}\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "log"


def test_from_nothing_to_a_machine_that_is_off_again(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made, installed, switched off, started from its disks; the second time only that."""
    asked: list[list[str]] = []
    real = main_module.main

    def install(argv: list[str]) -> int:
        asked.append(argv)
        return 0

    monkeypatch.setattr(main_module, "main", install)
    assert real(["vm", "hosts/vm.py"]) == 0
    names = [line.split()[0] for line in recorded.read_text().splitlines()]
    assert names[:4] == ["nix", "qemu-img", "ssh-keygen", "nix"]
    assert sorted(names[4:7]) == ["qemu-system-x86_64", "ssh", "ssh"]  # the machine runs beside what asks for it
    assert names[7:] == ["qemu-system-x86_64"]
    assert asked[0][:2] == ["install", str(recorded.parent / "hosts/vm.py")]
    assert asked[0][-2:] == ["--yes", "vm"]
    recorded.unlink()
    assert real(["vm", "hosts/vm.py"]) == 0
    assert recorded.read_text().startswith("qemu-system-x86_64 -name nixwright")
    assert recorded.read_text().count("\n") == 1


def test_an_installation_that_fails_leaves_no_machine_running(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = main_module.main
    monkeypatch.setattr(main_module, "main", lambda _argv: 2)
    assert real(["vm", "hosts/vm.py"]) == 2
    assert "the installation in the machine stopped; its console is in" in capsys.readouterr().err
    assert not (recorded.parent / "state/nixwright/vm/vm/installed").exists()
    assert not subprocess.run(
        ["pgrep", "-f", f"sh {recorded.parent}/bin/qemu"], check=False, capture_output=True
    ).stdout


def test_ports_that_are_none(project: Project) -> None:  # noqa: F811
    project.host(SMALLEST, "vm")
    for wrong in ("22", "a:b", "0:22", "22:70000"):
        done = project.run("vm", "hosts/vm.py", "--dry-run", "--forward", wrong)
        assert (done.status, done.err) == (
            2,
            f"nixwright: --forward {wrong}: say HERE:THERE, two ports, as in 2222:22\n",
        )


def test_without_nix_nothing_is_begun(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    project.host(SMALLEST, "vm")
    project.run("gen", "hosts/vm.py")
    monkeypatch.setenv("XDG_STATE_HOME", str(project.root / "state"))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    done = project.run("vm", "hosts/vm.py")
    assert done.status == 2
    assert "this machine is without Nix and cannot build for x86_64-linux" in done.err
    assert not (project.root / "state").exists()
