"""What runs in a child that loads host files: the user's Python, then our own look at what it made."""

from __future__ import annotations

import dataclasses
import json
import os
import pkgutil
import re
import resource
import signal
import sys
import traceback
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from nixwright.discreet import discreet
from nixwright.errors import Mistake, MistakeError, collecting
from nixwright.generation import generate
from nixwright.host import Host
from nixwright.options.schema import Schema
from nixwright.origin import is_users, source_of
from nixwright.plain_file import is_plain_file
from nixwright.record import field_origin, nearest, origin_of
from nixwright.report.mistakes import Spot
from nixwright.unseen import is_unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import TypeAlias

    from nixwright.errors import Place

    Question: TypeAlias = Callable[[Host, ModuleType], dict[str, Any]]

_MODULE = "nixwright_host_file"  # the name under which the file's own classes find their annotations


class _Stopped(BaseException):
    """The parent wants us to stop: too long, or too much printed."""


def serve(
    paths: Sequence[Path], root: Path, pipe: int, *, bound: Callable[[], None], about: bool | Question = False
) -> None:
    """Load host files one after another, and write what comes of each to the pipe as one line of JSON. Never raises.

    `bound` sets the limits anew for each. What is plain leaves nothing behind for the next: after a file that is not,
    or that is wrong, and before the first that is not plain, it ends. An answer's last word is whether there is `more`.
    With `about`, a host without mistakes is described, too; or `about` itself answers, from the host and its module.
    """
    where_from = sys.path[:]
    more = False
    with os.fdopen(pipe, "wb") as out:
        for path, following in zip_longest(paths, paths[1:]):
            bound()
            sys.path[:] = [str(path.parent), *where_from]
            answer = _answer(path, root, source_name(path, root), about=about)
            right = not answer["mistakes"] and answer["stopped"] is None
            more = right and (more or is_plain_file(path)) and following is not None and is_plain_file(following)
            out.write(json.dumps(answer | {"more": more}, separators=(",", ":")).encode() + b"\n")
            out.flush()
            if not more:
                return


def source_name(path: Path, root: Path) -> str:
    """Return how a host file is named: from the project's directory where it is below that."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _answer(path: Path, root: Path, source: str, *, about: bool | Question) -> dict[str, Any]:
    """Load one host file and generate its files."""
    signal.signal(signal.SIGALRM, _stop)
    sys.dont_write_bytecode = True  # nothing is written but what gen says
    answer: dict[str, Any] = {"name": "", "at": None, "files": {}, "checks": [], "about": {}, "read": []}
    answer["warnings"] = []
    answer["stopped"] = None
    with collecting() as found:
        try:
            host = _host_of(path, source)
            answer["name"], answer["at"] = _name(host), _place(field_origin(host, "name"), path)
            made = generate(host, root, source)
            answer["files"], answer["checks"] = made.files, [dataclasses.asdict(c) for c in made.checks]
            answer["warnings"] = [_data(w, path) for w in made.warnings]
            if about and not found:
                answer["about"] = (_described if about is True else about)(host, sys.modules[_MODULE])
            answer["read"] = Schema.chosen().read
        except _Stopped as stop:
            answer["stopped"] = _user_line(stop, path)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the user's to know
            _unlimit()
            _explain(error, path, found)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    answer["mistakes"] = [_data(m, path) for m in found]
    sys.stdout.flush()
    return answer


def _described(host: Host, module: ModuleType) -> dict[str, Any]:
    """Return the host as plain data, with the first line of its file's docstring as its title."""
    from nixwright.description import describe  # noqa: PLC0415 - gen does without

    layout = host.layout()
    title = (module.__doc__ or "").strip().partition("\n")[0]
    return {"title": title, **describe(host, layout, host.context(layout))}


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Stopped


def _unlimit() -> None:
    """Let the telling of a MemoryError have memory."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _host_of(path: Path, source: str) -> Host:
    """Run the file and return the one host that it binds."""
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    sys.modules[_MODULE] = module
    try:
        code = compile(source_of(path), str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise MistakeError(
            Mistake("host file", f"cannot be read: {error.strerror}", source, "", "", Spot(str(path), 0))
        ) from error
    except ValueError as error:  # what Python before 3.11.4 says of a null byte
        raise SyntaxError(str(error), (str(path), 1, None, None)) from error
    exec(code, module.__dict__)  # noqa: S102 - a host file is Python, and this is where it runs
    others = [m for name, m in list(sys.modules.items()) if name != _MODULE]
    users = [m for m in others if is_users(getattr(m, "__file__", None) or "<no file>")]
    imported = {id(v) for m in users for v in vars(m).values() if isinstance(v, Host)}
    hosts = list({id(v): v for v in vars(module).values() if isinstance(v, Host) and id(v) not in imported}.values())
    if len(hosts) == 1:
        return hosts[0]
    if not hosts:
        raise MistakeError(
            Mistake(
                "host file",
                "has no host",
                "",
                "one Host, bound to a name outside of functions and lists",
                "host = Host(...)",
                Spot(str(path), 1),
            )
        )
    names = ", ".join(_name(h) for h in hosts)
    first, second = origin_of(hosts[0]), origin_of(hosts[1])
    raise MistakeError(
        Mistake(
            "Host", "the file has two hosts", names, "one Host a file", "move one to a file of its own", second, first
        )
    )


def _name(host: Host) -> str:
    """Return the host's name; empty where a mistake leaves it unknown."""
    return "" if is_unseen(host.name) else str(host.name)


