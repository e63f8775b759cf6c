"""`nixwright set`: values of host files changed in place; what is around them stays as it was written."""

from __future__ import annotations

import dataclasses
import glob
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright import tree
from nixwright.cli.hosts import Hosts, add_limits, host_files, load_hosts, project_root, write_json
from nixwright.editing import Edited, Missed, Wish, all_edited, own_records, read_host, records_with, without_secrets
from nixwright.errors import Mistake, MistakeError, NixwrightError
from nixwright.origin import standing_in
from nixwright.report import changes as report
from nixwright.report import mistakes
from nixwright.report.colour import Colours
from nixwright.source.target import Line
from nixwright.tree import Change, Kind

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from nixwright.load import Loaded
    from nixwright.report.mistakes import Told

_MISTAKES = 2
_NAMES_SHOWN = 3


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        "set",
        help="change values in host files",
        usage="nixwright set [options] HOST.py... FIELD VALUE... [--and FIELD VALUE...]... [--remove FIELD]...",
        epilog="fields: state_version, parts.PwmFan.curve, disks[0].table.partitions[2].size, users.ivan.groups,"
        " settings.services.tailscale.enable; several files by 'hosts/*.py'; a value that begins with - comes after --",
    )
    parser.add_argument("words", nargs="+", metavar="HOST.py... FIELD VALUE...", help="which files, which field, what")
    parser.add_argument(
        "--and", nargs="+", action="append", default=[], dest="more", metavar=("FIELD", "VALUE"), help="another value"
    )
    parser.add_argument(
        "--remove", action="append", default=[], metavar="FIELD", help="take a value away: the default holds again"
    )
    parser.add_argument("--dry-run", action="store_true", help="write nothing; show what would change")
    parser.add_argument("--json", action="store_true", help="say everything as JSON")
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    """Change all files or none; return 0, or 2 for mistakes."""
    names, words = hosts_of(args.words)
    wishes = [Wish(w[0], tuple(w[1:])) for w in [words, *args.more] if w] + [Wish(f, None) for f in args.remove]
    if not wishes or any(w.words == () for w in wishes):
        raise NixwrightError("say a field and its value, as in: nixwright set hosts/pibox.py state_version 26.11")
    twice = [w.field for number, w in enumerate(wishes) if w.field in {v.field for v in wishes[:number]}]
    if twice:
        raise NixwrightError(f"{twice[0]} is said twice")
    args.hosts = names
    files = host_files(names)
    root = project_root(args.root, files)
    before = load_hosts(args, about=own_records)
    try:
        done = _edited(files, before, wishes)
    except MistakeError as error:
        return _refuse(mistakes.told_once(_alike(error.mistakes, root)), root, as_json=args.json)
    changed = {path: e for path, e in done.items() if e.before != e.after}
    if not changed:
        return _say(args, root, {}, written=False)
    texts = {path: e.after for path, e in changed.items()}
    with standing_in(texts):
        after = load_hosts(args, about=Missed({str(path): e.values for path, e in done.items()}))
        known = {_key(t.mistake) for t in before.told}
        told = [t for t in after.told if _key(t.mistake) not in known]
        told += mistakes.told_once(_missed(dict(zip(files, after.loaded, strict=True)), changed))
        if told:
            return _refuse(told, root, as_json=args.json)
    if not args.dry_run:
        _write(root, changed)
    return _say(args, root, changed, written=not args.dry_run, left=len(after.told))


