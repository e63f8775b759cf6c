"""Single paths that stay, on a host whose root is wiped: kept on a dataset that is not, put back in their place.

Directories are bind mounts, files are symbolic links: a file that programs replace by renaming would undo a bind mount,
and systemd refuses to commit a machine-id through one. Files stand below /etc, where NixOS itself makes the links.
"""

from __future__ import annotations

import re
from collections.abc import Sequence  # noqa: TC003 - records are built from their annotations
from typing import TYPE_CHECKING, ClassVar

from nixwright.errors import Mistake
from nixwright.layout.paths import is_below, path_mistake
from nixwright.parts.base import Context, Part
from nixwright.parts.facts import KeptPath
from nixwright.record import field_origin, is_broken, origin_of, record
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout, Mount
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

MACHINE_ID = "/etc/machine-id"
_MODE = re.compile(r"[0-7]{3,4}")
# Made by stage 1 or by activation, before anything could be mounted over them, or with a part of their own.
_NOT_SO = {
    "/etc/passwd": 'User(..., password=SecretFile("/persist/passwords/NAME"))',
    "/etc/shadow": 'User(..., password=SecretFile("/persist/passwords/NAME"))',
    "/etc/group": "User(..., groups=[...])",
    "/etc/fstab": "a Dataset with at=...",
}


@record
class KeptDirectory:
    """A directory that stays, with the mode and owner that it is made with."""

    path: str
    mode: str = "0755"
    user: str = "root"
    group: str = "root"

    def wrong(self) -> Iterator[Mistake]:
        """Paths and modes that are none."""
        yield from path_mistake("path", self.path)
        if not _MODE.fullmatch(self.mode):
            yield Mistake("mode", "is no mode", repr(self.mode), "three or four octal digits", 'mode="0700"')


