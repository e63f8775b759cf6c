"""Running the steps of an installation: what is asked, what is told, and where it stopped."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nixwright.errors import ToolError
from nixwright.install.plan import SCRIPTS, Action, Step
from nixwright.tools.command import run_here
from nixwright.tools.ssh import LOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nixwright.tools.ssh import Remote


class StoppedError(ToolError):
    """An installation stopped at a step; the same command goes on there."""


@dataclass(slots=True)
class Work:
    """What runs the steps. `secret` gives the bytes of a secret by its name; `values` are the known store paths."""

    remote: Remote
    secret: Callable[[str], bytes]
    values: dict[str, str] = field(default_factory=dict)

    def do(self, step: Step) -> None:
        """Run a step. Raises StoppedError where it fails."""
        for action in step.actions:
            self._act(step, action)

    def _act(self, step: Step, action: Action) -> None:
        argv = [fill(part, self.values) for part in action.argv]
        secret = self.secret(action.stdin) if action.stdin else None
        status, output = run_here(
            argv,
            stdin=secret,
            terminal=action.terminal,
            keep=bool(action.keeps),
            environment=self.remote.environment,
        )
        if status == LOST and argv[0] == "ssh":
            raise StoppedError(f"the connection to {self.remote.target} was lost at: {step.title}")
        if status:
            raise StoppedError(f"{argv[0]} failed (exit status {status}) at: {step.title}")
        if action.keeps:
            self.values |= kept(action.keeps, output)


def kept(what: str, output: str) -> dict[str, str]:
    """Return what a program's output is remembered as. Raises ToolError where it is not what is expected."""
    try:
        data = json.loads(output)
        if what == "flake":
            return {"flake": str(data["path"])}
        paths = [str(built["outputs"]["out"]) for built in data]
        if what in {"firmware", "bundle"}:
            return {what: paths[0]}
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ToolError("nix did not say where it put what it made") from error
    return {next((n for n in SCRIPTS.values() if path.endswith(f"-{n}")), "system"): path for path in paths}


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put known store paths in the place of their names in angle brackets."""
    for name, path in values.items():
        text = text.replace(f"<{name}>", path)
    return text


def told(steps: Iterable[Step], environment: Mapping[str, str]) -> str:
    """Return the steps as `--dry-run` prints them: comments, and commands as a shell takes them."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    for step in steps:
        lines += ["", f"# {step.title}{' (asks there)' if any(a.terminal for a in step.actions) else ''}"]
        lines += [_line(a) for a in step.actions]
    return "\n".join(lines) + "\n"


def _line(action: Action) -> str:
    kind, _, name = action.stdin.partition(":")
    source = {"": "", "passphrase": f"  # reads the passphrase of {name}", "file": f"  # reads the secret for {name}"}
    return f"{shlex.join(action.argv)}{source[kind]}"


def say(number: int, count: int, text: str) -> None:
    """Tell which step it is."""
    sys.stderr.write(f"[{number}/{count}] {text}\n")
    sys.stderr.flush()
