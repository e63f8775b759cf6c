"""From a host to its files: lowered, settled, checked, printed. What is wrong on the way is reported."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from nixwright import proofs, tree
from nixwright.checks import render
from nixwright.errors import Mistake, collecting, report
from nixwright.layout import ESP, GPT, REST, Disk, Ext4, MiB, Partition, lower, picture, steps
from nixwright.nix.module import module_text
from nixwright.nix.printer import print_expr
from nixwright.nix.values import Merge, Order, Override, Text, modules_path
from nixwright.options.check import check, dotted
from nixwright.options.rules import rules
from nixwright.options.schema import Schema
from nixwright.options.settings import Setting, parse_path
from nixwright.record import field_origin, is_broken, origin_of, shown
from nixwright.reference import MODULE as SECRETS
from nixwright.report.install import install_text
from nixwright.secret import secrets
from nixwright.settlement import settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nixwright.checks.model import Facts
    from nixwright.host import Host
    from nixwright.layout.model import Layout
    from nixwright.nix.values import Expr, Value
    from nixwright.parts.base import Context, File, Part
    from nixwright.runbook import Step
    from nixwright.settlement import Settlement

ROOM = "modules"
_ENTRY, _DATA, _INSTALL = "default", "host", "INSTALL.md"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Generated(NamedTuple):
    """What comes of a host: path below the project's root to text, and what is known of its checks."""

    files: dict[str, str]
    checks: list[Facts]


def generate(host: Host, root: Path, source: str, *, checked: bool = True) -> Generated:
    """Return the host's files and checks; of what is not `checked` no checks.

    `source` is the host file, from `root`. Mistakes are reported (`errors.report`); with any, nothing comes back.
    """
    schema = Schema.shipped()
    with collecting() as follow_ups:
        layout = host.layout()
    if follow_ups and not _broken(host.disks):  # else they may only say that something broken is not there
        report(*follow_ups)
    context = host.context(layout)
    parts = host.members
    said = said_by(host, context)
    settled = settle(said, schema)
    mistakes = [*host.rules(layout, said), *settled.mistakes, *secrets(said), *_imports(host, root / source)]
    whole = not _broken(host) and not mistakes and not follow_ups
    brought = {o for reference, _ in host.secret_uses() for o in reference.options}  # by inputs of the user's own
    closed = not host.imports and not any(p.nixpkgs_modules for p in parts)
    found = [
        *check([s for s in said if s.path[0] not in brought], schema),
        *rules(list(settled.settings), complete=closed),
    ]
    if whole:
        mistakes += [*found, *(m for p in parts for m in (*_missing(p, context), *p.host_rules(context)))]
    else:  # what else is missing may be what something broken would have brought: only the user's own words count
        own = {id(s.origin) for s in said if s.user}
        mistakes += [m for m in found if id(m.origin) in own]
    files = [(p, f) for p in parts for f in p.files(context)]
    mistakes += _files(files)
    if whole:
        tests = proofs.gather(host, parts, context) if checked else []
        mistakes += proofs.mistakes(tests)
    if mistakes:
        report(*mistakes)
    if mistakes or not whole:
        return Generated({}, [])
    texts = _modules(host, settled, parts, root, source)
    texts |= {f.name: f.text for _, f in files}
    texts[_INSTALL] = install_text(
        host.name, install_steps(host, parts, context), picture.terminal(layout) if host.disks else ""
    )
    machine = proofs.machine(host, parts, context, texts)
    known = proofs.facts(host, tests, machine, texts)
    texts[f"{_DATA}.nix"] = print_expr({"system": context.system, "inputs": _inputs(host, parts, layout)}) + "\n"
    paths = {f"{ROOM}/{host.name}/{n}": t for n, t in texts.items()} | render.all_files(tests, machine)
    stamped = {p: tree.stamp(p, t, source) for p, t in sorted(paths.items())}
    return Generated(stamped | _image(host, root, source), known)


