"""Our check and NixOS' own types judge alike.

`tests/data/option-verdicts.json` holds what the real option types of NixOS 26.05 (with disko and nixos-pibox) say of
the settings that `option_sample.draw(Schema.shipped(), seed=26, each=2, values=4)` drew, as
`tests/data/option-judge.nix` asks them: each line a path, a value, and whether NixOS takes it. What ends the evaluation
outright (a path that does not exist) is a refusal too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nixwright.options.check import check
from nixwright.options.schema import Schema
from nixwright.options.settings import Setting

VERDICTS: list[tuple[list[str], Any, bool]] = json.loads(
    (Path(__file__).parent / "data" / "option-verdicts.json").read_text()
)
# What NixOS refuses and we take, and why: a check that only a module's own Nix code knows.
OPEN = {
    "a type of the module's own, open in the schema": {
        "meta.teams",
        "nixpkgs.config",
        "nixpkgs.overlays",
        "containers",
        "services.akkoma",
        "services.autorandr",
        "services.home-assistant",
        "services.openldap",
        "services.wordpress",
        "hardware.printers",
        "networking.openconnect",
        "boot.initrd.systemd.slices",
    },
    "a check added to a list, a number or a string that asking it cannot find": {
        "services.picom",
        "services.beesd",
        "services.multipath",
    },
    "one field forces another, which is missing or wrong": {
        "fileSystems",
        "services.matrix-synapse",
        "services.nghttpx",
    },
}


def taken(path: list[str], value: Any) -> bool:
    return not check([Setting(tuple(path), value, user=True)], Schema.shipped())


def test_the_sample_is_large_and_has_both_kinds() -> None:
    right = sum(verdict for *_, verdict in VERDICTS)
    assert len(VERDICTS) >= 500
    assert min(right, len(VERDICTS) - right) >= 250


def test_what_nixos_takes_is_taken() -> None:
    refused = [(".".join(path), value) for path, value, verdict in VERDICTS if verdict and not taken(path, value)]
    # its own merge does not look into a list: [ null ] is taken by the type and fails when /etc/gitconfig is made
    assert refused == [("programs.git.config", [None])]


def test_what_nixos_refuses_is_refused_but_for_what_only_nix_can_know() -> None:
    missed = [".".join(path) for path, value, verdict in VERDICTS if not verdict and taken(path, value)]
    known = tuple(name for names in OPEN.values() for name in names)
    assert [path for path in missed if not path.startswith(known)] == []
    assert len(missed) == 41


@pytest.mark.parametrize("verdict", [True, False])
def test_a_check_that_says_always_the_same_is_found_out(verdict: bool) -> None:  # noqa: FBT001 - the verdict itself
    assert any(nixos is not verdict for *_, nixos in VERDICTS)
