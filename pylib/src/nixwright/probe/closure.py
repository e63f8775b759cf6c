"""The systems that a disk boots, in the Nix store on it where that is mounted: are kernel and stage 1 there."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from nixwright.probe.row import Row, differs, holds, unseen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_STORE = "/nix/store"
_PROFILE = "/nix/var/nix/profiles/system"
# What every system that boots has (nixos/modules/system/activation/top-level.nix).
_NEEDED = ("init", "kernel", "initrd")
_LINKS = 40  # as many as the kernel follows


def store_mount(mounts: Sequence[dict[str, Any]]) -> str | None:
    """Return the mount point that holds a host's Nix store: of "/", "/nix" and "/nix/store" the innermost."""
    holding = [m["path"] for m in mounts if m["path"] in {"/", "/nix", _STORE}]
    return max(holding, key=len, default=None)


def closure_rows(subject: str, inits: Sequence[str], mount: str, at: Path | None) -> Iterator[Row]:
    """Yield what holds of each system; `inits` are what boot entries start, `at` is where `mount` of the host is here.

    Without boot entries on this disk it is the system that was installed last.
    """
    if at is None:
        yield unseen(subject, f"{mount} of the host is not mounted here: mount it, then again")
        return
    found = [i.removesuffix("/init") for i in inits] or ([_PROFILE] if mount != _STORE else [])
    for path in dict.fromkeys(found):
        name = path.rpartition("/")[2] if path.startswith(_STORE) else "as installed"
        if _there(path, mount, at) is None:
            yield differs(f"{subject}, {name}", f"{path} in the store on the disk", "no such path")
            continue
        missing = [n for n in _NEEDED if _there(f"{path}/{n}", mount, at) is None]
        if missing:
            yield differs(f"{subject}, {name}", " and ".join(_NEEDED), f"missing: {', '.join(missing)}")
        else:
            yield holds(f"{subject}, {name}", "its init, kernel and initrd are in the store on the disk")


def _there(path: str, mount: str, at: Path) -> Path | None:
    """Return where a path of the host is here, links followed as the host would; None where there is nothing."""
    done, left, links = "/", path.strip("/").split("/"), 0
    while left:
        done = posixpath.normpath(posixpath.join(done, left.pop(0)))
        here = _here(done, mount, at)
        if here is not None and here.is_symlink():
            links += 1
            target = str(here.readlink())
            done = "/" if target.startswith("/") else done.rpartition("/")[0]
            left = [*target.strip("/").split("/"), *left]
        if links > _LINKS:
            return None
    here = _here(done, mount, at)
    return here if here is not None and here.exists() else None


def _here(path: str, mount: str, at: Path) -> Path | None:
    """Return where a path is that lies below the mount; None for any other."""
    below = path == mount or path.startswith(f"{mount.rstrip('/')}/")
    return at / posixpath.relpath(path, mount) if below else None
