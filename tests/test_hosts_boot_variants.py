"""Where /boot is: the EFI partition itself, or a directory of the pool's with the EFI partition below it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host_project import project  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from host_project import Project

VM = (Path(__file__).parents[1] / "hosts/impermanence-vm.py").read_text()
NIX = 'Dataset("local/nix", at="/nix"),'


@pytest.mark.parametrize(
    ("esp", "dataset", "at"),
    [("ESP()", NIX, "/boot"), ('ESP(at="/boot/efi")', f'Dataset("local/boot", at="/boot"), {NIX}', "/boot/efi")],
    ids=["/boot", "/boot/efi"],
)
def test_systemd_boot_finds_the_efi_partition(esp: str, dataset: str, at: str, project: Project) -> None:  # noqa: F811
    text = VM.replace("ESP()", esp).replace(NIX, dataset)
    answer = project.run("gen", project.host(text, "impermanence-vm"))
    assert answer.status == 0, answer.err
    modules = project.root / "modules/impermanence-vm"
    board, disko = (modules / "board.nix").read_text(), (modules / "disko.nix").read_text()
    assert ('efiSysMountPoint = "/boot/efi";' in board) == (at == "/boot/efi")
    assert f'mountpoint = "{at}";' in disko
    assert 'mountpoint = "/boot";' in disko
