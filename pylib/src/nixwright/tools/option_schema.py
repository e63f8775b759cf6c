"""The option schema of a nixpkgs, or of a flake's configuration, asked from Nix by the Nix file in the package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nixwright import options
from nixwright.errors import ToolError
from nixwright.nix.literals import quoted
from nixwright.tools.command import output_of

EXPORTER = Path(options.__file__).parent / "data" / "option-schema.nix"
_LONGEST = 600.0  # seconds; NixOS whole takes 5


@dataclass(frozen=True, slots=True)
class Source:
    """What is asked: `flake` (`REF#nixosConfigurations.NAME`), or a nixpkgs with modules beside NixOS' own."""

    flake: str = ""
    nixpkgs: str = "<nixpkgs>"
    modules: tuple[Path, ...] = ()
    omit: tuple[str, ...] = ()
    system: str = "aarch64-linux"


def expression(source: Source) -> str:
    """Return the Nix expression that evaluates to the schema."""
    omit = " ".join(quoted(name) for name in source.omit)
    head = f"import {_path(EXPORTER)} {{ omit = [ {omit} ];"
    if source.flake:
        reference, _, attribute = source.flake.partition("#")
        if Path(reference or ".").exists():
            reference = str(Path(reference or ".").resolve())
        return (
            f"let host = (builtins.getFlake {quoted(reference)}).{attribute}; in "
            f"{head} inherit (host) options config; inherit (host.pkgs) lib; }}"
        )
    nixpkgs = source.nixpkgs if source.nixpkgs.startswith("<") else _path(Path(source.nixpkgs))
    modules = " ".join(_path(module) for module in source.modules)
    return f"{head} nixpkgs = {nixpkgs}; system = {quoted(source.system)}; modules = [ {modules} ]; }}"


def nix_argv(source: Source) -> list[str]:
    """Return the command line that prints the schema as JSON."""
    features = ["--extra-experimental-features", "nix-command flakes"]
    return ["nix", *features, "eval", "--impure", "--json", "--expr", expression(source)]


def schema_of(source: Source) -> dict[str, Any]:
    """Return the schema. Raises ToolError where Nix is missing or fails."""
    text = output_of(nix_argv(source), timeout=_LONGEST, needs="only Nix knows the options of a nixpkgs")
    found = json.loads(text)
    if not isinstance(found, dict) or "properties" not in found:
        raise ToolError("nix printed no option schema")
    return found


def _path(path: Path) -> str:
    """Return a path as a Nix expression: with spaces or the like it must be a string made a path."""
    return f"(/. + {quoted(str(path.resolve()))})"
