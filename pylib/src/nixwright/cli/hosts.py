"""What the commands that load host files have in common: which files, with what limits, and the mistakes."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright.errors import Mistake, NixwrightError
from nixwright.load import Limits, Loaded, load
from nixwright.report import mistakes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from nixwright.child import Question

LOCAL = "wifi.py"  # what only this machine knows (nixwright.local): no host file
_PROGRESS_FROM = 20  # hosts: fewer are done before one could read it


def add_arguments(parser: argparse.ArgumentParser, *, one: bool = False) -> None:
    """Add the arguments that name host files, or with `one` a single file, and bound them."""
    about = "host file" if one else "host files, or directories of them"
    parser.add_argument("hosts", nargs=1 if one else "+", type=Path, metavar="HOST.py", help=about)
    add_limits(parser)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the project is, and bound what a host file may take."""
    parser.add_argument("--root", type=Path, help="the project's directory (default: the one that holds hosts/)")
    limits = Limits()
    parser.add_argument(
        "--time-limit", type=float, default=limits.seconds, metavar="S", help="seconds for each host file (%(default)g)"
    )
    parser.add_argument(
        "--memory-limit",
        type=int,
        default=limits.memory >> 20,
        metavar="MIB",
        help="MiB for each host file (%(default)d)",
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Hosts:
    """Loaded host files and what is wrong with them, alike mistakes once."""

    root: Path
    loaded: tuple[Loaded, ...]
    told: tuple[mistakes.Told, ...]

    @property
    def warned(self) -> list[mistakes.Told]:
        """What is allowed and may be unwanted, alike warnings once."""
        return mistakes.told_once((h.source, w) for h in self.loaded for w in h.warnings)

    @property
    def files(self) -> dict[str, str]:
        """All generated files: path below the root to text."""
        return {path: text for host in self.loaded for path, text in host.files.items()}


def load_hosts(args: argparse.Namespace, *, about: bool | Question = False) -> Hosts:
    """Load the files that the arguments name, described with `about`. Raises NixwrightError where it makes no sense."""
    files = host_files(args.hosts)
    root = project_root(args.root, files)
    limits = Limits(seconds=args.time_limit, memory=args.memory_limit << 20)
    loaded = load(files, root, limits, on_done=_progress(len(files)), about=about)
    for host in loaded:
        if host.output:  # what a host file prints is for its author, and no part of what we say
            said = mistakes.plain(host.output)
            sys.stderr.write(said if said.endswith("\n") else f"{said}\n")
    found = [(h.source, m) for h in loaded for m in sorted(h.mistakes, key=_line)]
    found += _same_names(loaded)
    return Hosts(root, tuple(loaded), tuple(mistakes.told_once(found)))


def refuse(hosts: Hosts, *, as_json: bool) -> int:
    """Tell the mistakes and return the exit status."""
    if as_json:
        write_json({"mistakes": [mistakes.data(t, hosts.root) for t in hosts.told], "changes": [], "written": False})
    else:
        sys.stderr.write(mistakes.text(hosts.told, hosts.root, source_lines=sys.stderr.isatty()))
        sys.stderr.write(f"{mistakes.count(hosts.told)} Nothing was written.\n")
    return 2


def write_json(data: dict[str, Any]) -> None:
    """Print an answer as JSON."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def host_files(given: Sequence[Path]) -> list[Path]:
    """The host files, absolute, each once, in the order given; a directory stands for the files in it."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(p for p in path.glob("*.py") if not p.name.startswith("_") and p.name != LOCAL)
            if not inside:
                raise NixwrightError(f"{path} holds no host file")
            found += inside
        elif path.name != LOCAL:
            found.append(path)
    if not found:
        raise NixwrightError(f"{LOCAL} is no host file: see docs/secrets.md")
    return list(dict.fromkeys(p.absolute() if ".." not in p.parts else p.resolve() for p in found))


def project_root(said: Path | None, files: Sequence[Path]) -> Path:
    """Return the project's directory: the one that was said, else the one that holds hosts/, else the current one."""
    first = files[0]
    root = said.resolve() if said else first.parent.parent if first.parent.name == "hosts" else Path.cwd()
    for path in files:
        if not path.is_relative_to(root):
            raise NixwrightError(f"{path} is not below the project's directory {root}: say which with --root")
    return root


def _same_names(loaded: Sequence[Loaded]) -> list[tuple[str, Mistake]]:
    first: dict[str, Loaded] = {}
    found = []
    for host in loaded:
        other = first.setdefault(host.name, host)
        if host.name and other is not host:
            what, fix = "two hosts of one name", "rename one of them"
            mistake = Mistake("Host.name", what, repr(host.name), "a name once", fix, host.at, other.at)
            found.append((host.source, mistake))
    return found


def _line(mistake: Mistake) -> tuple[str, int]:
    return mistake.origin.place() if mistake.origin else ("", 0)


def _progress(total: int) -> Callable[[int], None]:
    """Return what shows, on a terminal, how many hosts are done."""
    if total < _PROGRESS_FROM or not sys.stderr.isatty():
        return lambda _: None

    def show(done: int) -> None:
        sys.stderr.write(f"\r{done} of {total} hosts" if done < total else "\r\033[K")
        sys.stderr.flush()

    return show
