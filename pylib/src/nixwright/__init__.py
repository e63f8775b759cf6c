"""Typed Python host files in; plain NixOS modules, disko configs and VM tests out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nixwright.host import Host, User
    from nixwright.nix.values import config, lib, pkgs
    from nixwright.reference import AgeSecret, Credential, EnvironmentFile, SecretFile, SopsSecret

_ROOMS = {"Host": "host", "User": "host", "config": "nix.values", "lib": "nix.values", "pkgs": "nix.values"}
__all__ = [
    "AgeSecret",
    "Credential",
    "EnvironmentFile",
    "Host",
    "SecretFile",
    "SopsSecret",
    "User",
    "config",
    "lib",
    "pkgs",
]


def __getattr__(name: str) -> object:
    """Import what a host file names when it names it: a command that loads no host pays for none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'nixwright' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"nixwright.{_ROOMS.get(name, 'reference')}"), name)
