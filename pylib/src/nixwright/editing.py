"""Changing host files: what is wished is edited, loaded as if it were written already, and only then written.

The text is changed by `nixwright.source.edit`; what this adds is what a host file means: the fields of the records, the
secrets that must not stand in it, the mistakes that it would have, and the value that the host then really has.
"""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING, Any

from nixwright.errors import Mistake, MistakeError, NixwrightError
from nixwright.parts.base import Part
from nixwright.report.mistakes import HIDDEN
from nixwright.source.edit import get_value, remove_value, set_value
from nixwright.source.field import parse, said
from nixwright.source.records import all_fields, beside_ours, holds
from nixwright.source.running import agrees, look
from nixwright.source.secrets import scan
from nixwright.source.spell import text
from nixwright.source.target import Line
from nixwright.source.values import Call, Name
from nixwright.source.words import from_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from nixwright.host import Host
    from nixwright.source.edit import Edit, Found, Records
    from nixwright.source.secrets import Finding


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """One change: the words of the new value as a person wrote them, None to take the value away."""

    field: str
    words: tuple[str, ...] | None


@dataclasses.dataclass(frozen=True, slots=True)
class Edited:
    """A file as it would be, with each of the edits that made it and the values that it must then have."""

    before: str
    after: str
    edits: tuple[tuple[Wish, Edit], ...]
    values: tuple[tuple[str, object], ...]


def read_host(path: Path) -> str:
    """Return a host file's text, every byte of it. Raises NixwrightError where it cannot be read."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise NixwrightError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NixwrightError(f"{path} is not UTF-8, and stays as it is") from error


def records_with(own: Mapping[str, Sequence[str]]) -> Records:
    """Return the fields of nixwright's records and of the user's own (`Known.records`)."""
    return {**own, **all_fields()}


def edited(before: str, wishes: Sequence[Wish], records: Records, file: str) -> Edited:
    """Return a host file with all wishes done, one after the other. Raises MistakeError with all that cannot be."""
    after = before
    edits: list[tuple[Wish, Edit]] = []
    values: list[tuple[str, object]] = []
    mistakes: list[Mistake] = []
    for wish in wishes:
        try:
            edit, value = _one(after, wish, records, file)
        except MistakeError as error:
            mistakes += error.mistakes
        else:
            after = edit.after
            edits.append((wish, edit))
            if wish.words is not None:
                values.append((wish.field, value))
    if mistakes:
        raise MistakeError(*mistakes)
    return Edited(before, after, tuple(edits), tuple(values))


def all_edited(files: Mapping[str, tuple[str, Records]], wishes: Sequence[Wish]) -> dict[str, Edited]:
    """Return several files, by name, with all wishes done, or none. Raises MistakeError with the mistakes of all."""
    done: dict[str, Edited] = {}
    mistakes: list[Mistake] = []
    for name, (before, records) in files.items():
        try:
            done[name] = edited(before, wishes, records, name)
        except MistakeError as error:
            mistakes += error.mistakes
    if mistakes:
        raise MistakeError(*mistakes)
    return done


def _one(before: str, wish: Wish, records: Records, file: str) -> tuple[Edit, object]:
    if wish.words is None:
        return remove_value(before, wish.field, records, file=file), None
    try:
        found = get_value(before, wish.field, records, file=file)
    except MistakeError:
        if (outer := _unwritten(before, wish.field, records, file)) is None:
            raise
        return _in_new_dict(before, wish, outer, records, file)
    value = from_words(wish.words, found.value, holds(found.owner, found.levels), _bound(before))
    _refuse_secrets(wish.field, value, Line(file, found.line))
    return set_value(before, wish.field, value, records, file=file), value


def _unwritten(before: str, field: str, records: Records, file: str) -> tuple[str, Found] | None:
    """Return the field above that takes a dict and is not written yet, as `settings` may be; None without one."""
    steps = parse(field)
    for length in range(len(steps) - 1, 0, -1):
        above = said(steps[:length])
        try:
            found = get_value(before, above, records, file=file)
        except MistakeError:
            continue
        return (above, found) if not found.written and holds(found.owner, found.levels).only(dict) else None
    return None


def _in_new_dict(before: str, wish: Wish, outer: tuple[str, Found], records: Records, file: str) -> tuple[Edit, object]:
    """Write a dict with one entry where there is none."""
    above, found = outer
    key = ".".join(step.text for step in parse(wish.field)[len(parse(above)) :])
    value = from_words(wish.words or (), None, holds(found.owner, found.levels + 1), _bound(before))
    _refuse_secrets(wish.field, value, Line(file, found.line))
    return set_value(before, above, {key: value}, records, file=file), value


def _refuse_secrets(field: str, value: object, where: Line) -> None:
    secrets = secrets_in(field, value)
    if secrets:
        what = f"looks like {secrets[0].looks_like}: a host file is no place for a secret"
        allowed = "a reference: a path on the target, an environment file, a systemd credential"
        fix = 'write the secret there, and its place here, as in SecretFile("/persist/passwords/ivan")'
        raise MistakeError(Mistake(field, what, HIDDEN, allowed, fix, where))


def secrets_in(field: str, value: object) -> list[Finding]:
    """Return what looks like a secret in a value (`nixwright.source.values`)."""
    return scan(_strings(field, value))


def without_secrets(shown: str, source: str) -> str:
    """Return what is shown of a host file without what stands in it and looks like a secret: an old mistake of it."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return shown
    named = [(n.arg or "", n.value) for n in nodes if isinstance(n, ast.keyword)]
    for node in nodes:
        if isinstance(node, ast.Dict):
            named += [
                (str(k.value), v) for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)
            ]
        elif isinstance(node, ast.Constant):
            named.append(("", node))
    texts = [
        (name, v.value) for name, v in named if isinstance(v, ast.Constant) and isinstance(v.value, str) and v.value
    ]
    found = {w for name, secret in texts if scan([(name, secret)]) for w in (secret, repr(secret)[1:-1])}
    for secret in sorted(found, key=len, reverse=True):
        shown = shown.replace(secret, HIDDEN)
    return shown


