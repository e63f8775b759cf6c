"""`nixwright update`: a host's new system onto the running host, once its checks are green.

A host with slots gets a signed bundle (`slot_update`), any other is switched by nixos-rebuild.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nixwright.cli import consent, slot_update
from nixwright.cli.device import Device
from nixwright.cli.hosts import add_arguments, load_hosts, refuse
from nixwright.cli.install import add_target, object_to, objections_here
from nixwright.errors import NixwrightError
from nixwright.install import work
from nixwright.install.update_plan import NAME, WAYS, Update, plan
from nixwright.tools.command import output_of
from nixwright.tools.ssh import Remote

if TYPE_CHECKING:
    import argparse
    from typing import Any

_LOOK = 60.0  # seconds for asking the target its name


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("update", help="switch a running host to its new system")
    add_arguments(parser, one=True)
    add_target(parser)
    parser.add_argument("--way", choices=WAYS, help="as nixos-rebuild's (switch)")
    slot_update.add_arguments(parser)
    parser.add_argument("--unchecked", action="store_true", help="without running the host's checks first")
    consent.add_arguments(parser, "HOST'S NAME")


def run(args: argparse.Namespace) -> int:
    """Check, ask, switch; return 0 where done, 2 for mistakes and where it stopped."""
    hosts = load_hosts(args, about=True)
    if hosts.told:
        return refuse(hosts, as_json=False)
    host = hosts.loaded[0].about
    remote = Remote.of(args.target, args.port, tuple(args.ssh_option), wheel=bool(host["slots"]))
    checks = ["test", host["name"], "--hosts", str(hosts.root / hosts.loaded[0].source), "--root", str(hosts.root)]
    first = "" if args.unchecked else f"# The host's checks\nnixwright {' '.join(checks)}\n\n"
    if host["slots"]:
        return slot_update.run(args, Device(hosts, host, remote), first, lambda: _check(host, checks))
    slot_update.refuse_arguments(args, host)
    update = Update(args.flake or str(hosts.root), args.build_on == "target", args.way or "switch")
    steps = plan(host, remote, update)
    if args.dry_run:
        sys.stdout.write(first + work.told(steps, remote.environment))
        return 0
    object_to(objections_here(hosts, host, on_target=update.on_target))
    _greet(remote, host)
    if not args.unchecked:
        _check(host, checks)
    consent.ask(host["name"], args)
    worker = work.Work(remote, _no_secret)
    for number, step in enumerate(steps, 1):
        work.say(number, len(steps), step.title)
        worker.do(step)
    sys.stdout.write(f"{host['name']}: {update.way} is done on {remote.target}.\n")
    return 0


def _greet(remote: Remote, host: dict[str, Any]) -> None:
    """Ask the target its name: a wrong address is noticed before anything is built."""
    name = output_of(remote.argv(NAME), timeout=_LOOK, needs="it reaches the target").strip()
    if name != host["name"]:
        sys.stderr.write(f"Note: {remote.target} calls itself {name}, and would become {host['name']}.\n")


def _check(host: dict[str, Any], argv: list[str]) -> None:
    """Run the host's checks. Raises NixwrightError where they are not green."""
    from nixwright.cli.main import main  # noqa: PLC0415 - as a person would

    if main(argv):
        raise NixwrightError(
            f"the checks of {host['name']} are not green: nothing was changed on the target (--unchecked goes on)"
        )


def _no_secret(name: str) -> bytes:
    raise NixwrightError(f"an update reads no secret, and {name} was asked for")
