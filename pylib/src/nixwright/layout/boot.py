"""What boot needs and disko cannot say: opening the containers, importing, rolling back, mounting early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.layout.content import Squashfs
from nixwright.layout.pool import Dataset
from nixwright.nix.values import Text, config
from nixwright.options.settings import Setting
from nixwright.origin import Origin
from nixwright.record import origin_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.model import Container, Layout
    from nixwright.layout.pool import Zpool
    from nixwright.nix.values import Value

NO_ROLLBACK = "norollback"  # the kernel parameter with which one boot keeps what the last one left
FAILED_ROLLBACK = "/run/rollback-failed"  # what was not wiped at this boot, a dataset a line; not there if all was
_SAID = "journal+console"
_KEY_TIMEOUT = 30  # seconds, counted from when the container of the key is open or has failed


def storage(layout: Layout) -> list[Setting]:
    """Return the settings of module "storage"."""
    return [*_luks(layout), *_zfs(layout), *_rollback(layout), *_file_systems(layout)]


def _setting(path: tuple[str, ...], value: Value, thing: object, field: str = "", comment: str = "") -> Setting:
    name = type(thing).__name__
    origin = origin_of(thing).at(field) if thing is not None else Origin()
    return Setting(path, value, origin, f"{name}.{field}" if field else name, comment, "storage")


def _luks(layout: Layout) -> Iterator[Setting]:
    initrd = ("boot", "initrd")
    for container in layout.containers:
        path = (*initrd, "luks", "devices", container.luks.name)
        yield _setting(path, _opened(layout, container), container.luks)
    keepers = [c for c in layout.containers if c.keys is not None]
    if keepers:
        kinds = sorted({c.keys.kind for c in keepers if c.keys is not None})
        comment = "Stage 1 mounts it to read the key file."
        yield _setting((*initrd, "supportedFilesystems"), kinds, keepers[0].keys, comment=comment)
    for container in keepers:
        name = container.luks.name
        comment = "The wait for the key's device starts when its passphrase was given: nobody types against a clock."
        text = f"[Unit]\nAfter=systemd-cryptsetup@{_unit(name)}.service\n"
        unit = {"overrideStrategy": "asDropin", "text": text}
        path = (*initrd, "systemd", "units", f"dev-mapper-{_unit(name)}.device")
        yield _setting(path, unit, container.luks, comment=comment)
        if container.only_keys:
            yield _setting(("systemd", "services", f"{name}-close"), _close(name), container.luks)


def _opened(layout: Layout, container: Container) -> dict[str, Value]:
    """How stage 1 opens a container: without an end to the tries where a person is asked, without asking elsewhere."""
    luks = container.luks
    attrs: dict[str, Value] = {"device": container.device}
    if luks.discards:
        attrs["allowDiscards"] = True
    if luks.key is not None:
        home = layout.home_of(luks.key)
        attrs["keyFile"] = f"{luks.key.path}:{home.luks.device}"
        attrs["keyFileSize"] = luks.key.size
        attrs["keyFileTimeout"] = _KEY_TIMEOUT
    attrs["crypttabExtraOpts"] = ["tries=0"] if luks.asks else ["headless=true"]
    return attrs


def _close(name: str) -> dict[str, Value]:
    return {
        "description": f"Close {name}, which is needed for its key files alone",
        "wantedBy": ["basic.target"],
        "serviceConfig": {
            "Type": "oneshot",
            # the minus: one that is still in use, or closed already, is no failure
            "ExecStart": Text(("-", config.systemd.package, f"/bin/systemd-cryptsetup detach {name}")),
        },
    }


def _zfs(layout: Layout) -> Iterator[Setting]:
    if not layout.pools:
        return
    first = layout.pools[0]
    yield _setting(("boot", "supportedFilesystems"), ["zfs"], first)
    comment = "A pool that another machine has open is not taken from it."
    yield _setting(("boot", "zfs", "forceImportRoot"), value=False, thing=first, comment=comment)
    roots = layout.root_pools
    bare = [p.name for p in layout.pools if all(d.at is None for d in p.datasets)]
    if bare:
        yield _setting(("boot", "zfs", "extraPools"), bare, first)
    for pool in roots:
        path = ("boot", "initrd", "systemd", "services", f"zfs-import-{pool.name}")
        comment = (
            "Stage 1 has no shell to look into the journal with: why a pool is not imported is said at the console."
        )
        yield _setting((*path, "serviceConfig"), {"StandardError": _SAID}, pool, comment=comment)
        holders = [c.luks.name for c in layout.containers if _holds(layout, c, pool)]
        if holders:
            # the target is no longer waited for once another container has failed, as where a key file cannot be read
            comment = "The import gives up after 60 s; it must not count while somebody types a passphrase."
            units = [f"systemd-cryptsetup@{_unit(name)}.service" for name in holders]
            after: Value = {"after": ["cryptsetup.target", *units], "wants": ["cryptsetup.target"]}
            yield _setting(path, after, pool, comment=comment)


def _holds(layout: Layout, container: Container, pool: Zpool) -> bool:
    return any(
        container.luks in place.inside and getattr(place.content, "pool", None) is pool for place in layout.places
    )


def _rollback(layout: Layout) -> Iterator[Setting]:
    """One unit for each pool with wiped datasets. Where it fails, the root is not mounted, or everybody is told."""
    for pool in layout.root_pools:
        wiped = [d for d in pool.datasets if d.wiped]
        if not wiped:
            continue
        closed = pool.if_rollback_fails == "stop"
        imported = f"zfs-import-{pool.name}.service"
        command = "zfs rollback -r {0}@blank\n" if closed else _SHOUTING
        unit: dict[str, Value] = {
            "description": f"Roll back what is wiped of {pool.name}",
            "requiredBy" if closed else "wantedBy": ["sysroot.mount"],
            "requires": [imported],
            "after": [imported],
            "before": ["sysroot.mount"],
            "path": [config.boot.zfs.package],
            "unitConfig": {"DefaultDependencies": False, "ConditionKernelCommandLine": f"!{NO_ROLLBACK}"},
            "serviceConfig": {"Type": "oneshot", "RemainAfterExit": True, "StandardError": _SAID},
            "script": "".join(command.format(f"{pool.name}/{d.name}") for d in wiped),
        }
        path = ("boot", "initrd", "systemd", "services", f"rollback-{pool.name}")
        how = "Fails closed." if closed else "Fails open, and is loud about it."
        comment = f"{how} The kernel parameter {NO_ROLLBACK} leaves it out for one boot."
        yield _setting(path, unit, wiped[0], "wiped", comment)
    if any(p.if_rollback_fails == "shout" and any(d.wiped for d in p.datasets) for p in layout.root_pools):
        yield from _shout(layout)


# `wantedBy` alone lets the boot go on; what stage 2 is to tell lies in /run, which it inherits.
_SHOUTING = "zfs rollback -r {0}@blank || echo {0} >>" + FAILED_ROLLBACK + "\n"


def _shout(layout: Layout) -> Iterator[Setting]:
    """A failed unit, a line on the console, and one at each login, as long as the machine is up."""
    pool = next(p for p in layout.root_pools if p.if_rollback_fails == "shout")
    message = "NOT WIPED at this boot, the roll-back failed:"
    unit: dict[str, Value] = {
        "description": "Say that a roll-back failed",
        "wantedBy": ["multi-user.target"],
        "unitConfig": {"ConditionPathExists": FAILED_ROLLBACK},
        "serviceConfig": {"Type": "oneshot", "StandardOutput": "journal+console"},
        "script": f'echo "{message}" $(cat {FAILED_ROLLBACK})\nexit 1\n',
    }
    yield _setting(("systemd", "services", "rollback-failed"), unit, pool, "if_rollback_fails")
    line = f'if test -e {FAILED_ROLLBACK}; then echo "{message}" $(cat {FAILED_ROLLBACK}) >&2; fi\n'
    yield _setting(("environment", "loginShellInit"), line, pool, "if_rollback_fails")


def _file_systems(layout: Layout) -> Iterator[Setting]:
    for mount in layout.mounts:
        path = ("fileSystems", mount.path)
        field = "needed_for_boot" if isinstance(mount.source, Dataset) else "at"
        if isinstance(mount.source, Squashfs):
            options = list(dict.fromkeys(["ro", *mount.source.options]))
            value: Value = {"device": mount.device, "fsType": mount.fs_type, "options": options}
            yield _setting(path, value, mount.source, "at")
        if mount.say_needed:
            yield _setting((*path, "neededForBoot"), value=True, thing=mount.source, field=field)


def _unit(name: str) -> str:
    """Escape a mapped device's name as systemd does in unit names; its alphabet is narrow (see `Luks`)."""
    return name.replace("-", "\\x2d")