def hosts_of(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Split the words of a command line into host files and the rest. Raises NixwrightError where no file is named."""
    found: list[Path] = []
    for number, word in enumerate(words):
        matches = [Path(p) for p in sorted(glob.glob(word))] if glob.has_magic(word) else []  # noqa: PTH207 - from here
        if matches:
            found += [p for p in matches if not p.name.startswith("_")]
        elif glob.has_magic(word) and not found:
            raise NixwrightError(f"no file is called like {word}")
        elif word.endswith(".py") or Path(word).is_dir():
            found.append(Path(word))
        elif not found:
            raise NixwrightError(f"{word} is no host file: begin with one, as in hosts/pibox.py or 'hosts/*.py'")
        else:
            return found, list(words[number:])
    return found, []


def _edited(files: Sequence[Path], before: Hosts, wishes: Sequence[Wish]) -> dict[Path, Edited]:
    """Return what becomes of every file. Raises MistakeError with the mistakes of all of them."""
    pairs = zip(files, before.loaded, strict=True)
    texts = {str(p): (read_host(p), records_with(loaded.about.get("records", {}))) for p, loaded in pairs}
    return {Path(name): done for name, done in all_edited(texts, wishes).items()}


def _alike(found: Sequence[Mistake], root: Path) -> list[tuple[str, Mistake]]:
    """Pair mistakes with their files; what several files say alike is told at the first."""
    firsts: dict[tuple[str, ...], Mistake] = {}
    pairs = []
    for mistake in found:
        path = Path(mistake.origin.place()[0]) if mistake.origin else root
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        pairs.append((name, firsts.setdefault((*_key(mistake), mistake.allowed, mistake.fix), mistake)))
    return pairs


def _missed(after: Mapping[Path, Loaded], changed: Mapping[Path, Edited]) -> list[tuple[str, Mistake]]:
    """Say where a host does not have the value that its file now says: something changes it later on."""
    found = []
    for path, edit in changed.items():
        host = after[path]
        for field, value in host.about.get("missed", {}).items():
            line = next(e.line for w, e in edit.edits if w.field == field)
            what = "the host has another value after all: what is written there does not reach it unchanged"
            found.append((host.source, Mistake(field, what, value, "", "change it by hand", Line(str(path), line))))
    return found


def _key(mistake: Mistake) -> tuple[str, ...]:
    return mistake.field, mistake.what, mistake.given


def _write(root: Path, changed: Mapping[Path, Edited]) -> None:
    """Write all files, each where it really lies. Raises NixwrightError where one was changed by somebody else."""
    todo = []
    for path, edit in changed.items():
        if read_host(path) != edit.before:
            raise NixwrightError(f"{path} was changed by somebody else meanwhile. Nothing was written.")
        todo.append(Change(str(path.resolve()), Kind.CHANGED, edit.before, edit.after))
    tree.write(root, todo)


def _refuse(told: Sequence[Told], root: Path, *, as_json: bool) -> int:
    if as_json:
        write_json({"mistakes": [mistakes.data(t, root) for t in told], "changes": [], "written": False})
    else:
        sys.stderr.write(mistakes.text(told, root, source_lines=sys.stderr.isatty()))
        sys.stderr.write(f"{mistakes.count(told)} Nothing was written.\n")
    return _MISTAKES


def _say(args: argparse.Namespace, root: Path, changed: Mapping[Path, Edited], *, written: bool, left: int = 0) -> int:
    named = {path.relative_to(root).as_posix(): e for path, e in changed.items()}
    if args.json:
        write_json({"mistakes": [], "changes": [_data(n, e) for n, e in named.items()], "written": written})
        return 0
    if not named:
        sys.stdout.write("Nothing to change: it is so already.\n")
        return 0
    colours = Colours.of(sys.stdout)
    diff = report.diff([Change(name, Kind.CHANGED, e.before, e.after) for name, e in named.items()])
    for edit in named.values():
        diff = without_secrets(diff, edit.before)
    sys.stdout.write(colours.diff(diff))
    for name, edit in named.items():
        for note in _notes(name, edit):
            sys.stdout.write(f"note     {note}\n")
    files = " ".join(str(h) for h in args.hosts) if len(args.hosts) <= _NAMES_SHOWN else f"{args.hosts[0].parent}/"
    count = f"{len(named)} file{'' if len(named) == 1 else 's'}"
    if not written:
        sys.stdout.write(f"Nothing was written; {count} would be.\n")
    else:
        sys.stdout.write(f"changed  {next(iter(named)) if len(named) == 1 else count}\n")
        sys.stdout.write(f"next     nixwright gen {files}\n")
    if left:
        sys.stdout.write(f"note     {left} mistake{'' if left == 1 else 's'} that stood there before: gen tells\n")
    return 0


def _notes(name: str, edited: Edited) -> list[str]:
    """Say what a reader of the diff may not see: names that were followed, who else uses them, comments that went."""
    notes = []
    for wish, edit in edited.edits:
        if edit.through and edit.changed:
            names = " and ".join(dict.fromkeys(n for n, _ in edit.through))
            others = f", which {_lines(edit.shared)} too" if edit.shared else ""
            notes.append(f"{wish.field} is written at {name}:{edit.line}, as {names}{others}")
        notes += [f"gone with it: {comment}" for comment in edit.lost]
    return notes


def _lines(lines: Sequence[int]) -> str:
    one = len(lines) == 1
    return f"line{'' if one else 's'} {', '.join(map(str, lines))} use{'s' if one else ''}"


def _data(name: str, edited: Edited) -> dict[str, Any]:
    edits = [
        {"field": w.field} | {k: v for k, v in dataclasses.asdict(e).items() if k in _TOLD} for w, e in edited.edits
    ]
    for edit in edits:
        for key in ("old", "new"):
            edit[key] = without_secrets(edit[key], edited.before)
    return {"path": name, "edits": edits}


_TOLD = {"old", "new", "line", "through", "shared", "lost"}
