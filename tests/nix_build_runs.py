"""The recorded runs of `nix build`, and what the runner makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright.runner.progress import Progress
from nixwright.tools.nix_log import BuildStarted, read_event

if TYPE_CHECKING:
    from nixwright.tools.nix_log import Event

FILE = Path(__file__).parent / "data/nix-build/runs.jsonl"
RUNS: dict[tuple[str, str], dict[str, Any]] = {
    (run["case"], run["nix"]): run for run in map(json.loads, FILE.read_text(encoding="utf-8").splitlines())
}
# The derivation that was asked for, where it has another name than the case.
_ASKED = {
    "interrupted": "sleeps",
    "many": "dependency",
    "remote-builder-killed": "quick-sleep",
    "remote-connection-dies": "quick-sleep",
    "remote-dies": "quick-sleep",
    "remote-dies-ssh": "quick-sleep",
    "remote-fails": "fails",
    "remote-passes": "passes",
    "remote-store": "fails",
    "remote-store-dies": "quick-sleep",
    "timeout": "sleeps",
    "driver-box": "container-test-run-box",
    "driver-assert": "container-test-run-assert",
    "driver-badbox": "container-test-run-badbox",
    "driver-lint": "container-test-run-lint",
    "driver-vm": "vm-test-run-vm",
}


def events(case: str, nix: str) -> list[Event]:
    """Return the events of a run."""
    lines = RUNS[case, nix]["stderr"]
    return [e for e in (read_event(line.encode(errors="surrogateescape")) for line in lines) if e is not None]


def followed(case: str, nix: str) -> Progress:
    """Return how far the derivation that was asked for came."""
    name = _ASKED.get(case, case)
    found = events(case, nix)
    started = [e.derivation for e in found if isinstance(e, BuildStarted) and e.derivation.endswith(f"-{name}.drv")]
    progress = Progress(next(iter(started), f"/nix/store/0000-{name}.drv"))
    for event in found:
        progress.feed(event)
    return progress
