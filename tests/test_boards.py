from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import nixwright.boards
import pytest
from layout_slots import emmc
from nixwright.boards.pibox import PiBox
from nixwright.boards.qemu_vm import QemuVm
from nixwright.boards.rock64 import Rock64
from nixwright.errors import MistakeError
from nixwright.layout import GPT, REST, Disk, Ext4, Partition
from nixwright.layout.model import Layout
from parts_host import MarkdownSnapshot, NixSnapshot, context, pibox_layout, plain_layout, printed, told
from programs import need

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

KERNEL = Path(nixwright.boards.__path__[0]) / "programs/rock64-kernel.nix"
BOARD = PiBox(firmware_volume_id="1A2B-3C4D")


def test_pibox(snapshot: SnapshotAssertion) -> None:
    assert BOARD.system == "aarch64-linux"
    assert printed(BOARD, context(BOARD)) == snapshot(extension_class=NixSnapshot)
    assert not [*BOARD.host_rules(context(BOARD))]


def test_pibox_steps(snapshot: SnapshotAssertion) -> None:
    steps = [
        f"## {s.phase.name}: {s.title}\n\n{s.why}\n\n{s.commands}\n\n{s.expect}" for s in BOARD.steps(context(BOARD))
    ]
    assert "\n\n".join(steps) == snapshot(extension_class=MarkdownSnapshot)


@pytest.mark.parametrize(
    ("given", "fix"),
    [("1a2b-3c4d", "1A2B-3C4D"), ("DEADBEEF", "DEAD-BEEF"), ("EMMC", "1A2B-3C4D")],
)
def test_volume_ids_that_are_refused(given: str, fix: str) -> None:
    with pytest.raises(MistakeError) as caught:
        PiBox(firmware_volume_id=given)
    assert [told(m) for m in caught.value.mistakes] == [
        [
            "PiBox.firmware_volume_id",
            "is no FAT volume id",
            repr(given),
            "8 hexadecimal digits in capitals, a dash in the middle",
            f'firmware_volume_id="{fix}"',
        ]
    ]


def test_boot_is_the_emmcs() -> None:
    host = context(BOARD, layout=pibox_layout(esp_at="/boot"))
    assert [told(m)[1:5:3] for m in BOARD.host_rules(host)] == [
        [
            "a partition of the layout is mounted at /boot, where the eMMC's belongs: the firmware reads that one",
            "ESP(at=None)",
        ]
    ]


@pytest.mark.parametrize("system", ["x86_64-linux", "aarch64-linux"])
def test_qemu_vm(system: str, snapshot: SnapshotAssertion) -> None:
    board = QemuVm(system=system)  # type: ignore[arg-type]
    host = context(board, layout=plain_layout())
    assert printed(board, host) == snapshot(extension_class=NixSnapshot)
    assert not [*board.host_rules(host)]


def test_a_trimmed_kernel_is_built_from_a_file_beside_the_module() -> None:
    board = Rock64(kernel="trimmed")
    host = context(board, layout=Layout.of([emmc()]))
    text = printed(board, host)
    assert "kernelPackages = pkgs.callPackage ./trimmed-kernel.nix { };" in text
    assert "includeDefaultModules = false;" in text
    assert "trimmed-kernel.nix" in [f.name for f in board.files(host)]
    assert "kernelPackages" not in printed(Rock64(), host)
    assert "trimmed-kernel.nix" not in [f.name for f in Rock64().files(host)]


def test_a_trimmed_kernel_has_nothing_twice() -> None:
    need("nix-instantiate")
    lib = "{ kernel.no = false; mkForce = v: v; genAttrs = names: f: map (name: { ${name} = f name; }) names; }"
    given = f"{{ lib = {lib}; linux.override = given: given; linuxPackagesFor = kernel: kernel; }}"
    argv = ["nix-instantiate", "--eval", "--strict", "--json", "-E", f"import {KERNEL} {given}"]
    found = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    names = [name for option in found["structuredExtraConfig"] for name, on in option.items() if on is False]
    assert len(names) == len(set(names)) == len(found["structuredExtraConfig"])
    assert {"PCI", "DRM", "ARCH_TEGRA"} < set(names)
    assert "ARCH_ROCKCHIP" not in names


def test_qemu_vm_without_a_boot_partition() -> None:
    layout = Layout.of([Disk("/dev/disk/by-id/virtio-root", GPT(Partition("root", REST, Ext4(at="/"))))])
    found = [m.what for m in QemuVm().host_rules(context(QemuVm(), layout=layout))]
    assert found == ["no EFI system partition is mounted: the boot loader has no place"]
