"""`nixwright test`: run the checks of the hosts, and show what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.cli.checks import add_arguments, checks_of, find_hosts, host_named
from nixwright.errors import NixwrightError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from nixwright.cli.hosts import Hosts
    from nixwright.report.live import Live
    from nixwright.report.plain import Plain
    from nixwright.runner.results import Run
    from nixwright.runner.run import Request, Running
    from nixwright.runner.selection import Wanted

_DRAW = 0.2  # seconds between two looks


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("test", help="run the checks of hosts in VMs and containers")
    add_arguments(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="name the checks and what they prove; needs no Nix")
    what.add_argument("--interactive", metavar="NAME", help="the test driver's prompt for one check (pibox-boots)")
    parser.add_argument("--sabotage", action="store_true", help="run each check under its sabotages: it must fail")
    parser.add_argument("--keep", action="store_true", help="run outside of Nix' sandbox, and keep the machines' disks")
    for name, about in (("json", "JSON"), ("junit", "JUnit's XML"), ("html", "a page with times and pictures")):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write the results as {about}")
    parser.add_argument(
        "--jobs", type=_count, metavar="N", help="checks at once (default: as processors and memory allow)"
    )
    parser.add_argument("--plain", action="store_true", help="plain lines, as in a pipe")
    parser.add_argument(
        "--allow-skip",
        action="append",
        default=[],
        metavar="PATTERN",
        help="checks that may lack a builder; others fail",
    )
    parser.add_argument(
        "--note", metavar="TEXT", help="kept with the results: on what they ran, beside Nix and nixpkgs"
    )
    parser.add_argument("--flake", metavar="REF", help="the flake that has the checks (default: the project's)")
    parser.add_argument(
        "--override-input", nargs=2, action="append", default=[], metavar=("NAME", "REF"), help="as nix'"
    )
    parser.add_argument("--impure", action="store_true", help="as nix'")


def run(args: argparse.Namespace) -> int:
    """Run the checks; return 0 where all passed, 1 where not, 2 for mistakes and where nothing can be run."""
    from nixwright.cli.hosts import load_hosts, refuse  # noqa: PLC0415 - --help does without
    from nixwright.runner import history  # noqa: PLC0415
    from nixwright.runner.positions import question  # noqa: PLC0415
    from nixwright.runner.selection import chosen, named  # noqa: PLC0415

    find_hosts(args)
    hosts = load_hosts(args, about=False if args.list else question)
    if hosts.told:
        return refuse(hosts, as_json=False)
    everything = checks_of(hosts, sabotage=args.sabotage)
    state = history.state_directory()
    if args.interactive:
        return _interactive(args, hosts, named(everything, args.interactive), state)
    wanted = chosen(everything, host_named(hosts, args.host), args.pattern)
    if args.list:
        _list(wanted, state)
        return 0
    # the flake has each sabotage of each host, also those that show the same
    request = _request(args, hosts, state, whole=len(wanted) == len(everything) and not args.sabotage)
    return _run(args, wanted, request, _stale(hosts))


def _run(args: argparse.Namespace, wanted: list[Wanted], request: Request, stale: Sequence[str]) -> int:
    from nixwright.cli.main import INTERRUPTED  # noqa: PLC0415 - it imports us
    from nixwright.report.checks import summary  # noqa: PLC0415
    from nixwright.runner.run import Running  # noqa: PLC0415

    view, status = _view(plain=args.plain), 0
    running = Running(wanted, request, view)
    try:
        done = asyncio.run(_watched(running, view))
    except asyncio.CancelledError:
        done, status = running.so_far(), INTERRUPTED
    except BrokenPipeError:  # whoever read on has seen enough
        raise
    except OSError as error:  # logs and history: a disk that is full, a directory that is another's
        raise NixwrightError(f"cannot write {error.filename or request.state}: {error.strerror}") from error
    finally:
        view.end()
    done = _with_problems(done, stale, args)
    for line in summary(done):
        sys.stdout.write(f"{line}\n")
    if done.checks or not status:  # nothing is no news, to replace older news with
        _write(args, done)
    return status or (0 if done.ok else 1)


async def _watched(running: Running, view: Live | Plain) -> Run:
    """Run with a view that moves. SIGINT, SIGTERM and SIGHUP end it, the first of them alone: ending takes a while.

    They stay so until the program ends: the loop's own handlers would go with it, and what was over is written after.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asked: list[int] = []

    def end(number: int, _frame: object) -> None:
        if not asked and task is not None and not task.done():
            loop.call_soon_threadsafe(task.cancel)
        asked.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    drawing = asyncio.create_task(_draw(view))
    try:
        return await running.run()
    finally:
        drawing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drawing


