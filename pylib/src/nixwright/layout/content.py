"""What a partition or a LUKS container holds: a file system, swap, another container, or a member of a pool."""

from __future__ import annotations

import re
from collections.abc import Sequence  # noqa: TC003 - records are built from their annotations
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from nixwright.bounds import Ge, Le
from nixwright.errors import Mistake
from nixwright.layout.paths import path_mistake
from nixwright.layout.pool import Member
from nixwright.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAPPER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MAPPER_LIMIT = 127  # DM_NAME_LEN of the kernel, less the closing NUL


@record
class Passphrase:
    """A passphrase that a person types. It is asked for when the disk is formatted and opened, and stands nowhere."""


@record
class KeyFile:
    """A file of random bytes, made when the disk is formatted, that opens other containers.

    It stands in a file system inside a container that is opened first: name it in `files=` there and in `opens_with=`
    of the others. `size` is in bytes; cryptsetup's own limit is 8 MiB.
    """

    path: str
    size: Annotated[int, Ge(32), Le(8192 * 1024)] = 8192

    def wrong(self) -> Iterator[Mistake]:
        """The path is absolute within its file system."""
        yield from path_mistake("path", self.path)


@record
class FileSystem:
    """What the file systems share. `at` None mounts it nowhere; `options` are mount options, `format` goes to mkfs."""

    at: str | None = None
    options: Sequence[str] = ()
    format: Sequence[str] = ()
    needed_for_boot: bool | None = None

    kind: ClassVar[str]  # as mount(8) and mkfs name it

    def wrong(self) -> Iterator[Mistake]:
        """The mount point is a clean path."""
        yield from path_mistake("at", self.at)


@record
class Ext4(FileSystem):
    """An ext4 file system; `files` are the key files that it keeps."""

    files: Sequence[KeyFile] = ()

    kind: ClassVar[str] = "ext4"


@record
class F2fs(FileSystem):
    """An f2fs file system, for flash: reading a file writes no time of access."""

    options: Sequence[str] = ("noatime",)

    kind: ClassVar[str] = "f2fs"


@record
class Vfat(FileSystem):
    """A FAT file system. It keeps no owners: `umask=0077` shuts it to all but root."""

    options: Sequence[str] = ("umask=0077",)

    kind: ClassVar[str] = "vfat"


@record
class ESP(Vfat):
    """An EFI system partition: FAT with the type that firmware looks for. `at` None keeps it as a spare."""

    at: str | None = "/boot"


@record
class Squashfs(FileSystem):
    """A squashfs image, read-only. It is written as a whole, so the partition stays raw when the disk is formatted."""

    kind: ClassVar[str] = "squashfs"


@record
class Swap:
    """Swap space. `discard` sends TRIM for the whole of it at swapon (`once`), for freed pages, or both."""

    discard: Literal["once", "pages", "both"] | None = None
    priority: Annotated[int, Ge(0), Le(32767)] | None = None


@record
class Luks:
    """A LUKS container, mapped to `/dev/mapper/NAME`.

    `opens_with` is what opens it: at boot the key file first where there is one, a passphrase as the way back. With key
    files alone nobody is ever asked. `discards` passes TRIM on, which tells an attacker which blocks are in use.
    `version` 2 is what systemd and cryptsetup expect today; 1 is what GRUB reads.
    """

    name: str
    opens_with: Sequence[Passphrase | KeyFile]
    content: Content
    version: Literal[1, 2] = 2
    discards: bool = True

    def wrong(self) -> Iterator[Mistake]:
        """A name that device-mapper takes, and at least one way to open it."""
        if not _MAPPER.fullmatch(self.name) or len(self.name) > _MAPPER_LIMIT:
            allowed = "letters, digits and _ . -, 127 at most"
            yield Mistake("name", "is no name for /dev/mapper", repr(self.name), allowed, 'as in "cryptroot"')
        if not self.opens_with:
            allowed = "Passphrase(), a KeyFile, or both"
            yield Mistake("opens_with", "nothing opens the container", "[]", allowed, "opens_with=[Passphrase()]")
        for kind, name in ((Passphrase, "passphrase"), (KeyFile, "key file")):
            if sum(isinstance(k, kind) for k in self.opens_with) > 1:
                yield Mistake("opens_with", f"more than one {name}", "", f"one {name} at most", "leave one out")

    @property
    def key(self) -> KeyFile | None:
        """The key file that opens it, or None."""
        return next((k for k in self.opens_with if isinstance(k, KeyFile)), None)

    @property
    def asks(self) -> bool:
        """Whether a passphrase opens it."""
        return any(isinstance(k, Passphrase) for k in self.opens_with)

    @property
    def device(self) -> str:
        """The mapped device."""
        return f"/dev/mapper/{self.name}"


Content: TypeAlias = ESP | Ext4 | F2fs | Vfat | Squashfs | Swap | Luks | Member