@record
class Persist(Part):
    """Keep single paths of a wiped root below `at`: `directories`, `etc_files`, and the machine's id.

    What is kept of `/var/lib/nixos` lies at `/persist/var/lib/nixos`. Keep that one: it holds the numbers of users and
    groups. ssh keys and password files need nothing here, they are read where they lie (`Ssh`, `SecretFile`).
    """

    directories: Sequence[str | KeptDirectory] = ("/var/lib/nixos",)
    etc_files: Sequence[str] = ()
    at: str = "/persist"
    machine_id: bool = True

    module: ClassVar[str] = "persist"

    def wrong(self) -> Iterator[Mistake]:
        """Paths that are none, that are named twice, or that cannot be kept in this way."""
        yield from path_mistake("at", self.at)
        seen: set[str] = set()
        for field, path in self._fields():
            bad = list(path_mistake(field, path)) if isinstance(path, str) else None
            if bad is None or bad:
                yield from bad or ()
                continue
            if path in seen:
                yield Mistake(field, "is kept twice", path, "", "remove one")
            seen.add(path)
            if is_below(path, self.at):
                what = f"is kept already: it is on {self.at}"
                yield Mistake(field, what, path, "a path that is wiped", "remove it")
            elif path in _NOT_SO:
                what = "is written by NixOS, and cannot be kept"
                yield Mistake(field, what, path, "", _NOT_SO[path])
            elif field.startswith("etc_files") and path == MACHINE_ID:
                yield Mistake(field, "has a field of its own", path, "machine_id=True", "remove it")
            elif field.startswith("etc_files") and not path.startswith("/etc/"):
                allowed = "a file below /etc; of others, the directory they are in"
                fix = f'directories=["{path.rpartition("/")[0] or "/"}"]'
                yield Mistake(field, "is no file that a link can stand for", path, allowed, fix)

    def _fields(self) -> Iterator[tuple[str, str]]:
        """Every path with the argument that it stands in."""
        for index, directory in enumerate(self.directories):
            if not is_broken(directory):
                yield f"directories[{index}]", directory if isinstance(directory, str) else directory.path
        yield from ((f"etc_files[{index}]", file) for index, file in enumerate(self.etc_files))

    def _kept(self) -> Iterator[tuple[str, str]]:
        yield from self._fields()
        if self.machine_id:
            yield "machine_id", MACHINE_ID

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """Each path that stays, and where it lies."""
        return [KeptPath(path, f"{self.at}{path}", is_file=not f.startswith("dir")) for f, path in self._kept()]

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to bind mounts, links, and what makes their targets at the first boot."""
        made: dict[str, Value] = {}
        owned: dict[str, Value] = {}
        for index, each in enumerate(self.directories):
            directory = _directory(each)
            source = f"{self.at}{directory.path}"
            made[f"/sysroot{source}"] = {"d": {"mode": directory.mode}}
            if (directory.user, directory.group) != ("root", "root"):
                owned[source] = {"d": {"mode": directory.mode, "user": directory.user, "group": directory.group}}
            # in its place before stage 2 writes there
            mount: Value = {"device": source, "fsType": "none", "options": ["bind"], "neededForBoot": True}
            yield self.set(f'fileSystems."{directory.path}"', mount, field=f"directories[{index}]")
        for index, file in enumerate(self.etc_files):
            made.setdefault(f"/sysroot{self.at}{file}".rpartition("/")[0], {"d": {"mode": "0755"}})
            entry = {"source": f"{self.at}{file}"}
            yield self.set(f'environment.etc."{file.removeprefix("/etc/")}"', entry, field=f"etc_files[{index}]")
        if self.machine_id:
            made.setdefault(f"/sysroot{self.at}/etc", {"d": {"mode": "0755"}})
            # %m is stage 1's own id, drawn anew at each boot: the first one stays
            made[f"/sysroot{self.at}{MACHINE_ID}"] = {"f": {"mode": "0444", "argument": "%m\\n"}}
            yield self.set(
                f'environment.etc."{MACHINE_ID[5:]}"', {"source": f"{self.at}{MACHINE_ID}"}, field="machine_id"
            )
        if made:
            why = "Stage 1 makes what is not there yet, before activation looks for it."
            yield self.set("boot.initrd.systemd.tmpfiles.settings.persist", made, comment=why)
        if owned:
            why = "Stage 1 knows no users."
            yield self.set("systemd.tmpfiles.settings.persist", owned, field="directories", comment=why)

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """What is kept lies on what stays, is there early, and takes the place of what is wiped."""
        layout = context.layout
        mount = layout.mount_of(self.at)
        if mount is None or mount.wiped:
            what = "what is kept there would be gone after the next boot: it is rolled back"
            kept = ", ".join(m.path for m in layout.mounts if not m.wiped and m.needed_for_boot and m.path != "/nix")
            where = field_origin(self, "at")
            other = None if mount is None or mount.source is None else origin_of(mount.source)
            fix = 'Dataset("safe/persist", at="/persist")'
            yield Mistake("Persist.at", what, self.at, f"below {kept or 'a dataset that is kept'}", fix, where, other)
        elif not mount.needed_for_boot:
            what = f"{mount.path} is mounted too late: stage 1 puts things in their place"
            fix = "needed_for_boot=True there"
            yield Mistake("Persist.at", what, self.at, "", fix, field_origin(self, "at"), mount.origin)
        for field, path in self._kept():
            yield from self._pointless(field, path, layout.mount_of(path))

    def _pointless(self, field: str, path: str, mount: Mount | None) -> Iterator[Mistake]:
        """What stays anyway, or what is a mount of the layout itself."""
        if mount is None or (mount.wiped and mount.path != path) or field == "machine_id":
            return
        if mount.path == path:
            what = "is a mount of the layout already"
            fix = "remove one of the two"
        else:
            what, fix = f"stays anyway: it is on {mount.path}, which is kept", "remove it"
        yield Mistake(
            f"Persist.{field}", what, path, "a path that is wiped", fix, field_origin(self, field), mount.origin
        )

    def steps(self, context: Context) -> Iterator[Step]:
        """Look whether what is to be kept is."""
        paths = " ".join(path for _, path in self._kept())
        yield Step(
            Phase.VERIFY,
            "What is kept, is kept",
            "A file in the wiped root must be gone after a boot; these paths must be as they were.",
            f"touch /gone-after-a-boot\nmd5sum {MACHINE_ID}; ls -ld {paths}\nreboot",
            "Afterwards `ls /gone-after-a-boot` finds nothing, and the second line says what it said before.",
        )


def _directory(said: str | KeptDirectory) -> KeptDirectory:
    return KeptDirectory(said) if isinstance(said, str) else said
