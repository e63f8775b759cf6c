"""The test driver itself, outside of Nix' sandbox: to look at machines by hand, or to keep what a run leaves behind."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from nixwright.runner.logs import file_name
from nixwright.tools.command import hand_over
from nixwright.tools.nix_build import link_argv, need_nix

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nixwright.runner.run import Request
    from nixwright.runner.selection import Wanted

DRIVER = "bin/nixos-test-driver"
OUTPUT = "out"  # screenshots, and what the scenario copies from its machines


def interactive(one: Wanted, request: Request) -> int:
    """Build a check's interactive driver and hand the terminal to it; return its exit status. Raises ToolError."""
    need_nix()
    directory = directory_of(one, request.state)
    directory.mkdir(parents=True, exist_ok=True)
    link = directory / "driver"
    installable = f"{request.flake}#{request.output}.{one.attribute}.driverInteractive"
    built = hand_over(link_argv(installable, link, request.override_inputs, impure=request.impure), directory)
    if built:
        return built
    return hand_over([str(link / DRIVER)], directory, environment(directory))


def directory_of(one: Wanted, state: Path) -> Path:
    """Return where the machines of a check are kept."""
    return state / "kept" / file_name(one.title)


def fresh(directory: Path) -> None:
    """Make the directory anew: what was kept of an earlier run would be taken for this one's."""
    shutil.rmtree(directory, ignore_errors=True)
    (directory / OUTPUT).mkdir(parents=True)


def driver_argv(driver: str, directory: Path) -> list[str]:
    """Return the command line that runs a test and keeps its machines. The option's older name still works in 26.05."""
    return [f"{driver}/{DRIVER}", "--keep-vm-state", "--output_directory", str(directory / OUTPUT)]


def environment(directory: Path) -> Mapping[str, str]:
    """Return the environment of the driver: machines lie in its TMPDIR."""
    return dict(os.environ) | {"TMPDIR": str(directory)}
