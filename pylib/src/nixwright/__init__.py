"""Typed Python host files in; plain NixOS modules, disko configs and VM tests out."""

from __future__ import annotations

from nixwright.host import Host, SecretFile, User
from nixwright.nix.values import config, lib, pkgs

__all__ = ["Host", "SecretFile", "User", "config", "lib", "pkgs"]