def _strings(path: str, value: object) -> list[tuple[str, object]]:
    """Return what is plain in a value, by path: a call's arguments are looked at, too."""
    match value:
        case Call(args=args, keywords=keywords):
            found = [pair for a in args for pair in _strings(path, a)]
            return found + [pair for k, v in keywords for pair in _strings(f"{path}.{k}", v)]
        case Name():
            return []
        case list() | tuple():
            return [pair for i, v in enumerate(value) for pair in _strings(f"{path}[{i}]", v)]
        case dict():
            return [(path, [k for k in value if isinstance(k, str)])] + [
                pair for k, v in value.items() for pair in _strings(f"{path}.{k}", v)
            ]
    return [(path, value)]


def _bound(source: str) -> set[str]:
    """Return the names that a file binds anywhere."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return set()
    names = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names | {(n.asname or n.name).partition(".")[0] for n in nodes if isinstance(n, ast.alias)}


# In the child


def own_records(_host: object, _module: ModuleType) -> dict[str, Any]:
    """Answer with the fields of the user's own records; a question for `nixwright.load.load`."""
    return {"records": {k: list(v) for k, v in beside_ours().items()}}


@dataclasses.dataclass(frozen=True, slots=True)
class Missed:
    """A question: which of the values that edits wrote does the host not have? By the file's name."""

    wanted: Mapping[str, Sequence[tuple[str, object]]]

    def __call__(self, host: object, module: ModuleType) -> dict[str, Any]:
        """Answer with the fields that hold something else, each with what it holds."""
        found = {}
        for field, value in self.wanted[str(module.__file__)]:
            try:
                actual = look(host, module, field)
            except MistakeError:
                continue  # the path goes through what only the source has
            if not agrees(value, actual):
                found[field] = text(actual)
        return {"missed": found}


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """A question: what is the value of a field, and where that is None, what does it come to?"""

    field: str

    def __call__(self, host: Host, module: ModuleType) -> dict[str, Any]:
        """Answer with the value as source."""
        answer = own_records(host, module)
        try:
            value = look(host, module, self.field)
        except MistakeError:
            return answer
        return answer | {"value": text(value, width=80), "comes_to": _comes_to(host, module, self.field, value)}


def _comes_to(host: Host, module: ModuleType, field: str, value: object) -> str:
    """Return what a part makes of a field that says None; nothing for anything else."""
    from nixwright.description import comes_to  # noqa: PLC0415 - only this asks

    *above, last = parse(field)
    owner = look(host, module, said(tuple(above))) if above else None
    if value is not None or not isinstance(owner, Part):
        return ""
    made = comes_to(host, owner, last.text)
    return "" if made == "None" else made
