"""A boot partition's files: whether each boot entry finds its kernel, its stage 1 and its device tree."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from nixwright.probe.row import Row, differs, holds, unseen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.tools.boot_files import BootFiles

_LOADERS = {"aarch64-linux": "EFI/BOOT/BOOTAA64.EFI", "x86_64-linux": "EFI/BOOT/BOOTX64.EFI"}
EXTLINUX = "extlinux/extlinux.conf"
# Keys that name files: of systemd-boot's entries, and of extlinux's labels.
_FILES = {"linux", "kernel", "initrd", "devicetree", "fdt", "efi"}
_OPTIONS = {"options", "append"}
_INIT = re.compile(r"\binit=(/nix/store/[^/\s]+/init)\b")


def boot_rows(subject: str, system: str, boot: BootFiles | None, *, spare: bool) -> Iterator[Row]:
    """Yield what holds of a boot partition. A spare one may be empty; one that is mounted must be able to boot."""
    if boot is None:
        yield unseen(subject, "that takes mtools")
        return
    files = {f.lower() for f in boot.files}
    if not files and spare:
        yield unseen(subject, "empty: a spare")
        return
    entries = [f for f in boot.files if f.lower().startswith("loader/entries/") and f.lower().endswith(".conf")]
    extlinux = [f for f in boot.files if f.lower() == EXTLINUX]
    if not entries and not extlinux:
        yield differs(subject, "boot entries", "none: NixOS is not installed on it")
        return
    loader = _LOADERS[system]
    if entries and loader.lower() not in files:
        yield differs(subject, f"systemd-boot as {loader}", "no such file")
    for path in [*sorted(entries), *extlinux]:
        text = boot.read(path)
        missing = [f for f in named(path, text) if f.lower() not in files]
        if missing:
            yield differs(f"{subject}, {path}", "each file that it names", f"missing: {', '.join(missing)}")
        elif not _has_init(text):
            yield differs(f"{subject}, {path}", "init=/nix/store/... for the kernel", "no init")
        else:
            yield holds(f"{subject}, {path}", "each file that it names is there")


def inits(boot: BootFiles | None) -> list[str]:
    """Return what the boot entries start, each once: `/nix/store/...-nixos-system-.../init`."""
    if boot is None:
        return []
    paths = [f for f in boot.files if f.lower().startswith("loader/entries/") or f.lower() == EXTLINUX]
    return list(dict.fromkeys(i for path in paths for i in _INIT.findall(boot.read(path))))


def named(path: str, text: str) -> list[str]:
    """Return the files that a boot entry names, from the top of the partition, each once."""
    found = []
    for key, value in _pairs(text):
        if key in _FILES:
            inside = value if value.startswith("/") else posixpath.join("/", posixpath.dirname(path), value)
            found.append(posixpath.normpath(inside).lstrip("/"))
    return list(dict.fromkeys(found))


def _has_init(text: str) -> bool:
    options = [value for key, value in _pairs(text) if key in _OPTIONS]
    return bool(options) and all("init=/nix/store/" in o for o in options)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if value.strip() and not key.startswith("#"):
            yield key.lower(), value.strip()
