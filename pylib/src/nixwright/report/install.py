"""INSTALL.md: the install steps of one host, chapter by chapter, as commands that can be pasted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixwright.runbook import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nixwright.runbook import Step

_CHAPTERS = {
    Phase.HARDWARE: "The hardware",
    Phase.FIRMWARE: "The firmware",
    Phase.INSTALLER: "A machine that can install",
    Phase.DISKS: "The disks",
    Phase.SECRETS: "The secrets",
    Phase.INSTALL: "The installation",
    Phase.AFTER: "After the installation",
    Phase.VERIFY: "What to look at on the real machine",
}
_INTRODUCTION = (
    "The steps that a person must do, in their order, with the values of this host. "
    "Commands are pasted into a shell as they stand; what they must show stands below them."
)


def install_text(name: str, steps: Sequence[Step], picture: str) -> str:
    """Return the page. `steps` stand in their order; `picture` of the disks heads their chapter (empty for none)."""
    phases = [p for p in Phase if any(s.phase is p for s in steps)]
    lines = [f"# Installing {name}", "", _INTRODUCTION, ""]
    for number, phase in enumerate(phases, 1):
        heading = f"{number}. {_CHAPTERS[phase]}"
        lines.append(f"{number}. [{_CHAPTERS[phase]}](#{_anchor(heading)})")
        lines += [f"   - [{s.title}](#{_anchor(s.title)})" for s in steps if s.phase is phase]
    for number, phase in enumerate(phases, 1):
        lines += ["", f"## {number}. {_CHAPTERS[phase]}"]
        if phase is Phase.DISKS and picture:
            lines += ["", "```text", *(line.rstrip() for line in picture.rstrip("\n").split("\n")), "```"]
        for step in (s for s in steps if s.phase is phase):
            lines += ["", *_step(step)]
    return "\n".join(lines) + "\n"


def _step(step: Step) -> list[str]:
    lines = [f"### {step.title}"]
    if step.why:
        lines += ["", step.why]
    if step.commands:
        lines += ["", "```sh", *step.commands.strip("\n").split("\n"), "```"]
    if step.expect:
        lines += ["", f"It worked if: {step.expect}"]
    return lines


def _anchor(heading: str) -> str:
    """The anchor that GitHub and its like give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
