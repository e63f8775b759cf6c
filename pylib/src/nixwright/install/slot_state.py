"""The slots of a running device as it tells them: which one runs, which is good, how many tries are left."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from nixwright.errors import ToolError
from nixwright.parts.health import UNIT as GATE

Data = dict[str, Any]

NAMES = ("A", "B")
_VARIABLES = ("BOOT_ORDER", *(f"BOOT_{name}_LEFT" for name in NAMES))
_GATE = {"active": "passed", "activating": "not decided yet", "failed": "not passed", "inactive": "has not run"}
_WAITS = "auto-restart"  # SubState of a unit that failed, and is started again after a while


@dataclass(frozen=True, slots=True)
class SlotState:
    """One slot: what RAUC marked it (`good`, `bad`, or nothing yet), its tries, and the version installed to it."""

    name: str
    marked: str = ""
    tries: str = ""  # as U-Boot's variable says it
    version: str = ""  # empty for what was flashed: RAUC did not install it


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a device says of itself. `slot` is the one that runs, `first` the one that starts next."""

    boot: str  # differs from boot to boot
    slot: str
    first: str
    version: str
    gate: str  # ActiveState of the health gate's unit, a oneshot that remains
    failures: int  # how often it did not pass since this boot; while `activating` it looks again
    why: str  # what was not well when it looked last
    provisioned: bool
    slots: tuple[SlotState, ...]

    def of(self, name: str) -> SlotState:
        """Return a slot by its name."""
        return next(s for s in self.slots if s.name == name)

    @property
    def other(self) -> SlotState:
        """The slot that does not run: what an update is written to, and what there is to go back to."""
        return next(s for s in self.slots if s.name != self.slot)

    @property
    def decided(self) -> bool:
        """Whether the health gate is done with the slot that runs."""
        return self.gate == "active" and self.of(self.slot).marked == "good"

    @property
    def gate_told(self) -> str:
        """What the health gate came to, in words."""
        if self.gate not in {"activating", "failed"} or not self.failures:
            return _GATE.get(self.gate, self.gate or "unknown")
        why = f": {self.why}" if self.why else ""
        return f"not passed{', it looks again' if self.gate == 'activating' else ''}{why}"


def directory_of(host: Data) -> str:
    """Return where a device's own configuration lies; the usual place where the host has no part that says it."""
    return str(next((f["directory"] for f in host["facts"] if f["kind"] == "Provisioned"), "/data/config"))


def script(directory: str) -> str:
    """Return the script that asks a device. It changes nothing, and says what it can where a program is missing."""
    variables = "\n".join(f'echo {n}="$(fw_printenv -n {n} 2>/dev/null || true)"' for n in _VARIABLES)
    return f"""\
echo boot="$(cat /proc/sys/kernel/random/boot_id)"
echo slot="$(sed -n 's/.*rauc\\.slot=\\([^ ]*\\).*/\\1/p' /proc/cmdline)"
echo version="$(. /etc/os-release && echo "${{IMAGE_VERSION:-${{VERSION_ID:-}}}}")"
systemctl show --property=ActiveState,SubState,NRestarts {GATE}.service || true
echo why="$(journalctl --quiet --boot --unit={GATE} --output=cat --grep='^not well: ' 2>/dev/null | tail -n 1 || true)"
if test -e {shlex.quote(f"{directory}/config.toml")}; then echo provisioned=yes; fi
{variables}
echo rauc=
rauc status --detailed --output-format=json
"""


def parse(text: str) -> DeviceState:
    """Read what the script prints. Raises ToolError for anything else."""
    lines, _, rauc = text.partition("\nrauc=\n")
    said = dict(line.split("=", 1) for line in lines.split("\n") if "=" in line)
    try:
        status = json.loads(rauc)
        slot = said["slot"]
        entries = {name: entry for one in status["slots"] for name, entry in one.items()}
        found = tuple(_slot(name, entries, said) for name in NAMES)
        booted = slot if slot in NAMES else str(entries[slot]["bootname"])
        order = said.get("BOOT_ORDER", "").split()
        NAMES.index(booted)
        return DeviceState(
            boot=said["boot"],
            slot=booted,
            first=next((n for n in order if n in NAMES), ""),
            version=said.get("version", ""),
            gate=said.get("ActiveState", ""),
            failures=_failures(said),
            why=said.get("why", "").removeprefix("not well: "),
            provisioned=said.get("provisioned") == "yes",
            slots=found,
        )
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ToolError(
            "the device did not say which of its slots runs: is it a host with slots, and started by U-Boot?"
        ) from error


def _failures(said: dict[str, str]) -> int:
    """Return how often the gate did not pass: systemd counts a start that follows one when it begins."""
    waits = said.get("SubState", "").startswith(_WAITS) or said.get("ActiveState") == "failed"
    return int(said.get("NRestarts") or 0) + waits


def _slot(name: str, entries: Data, said: dict[str, str]) -> SlotState:
    """Return a slot from RAUC's entries: that with the boot name, and the root slot whose parent it is."""
    boot = next((key for key, entry in entries.items() if entry.get("bootname") == name), "")
    own = [entry for key, entry in entries.items() if key == boot or entry.get("parent") == boot]
    versions = [str(((e.get("slot_status") or {}).get("bundle") or {}).get("version") or "") for e in own]
    marked = str(entries[boot].get("boot_status") or "")
    return SlotState(name, marked, said.get(f"BOOT_{name}_LEFT", ""), next((v for v in versions if v), ""))


def rows(state: DeviceState) -> list[tuple[str, str]]:
    """Return the state as names and what is said of each, for a host's page."""
    runs = f"slot {state.slot}, version {state.version or 'unknown'}"
    found = [("runs", runs), ("health gate", state.gate_told)]
    for slot in state.slots:
        notes = [slot.marked or "unknown", f"{slot.tries or 'unknown'} tries left"]
        notes += [f"version {slot.version} installed"] if slot.version else []
        notes += ["starts next"] if slot.name == state.first else []
        found.append((f"slot {slot.name}", ", ".join(notes)))
    return [*found, ("provisioned", "yes" if state.provisioned else "no: it waits to be told who it is")]


def told(name: str, target: str, state: DeviceState) -> str:
    """Return the state in words, a line a slot."""
    provisioned = "provisioned" if state.provisioned else "not provisioned"
    lines = [f"{name} at {target}: slot {state.slot} runs, version {state.version or 'unknown'}, {provisioned}"]
    for slot in state.slots:
        notes = [
            n for n, holds in (("runs", slot.name == state.slot), ("starts next", slot.name == state.first)) if holds
        ]
        tries = f"tries left: {slot.tries or 'unknown'}"
        version = f"installed: {slot.version}" if slot.version else "as flashed, or empty"
        lines.append(
            f"  {slot.name}  {slot.marked or 'unknown':<8} {tries:<20} {version:<28} {', '.join(notes)}".rstrip()
        )
    lines.append(f"  health gate: {state.gate_told}")
    return "\n".join(lines) + "\n"
