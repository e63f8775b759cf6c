"""What stands in a partition table: a partition, and space outside every partition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from nixwright.errors import Mistake
from nixwright.layout.content import ESP, Content, Ext4, F2fs, Luks, Squashfs, Swap, Vfat  # noqa: F401 - Content is them
from nixwright.layout.pool import Member
from nixwright.layout.sizes import GiB, KiB, MiB, Rest, Sectors, told
from nixwright.record import record
from nixwright.unseen import independent

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAST_F2FS = MiB(40)  # mkfs.f2fs refuses less
_LABEL_LIMIT = 36  # UTF-16 units: a GPT entry keeps 72 bytes for it
_TYPE = re.compile(r"[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# What shell, sgdisk's own syntax and disko's scripts take without any escaping.
_LABEL = re.compile(r"[A-Za-z0-9#+.=@_()-]([A-Za-z0-9 #+.=@_()-]*[A-Za-z0-9#+.=@_()-])?")
# What sgdisk writes for its codes (`sgdisk --info` shows them).
GUIDS = {
    "8200": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
    "8300": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "8309": "CA7D7CCB-63ED-4C53-861C-1742536059CC",
    "BF00": "6A85CF4D-1DD2-11B2-99A6-080020736631",
    "BF01": "6A898CC3-1DD2-11B2-99A6-080020736631",
    "EF00": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "EF02": "21686148-6449-6E6F-744E-656564454649",
}
# The names that systemd-repart has for types (repart.d(5)); others are GUIDs.
_REPART_NAMES = {
    GUIDS["EF00"]: "esp",
    GUIDS["8200"]: "swap",
    GUIDS["8300"]: "linux-generic",
    "BC13C2FF-59E6-4262-A352-B275FD6F7172": "xbootldr",
    "B921B045-1DF0-41C3-AF44-4C6F280D3FAE": "root-arm64",
    "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709": "root-x86-64",
}

Length: TypeAlias = KiB | MiB | GiB | Sectors


@record
class Partition:
    """A partition. `size` is typed, or `REST` for the last; `start` only where it is not the next free MiB.

    `type` is a code of sgdisk (`EF00`) or a GUID; by itself it follows from the content. No content leaves it raw.
    `at_first_boot` leaves it to the first boot, where systemd-repart makes it behind what is there: then an image need
    not hold it, and it may take the rest of a disk of any size.
    """

    label: str
    size: Length | Rest
    content: Content | None = None
    start: Length | None = None
    type: str | None = None
    at_first_boot: bool = False

    def wrong(self) -> Iterator[Mistake]:
        """Labels and types that GPT refuses; at first boot, what systemd-repart cannot make."""
        yield from independent(self._wrong_table(), self._wrong_at_first_boot())

    def _wrong_table(self) -> Iterator[Mistake]:
        units = len(self.label.encode("utf-16-le", "surrogatepass")) // 2
        if units > _LABEL_LIMIT:
            shorter = repr(self.label[:_LABEL_LIMIT].rstrip())
            yield Mistake("label", "the label is too long", f"{units} UTF-16 units", "36 at most", shorter)
        elif not _LABEL.fullmatch(self.label):
            allowed = "letters, digits, spaces within and # + - . = @ _ ( )"
            yield Mistake("label", "is no partition label", repr(self.label), allowed, 'as in "luks key"')
        if self.type is not None and not _TYPE.fullmatch(self.type):
            allowed = "four hexadecimal digits as `sgdisk -L` lists them, or a GUID"
            yield Mistake("type", "is no partition type", repr(self.type), allowed, '"EF00"')

    def _wrong_at_first_boot(self) -> Iterator[Mistake]:
        if not self.at_first_boot:
            return
        if isinstance(self.content, Luks | Member):
            given, allowed = type(self.content).__name__, "a file system, swap, or nothing"
            what, fix = "cannot be made at first boot", "leave at_first_boot out: disko makes it"
            yield Mistake("content", what, given, allowed, fix)
        if self.start is not None:
            what = "systemd-repart puts it right behind the partition before"
            yield Mistake("start", what, told(self.start.bytes), "", "leave start out")
        if not isinstance(self.size, Rest) and self.size.bytes % MiB.unit:
            fix = f"MiB({-(-self.size.bytes // MiB.unit)})"
            yield Mistake("size", "is no whole number of MiB", told(self.size.bytes), "MiB or GiB", fix)
        elif isinstance(self.content, F2fs) and not isinstance(self.size, Rest) and self.size.bytes < _LEAST_F2FS.bytes:
            given, allowed = told(self.size.bytes), f"{told(_LEAST_F2FS.bytes)} or more"
            yield Mistake("size", "is too small for f2fs", given, allowed, "MiB(64)")
        given_to_mkfs = list(getattr(self.content, "format", ()))
        if given_to_mkfs:
            what, given = "systemd-repart has its own options for mkfs", repr(given_to_mkfs)
            yield Mistake("content", what, given, "", "leave format out")
        if self.repart_type is None and _TYPE.fullmatch(self.type or ""):
            yield Mistake("type", "systemd-repart has no name for it", repr(self.type), "its GUID", 'type="..."')

    @property
    def repart_type(self) -> str | None:
        """The type for systemd-repart: a name of repart.d(5) or a GUID; None for a code that has no known GUID."""
        guid = self.guid
        return None if guid is None else _REPART_NAMES.get(guid, guid)

    @property
    def guid(self) -> str | None:
        """The type as the table has it; None for a code of sgdisk that is not known here."""
        code = self.code.upper()
        return code if "-" in code else GUIDS.get(code)

    @property
    def code(self) -> str:
        """The type for sgdisk: said, or following from the content."""
        if self.type is not None:
            return self.type
        return {ESP: "EF00", Swap: "8200", Luks: "8309", Member: "BF00"}.get(type(self.content), "8300")

    @property
    def name(self) -> str:
        """What disko calls it: the label, with a hyphen for what would need quotes in Nix."""
        return re.sub(r"[^A-Za-z0-9_-]+", "-", self.label).strip("-")


@record
class Raw:
    """Space outside every partition: a boot loader at the sector where the boot ROM looks, or a gap left free.

    `file` is where the image lies on the machine that installs; it is written when the disk is formatted.
    """

    name: str
    start: Length
    size: Length
    file: str | None = None
