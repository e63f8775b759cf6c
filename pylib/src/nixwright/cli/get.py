"""`nixwright get`: a value of a host file, and where it comes from."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from nixwright.cli.hosts import add_limits, host_files, load_hosts, project_root, write_json
from nixwright.cli.set import hosts_of
from nixwright.editing import Value, read_host, records_with, secrets_in
from nixwright.errors import MistakeError, NixwrightError
from nixwright.report import mistakes
from nixwright.report.mistakes import HIDDEN
from nixwright.source.edit import get_value
from nixwright.source.values import Style, read, written

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from nixwright.load import Loaded

_MISTAKES = 2
_WIDTH = 80


@dataclasses.dataclass(frozen=True, slots=True)
class Got:
    """A value as source, and where it comes from: written, a record's default, or computed."""

    value: str
    line: int
    kind: str
    why: str = ""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    usage = "nixwright get [options] HOST.py... FIELD"
    parser = subparsers.add_parser("get", help="print a value of host files, and where it comes from", usage=usage)
    parser.add_argument("words", nargs="+", metavar="HOST.py... FIELD", help="which files, which field")
    parser.add_argument("--json", action="store_true", help="say it as JSON")
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    """Print the value of each host; return 0, or 2 where one has no such field."""
    args.hosts, words = hosts_of(args.words)
    if len(words) != 1:
        raise NixwrightError("say one field, as in: nixwright get hosts/pibox.py state_version")
    (field,) = words
    files = host_files(args.hosts)
    root = project_root(args.root, files)
    hosts = load_hosts(args, about=Value(field))
    found: list[tuple[str, Got]] = []
    wrong = []
    for path, loaded in zip(files, hosts.loaded, strict=True):
        try:
            found.append((loaded.source, _got(path, field, loaded)))
        except MistakeError as error:
            wrong += [(loaded.source, m) for m in error.mistakes]
    told = mistakes.told_once(wrong)
    if args.json:
        values = [{"source": source, **dataclasses.asdict(got)} for source, got in found]
        write_json({"field": field, "values": values, "mistakes": [mistakes.data(t, root) for t in told]})
    else:
        sys.stdout.write("".join(_text(source, got) for source, got in found))
        sys.stderr.write(mistakes.text(told, root, source_lines=sys.stderr.isatty()))
    return _MISTAKES if told else 0


def _got(path: Path, field: str, loaded: Loaded) -> Got:
    """Return the value: as it is written, else as the host has it. Raises MistakeError where there is neither."""
    about: dict[str, Any] = loaded.about
    try:
        found = get_value(read_host(path), field, records_with(about.get("records", {})), file=str(path))
    except MistakeError as error:
        if "value" not in about:
            raise
        (mistake, *_) = error.mistakes
        line = mistake.origin.place()[1] if mistake.origin else 0
        why = f"it {mistake.what}" if mistake.what.startswith(("is ", "has ", "may ", "depends ")) else mistake.what
        return Got(_shown(field, read(about["value"])), line, "computed", why)
    if found.written:
        return Got(_shown(field, found.value), found.line, "written")
    if "value" not in about:
        return Got("", found.line, "default", "the host file has mistakes: gen tells them")
    made = f"; it comes to {about['comes_to']}" if about["comes_to"] else ""
    return Got(_shown(field, read(about["value"])), found.line, "default", f"the default of {found.owner[0]}{made}")


def _shown(field: str, value: object) -> str:
    """Return the value as source; where a secret stands in a host file after all, it stays there."""
    return HIDDEN if secrets_in(field, value) else written(value, Style(width=_WIDTH))


def _text(source: str, got: Got) -> str:
    where = f"{source}:{got.line}"
    why = f"  ({got.why})" if got.why else ""
    if "\n" in got.value or len(where) + len(got.value) + len(why) > _WIDTH:
        return f"{where}{why}\n{got.value}\n"
    return f"{where}  {got.value}{why}\n"
