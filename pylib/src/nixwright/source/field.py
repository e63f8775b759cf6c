"""A field path: how a person says which value of a host file is meant.

state_version                      a field of the host
parts.PwmFan.curve                 in a list, a class name chooses the one entry of that class
users.ivan.ssh_keys[0]             in a list, else a name chooses the entry whose first field it is
parts.Ethernet.eth0.dhcp           both, where a class has several entries
parts.Ethernet[1].dhcp             or its number among them, from 0; -1 is the last
disks[0].device                    an entry by its number
parts.PwmFan.curve.55              a key of a dict; `curve[55]` is the same
settings.services.tailscale.enable a key with dots in it, unquoted where it can be found, else `settings."a.b"`
tank.datasets.local/root.snapshots a name of the file that is no field of the host: what is bound to it
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nixwright.errors import Mistake, MistakeError

_STEP = re.compile(
    r"""(?P<dot>\.?)(?:
        (?P<name>[^.\[\]"']+)
      | "(?P<double>(?:[^"\\]|\\.)*)"
      | '(?P<single>(?:[^'\\]|\\.)*)'
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*(?P<q>["'])(?P<key>(?:(?!(?P=q))[^\\]|\\.)*)(?P=q)\s*\]
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step down: a name, or what stands in brackets. `text` is without quotes and brackets."""

    text: str
    index: int | None = None  # of `[0]`
    exact: bool = False  # quoted: no dots are looked for in it, and none are added


def parse(field: str) -> tuple[Step, ...]:
    """Split a field path into its steps. Raises MistakeError where it is none."""
    steps: list[Step] = []
    at = 0
    while at < len(field):
        match = _STEP.match(field, at)
        bracket = match is not None and (match["index"] is not None or match["key"] is not None)
        if match is None or bool(match["dot"]) == (not steps or bracket) or (bracket and not steps):
            raise MistakeError(
                Mistake(
                    field,
                    f"is no field path: it stops making sense at {field[at:]!r}",
                    "",
                    "parts.PwmFan.curve, disks[0].device",
                )
            )
        if match["index"] is not None:
            steps.append(Step(match["index"], int(match["index"])))
        elif match["name"] is not None:
            steps.append(Step(match["name"].strip()))
        else:
            quoted = next(t for t in (match["double"], match["single"], match["key"]) if t is not None)
            steps.append(Step(re.sub(r"\\(.)", r"\1", quoted), exact=True))
        at = match.end()
    if not steps:
        raise MistakeError(Mistake("field", "is empty", "", "parts.PwmFan.curve, disks[0].device"))
    return tuple(steps)


def said(steps: tuple[Step, ...]) -> str:
    """Return the steps as a path again."""
    text = ""
    for step in steps:
        if step.index is not None:
            text += f"[{step.index}]"
        else:
            name = '"' + step.text.replace("\\", "\\\\").replace('"', '\\"') + '"' if step.exact else step.text
            text += f".{name}" if text else name
    return text
