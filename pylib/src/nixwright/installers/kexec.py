"""Installing over a running Linux: nixos-anywhere starts an installer from it by kexec."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixwright.errors import Mistake
from nixwright.installers.base import Installer
from nixwright.parts.facts import NoKexec
from nixwright.record import field_origin, record
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.parts.base import Context

_ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9:.%\[\]-]+")


@record
class Kexec(Installer):
    """A Linux runs on the machine already, and root can be reached there by ssh: `Kexec("root@192.0.2.7")`."""

    target: str

    def wrong(self) -> Iterator[Mistake]:
        """An address that is none."""
        if not _ADDRESS.fullmatch(self.target):
            yield Mistake("target", "is no address", repr(self.target), "USER@ADDRESS", 'Kexec("root@192.0.2.7")')

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """Not on a board that cannot."""
        board = context.fact(NoKexec)
        if board is not None:
            fix = "installer=SdImage()"
            yield Mistake("Kexec", board.why, self.target, "a card that the board boots", fix, field_origin(self, ""))

    def steps(self, context: Context) -> Iterator[Step]:
        """Start the installer."""
        command = (
            f"nix run --inputs-from . nixpkgs#nixos-anywhere -- --phases kexec --flake .#{context.name} {self.target}"
        )
        why = "The machine forgets the Linux that runs there, not yet what is on its disks. Then log in as root again."
        yield Step(Phase.INSTALLER, "An installer in place of what runs there", why, command, "`hostname` says nixos.")
