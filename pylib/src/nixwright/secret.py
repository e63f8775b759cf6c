"""Secrets in clear where NixOS would write them into its store, which everybody on the machine can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.errors import Mistake
from nixwright.report.mistakes import HIDDEN
from nixwright.settlement import leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nixwright.options.settings import Setting

# The last name of an option, and what takes its place.
_INSTEAD = {
    "password": "hashedPasswordFile",
    "initialPassword": "hashedPasswordFile",
    "hashedPassword": "hashedPasswordFile",
    "initialHashedPassword": "hashedPasswordFile",
    "psk": 'pskRaw = "ext:NAME" with networking.wireless.secretsFile',
    "passphrase": "a file on the target",
}
_NOBODYS = ("", "!", "*", "!*")  # hashes that no password has


def secrets(settings: Sequence[Setting]) -> Iterator[Mistake]:
    """Yield a mistake for each secret in clear; the secret is not repeated."""
    for setting in settings:
        for path, value in leaves(setting.path, setting.value):
            if path[-1] in _INSTEAD and isinstance(value, str) and value not in _NOBODYS:
                what = f"sets {'.'.join(path)}: a secret would be in the Nix store, where everybody can read it"
                yield Mistake(setting.field, what, HIDDEN, "a reference to a file", _INSTEAD[path[-1]], setting.origin)
