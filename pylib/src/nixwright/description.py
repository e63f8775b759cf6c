"""One host as plain data: what `show` prints, and what installing, checking a disk and updating need to know of it.

A key file, a passphrase and a password are named by where they lie and whom they serve; no secret is in here.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from nixwright.generation import install_steps
from nixwright.layout import description as storage
from nixwright.layout import picture
from nixwright.layout.paths import is_below
from nixwright.nix.printer import print_expr
from nixwright.nix.values import Commented, Override
from nixwright.options.check import dotted
from nixwright.options.schema import Schema
from nixwright.parts.facts import KeptPath
from nixwright.record import origin_of
from nixwright.settlement import leaves, settle
from nixwright.source.spell import is_default, text
from nixwright.survey import said_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nixwright.host import Host, User
    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.options.settings import Path, Setting
    from nixwright.parts.base import Context, Part
    from nixwright.settlement import Settlement

Data = dict[str, Any]

# The directories of / that NixOS and its users fill: what a reader asks of.
_FILLED = ("/etc", "/home", "/root", "/usr", "/var")
_IN_MEMORY = {"tmpfs", "ramfs"}
# Options that say where a secret lies. LUKS is told elsewhere; the SSH server makes its own keys.
_SECRET_AT = re.compile(
    r"(pass(word|wd|phrase)|secret|token|credential|environment|auth|private|key)\w*(files?|path)$", re.IGNORECASE
)
_STAGE_1_KEY = ("boot", "initrd", "network", "ssh", "hostKeys")
_SECRETS_AT = (_STAGE_1_KEY, ("boot", "initrd", "secrets"))
_TOLD_ELSEWHERE = (("disko",), ("boot", "initrd", "luks"), ("services", "openssh", "hostKeys"))
_DRAWN = (720, 340)  # pixels: for a page, for a phone
_SERVED = ("services", "programs", "virtualisation", "security", "hardware")


def describe(host: Host, layout: Layout, context: Context) -> Data:
    """Return a host without mistakes as plain data, as JSON can hold it.

    Sizes and offsets are bytes; None is what the host file does not say.
    """
    settled = settle(said_by(host, context), Schema.chosen())
    parts = host.members
    kept = [f for f in context.facts if isinstance(f, KeptPath)]
    mounts = [*storage.mounts(layout), *_other_mounts(settled.settings, layout)]
    mounts = sorted((m for m in mounts if m["path"] not in {k.path for k in kept}), key=lambda m: str(m["path"]))
    return {
        "name": host.name,
        "host_id": host.host_id,
        "state_version": host.state_version,
        "system": context.system,
        "board": type(host.board).__name__,
        "parts": [_part(p, settled) for p in parts],  # the board is the first
        "disks": storage.disks(layout),
        "containers": storage.containers(layout),
        "pools": storage.pools(layout),
        "mounts": mounts,
        "swaps": storage.swaps(layout),
        "slots": storage.slots(layout),
        "survival": _survival(mounts, kept),
        "picture": picture.terminal(layout) if host.disks else "",
        "drawings": {str(w): picture.svg(layout, w) for w in _DRAWN} if host.disks else {},  # SVG, by width
        "facts": [_fact(f) for f in context.facts],
        "firewall": _firewall(settled.settings),
        "users": [_user(u) for u in host.users],
        "secrets": _secrets(host, layout, settled.settings),
        "services": list(_services(settled.settings)),
        "replaced": [_replaced(r.setting, r.by) for r in settled.replaced],
        "settings": [_setting(s) for s in settled.settings if s.user],
        "imports": list(host.imports),
        "steps": [dataclasses.asdict(s) | {"phase": s.phase.name} for s in install_steps(host, parts, context)],
    }


def _part(part: Part, settled: Settlement) -> Data:
    kind = type(part)
    fields = [f for f in dataclasses.fields(part) if f.init]  # type: ignore[arg-type]
    return {
        "kind": kind.__name__,
        "about": _about(kind),
        "source": text(part),
        "line": origin_of(part).place()[1],
        "defaults": {f.name: _in_force(part, f.name, settled) for f in fields if is_default(part, f)},
    }


def _about(kind: type) -> str:
    """Return the first sentence of a class's docstring."""
    first = " ".join((kind.__doc__ or "").strip().partition("\n\n")[0].split())
    return re.split(r"(?<=[^.].)[.:;](?:\s|$)", first, maxsplit=1)[0]


def comes_to(host: Host, part: Part, name: str) -> str:
    """Return what a part's field at its default comes to on this host: the value, or where it is None, what it made."""
    context = host.context(host.layout())
    return _in_force(part, name, settle(said_by(host, context), Schema.chosen()))


def _in_force(part: Part, name: str, settled: Settlement) -> str:
    """Return what a default comes to: the value itself, or where that is None, what the part made of it."""
    value = getattr(part, name)
    if value is not None:
        return text(value)
    field = f"{type(part).__name__}.{name}"
    made = [_brief(s.value) for s in settled.settings if s.field == field]
    return ", ".join(made) or "None"


def _fact(fact: object) -> Data:
    values = {f.name: _plain(getattr(fact, f.name)) for f in dataclasses.fields(fact)}  # type: ignore[arg-type]
    return {"kind": type(fact).__name__, **values}


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _user(user: User) -> Data:
    keys = [{"type": k.split()[0], "comment": " ".join(k.split()[2:])} for k in user.ssh_keys]
    return {
        "name": user.name,
        "groups": list(user.groups),
        "ssh_keys": keys,
        "password": None if user.password is None else text(user.password),
        "can_become_root": user.can_become_root,
    }


# What survives a boot