def said_by(host: Host, context: Context) -> list[Setting]:
    """Return all that a host says, in its order: itself, its board, its parts, its disks, its own `settings`."""
    parts = host.members
    own, disks = host.own_settings(), lower.settings(context.layout)
    of_parts = (s for p in parts for s in _of_part(p, context))
    return [*own, *of_parts, *disks, *_secrets(host), *_users_own(host)]


def _image(host: Host, root: Path, source: str) -> dict[str, str]:
    """The modules of the system that installs the host, where that is one of our own."""
    image = None if host.installer is None else host.installer.image(host)
    if image is None:
        return {}
    return generate(image, root, source, checked=False).files


def _broken(thing: object) -> bool:
    """Tell whether a record, or one anywhere inside it, was made with mistakes."""
    if isinstance(thing, list | tuple):
        return any(_broken(t) for t in thing)
    if not dataclasses.is_dataclass(thing):
        return False
    return is_broken(thing) or any(_broken(getattr(thing, f.name)) for f in dataclasses.fields(thing))


def warm() -> None:
    """Generate a small host of our own: what that compiles and reads, each host of a fleet would do for itself."""
    from nixwright.boards.qemu_vm import QemuVm  # noqa: PLC0415 - only a fleet needs one
    from nixwright.host import Host  # noqa: PLC0415

    disk = Disk(
        "/dev/disk/by-id/virtio-a", GPT(Partition("boot", MiB(512), ESP()), Partition("root", REST, Ext4(at="/")))
    )
    generate(Host("a", state_version="26.05", board=QemuVm(), disks=[disk]), Path(), "a.py")


def _of_part(part: Part, context: Context) -> Iterator[Setting]:
    """A part's settings, each in a module of a name that a file can have."""
    for setting in part.settings(context):
        yield setting if setting.module else dataclasses.replace(setting, module=part.module)


def _secrets(host: Host) -> Iterator[Setting]:
    """What the references to secrets need of NixOS."""
    for reference, use in host.secret_uses():
        for text, value, comment in reference.settings(use):
            yield Setting(parse_path(text), value, origin_of(reference), use.field, comment, SECRETS)


def _users_own(host: Host) -> Iterator[Setting]:
    """The host's own `settings`; a key that is no attribute path is reported."""
    for text, value in host.settings.items():
        origin = field_origin(host, f"settings.{text}")
        try:
            yield Setting(parse_path(text), value, origin, f"Host.settings.{text}", "", "settings", user=True)
        except ValueError as error:
            allowed = 'a Nix attribute path, as in services.nginx.virtualHosts."a.b".root'
            report(Mistake("Host.settings", f"is no attribute path: {error}", shown(text), allowed, "", origin))


def _imports(host: Host, file: Path) -> Iterator[Mistake]:
    for index, text in enumerate(host.imports):
        origin = field_origin(host, f"imports[{index}]")
        field = f"Host.imports[{index}]"
        if PurePosixPath(text).is_absolute():
            yield Mistake(field, "is no path from the host file", repr(text), "./NAME.nix or ../NAME.nix", "", origin)
        elif not (file.parent / text).exists():
            allowed = f"a module that is there, from {file.parent.name}/"
            yield Mistake(field, "there is no such file", repr(text), allowed, "", origin)


def _missing(part: Part, context: Context) -> Iterator[Mistake]:
    """What a part needs and nobody provides."""
    name = type(part).__name__
    for kind in part.requires:
        if context.fact(kind) is None:
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()
            about = (kind.__doc__ or "").partition("\n")[0].rstrip(".")
            fix = "add a part or choose a board that provides it"
            yield Mistake(name, f"needs what nobody on this host provides: {words}", "", about, fix, origin_of(part))


def _files(files: Iterable[tuple[Part, File]]) -> Iterator[Mistake]:
    """Names that cannot be, or that two parts give to different texts."""
    taken: dict[str, tuple[Part, str]] = {}
    for part, file in files:
        name, origin = f"{type(part).__name__}", origin_of(part)
        if not _NAME.fullmatch(file.name) or tree.comment_style(file.name) is None:
            allowed = f"a plain name that ends in one of {' '.join(tree.comment_suffixes())}"
            yield Mistake(
                name, "brings a file that cannot say where it comes from", repr(file.name), allowed, "", origin
            )
        other, text = taken.setdefault(file.name, (part, file.text))
        if text != file.text:
            what = f"two parts bring a file {file.name}, of different texts"
            yield Mistake(name, what, "", "one text", "rename one", origin, origin_of(other))


