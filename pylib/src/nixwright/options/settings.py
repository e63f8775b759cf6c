"""A setting: one NixOS option path with a value and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from nixwright.origin import Origin

if TYPE_CHECKING:
    from nixwright.nix.values import Value

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One option path, one value. The priority is in the value (`nix.values.Override`), as in Nix.

    `field` is the user's field that made it (`PwmFan.curve`), `comment` goes above the binding, `module` names the
    generated file (without `.nix`) it is printed in.
    """

    path: Path
    value: Value
    origin: Origin = field(default_factory=Origin, compare=False)
    field: str = ""
    comment: str = ""
    module: str = ""
    user: bool = False  # from the host's own `settings`: outranks the parts


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """Split a Nix attribute path: `services.nginx.virtualHosts."a.b".root` gives four names.

    Raises ValueError with a short reason where the text is no attribute path.
    """
    names: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            end = rest.find('"', 1)
            while end > 0 and rest[end - 1] == "\\":
                end = rest.find('"', end + 1)
            if end < 0:
                msg = "a quote is not closed"
                raise ValueError(msg)
            names.append(rest[1:end].replace('\\"', '"').replace("\\\\", "\\").replace("\\$", "$"))
            rest = rest[end + 1 :]
        else:
            name, dot, after = rest.partition(".")
            if not name or not all(c.isalnum() or c in "_-'" for c in name):
                msg = f"{name!r} is no attribute name; put quotes round it" if name else "a name is empty"
                raise ValueError(msg)
            names.append(name)
            rest = dot + after
        if not rest:
            return tuple(names)
        if not rest.startswith("."):
            msg = "a dot is missing after a quoted name"
            raise ValueError(msg)
        rest = rest[1:]