def _other_mounts(settings: Sequence[Setting], layout: Layout) -> Iterator[Data]:
    """Mounts that the board, a part or the user's settings bring, beside the layout's."""
    known = {m.path for m in layout.mounts}
    found: dict[str, dict[str, Any]] = {}
    by: dict[str, str] = {}
    for setting in settings:
        for path, value in leaves(setting.path, setting.value):
            if len(path) == 3 and path[0] == "fileSystems":  # noqa: PLR2004 - fileSystems, the path, the attribute
                found.setdefault(path[1], {})[path[2]] = _bare(value)
                by.setdefault(path[1], setting.field)
    for at, attrs in found.items():
        if at in known or not ({"device", "fsType"} & set(attrs)):
            continue
        options = attrs.get("options", [])
        yield {
            "path": at,
            "device": str(attrs.get("device", "")),
            "fs_type": str(attrs.get("fsType", "")),
            "wiped": attrs.get("fsType") in _IN_MEMORY,
            "needed_for_boot": bool(attrs.get("neededForBoot", False)),
            "snapshots": False,
            "options": [str(o) for o in options] if isinstance(options, list | tuple) else [],
            "inside": [],
            "by": by[at],
        }


def _survival(mounts: Sequence[Mapping[str, Any]], paths: Sequence[KeptPath]) -> Data:
    """Say which directories a boot wipes and which it keeps; `but` are the kept ones inside a wiped one.

    `kept` are whole file systems, `paths` the single paths that stay where the rest goes, with where they lie.
    """
    wiped = [str(m["path"]) for m in mounts if m["wiped"]]
    kept = sorted(str(m["path"]) for m in mounts if not m["wiped"])
    gone = sorted({*(p for p in wiped if p != "/"), *(_FILLED if "/" in wiped else ())} - set(kept))
    single = sorted(paths, key=lambda k: k.path)
    stay = [*kept, *(k.path for k in single)]
    return {
        "wiped": [{"path": p, "but": sorted(k for k in stay if is_below(k, p))} for p in gone],
        "kept": kept,
        "paths": [{"path": k.path, "source": k.source, "is_file": k.is_file} for k in single],
    }


# What the settings come to


def _firewall(settings: Sequence[Setting]) -> Data:
    """Return the open ports of the firewall, as far as settings say them."""
    found: dict[str, list[object]] = {"tcp": [], "udp": []}
    names: dict[Path, str] = {("allowedTCPPorts",): "tcp", ("allowedUDPPorts",): "udp"}
    for setting in settings:
        for path, value in leaves(setting.path, setting.value):
            if path[:2] == ("networking", "firewall") and path[2:] in names:
                bare = _bare(value)
                found[names[path[2:]]] += bare if isinstance(bare, list | tuple) else []
    return found


def _services(settings: Sequence[Setting]) -> Iterator[Data]:
    """Everything that is turned on by an option `enable`, once."""
    seen = set()
    for setting in settings:
        for path, value in leaves(setting.path, setting.value):
            name = ".".join(path[:-1])
            if path[-1] == "enable" and path[0] in _SERVED and _bare(value) is True and name not in seen:
                seen.add(name)
                yield {"name": name, "by": setting.field, "user": setting.user, "line": setting.origin.place()[1]}


def _secrets(host: Host, layout: Layout, settings: Sequence[Setting]) -> list[Data]:
    """Return every secret that the host expects, by what it is for and where it lies, each once."""
    found = [*_passphrases(layout)]
    for reference, use in host.secret_uses():
        what = use.what.replace("`", "").removeprefix("the ")
        where = _brief(reference.at).strip('"')
        found.append({"what": what, "kind": type(reference).__name__, "where": where, "by": use.field})
    known = {f["where"] for f in found}
    return found + [s for s in _secret_files(settings) if s["where"] not in known]


def _passphrases(layout: Layout) -> Iterator[Data]:
    for pool in layout.pools:
        if pool.encryption == "native":
            yield {
                "what": f"passphrase of {pool.name}",
                "kind": "passphrase",
                "where": "typed at boot",
                "by": "Zpool.encryption",
            }
    for luks in layout.luks:
        if luks.asks:
            where = "typed at boot, only where the key file fails" if luks.key else "typed at boot"
            yield {"what": f"passphrase of {luks.name}", "kind": "passphrase", "where": where, "by": "Luks.opens_with"}


def _secret_files(settings: Sequence[Setting]) -> Iterator[Data]:
    for setting in settings:
        for path, value in leaves(setting.path, setting.value):
            for where in _secrets_at(path, _bare(value)):
                what = "ssh host key of stage 1" if path == _STAGE_1_KEY else dotted(path)
                yield {"what": what, "kind": "file", "where": where, "by": setting.field}


def _secrets_at(path: Path, value: object) -> list[str]:
    if any(path[: len(p)] == p for p in _TOLD_ELSEWHERE):
        return []
    if not (_SECRET_AT.search(path[-1]) or any(path[: len(p)] == p for p in _SECRETS_AT)):
        return []
    entries = value if isinstance(value, list | tuple) else [value]
    return [str(e) for e in entries if isinstance(e, str)]


def _replaced(was: Setting, by: Setting) -> Data:
    found = {"option": dotted(was.path), "was": _brief(was.value), "of": was.field}
    return found | {"now": _brief(_at(by, was.path)), "line": by.origin.place()[1]}


def _setting(setting: Setting) -> Data:
    return {"option": dotted(setting.path), "value": _brief(setting.value), "line": setting.origin.place()[1]}


def _at(setting: Setting, path: Path) -> Value:
    return next((v for p, v in leaves(setting.path, setting.value) if p == path), setting.value)


def _bare(value: Value) -> Any:
    while isinstance(value, Commented | Override):
        value = value.value
    return value


def _brief(value: Value) -> str:
    """Return a value as Nix, on one line."""
    return " ".join(print_expr(_bare(value)).split())