async def _draw(view: Live | Plain) -> None:
    while True:
        view.draw()
        await asyncio.sleep(_DRAW)


def _view(*, plain: bool) -> Live | Plain:
    """Return the view that fits where the output goes."""
    from nixwright.report.live import Live  # noqa: PLC0415
    from nixwright.report.plain import Plain  # noqa: PLC0415

    moving = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")
    if plain or not moving:
        return Plain(sys.stdout)
    return Live(sys.stdout, colour="NO_COLOR" not in os.environ)


def _request(args: argparse.Namespace, hosts: Hosts, state: Path, *, whole: bool) -> Request:
    from nixwright.runner.run import Request  # noqa: PLC0415

    output = f"legacyPackages.{args.system}.sabotages" if args.sabotage else f"checks.{args.system}"
    return Request(
        flake=args.flake or str(args.root),
        output=output,
        state=state,
        whole=whole,
        jobs=args.jobs,
        keep=args.keep,
        override_inputs=dict(args.override_input),
        impure=args.impure,
        places=_places(hosts),
        may_skip=lambda one: any(p in one.title for p in args.allow_skip),
        rerun=_rerun,
    )


def _places(hosts: Hosts) -> Callable[[str], tuple[str, ...]]:
    """Return what finds the lines of host files behind Nix' words."""
    from nixwright.runner.positions import lines_behind, settings_of  # noqa: PLC0415

    root = hosts.root

    def named(file: str) -> str:
        return Path(file).relative_to(root).as_posix() if Path(file).is_relative_to(root) else file

    settings = {host.name: settings_of(host.about, named) for host in hosts.loaded}
    return lambda words: lines_behind(words, settings, hosts.files)


def _rerun(one: Wanted) -> str:
    return f"nixwright test {one.host} -k {one.attribute}{' --sabotage' if one.sabotage else ''}"


def _stale(hosts: Hosts) -> list[str]:
    """Return the generated files that are not what the host files say now: a check of them proves something else."""
    from nixwright import tree  # noqa: PLC0415
    from nixwright.cli.gen import ROOMS  # noqa: PLC0415

    return [c.path for c in tree.changes(hosts.root, hosts.files, {h.source for h in hosts.loaded}, ROOMS)]


def _with_problems(done: Run, stale: Sequence[str], args: argparse.Namespace) -> Run:
    import dataclasses  # noqa: PLC0415

    problems = done.problems
    if stale:
        count = f"{len(stale)} generated file{'' if len(stale) == 1 else 's'}"
        problems = (
            *problems,
            f"{count} not what gen writes ({stale[0]}, ...): this proves another description; run gen",
        )
    return dataclasses.replace(done, problems=problems, versions=(*done.versions, *_versions(args)))


def _versions(args: argparse.Namespace) -> list[tuple[str, str]]:
    """Return with what the checks ran, beside Nix: the system, nixpkgs as pinned, and what the caller adds."""
    from nixwright.tools.flake_lock import locked  # noqa: PLC0415

    other = "nixpkgs" in dict(args.override_input)
    pinned = "another than the pinned one" if other else locked(args.root / "flake.lock", "nixpkgs")
    return [("system", args.system), *([("nixpkgs", pinned)] if pinned else []), *_note(args)]


def _note(args: argparse.Namespace) -> list[tuple[str, str]]:
    return [("on", args.note)] if args.note else []


def _list(wanted: Sequence[Wanted], state: Path) -> None:
    from nixwright.report.checks import listing  # noqa: PLC0415
    from nixwright.runner import history  # noqa: PLC0415

    for line in listing(wanted, history.read(state / "history.json")):
        sys.stdout.write(f"{line}\n")


def _write(args: argparse.Namespace, done: Run) -> None:
    """Write the results, each file whole or not at all."""
    from nixwright.runner.history import write_whole  # noqa: PLC0415
    from nixwright.runner.results import to_data  # noqa: PLC0415

    try:
        if args.json:
            write_whole(args.json, json.dumps(to_data(done), indent=1, ensure_ascii=False) + "\n")
        if args.junit:
            from nixwright.report.junit import junit_text  # noqa: PLC0415

            write_whole(args.junit, junit_text(done))
        if args.html:
            from nixwright.report.checks_page import page  # noqa: PLC0415

            write_whole(args.html, page(done))
    except OSError as error:
        raise NixwrightError(f"cannot write {error.filename}: {error.strerror}") from error


def _interactive(args: argparse.Namespace, hosts: Hosts, one: Wanted, state: Path) -> int:
    """Hand the terminal to the interactive test driver of a check; its machines' disks stay for the next time."""
    from nixwright.runner.keep import interactive  # noqa: PLC0415

    request = _request(args, hosts, state, whole=False)
    return interactive(one, request)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
