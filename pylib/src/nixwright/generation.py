"""From a host to its files: lowered, settled, checked, printed. What is wrong on the way is reported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nixwright import proofs, tree
from nixwright.checks import render
from nixwright.layout import ESP, GPT, REST, Disk, Ext4, MiB, Partition, picture, steps
from nixwright.nix.module import module_text
from nixwright.nix.printer import print_expr
from nixwright.nix.values import Merge, Order, Override, Text, modules_path
from nixwright.options.check import dotted
from nixwright.reference import MODULE as SECRETS
from nixwright.report.install import install_text
from nixwright.survey import survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nixwright.checks.model import Facts
    from nixwright.errors import Mistake
    from nixwright.host import Host
    from nixwright.layout.model import Layout
    from nixwright.nix.values import Expr, Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Context, Part
    from nixwright.runbook import Step
    from nixwright.settlement import Settlement

ROOM = "modules"
_ENTRY, _DATA, _INSTALL = "default", "host", "INSTALL.md"


class Generated(NamedTuple):
    """What comes of a host: path below the project's root to text, what is known of its checks, and warnings."""

    files: dict[str, str]
    checks: list[Facts]
    warnings: tuple[Mistake, ...] = ()


def generate(host: Host, root: Path, source: str, *, checked: bool = True) -> Generated:
    """Return the host's files and checks; of what is not `checked` no checks.

    `source` is the host file, from `root`. Mistakes are reported (`errors.report`); with any, nothing comes back.
    """
    found = survey(host, root, source, checked=checked)
    if found is None:
        return Generated({}, [])
    context, parts = found.context, host.members
    texts = _modules(host, found.settled, parts, root, source)
    texts |= {f.name: f.text for f in found.files}
    drawn = picture.terminal(context.layout) if host.disks else ""
    texts[_INSTALL] = install_text(host.name, install_steps(host, parts, context), drawn)
    machine = proofs.machine(host, parts, context, texts, found.settled.settings)
    known = proofs.facts(host, found.tests, machine, texts)
    inputs = _inputs(host, parts, context.layout)
    texts[f"{_DATA}.nix"] = print_expr({"system": context.system, "inputs": inputs}) + "\n"
    paths = {f"{ROOM}/{host.name}/{n}": t for n, t in texts.items()} | render.all_files(found.tests, machine)
    stamped = {p: tree.stamp(p, t, source) for p, t in sorted(paths.items())}
    return Generated(stamped | _image(host, root, source), known, found.warnings)


def _image(host: Host, root: Path, source: str) -> dict[str, str]:
    """The modules of the system that installs the host, where that is one of our own."""
    image = None if host.installer is None else host.installer.image(host)
    if image is None:
        return {}
    return generate(image, root, source, checked=False).files


def warm() -> None:
    """Generate a small host of our own: what that compiles and reads, each host of a fleet would do for itself."""
    from nixwright.boards.qemu_vm import QemuVm  # noqa: PLC0415 - only a fleet needs one
    from nixwright.host import Host  # noqa: PLC0415

    disk = Disk(
        "/dev/disk/by-id/virtio-a", GPT(Partition("boot", MiB(512), ESP()), Partition("root", REST, Ext4(at="/")))
    )
    generate(Host("a", state_version="26.05", board=QemuVm(), disks=[disk]), Path(), "a.py")


def _inputs(host: Host, parts: Sequence[Part], layout: Layout) -> list[str]:
    """The flake inputs that the host needs, each once."""
    own = {i for reference, _ in host.secret_uses() for i in reference.inputs}
    return sorted({i for p in parts for i in p.inputs} | own | ({"disko"} if layout.partitioned else set()))


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
    above = {setting.path[:end] for setting in settings for end in range(1, len(setting.path))}
    for setting in settings:
        comment = "\n".join(t for t in (setting.comment, notes.get(id(setting), "")) if t)
        for path, value in _apart(setting.path, setting.value, above):
            if path in bound:
                known, other = bound[path]
                comments = "\n".join(dict.fromkeys(t for t in (other, comment) if t))
                bound[path] = _joined(known, value), comments
            else:
                bound[path] = value, comment
            comment = ""
    return ((path, value, comment) for path, (value, comment) in bound.items())


def _apart(path: tuple[str, ...], value: Value, above: set[tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], Value]]:
    """A set that a setting binds as a whole, name by name where another one binds what is below it."""
    if path in above and isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _apart((*path, name), inner, above)
    else:
        yield path, value


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
