"""ZFS: a pool, its datasets, and the members by which partitions point to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence  # noqa: TC003 - records are built from their annotations
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Literal

from nixwright.bounds import Ge, Le
from nixwright.errors import Mistake
from nixwright.layout.paths import path_mistake
from nixwright.layout.sizes import GiB, KiB, MiB, Sectors  # noqa: TC001 - as above
from nixwright.record import record
from nixwright.unseen import is_unseen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.content import Luks

_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")  # zfsconcepts(7), without the space that no shell likes
_POOL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")  # zpoolconcepts(7)
_POOL_RESERVED = re.compile(r"(mirror|raidz|draid|spare)|c[0-9]|log$")
_NAME_LIMIT = 255

# What OpenZFS manuals advise for a Linux system's file systems; a dataset or the pool's `properties` say otherwise.
DEFAULT_PROPERTIES = {"acltype": "posixacl", "atime": "off", "compression": "lz4", "xattr": "sa"}
OURS = {"mountpoint": "at", "canmount": "at", "reservation": "reserved", "com.sun:auto-snapshot": "snapshots"}
_ENCRYPTION = ("encryption", "keyformat", "keylocation")


@record
class Dataset:
    """A ZFS file system of a pool, named without the pool: `Dataset("local/root", at="/", wiped=True)`.

    `at` is where it is mounted; without it, the dataset only passes its properties on. A `wiped` dataset is rolled back
    to its blank snapshot at every boot. `snapshots` lets `services.zfs.autoSnapshot` take it (and all below it).
    `needed_for_boot` None means: as the layout demands (see `nixwright.layout.model`). `options` are mount options.
    """

    name: str
    at: str | None = None
    wiped: bool = False
    snapshots: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    needed_for_boot: bool | None = None

    def wrong(self) -> Iterator[Mistake]:
        """Names that ZFS refuses, and fields that contradict each other."""
        if len(self.name) > _NAME_LIMIT or not all(_COMPONENT.fullmatch(part) for part in self.name.split("/")):
            allowed = "components of letters, digits and _ - . : with / between, 255 characters at most"
            yield Mistake("name", "is no dataset name", repr(self.name), allowed, 'as in "persist/system"')
        yield from path_mistake("at", self.at)
        if self.wiped and self.snapshots:
            yield Mistake(
                "wiped",
                "a wiped dataset cannot be snapshotted: the roll-back at boot destroys every later snapshot",
                "wiped=True, snapshots=True",
                "one of the two",
                "keep what matters in a dataset of its own, with snapshots=True",
            )
        if self.wiped and self.at is None:
            yield Mistake("wiped", "a wiped dataset is mounted somewhere", "", "at=...", 'at="/"')
        for name, value in self.properties.items():
            if name in OURS and not (name == "canmount" and self.at is None) and name != "reservation":
                fix = f"remove it, and say {OURS[name]}=..."
                yield Mistake(f"properties.{name}", "is set by a field of its own", f"{name}={value}", "", fix)


@record
class Member:
    """A partition's or container's place in a pool; made by `Zpool.member()`."""

    pool: Zpool


@record
class Zpool:
    """A ZFS pool: a thing by itself, to which its members on one disk or many point by `member()`.

    `mounts` says how all its datasets are mounted: "native" keeps the mount point in the dataset and mounts with the
    option `zfsutil`; "legacy" leaves it to NixOS alone. `reserved` is kept free for good (over-provisioning an SSD).
    `mode` is how several members are joined. `ashift` 12 suits every disk with 4 KiB sectors, 13 an SSD with pages of
    8 KiB; it can never be changed. `options` go to `zpool create -o`, `properties` to the pool's first dataset (`-O`).

    `encryption` with a passphrase that a person types at boot: "luks2" puts each member into a LUKS container, "native"
    lets ZFS encrypt all datasets, which leaves their names, sizes and snapshots readable. A container that a key file
    opens is written out: `Luks(..., content=pool.member())`.
    `if_rollback_fails`: "stop" mounts no root that was not wiped, "shout" boots on, with a failed unit and a message at
    each login.
    """

    name: str
    datasets: Sequence[Dataset] = ()
    reserved: GiB | MiB | KiB | Sectors | None = None
    mounts: Literal["native", "legacy"] = "native"
    mode: Literal["", "mirror", "raidz", "raidz2", "raidz3"] = ""
    ashift: Annotated[int, Ge(9), Le(16)] = 12
    autotrim: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    encryption: Literal["luks2", "native"] | None = None
    if_rollback_fails: Literal["stop", "shout"] = "stop"

    def member(self, container: str | None = None) -> Member | Luks:
        """Return the content by which a partition or a container belongs to this pool.

        With `encryption="luks2"` that is a LUKS container with the member in it; each has a name of its own, `crypt`
        and the pool's where nothing else is said.
        """
        if is_unseen(self.name, self.encryption) or self.encryption != "luks2":
            return Member(self)
        from nixwright.layout.content import Luks, Passphrase  # noqa: PLC0415 - a container may hold a member

        return Luks(container or f"crypt{self.name}", [Passphrase()], Member(self))

    def wrong(self) -> Iterator[Mistake]:
        """Names that ZFS refuses, doubled datasets, and ways of mounting that contradict each other."""
        if not _POOL.fullmatch(self.name) or _POOL_RESERVED.match(self.name):
            allowed = "a letter, then letters, digits and _ - . ; not mirror, raidz, draid, spare, log"
            yield Mistake("name", "is no pool name", repr(self.name), allowed, 'as in "tank"')
        for name in ("ashift", "autotrim"):
            if name in self.options:
                yield Mistake(f"options.{name}", "is a field of its own", self.options[name], "", f"say {name}=...")
        yield from self._wrong_datasets()
        for name in ("mountpoint", "canmount"):
            if name in self.properties:
                fix = "remove it, and say mounts= of the pool and at= of each dataset"
                yield Mistake(f"properties.{name}", "is set by a field of its own", self.properties[name], "", fix)
        for name in _ENCRYPTION:
            if name in self.properties:
                fix = 'remove it, and say encryption="native"'
                yield Mistake(f"properties.{name}", "is set by a field of its own", self.properties[name], "", fix)

    def _wrong_datasets(self) -> Iterator[Mistake]:
        """What each dataset may not be in this pool."""
        seen: set[str] = set()
        for index, dataset in enumerate(self.datasets):
            if is_unseen(dataset) or is_unseen(dataset.name, dataset.options):
                continue
            where = f"datasets[{index}]"
            if dataset.name in seen:
                fix = "give each dataset a name of its own"
                yield Mistake(where, "two datasets of one name", dataset.name, "", fix)
            seen.add(dataset.name)
            if self.reserved is not None and dataset.name == "reserved":
                yield Mistake(where, "its name is taken by the pool's reserved space", "reserved", "", "rename it")
            if self.mounts == "legacy" and "zfsutil" in dataset.options:
                yield Mistake(
                    where,
                    "zfsutil does not mount a dataset whose mount point is legacy",
                    f'mounts="legacy", options={list(dataset.options)!r}',
                    "one of the two",
                    'remove "zfsutil" from options, or say mounts="native"',
                )