def _inputs(host: Host, parts: Sequence[Part], layout: Layout) -> list[str]:
    """The flake inputs that the host needs, each once."""
    own = {i for reference, _ in host.secret_uses() for i in reference.inputs}
    return sorted({i for p in parts for i in p.inputs} | own | ({"disko"} if layout.disks else set()))


def install_steps(host: Host, parts: Sequence[Part], context: Context) -> list[Step]:
    """All steps, by phase; within one the layout's, the board's, the parts' in their order, the users'."""
    found = list(steps.steps(context.layout, host.name)) if host.disks else []
    found += [s for p in parts for s in p.steps(context)]
    found += host.steps(context.layout)
    return sorted(found, key=lambda s: s.phase)


def _modules(host: Host, settled: Settlement, parts: Sequence[Part], root: Path, source: str) -> dict[str, str]:
    """The modules' texts by file name: one a part, and `default.nix` that imports them."""
    order = ["disko", "storage", *(p.module for p in parts), "users", SECRETS, "settings"]
    found: dict[str, list[Setting]] = {}
    for setting in settled.settings:
        found.setdefault(setting.module, []).append(setting)
    names = [n for n in dict.fromkeys([*order, *found]) if n in found and n != _ENTRY]
    notes = _notes(settled)
    directory = root / ROOM / host.name
    own = [_relative(Path(os.path.normpath((root / source).parent / i)), directory) for i in host.imports]
    upstream = [Text((modules_path, f"/{m}")) for p in parts for m in p.nixpkgs_modules]
    imports: list[str | Expr] = [*upstream, *(f"./{n}.nix" for n in names), *own]
    texts = {f"{n}.nix": module_text(_bindings(found[n], notes)) for n in names}
    return texts | {f"{_ENTRY}.nix": module_text(_bindings(found[_ENTRY], notes), imports=imports)}


def _relative(path: Path, directory: Path) -> str:
    text = os.path.relpath(path, directory)
    return text if text.startswith("../") else f"./{text}"


def _notes(settled: Settlement) -> dict[int, str]:
    """A comment for each of the user's settings that took a part's place."""
    notes: dict[int, list[str]] = {}
    for replaced in settled.replaced:
        was = replaced.setting
        part = was.field.partition(".")[0]
        notes.setdefault(id(replaced.by), []).append(f"Instead of {part}'s {dotted(was.path)} = {_brief(was.value)}.")
    return {key: "\n".join(dict.fromkeys(lines)) for key, lines in notes.items()}


def _brief(value: Value) -> str:
    text = print_expr(value.value if isinstance(value, Override) else value)
    return text if "\n" not in text else "..."


def _bindings(settings: Sequence[Setting], notes: dict[int, str]) -> Iterator[tuple[tuple[str, ...], Value, str]]:
    """What a module binds. Where two of its settings are of one path, their values are one."""
    bound: dict[tuple[str, ...], tuple[Value, str]] = {}
    for setting in settings:
        comment = "\n".join(t for t in (setting.comment, notes.get(id(setting), "")) if t)
        if setting.path in bound:
            value, other = bound[setting.path]
            bound[setting.path] = (
                _joined(value, setting.value),
                "\n".join(dict.fromkeys(t for t in (other, comment) if t)),
            )
        else:
            bound[setting.path] = setting.value, comment
    return ((path, value, comment) for path, (value, comment) in bound.items())


def _joined(one: Value, other: Value) -> Value:
    """Two values of one option that merges, as one: lists one after the other, attribute sets name by name."""
    if isinstance(one, Override) and isinstance(other, Override):
        return Override(one.priority, _joined(one.value, other.value))
    if isinstance(one, Order) or isinstance(other, Order) or isinstance(one, str) or isinstance(other, str):
        return Merge((one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {k: _joined(one[k], v) if k in one else v for k, v in other.items()}
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return [*one, *(v for v in other if v not in one)]
    return other
