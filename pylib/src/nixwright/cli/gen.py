"""`nixwright gen`: from host files to modules."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nixwright import tree
from nixwright.cli.hosts import Hosts, add_arguments, load_hosts, refuse, write_json
from nixwright.report import changes as report
from nixwright.report import mistakes
from nixwright.tree import Change, Kind

if TYPE_CHECKING:
    import argparse

ROOMS = ("modules", "checks")
_NOT_CURRENT = 1
_EDITED_SHOWN = 10


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("gen", help="generate NixOS modules from host files")
    add_arguments(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--check", action="store_true", help="write nothing; a diff and exit status 1 where files are stale"
    )
    how.add_argument("--diff", action="store_true", help="write nothing; show what would change")
    how.add_argument("--stdout", action="store_true", help="write nothing; print every file")
    parser.add_argument("--json", action="store_true", help="say everything as JSON")
    parser.add_argument("--overwrite-edited", action="store_true", help="overwrite files that were edited by hand, too")


def run(args: argparse.Namespace) -> int:
    """Generate, and return 0, or 1 where the tree is not as it should be, or 2 for mistakes."""
    hosts = load_hosts(args)
    if hosts.told:
        return refuse(hosts, as_json=args.json)
    files = hosts.files
    if args.stdout:
        return _print(files, as_json=args.json)
    found = tree.changes(hosts.root, files, {h.source for h in hosts.loaded}, ROOMS)
    edited = [c for c in found if c.kind is Kind.EDITED]
    todo = found if args.overwrite_edited else [c for c in found if c.kind is not Kind.EDITED]
    writes = not (args.check or args.diff) and (args.overwrite_edited or not edited)
    if writes and todo:
        tree.write(hosts.root, todo)
    stale = bool(found) if args.check else bool(edited) and not writes and not args.diff
    if args.json:
        _say_json(hosts, found, written=writes and bool(todo))
    else:
        _say(args, hosts, found, [] if writes else edited, written=writes)
    return _NOT_CURRENT if stale else 0


def _say(args: argparse.Namespace, hosts: Hosts, found: list[Change], edited: list[Change], *, written: bool) -> None:
    if args.check or args.diff:
        sys.stdout.write(report.diff(found))
    if args.check and found:
        count = len(found)
        sys.stderr.write(f"{count} file{' is' if count == 1 else 's are'} not what gen writes.\n")
    if edited and not args.diff:
        sys.stderr.write(_about_edited(edited, written_none=not args.check))
    if written:
        done = [Change(c.path, _plain(c), c.old, c.new) for c in found]
        for line in report.summary(done):
            sys.stdout.write(f"{line}\n")
    if hosts.warned:
        sys.stderr.write(mistakes.text(hosts.warned, hosts.root, source_lines=sys.stderr.isatty()))
        sys.stderr.write(f"{mistakes.count(hosts.warned, 'warning')}\n")
    if not found:
        total = len(hosts.files)
        names = hosts.loaded[0].name if len(hosts.loaded) == 1 else f"{len(hosts.loaded)} hosts"
        sys.stdout.write(f"{names}: {total} files, all current.\n")


def _plain(change: Change) -> Kind:
    """What an edited file that is overwritten after all counts as."""
    return change.kind if change.kind is not Kind.EDITED else Kind.REMOVED if change.new is None else Kind.CHANGED


def _about_edited(edited: list[Change], *, written_none: bool) -> str:
    lines = [f"edited   {c.path}" for c in edited[:_EDITED_SHOWN]]
    if len(edited) > _EDITED_SHOWN:
        lines.append(f"         and {len(edited) - _EDITED_SHOWN} more")
    one = len(edited) == 1
    lines.append(f"{'This file was' if one else 'These files were'} changed, or made, by hand{_nothing(written_none)}")
    lines.append("  keep    move the change to the host file (settings=, imports=), then run gen again")
    lines.append("  drop    gen --overwrite-edited")
    return "".join(f"{t}\n" for t in lines)


def _nothing(written_none: bool) -> str:  # noqa: FBT001 - a sentence's end
    return ". Nothing was written." if written_none else "."


def _say_json(hosts: Hosts, found: list[Change], *, written: bool) -> None:
    listed = [{"source": h.source, "name": h.name, "files": sorted(h.files)} for h in hosts.loaded]
    changed = [{"path": c.path, "kind": c.kind.value} for c in found]
    warned = [mistakes.data(w, hosts.root) for w in hosts.warned]
    write_json({"hosts": listed, "mistakes": [], "warnings": warned, "changes": changed, "written": written})


def _print(files: dict[str, str], *, as_json: bool) -> int:
    if as_json:
        write_json({"mistakes": [], "files": files})
    else:
        for path, text in files.items():
            sys.stdout.write(f"==> {path} <==\n{text}\n")
    return 0
