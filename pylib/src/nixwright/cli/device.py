"""What the commands for a device with slots share: the host file, ssh, and waiting for what a restart shows."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.cli.hosts import add_arguments, load_hosts, refuse
from nixwright.errors import NixwrightError, ToolError
from nixwright.install.slot_state import directory_of, parse, script
from nixwright.install.slot_update import restart
from nixwright.tools.command import output_of, run_here
from nixwright.tools.ssh import LOST, Remote

if TYPE_CHECKING:
    import argparse

    from nixwright.cli.hosts import Hosts
    from nixwright.install.slot_state import DeviceState

    Data = dict[str, Any]

MISTAKES = 2  # the exit status for them
_LOOK = 60.0  # seconds for one answer
_AGAIN = 3.0  # seconds between two questions


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a host file and the device that runs it."""
    add_arguments(parser, one=True)
    add_target(parser, needed=True)


def add_target(parser: argparse.ArgumentParser, *, needed: bool) -> None:
    """Add the arguments that say how a device is reached."""
    about = "the device: root, or one in wheel"
    parser.add_argument("--target", required=needed, metavar="USER@ADDRESS", help=about)
    parser.add_argument("--port", type=int, default=22, help="its ssh port (%(default)s)")
    parser.add_argument("--ssh-option", action="append", default=[], metavar="NAME=VALUE", help="as ssh's -o")


def add_patience(parser: argparse.ArgumentParser) -> None:
    """Add the argument that bounds waiting."""
    parser.add_argument(
        "--wait", type=float, default=900.0, metavar="S", help="seconds for a restart and the health gate (%(default)g)"
    )


@dataclass(frozen=True, slots=True)
class Device:
    """A host with slots, and how its device is reached."""

    hosts: Hosts
    host: Data
    remote: Remote

    @classmethod
    def of(cls, args: argparse.Namespace) -> Device | None:
        """Load the host file; None where it has mistakes, which are told. Raises NixwrightError without slots."""
        hosts = load_hosts(args, about=True)
        if hosts.told:
            refuse(hosts, as_json=False)
            return None
        return cls.reached(args, hosts)

    @classmethod
    def reached(cls, args: argparse.Namespace, hosts: Hosts) -> Device:
        """Return the device of hosts without mistakes. Raises NixwrightError for a host without slots."""
        host = hosts.loaded[0].about
        need_slots(host)
        return cls(hosts, host, Remote.of(args.target, args.port, tuple(args.ssh_option), wheel=True))

    @property
    def name(self) -> str:
        """The host's name."""
        return str(self.host["name"])

    @property
    def question(self) -> list[str]:
        """The command that asks the device for its state."""
        return self.remote.argv(script(directory_of(self.host)))

    def ask(self) -> DeviceState:
        """Ask the device for its state. Raises ToolError."""
        return parse(output_of(self.question, timeout=_LOOK, needs="it reaches the device"))

    def restart(self, before: DeviceState, seconds: float) -> DeviceState:
        """Restart the device, and return its state once its health gate has decided, or time is up.

        A gate that did not pass has not decided: it looks again, or the device starts again and goes back in the end.
        Raises ToolError where it does not come back at all.
        """
        status, _ = run_here(restart(self.remote))
        if status not in {0, LOST}:
            raise ToolError(f"{self.remote.target} did not restart (exit status {status})")
        until = time.monotonic() + seconds
        found: DeviceState | None = None
        told = ""
        while time.monotonic() < until and not (found and (found.decided or found.gate == "failed")):
            time.sleep(_AGAIN)
            try:
                state = self.ask()
            except ToolError:
                state = before
            found = state if state.boot != before.boot else found
            now = "waiting for it to come back"
            if found:
                gate = f": {found.gate_told}" if found.failures else " decides"
                now = f"slot {found.slot} runs; its health gate{gate}"
            if now != told:
                sys.stderr.write(f"  {now}\n")
                told = now
        if found is None:
            raise ToolError(
                f"{self.remote.target} did not come back within {seconds:g} s; where the other slot fails, it starts "
                f"slot {before.slot} again by itself (look: nixwright status, nixwright serial)"
            )
        return found


def need_slots(host: Data) -> None:
    """Raise NixwrightError for a host without slots A and B."""
    if not host["slots"]:
        raise NixwrightError(f"{host['name']} has no slots A and B: its layout holds no Slots(...)")
