"""Typed Python host files in; plain NixOS modules, disko configs and VM tests out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nixwright.host import Host, SecretFile, User
    from nixwright.nix.values import config, lib, pkgs

__all__ = ["Host", "SecretFile", "User", "config", "lib", "pkgs"]


def __getattr__(name: str) -> object:
    """Import what a host file names when it names it: a command that loads no host pays for none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'nixwright' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    room = "nixwright.host" if name[0].isupper() else "nixwright.nix.values"
    return getattr(import_module(room), name)
