"""Building one derivation with `nix build`, and what to ask Nix before: its version, its settings, what is built.

`nix build` takes the user's own remote builders, substituters and settings; nothing of that is decided here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixwright.errors import ToolError
from nixwright.tools.command import output_of
from nixwright.tools.eval_process import Limits, running
from nixwright.tools.eval_records import plain
from nixwright.tools.nix_log import LogLine, read_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from nixwright.tools.eval_process import Program
    from nixwright.tools.nix_log import Event

INSTALL = (
    "Nix is not installed: it builds and runs the checks (https://nixos.org/download, or a nix package). "
    "Without it, gen, gen --check, runbook, and test --list work"
)
FEATURES = ("--extra-experimental-features", "nix-command flakes")
# A VM may say nothing for long; the driver has a limit of its own (an hour), and so may Nix (`timeout`).
LIMITS = Limits(silence=3600.0, stuck=86400.0, total=6 * 3600.0, line=8 << 20)
_GRACE = 10.0  # seconds that Nix gets to end its builders
_QUICK = 60.0  # seconds for a question
_OUTPUTS = (2, 13)  # from that version on a derivation's outputs are asked for by ^*
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def need_nix() -> None:
    """Raise ToolError, with what to install and what works without, where there is no Nix."""
    if shutil.which("nix") is None:
        raise ToolError(INSTALL)


def version() -> str:
    """Return Nix' version as it prints it: `2.34.8`."""
    text = output_of(["nix", "--version"], timeout=_QUICK, needs="it builds and runs the checks")
    found = _VERSION.search(text)
    if found is None:
        raise ToolError(f"nix --version says {text.strip()!r}")
    return found[0]


def build_argv(derivation: str, nix_version: str, nix_options: Mapping[str, str] | None = None) -> list[str]:
    """Return the command line that builds a derivation and says how it goes, as events on stderr."""
    numbers = tuple(int(n) for n in nix_version.split(".")[:2])
    line = ["nix", *FEATURES, "build", "--no-link", "--log-format", "internal-json"]
    for name, value in sorted((nix_options or {}).items()):
        line += ["--option", name, value]
    return [*line, f"{derivation}^*" if numbers >= _OUTPUTS else derivation]


def link_argv(
    installable: str, link: Path, override_inputs: Mapping[str, str] | None = None, *, impure: bool = False
) -> list[str]:
    """Return the command line that builds an installable and makes `link` point to it."""
    line = ["nix", *FEATURES, "build", "--print-build-logs", "--out-link", str(link)]
    for name, value in sorted((override_inputs or {}).items()):
        line += ["--override-input", name, value]
    return [*line, *(["--impure"] if impure else []), installable]


@dataclass(slots=True)
class Build:
    """A running build: read `events` to their end, then `status` and `limit` are known."""

    _run: Program
    _log_alone: bool = False

    async def events(self) -> AsyncIterator[Event]:
        """Yield what Nix says."""
        async for lines in self._run.lines():
            for line in lines:
                event = LogLine(0, plain(line.decode(errors="replace"))) if self._log_alone else read_event(line)
                if event is not None:
                    yield event

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None where one of our limits ended it."""
        return self._run.status

    @property
    def limit(self) -> str:
        """Which limit ended it: `silence`, `total`; empty where it ended by itself."""
        return self._run.why


@asynccontextmanager
async def building(
    argv: Sequence[str], *, limits: Limits = LIMITS, env: Mapping[str, str] | None = None, log_alone: bool = False
) -> AsyncIterator[Build]:
    """Build; nothing that was started outlives the block: Nix is asked to end its builders, then killed.

    With `log_alone` the program is no Nix: all that it says is the log of activity 0.
    """
    async with running(argv, limits, env, merged=True, grace=_GRACE) as run:
        yield Build(run, log_alone)


def not_built(outputs: Sequence[str]) -> set[str]:
    """Return those of the store paths that are not there. Raises ToolError where the store cannot be asked."""
    if not outputs:
        return set()
    text = output_of(["nix-store", "--check-validity", "--print-invalid", *outputs], timeout=_QUICK)
    return set(text.split())


@dataclass(frozen=True, slots=True)
class Builder:
    """A machine that builds: `systems` it can be, `features` it has, `demands` that a build must ask for."""

    name: str  # empty: this machine
    systems: frozenset[str]
    features: frozenset[str]
    demands: frozenset[str] = frozenset()
    jobs: int = 1

    def takes(self, system: str, features: Sequence[str]) -> bool:
        """Tell whether it builds for a system what needs these features."""
        return (
            self.jobs > 0
            and system in {*self.systems, "builtin"}
            and set(features) <= self.features | self.demands
            and self.demands <= set(features)
        )


def builders(settings: Mapping[str, object] | None = None) -> list[Builder]:
    """Return the machines that builds may go to, this one first, as Nix' settings say. Raises ToolError without Nix.

    `settings` are those of `nix config show --json`, each with its value; by default Nix is asked.
    """
    found = _settings() if settings is None else settings
    system = str(found.get("system", ""))
    here = Builder(
        "",
        frozenset({system, *_words(found.get("extra-platforms"))}),
        frozenset(_words(found.get("system-features"))),
        frozenset(),
        int(str(found.get("max-jobs", 1) or 0)),
    )
    return [here, *parse_machines(str(found.get("builders", "") or ""), system)]


def parse_machines(text: str, system: str) -> list[Builder]:
    """Read Nix' list of machines: fields by blanks, machines by lines or semicolons, `@FILE` for a file of them."""
    found = []
    for line in re.split(r"[\n;]", text):
        entry = line.partition("#")[0].strip()
        if entry.startswith("@"):
            found += parse_machines(_read(entry[1:]), system)
        elif entry:
            fields = [*entry.split(), *["-"] * 7]
            systems, jobs, features, demands = (fields[n] for n in (1, 3, 5, 6))
            found.append(
                Builder(
                    fields[0],
                    frozenset({system} if systems == "-" else systems.split(",")),
                    frozenset() if features == "-" else frozenset(features.split(",")),
                    frozenset() if demands == "-" else frozenset(demands.split(",")),
                    int(jobs) if jobs.isdigit() else 1,
                )
            )
    return found


def _settings() -> dict[str, object]:
    """Return Nix' settings, by the name of the command that this version has."""
    try:
        text = output_of(["nix", *FEATURES, "config", "show", "--json"], timeout=_QUICK)
    except ToolError:
        text = output_of(["nix", *FEATURES, "show-config", "--json"], timeout=_QUICK)
    try:
        return {name: entry["value"] for name, entry in json.loads(text).items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ToolError(f"nix said nothing of its settings that can be read: {error}") from error


def _words(value: object) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else str(value or "").split()


def _read(name: str) -> str:
    try:
        with open(os.path.expanduser(name), encoding="utf-8", errors="replace") as file:  # noqa: PTH111, PTH123 - Nix' own
            return file.read()
    except OSError:  # the default names a file that need not be there
        return ""
