"""What an installer is: the way onto a machine that has no NixOS yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nixwright.parts.base import Context, Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixwright.host import Host
    from nixwright.options.settings import Setting


class Installer(Part):
    """The base of every installer. It says nothing of the host's own system; it brings steps, facts and rules.

    Subclasses are decorated with `@record`.
    """

    module: ClassVar[str] = "installer"

    def settings(self, context: Context) -> Iterable[Setting]:
        """Nothing: the host runs without its installer."""
        return ()

    def image(self, host: Host) -> Host | None:
        """Return the system that one boots to install the host from, as a host of its own; None for somebody else's."""
        return None
