"""A host as a whole: all that it says, and all that is wrong with that, in one go.

A mistake hides nothing that does not hang on it, and is told once: what only follows from it is not told, too. That is
so because what is not known cannot be looked at (`nixwright.unseen`), and because nothing is said of a field that a
mistake was told of before.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from nixwright import proofs, tree
from nixwright.errors import Mistake, collecting, report
from nixwright.layout import lower
from nixwright.options.check import check
from nixwright.options.rules import rules
from nixwright.options.schema import Schema
from nixwright.options.settings import Setting, parse_path
from nixwright.origin import Origin
from nixwright.parts.facts import RootOverlay
from nixwright.record import field_origin, is_broken, origin_of, shown
from nixwright.reference import MODULE as SECRETS
from nixwright.secret import in_files, secrets
from nixwright.settlement import settle
from nixwright.unseen import UNSEEN, UnseenError, independent, inside, is_open, is_unseen, stumbled, wrong_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nixwright.checks.render import Test
    from nixwright.host import Host
    from nixwright.layout.model import Layout
    from nixwright.parts.base import Context, Fact, File, Part
    from nixwright.settlement import Settlement

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DEPTH = 50  # levels of a setting's value: NixOS has no option that takes ten
# Rules of NixOS over settings that say the same as a rule of ours, by the field that ours names.
_ROOT = 'fileSystems."/"'
_SAME = {
    "networking.hostId": "Host.host_id",
    "system.stateVersion": "Host.state_version",
    _ROOT: "Disk",
    "boot.initrd.network.ssh.authorizedKeys": "Host.users",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Survey:
    """A host without mistakes: its context, its settings as they are printed, the files beside them, its checks.

    `warnings` are what its parts allow, and would have looked at again.
    """

    context: Context
    settled: Settlement
    files: tuple[File, ...]
    tests: tuple[Test, ...]
    warnings: tuple[Mistake, ...]


def survey(host: Host, root: Path, source: str, *, checked: bool = True) -> Survey | None:
    """Look at the whole host; report what is wrong, and then return None.

    `source` is the host file, from `root`. Without `checked` the host is none that one checks, and has no tests.
    """
    look = _Look(host)
    with collecting() as of_layout:
        layout = host.layout()
    context = dataclasses.replace(host.context(layout), beside=_beside(host, root, root / source))
    overlay = next((f for f in context.facts if isinstance(f, RootOverlay)), None)
    if overlay is None:
        look.tell(of_layout)
    else:  # whoever provides it tells what the root stands on
        look.tell(m for m in of_layout if m.field != _SAME[_ROOT])
    sure = _sure(layout, overlay)
    if sure.open and not layout.open:
        context = dataclasses.replace(host.context(sure), beside=context.beside)
    said = look.said(context, layout)
    look.tell(host.rules(sure, said))
    if "Host.users" in look.fields:
        context = dataclasses.replace(context, users=UNSEEN)
    settled = settle(said, Schema.chosen())
    look.tell(settled.mistakes)
    look.tell(secrets(said))
    look.tell(_imports(host, root / source))
    broken_disks = bool(of_layout) or any(is_broken(t) for t in inside(host.disks))
    brought = {o for reference, _ in host.secret_uses() for o in reference.options}  # by inputs of the user's own
    apart = {"disko", "storage"} if broken_disks else set()
    judged = [s for s in said if s.module not in apart and s.path[0] not in brought]
    look.tell(check(judged, Schema.chosen()), again=False)
    rooted = overlay is None or bool(layout.slots)  # its part tells where they are missing
    closed = rooted and not look.open and not host.imports and not any(p.nixpkgs_modules for p in host.members)
    look.tell(independent(*(_own_files(part, root, root / source) for part in host.members)))
    files: list[tuple[Part, File]] = []
    seen = context if context.layout is UNSEEN else dataclasses.replace(context, layout=sure)
    for part in host.members:
        lacking = list(independent(*(_missing(part, kind, context) for kind in part.requires)))
        closed = closed and not lacking  # what the missing part would say is not known
        look.tell(lacking)
        look.tell(look.attempt(part, part.host_rules, seen))
        files += [(part, f) for f in look.attempt(part, part.files, context)]
    look.tell(rules(settled.settings, complete=closed), again=False)
    if closed:
        look.tell(independent(*(part.whole_rules(context, settled.settings) for part in host.members)))
    look.tell([*_files(files), *in_files(files)])
    tests = look.attempt(host.checks, lambda c: proofs.gather(host, host.members, c), context) if checked else []
    look.tell(proofs.mistakes(tests))
    warnings = [w for part in host.members for w in look.attempt(part, part.warnings, context)]
    look.end()
    if look.told or look.broken:
        return None
    return Survey(context, settled, tuple(f for _, f in files), tuple(tests), tuple(warnings))


def said_by(host: Host, context: Context) -> list[Setting]:
    """Return all that a host without mistakes says: itself, its board, its parts, its disks, its own `settings`."""
    return _Look(host).said(context, context.layout)


class _Look:
    """One look at a host: what was told, and what stays unknown."""

    def __init__(self, host: Host) -> None:
        """Take the records of the host that have mistakes, told when they were made."""
        self.host = host
        self.broken = {
            id(origin_of(t).calls): wrong_fields(t) for t in inside(host) if is_broken(t) and t is not UNSEEN
        }
        self.open = is_open(host)
        self.told: list[Mistake] = []
        self.places: set[object] = set()
        self.error: Exception | None = None

    @property
    def fields(self) -> set[str]:
        """The fields that mistakes were told of in this look."""
        return {m.field for m in self.told}

    def tell(self, mistakes: Iterable[Mistake], *, again: bool = True) -> None:
        """Take mistakes, but for those of a field that is told to be wrong already.

        Without `again` the same goes for what this look has told: the rules of NixOS know less of a host than ours.
        """
        for mistake in mistakes:
            twin = _SAME.get(mistake.field)
            known = {*self.fields, *(f"Host.{f}" for f in wrong_fields(self.host))}
            shadow = any(self._is_wrong(o) for o in (mistake.origin, mistake.other) if isinstance(o, Origin))
            if shadow or (not again and (twin in known or _place(mistake) in self.places)):
                continue
            self.told.append(mistake)
            if _place(mistake):
                self.places.add(_place(mistake))

    def _is_wrong(self, origin: Origin) -> bool:
        wrong = self.broken.get(id(origin.calls), frozenset())
        return "" in wrong or re.split(r"[.\[]", origin.field)[0] in wrong

    def said(self, context: Context, layout: Layout) -> list[Setting]:
        """Return all that the host says, as far as it can be known; a key that is no attribute path is told."""
        host = self.host
        found = [*host.own_settings()]
        for part in host.members:
            settings = self.attempt(part, part.settings, context)
            found += (s if s.module else dataclasses.replace(s, module=part.module) for s in settings)
        if not layout.open:
            found += self.attempt(host.disks, lower.settings, layout)
        found += self.attempt(host, _secrets, host)
        found += self._users_own()
        return [s for s in found if not (self.open and is_open(s.value))]

    def attempt(self, thing: object, ask: Callable[[Any], Iterable[T]], of: object) -> list[T]:
        """Return what comes of asking, up to what is unknown. What raises tells of a bug, but in what is broken."""
        found: list[T] = []
        try:
            for each in ask(of):
                found.append(each)  # noqa: PERF402 - what comes before an exception counts
        except UnseenError:
            self.open = True
        except Exception as error:  # noqa: BLE001 - a part may be the user's own
            self.open = True
            if not stumbled(error) and not any(is_broken(t) for t in inside([thing, self.host.disks])):
                self.error = self.error or error
        return found

    def _users_own(self) -> Iterator[Setting]:
        host = self.host
        if is_unseen(host.settings):
            return
        for text, value in host.settings.items():
            origin = field_origin(host, f"settings.{text}")
            if _is_deep(value):
                what, allowed = "is nested too deep, or holds itself", f"{_DEPTH} levels at most"
                self.tell([Mistake(text, what, "", allowed, "write it out", origin)])
                continue
            try:
                yield Setting(parse_path(text), value, origin, f"Host.settings.{text}", "", "settings", user=True)
            except ValueError as error:
                allowed = 'a Nix attribute path, as in services.nginx.virtualHosts."a.b".root'
                what = f"is no attribute path: {error}"
                self.tell([Mistake("Host.settings", what, shown(text), allowed, "", origin)])

    def end(self) -> None:
        """Report what was told, and raise what a whole part raised."""
        if self.told:
            report(*self.told)
        if self.error is not None:
            raise self.error


def _is_deep(value: object, left: int = _DEPTH) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return not left or any(_is_deep(v, left - 1) for v in inner)


def _secrets(host: Host) -> Iterator[Setting]:
    """What the references to secrets need of NixOS."""
    for reference, use in host.secret_uses():
        for text, value, comment in reference.settings(use):
            yield Setting(parse_path(text), value, origin_of(reference), use.field, comment, SECRETS)


def _sure(layout: Layout, overlay: RootOverlay | None) -> Layout:
    """Return the layout as rules may ask it: where nothing is the root, what survives in it is no question."""
    if overlay is None:
        return dataclasses.replace(layout, open=True) if layout.disks and layout.mount_of("/") is None else layout
    there = not layout.slots or any(m.path == overlay.kept for m in layout.mounts)
    return layout if there else dataclasses.replace(layout, missing=overlay.kept)


def _place(mistake: Mistake) -> object:
    """Return what tells one field of one record from all others; None for a mistake without an origin."""
    origin = mistake.origin
    if not isinstance(origin, Origin):
        return None
    whole = origin.field.startswith("settings.")
    return id(origin.calls), origin.field if whole else re.split(r"[.\[]", origin.field)[0]


def _imports(host: Host, file: Path) -> Iterator[Mistake]:
    for index, text in enumerate(() if is_unseen(host.imports) else host.imports):
        if is_unseen(text):
            continue
        origin = field_origin(host, f"imports[{index}]")
        field = f"Host.imports[{index}]"
        if PurePosixPath(text).is_absolute():
            fix = f'put it beside the host file: "./{PurePosixPath(text).name}"'
            yield Mistake(field, "is no path from the host file", repr(text), "./NAME.nix or ../NAME.nix", fix, origin)
        elif not (file.parent / text).exists():
            allowed = f"a module that is there, from {file.parent.name}/"
            yield Mistake(
                field, "there is no such file", repr(text), allowed, f"write {text}, or remove it here", origin
            )


def _beside(host: Host, root: Path, file: Path) -> str:
    name = host.name if isinstance(host.name, str) else "HOST"
    return os.path.relpath(file.parent, root / "modules" / name)


def _own_files(part: Part, root: Path, file: Path) -> Iterator[Mistake]:
    """Files of the user's own that are not there, are another kind of file, or hold what must not be read."""
    for own in part.own_files():
        name, origin = f"{type(part).__name__}.{own.field}", field_origin(part, own.field)
        if is_unseen(own.path) or own.field in wrong_fields(part):
            continue
        path = file.parent / own.path
        if PurePosixPath(own.path).is_absolute():
            fix = f'put it beside the host file: "./{PurePosixPath(own.path).name}"'
            yield Mistake(name, "is no path from the host file", repr(own.path), "./NAME or ../NAME", fix, origin)
        elif not Path(os.path.normpath(path)).is_relative_to(root):
            fix = f'put it beside the host file: "./{path.name}"'
            yield Mistake(name, "lies outside of the project", repr(own.path), f"a file below {root}", fix, origin)
        elif not path.is_file():
            allowed = f"a file that is there, from {file.parent.name}/, with {own.holds}"
            yield Mistake(name, "there is no such file", repr(own.path), allowed, f"write {own.path}", origin)
        else:
            text = path.read_text("utf-8", "replace")
            if "PRIVATE KEY-----" in text:
                fix = "keep the key elsewhere, and make another: this one may have been seen"
                yield Mistake(name, "holds a private key", repr(own.path), own.holds, fix, origin)
            elif own.mark not in text or not own.is_right(text):
                fix = "name the file that has it"
                what = f"does not hold {own.holds}"
                if own.mark in text:
                    what = f"is damaged or cut short: {own.holds} cannot be read from it"
                yield Mistake(name, what, repr(own.path), own.mark, fix, origin)


def _missing(part: Part, kind: type[Fact], context: Context) -> Iterator[Mistake]:
    """What a part needs and nobody provides."""
    if context.fact(kind) is None:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()
        about = (kind.__doc__ or "").partition("\n")[0].rstrip(".")
        what = f"needs what nobody on this host provides: {words}"
        yield Mistake(type(part).__name__, what, "", about, kind.given_by, origin_of(part))


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