def _explain(error: BaseException, path: Path, found: list[Mistake]) -> None:
    """Add the mistake that an exception stands for."""
    if isinstance(error, MistakeError):
        found.extend(m for m in error.mistakes if m not in found)
        return
    file, line = _user_line(error, path)
    spot = Spot(file, line, tuple(c for c in _user_lines(error)[1:] if c != (file, line)))
    name, text = type(error).__name__, discreet(_first_line(error), error)
    if isinstance(error, SyntaxError):
        file, line = error.filename or str(path), error.lineno or 1
        made = _not_utf8(file) or Mistake(
            name, error.msg, discreet((error.text or "").strip()), "", "", Spot(file, line)
        )
    elif isinstance(error, ImportError):
        text = re.sub(r" \(/[^()]*\)$", "", text)  # where a module is kept here is no help
        made = Mistake("import", text, "", "modules beside the host file, or installed", _import_meant(error), spot)
    elif isinstance(error, MemoryError):
        limit = "takes more memory than a host file may have"
        made = Mistake("host file", limit, "", "--memory-limit MIB", "let the file only describe the host", spot)
    elif isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int | None) else 1
        made = Mistake("host file", f"ends the program (exit status {status})", "", "", "remove the call", spot)
    elif _is_ours(error) and found:
        return  # a follow-up of a mistake that is told already: what it was made of is broken
    elif _is_ours(error):
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{name}: {text} ({last.filename.rpartition('nixwright/')[2]}:{last.lineno})"
        made = Mistake(
            "nixwright", f"has a bug of its own: {text}", "", "", "please report it with this host file", spot
        )
    else:
        made = Mistake(name, text, "", "", "", spot)
    found.append(made)


def _not_utf8(file: str) -> Mistake | None:
    """Return the mistake of a file that is no UTF-8 (what Python says of it differs by its version), else None."""
    try:
        text = Path(file).read_bytes()
    except OSError:
        return None
    try:
        text.decode()
    except UnicodeDecodeError as error:
        spot = Spot(file, text.count(b"\n", 0, error.start) + 1)
        return Mistake("host file", "is not UTF-8", f"byte {text[error.start]:#04x}", "", "save it as UTF-8", spot)
    return None


def _import_meant(error: ImportError) -> str:
    """Return what an import of our own was probably meant to be, in words; empty where nothing is near."""
    module, _, name = (error.name or "").rpartition(".")
    if not (error.name or "").startswith("nixwright"):
        return ""
    try:
        if isinstance(error, ModuleNotFoundError):
            names = [m.name for m in pkgutil.iter_modules(import_module(module).__path__)]
        else:  # what it has no name for stands in quotes in Python's own words
            module, name = error.name or "", str(error).partition("'")[2].partition("'")[0]
            names = [n for n in vars(import_module(module)) if not n.startswith("_")]
    except (ImportError, AttributeError):
        return ""
    near = nearest(name, names)
    told = f"{module}.{near}" if isinstance(error, ModuleNotFoundError) else near
    return f"did you mean {told}?" if near else f"{module} has {', '.join(sorted(names))}" if len(names) < _FEW else ""


_FEW = 12  # names that a message lists


def _first_line(error: BaseException) -> str:
    """The exception's own words, short: the first line, of 200 characters at most."""
    lines = str(error).strip().splitlines()
    limit = 200
    return (lines[0] if len(lines[0]) <= limit else f"{lines[0][:limit]}…") if lines else "raised without a message"


def _is_ours(error: BaseException) -> bool:
    """Tell whether it was raised in nixwright itself."""
    frames = traceback.extract_tb(error.__traceback__)
    innermost = next((f for f in reversed(frames) if not f.filename.startswith("<")), None)
    return innermost is not None and not is_users(innermost.filename) and "/nixwright/" in innermost.filename


def _user_lines(error: BaseException) -> list[tuple[str, int]]:
    """File and line of each frame in the user's own files, innermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return [(f.filename, f.lineno or 1) for f in reversed(frames) if is_users(f.filename)]


def _user_line(error: BaseException, path: Path) -> tuple[str, int]:
    return next(iter(_user_lines(error)), (str(path), 1))


def _data(mistake: Mistake, path: Path) -> dict[str, Any]:
    m = mistake
    given = discreet(m.given)
    found: dict[str, Any] = {"field": m.field, "what": m.what, "given": given, "allowed": m.allowed, "fix": m.fix}
    return found | {"at": _place(m.origin, path), "other": _place(m.other, path)}


def _place(place: Place | None, path: Path) -> list[Any] | None:
    """File, line, and the calls that led there, resolved to lines while their code is at hand."""
    if place is None:
        return None
    file, line = place.place()
    chain = list(place.chain) if isinstance(place, Spot) else getattr(place, "chain", list)()[1:]
    # above the host file there is only what started us
    while chain and chain[-1][0] != str(path):
        chain.pop()
    return [file, line, [list(c) for c in chain if c != (file, line)]]
