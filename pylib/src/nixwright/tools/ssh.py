"""Commands on another machine, by ssh. A secret goes to standard input there, never into a command."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from nixwright.errors import ToolError

_TARGET = re.compile(r"(?P<user>[a-z_][a-z0-9_-]*)@(?P<address>[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.%a-z]+\])")
_OPTION = re.compile(r"[A-Za-z]+=\S+")
LOST = 255  # ssh's exit status for an error of its own: no connection, or one that broke
# A dead connection is noticed within 45 seconds.
_KEEP = ("ConnectTimeout=15", "ServerAliveInterval=15", "ServerAliveCountMax=3")


@dataclass(frozen=True, slots=True)
class Remote:
    """A machine: `user@address`, the port, and options as in ssh_config(5) (`IdentityFile=...`)."""

    target: str
    port: int = 22
    options: tuple[str, ...] = ()
    become: str = ""  # the command that makes root of us there, with a blank behind it

    @classmethod
    def of(cls, target: str, port: int, options: tuple[str, ...], *, wheel: bool = False) -> Remote:
        """Check what was said. Raises ToolError for what is no address, or no option.

        With `wheel` the user may be another than root, who becomes root there by run0.
        """
        found = _TARGET.fullmatch(target)
        if found is None:
            raise ToolError(f"{target!r} is no machine: say root@address")
        if found["user"] != "root" and not wheel:
            raise ToolError(f"{target}: installing and switching takes root: say root@{found['address']}")
        wrong = next((o for o in options if not _OPTION.fullmatch(o)), None)
        if wrong is not None:
            raise ToolError(f"{wrong!r} is no option of ssh: say NAME=VALUE, without spaces")
        return cls(target, port, options, "" if found["user"] == "root" else "run0 ")

    @property
    def flags(self) -> list[str]:
        """What ssh is told beside where to go; of an option that stands twice it takes the first, so the user's."""
        found = ["-p", str(self.port)] if self.port != 22 else []  # noqa: PLR2004 - ssh's own
        return [*found, *(part for option in (*self.options, *_KEEP) for part in ("-o", option))]

    @property
    def environment(self) -> dict[str, str]:
        """What nix and nixos-rebuild hand to the ssh that they start."""
        return {"NIX_SSHOPTS": " ".join(self.flags)}

    def argv(self, script: str, *, terminal: bool = False) -> list[str]:
        """Return the command that runs a script of bash, to its first error; rc files stop at -u: none is read."""
        return [
            "ssh",
            *self.flags,
            "-t" if terminal else "-T",
            self.target,
            f"{self.become}bash --norc -euc {shlex.quote(script)}",
        ]

    def store(self, root: str = "") -> str:
        """Return its Nix store as a URL, or the one below a directory of its."""
        return f"ssh-ng://{self.target}" + (f"?remote-store=local%3Froot%3D{root}" if root else "")
