"""Secrets in clear where NixOS would write them into its store, which everybody on the machine can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nixwright.errors import Mistake
from nixwright.nix.values import Apply, Commented, If, Merge, Order, Override, Raw, Text
from nixwright.options.check import dotted
from nixwright.record import origin_of
from nixwright.report.mistakes import HIDDEN
from nixwright.settlement import leaves
from nixwright.source.secrets import Finding, may_hide, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nixwright.options.settings import Setting
    from nixwright.parts.base import File, Part

# The last name of an option, and what takes its place.
_INSTEAD = {
    "password": "hashedPasswordFile, with a path on the target",
    "initialPassword": "hashedPasswordFile, with a path on the target",
    "hashedPassword": "hashedPasswordFile, with a path on the target",
    "initialHashedPassword": "hashedPasswordFile, with a path on the target",
    "psk": 'pskRaw = "ext:NAME" with networking.wireless.secretsFile',
    "passphrase": "a file on the target",
}
_OF_A_PROFILE = 'Wifi(networks=[Network("NAME", psk=EnvironmentFile(...))])'
_VARIABLE = re.compile(r"\$\{?[A-Z_][A-Z0-9_]*\}?")  # which the unit fills in from its environment files
_NOBODYS = ("", "!", "*", "!*")  # hashes that no password has
_NO_TEXTS = ("disko", "storage")  # a layout's scripts are ours, and its names too short to hide anything
_WAY_OUT = "a reference (docs/secrets.md); what only looks like one goes into a module of your own: imports=[...]"


def secrets(settings: Sequence[Setting]) -> Iterator[Mistake]:
    """Yield a mistake for each secret in clear: what an option's name gives away, and what looks like one anywhere.

    The secret is not repeated.
    """
    for setting in settings:
        for path, value in leaves(setting.path, setting.value):
            if path[-1] in _INSTEAD and isinstance(value, str):
                if value not in _NOBODYS and not (_of_a_profile(path) and _VARIABLE.fullmatch(value)):
                    what = "a secret would be in the Nix store, where everybody can read it"
                    fix = _OF_A_PROFILE if _of_a_profile(path) else _INSTEAD[path[-1]]
                    yield _told(setting, path, what, "a reference to a file", fix)
            elif setting.module not in _NO_TEXTS and (found := _lurking(path[-1], value)):
                what = f"it looks like {found.looks_like}, and everybody can read the Nix store"
                yield _told(setting, path, what, "a reference to a secret", _WAY_OUT)


def _told(setting: Setting, path: tuple[str, ...], what: str, allowed: str, fix: str) -> Mistake:
    """Return the mistake: by its option for a user's own setting, by the part's field for a part's."""
    if setting.user:
        return Mistake(dotted(path), what, HIDDEN, allowed, fix, setting.origin)
    return Mistake(setting.field, f"sets {dotted(path)}: {what}", HIDDEN, allowed, fix, setting.origin)


def _lurking(name: str, value: Any) -> Finding | None:
    """The first text in a value that looks like a secret."""
    suspects = ((name, text) for text in _texts(value) if may_hide(name, text))
    return next(iter(scan(suspects)), None)


def _of_a_profile(path: tuple[str, ...]) -> bool:
    return path[:3] == ("networking", "networkmanager", "ensureProfiles")


def in_files(files: Iterable[tuple[Part, File]]) -> Iterator[Mistake]:
    """Yield a mistake for each file of a part that holds what looks like a secret."""
    for part, file in files:
        for finding in scan([(file.name, file.text)])[:1]:
            what = f"brings {file.name}, in which line {finding.line} looks like {finding.looks_like}"
            yield Mistake(type(part).__name__, what, HIDDEN, "a reference to a secret", _WAY_OUT, origin_of(part))


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, in what wraps it, and in what is built of it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Override | Order | Commented | If):
        yield from _texts(value.value)
    elif isinstance(value, Raw):
        yield value.text
    elif isinstance(value, Mapping):
        for name, below in value.items():
            yield str(name)
            yield from _texts(below)
    else:
        inner = (
            value.parts if isinstance(value, Text)
            else value.arguments if isinstance(value, Apply)
            else value.values if isinstance(value, Merge)
            else value if isinstance(value, list | tuple)
            else ()
        )  # fmt: skip
        for below in inner:
            yield from _texts(below)
