"""What NixOS refuses only by an assertion, or only when it builds, and a small host is likely to meet.

Each rule is a function of all settings of a host; `RULES` holds them. The reasons are NixOS' own (the modules named in
the docstrings, of 26.05).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.options.host_view import HostView
from nixwright.options.rules_boot import BOOT
from nixwright.options.rules_storage import STORAGE
from nixwright.options.rules_users import USERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nixwright.errors import Mistake
    from nixwright.options.settings import Setting

RULES = (*BOOT, *STORAGE, *USERS)


def rules(settings: Sequence[Setting], *, complete: bool = True) -> list[Mistake]:
    """Return what the settings of one host do together that NixOS refuses.

    With `complete` false (the host imports modules of the user's own) what is missing is not told: they may have it.
    """
    view = HostView(settings, complete=complete)
    return [mistake for rule in RULES for mistake in rule(view)]
