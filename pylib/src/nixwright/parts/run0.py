"""Root by run0: members of wheel need no password that a device would have to keep, and nothing is setuid for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nixwright.parts.base import Context, Part
from nixwright.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.options.settings import Setting

_RULE = """\
// Who is in wheel got in by a key: polkit asks for no password, which nobody here has.
polkit.addRule(function (action, subject) {
  if (subject.isInGroup("wheel")) {
    return polkit.Result.YES;
  }
});
"""


@record
class Run0(Part):
    """Members of wheel become root by `run0`, without a password; sudo is off."""

    module: ClassVar[str] = "run0"

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to polkit."""
        yield self.set("security.sudo.enable", value=False)
        yield self.set("security.polkit.enable", value=True)
        yield self.set("security.polkit.extraConfig", _RULE)
