"""What this machine can build, as its Nix is configured."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from nixwright.errors import ToolError
from nixwright.tools.command import output_of

FEATURES = ("--extra-experimental-features", "nix-command flakes")
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class NixMachine:
    """Its own system, those it emulates or runs besides, and those of its builders."""

    system: str = ""  # empty without Nix
    emulated: frozenset[str] = frozenset()
    builders: frozenset[str] = frozenset()


def nix_machine() -> NixMachine:
    """Ask Nix for its configuration; a machine without Nix builds nothing."""
    if shutil.which("nix") is None:
        return NixMachine()
    try:
        text = output_of(["nix", *FEATURES, "config", "show", "--json"], timeout=_TIMEOUT)
    except ToolError:  # before Nix 2.20
        text = output_of(["nix", *FEATURES, "show-config", "--json"], timeout=_TIMEOUT)
    return parse(text)


def parse(text: str) -> NixMachine:
    """Read Nix' configuration in JSON. Raises ToolError for anything else."""
    try:
        values = {name: setting["value"] for name, setting in json.loads(text).items()}
        system, extra, builders = values["system"], values.get("extra-platforms", []), values.get("builders", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError("nix did not say how it is configured") from error
    extra = extra.split() if isinstance(extra, str) else extra
    return NixMachine(system, frozenset(extra) - {system}, frozenset(_systems(str(builders))))


def _systems(builders: str) -> set[str]:
    """Return the systems of builders: `URI SYSTEM,SYSTEM ...` a line, or `@FILE` with such lines."""
    found: set[str] = set()
    for line in builders.replace(";", "\n").splitlines():
        words = line.split()
        if words and words[0].startswith("@"):
            file = Path(words[0][1:])
            found |= _systems(file.read_text(encoding="utf-8")) if file.is_file() else set()
        elif len(words) > 1 and not words[0].startswith("#"):
            found |= set(words[1].split(","))
    return found
