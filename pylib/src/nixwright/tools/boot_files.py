"""The files of a FAT file system, by mtools: from a disk or a file, at an offset, without mounting and without root."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from nixwright.tools.command import output_of

_TIMEOUT = 60.0
# A partition is no floppy: its size need not be a whole number of tracks.
_LENIENT = {"MTOOLS_SKIP_CHECK": "1"}


@dataclass(frozen=True, slots=True)
class BootFiles:
    """The files of a boot partition, by their paths from its top (`EFI/BOOT/BOOTAA64.EFI`)."""

    image: str  # as mtools names it: PATH@@OFFSET
    files: tuple[str, ...]

    def read(self, path: str) -> str:
        """Return a text file's text. Raises ToolError."""
        return output_of(["mtype", "-i", self.image, f"::/{path}"], timeout=_TIMEOUT, environment=_LENIENT)


def boot_files(path: str, offset: int) -> BootFiles | None:
    """List a FAT file system that begins `offset` bytes into a disk or file; None without mtools. Raises ToolError."""
    if shutil.which("mdir") is None:
        return None
    image = f"{path}@@{offset}"
    command = ["mdir", "-a", "-b", "-i", image, "::"]
    listed = output_of(command, timeout=_TIMEOUT, environment=_LENIENT)
    if listed:  # of an empty one, listing it with all below fails
        listed = output_of([*command, "-/"], timeout=_TIMEOUT, environment=_LENIENT)
    names = [line.removeprefix("::/") for line in listed.splitlines()]
    return BootFiles(image, tuple(n for n in names if n and not n.endswith("/")))
