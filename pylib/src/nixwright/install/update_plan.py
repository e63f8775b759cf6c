"""The steps of an update as data: build, switch, and look at what the board runs before NixOS."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nixwright.install.plan import COPY, Action, Step
from nixwright.tools.nix_machine import FEATURES

if TYPE_CHECKING:
    from nixwright.tools.ssh import Remote

Data = dict[str, Any]
Way = Literal["switch", "boot", "test", "dry-activate"]

WAYS: tuple[Way, ...] = ("switch", "boot", "test", "dry-activate")
NAME = "cat /proc/sys/kernel/hostname"


@dataclass(frozen=True, slots=True)
class Update:
    """What the command was told: the flake, where to build, and when the new system starts."""

    flake: str
    on_target: bool = False
    way: Way = "switch"


def plan(host: Data, remote: Remote, update: Update) -> list[Step]:
    """Return the steps."""
    build_host = ["--build-host", remote.target] if update.on_target else []
    switch = ["nixos-rebuild", update.way, "--flake", f"{update.flake}#{host['name']}", "--target-host", remote.target]
    firmware = [f for f in host["facts"] if f["kind"] == "BootFirmware"]
    return [
        Step("switch", _TITLES[update.way], (Action((*switch, *build_host)),)),
        *(_firmware(host, remote, update, f) for f in firmware),
    ]


_TITLES = {
    "switch": "Build the system, copy it, switch to it",
    "boot": "Build the system, copy it, let the next boot start it",
    "test": "Build the system, copy it, switch to it until the next boot",
    "dry-activate": "Build the system, copy it, show what would change",
}


def _firmware(host: Data, remote: Remote, update: Update, fact: Data) -> Step:
    """Compare what the board boots with what the new system's package has.

    A kernel that jumps a version may want a newer firmware and device tree; what NixOS does not update, nobody does.
    """
    attribute = f"{update.flake}#nixosConfigurations.{host['name']}.pkgs.{fact['package']}"
    where = ["--store", remote.store(), "--eval-store", "auto"] if update.on_target else []
    build = Action(("nix", *FEATURES, "build", "--no-link", "--json", *where, attribute), keeps="firmware")
    copy = [] if update.on_target else [Action((*COPY, remote.store(), "<firmware>"))]
    look = Action(tuple(remote.argv(_compare(fact["at"]))))
    return Step("firmware", f"Compare the firmware at {fact['at']} with the new system's", (build, *copy, look))


def _compare(at: str) -> str:
    """Say which files are others than the package's, and how to refresh them. It changes nothing."""
    quoted = shlex.quote(at)
    return f"""\
echo "running: Linux $(uname -r)"
echo "new:     $(readlink -f /nix/var/nix/profiles/system/kernel)"
if ! mountpoint -q {quoted}; then
  echo {quoted} is not mounted: the firmware cannot be looked at
  exit 1
fi
cd <firmware>
old=$(find -L . -type f | sort | while read -r file; do cmp -s "$file" {quoted}/"$file" || echo "  $file"; done)
if test -z "$old"; then
  echo The firmware at {quoted} is the new system\\'s.
else
  echo The firmware at {quoted} is older than the new system, or another:
  echo "$old"
  echo Refresh it, then reboot: cp -rL <firmware>/. {quoted}/ '&&' sync
fi"""
