"""What is proved of a host that starts from its own disks: from copies of those that the check `disks` has kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.checks.model import Check, Difference, Sabotage
from nixwright.layout.content import Swap
from nixwright.nix.values import force
from nixwright.own_disks import FORMATS, images, passwords, vm_disks
from nixwright.parts.facts import KeptPath
from nixwright.scenarios import boots, installed, persist

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nixwright.layout.content import Luks
    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.parts.base import Context

INSTALLED = "installed"


def checks(context: Context) -> Iterator[Check]:
    """The checks of a host that starts from its disks, where those are checked."""
    layout = context.layout
    yield from _installed(layout, keeps_users=bool(passwords(context)))
    yield from _logins(context)
    yield from _kept_paths(layout, context.all(KeptPath))


def _installed(layout: Layout, *, keeps_users: bool) -> Iterator[Check]:
    own: dict[str, Value] = {
        "virtualisation.useDefaultFilesystems": False,
        "virtualisation.diskImage": None,
        "virtualisation.fileSystems": force({}),
        "virtualisation.writableStore": False,
        'fileSystems."/nix/.ro-store"': {
            "device": "nix-store",
            "fsType": "9p",
            "neededForBoot": True,
            "options": [
                "trans=virtio",
                "version=9p2000.L",
                "cache=loose",
                "x-systemd.requires=modprobe@9pnet_virtio.service",
            ],
        },
        'fileSystems."/nix/store"': {"device": "/nix/.ro-store", "fsType": "none", "options": ["bind"]},
    }
    asked = questions(layout)
    yield Check(
        INSTALLED,
        "it starts from its own disks" + (", though somebody types slowly and wrongly first" if asked else ""),
        installed.starts,
        {"images": images(layout), "questions": asked},
        keeps=["disko", "storage", *(["users"] if keeps_users else [])],
        after=FORMATS,
        differences=[
            vm_disks(layout),
            Difference("its own file systems, but for the store, which is the builder's", own),
        ],
    )
    yield Check(
        INSTALLED, "no unit fails, and systemd breaks no ordering cycle", boots.comes_up, sabotages=[_failing()]
    )
    swaps = sum(isinstance(p.content, Swap) for p in layout.places)
    yield Check(
        INSTALLED,
        "its file systems are mounted where they belong, and its swap is on",
        installed.mounted,
        {"mounts": {m.path: m.device for m in layout.mounts}, "swaps": swaps},
        sabotages=list(_misplaced(layout)),
    )
    if layout.luks:
        yield Check(
            INSTALLED,
            "what is there for its key files alone is closed, and TRIM reaches the disk",
            installed.closed,
            {
                "closed": [c.luks.name for c in layout.containers if c.only_keys],
                "trimmed": [c.luks.name for c in layout.containers if c.luks.discards and not c.only_keys],
            },
            sabotages=list(_left_open(layout)),
        )
    blank = [m.path for m in layout.mounts if m.wiped]
    kept = [m.path for m in layout.mounts if not m.wiped and m.fs_type != "vfat"]
    yield Check(
        INSTALLED,
        "after a power cut what is kept is there" + (", and what is wiped is blank" if blank else ""),
        installed.wiped,
        {
            "wiped": [
                f"{p.rstrip('/')}{below}" for p in blank for below in (["", "/etc", "/root"] if p == "/" else [""])
            ],
            "kept": kept,
            "pools": [p.name for p in layout.pools],
            "questions": asked,
        },
        sabotages=list(_not_wiped(layout)),
    )


def _logins(context: Context) -> Iterator[Check]:
    if not passwords(context):
        return
    (first, *_) = [u for u in context.users if u.password_file]
    option = f"users.users.{first.name}.hashedPasswordFile"
    yield Check(
        INSTALLED,
        "then its users log in at the console, with the passwords whose hashes lie on the disk",
        installed.logs_in,
        {"passwords": passwords(context)},
        holds={f"users.users.{u.name}.hashedPasswordFile": u.password_file for u in context.users if u.password_file},
        sabotages=[
            Sabotage("no-hash", "the hash is looked for elsewhere", {option: force("/etc/hash")}, judged="evaluation")
        ],
    )


def _kept_paths(layout: Layout, paths: Sequence[KeptPath]) -> Iterator[Check]:
    """Single paths that stay on a wiped root, after the boots of the checks before."""
    directories = {p.path: _bound(layout, p.source) for p in paths if not p.is_file}
    files = {p.path: p.source for p in paths if p.is_file}
    if paths:
        lost = {f'fileSystems."{d}".enable': force(value=False) for d in list(directories)[:1]}
        yield Check(
            INSTALLED,
            "each path that stays on its own lies where it is kept",
            persist.lies_where_it_is_kept,
            {"directories": directories, "files": files},
            sabotages=[Sabotage("not-kept", "a kept directory is forgotten", lost)] if lost else [],
        )
    if "/etc/machine-id" in files and ("/var/log/journal" in directories or layout.survives("/var/log/journal")):
        yield Check(INSTALLED, "it is the same machine after a boot", persist.is_the_same_machine)


def _bound(layout: Layout, source: str) -> str:
    """What findmnt says of a bind mount of a path: the file system, and the path in it."""
    mount = layout.mount_of(source)
    return source if mount is None else f"{mount.device}[{source.removeprefix(mount.path.rstrip('/'))}]"


def _failing() -> Sabotage:
    fails: Value = {"wantedBy": ["multi-user.target"], "serviceConfig": {"Type": "oneshot"}, "script": "false"}
    return Sabotage("failed-unit", "a unit fails at boot", {"systemd.services.broken": fails})


def _misplaced(layout: Layout) -> Iterator[Sabotage]:
    late = next((m.path for m in layout.mounts if not m.needed_for_boot and m.fs_type != "vfat"), None)
    if late is not None:
        elsewhere: dict[str, Value] = {f'fileSystems."{late}".mountPoint': force("/elsewhere")}
        if any(p.mounts != "legacy" for p in layout.pools):  # zfs mount -a would put it in its place all the same
            elsewhere["systemd.services.zfs-mount.enable"] = force(value=False)
        yield Sabotage("elsewhere", "a file system is mounted elsewhere", elsewhere)
    if any(isinstance(p.content, Swap) for p in layout.places):
        yield Sabotage("no-swap", "swap is off", {"swapDevices": force([])})


def _left_open(layout: Layout) -> Iterator[Sabotage]:
    for container in layout.containers:
        if container.only_keys:
            off: dict[str, Value] = {f"systemd.services.{container.luks.name}-close.enable": force(value=False)}
            yield Sabotage("stays-open", "the container of the key files stays open", off)


def _not_wiped(layout: Layout) -> Iterator[Sabotage]:
    for pool in layout.pools:
        if any(d.wiped for d in pool.datasets):
            off: dict[str, Value] = {f"boot.initrd.systemd.services.rollback-{pool.name}.enable": force(value=False)}
            yield Sabotage("no-rollback", "nothing is rolled back", off)


def questions(layout: Layout) -> dict[str, str]:
    """Return what stage 1 asks, as patterns, with the answers: not for a container that a key file opens."""
    asked = {question(c): f"opens {c.name}" for c in layout.luks if c.key is None}
    native = [p for p in layout.root_pools if p.encryption == "native"]
    return asked | {f"Enter key for {p.name}": f"opens {p.name}" for p in native}


def question(luks: Luks) -> str:
    """Return what stage 1 asks at the console for a container's passphrase, as a pattern."""
    return rf"lease enter passphrase .*\({luks.name}\)"
