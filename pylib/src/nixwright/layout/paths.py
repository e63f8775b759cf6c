"""What a path on the target may look like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixwright.errors import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator

# Hooks and units name these paths: a narrow alphabet needs no escaping in any of shell, systemd, fstab and crypttab.
_PATH = re.compile(r"/|(/[A-Za-z0-9_+@.-]+)+")


def path_mistake(field: str, path: str | None) -> Iterator[Mistake]:
    """Yield a mistake where `path` is no clean absolute path. None is no path, and no mistake."""
    if path is None:
        return
    parts = path.split("/")
    if not _PATH.fullmatch(path) or "." in parts or ".." in parts:
        allowed = "an absolute path of letters, digits and _ + @ . -, without . or .. or a / at the end"
        clean = "/" + "/".join(p for p in parts if p not in {"", ".", ".."})
        yield Mistake(field, "is no clean absolute path", repr(path), allowed, repr(clean))


def is_below(path: str, parent: str) -> bool:
    """Tell whether `path` is `parent` or stands below it."""
    return parent in {"/", path} or path.startswith(f"{parent}/")
