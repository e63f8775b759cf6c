"""What the end of a build means: the check says no, or something else stood in its way. Read from Nix' own words.

The words are those of Nix 2.8 to 2.34, recorded in tests/data/nix-build. What a machine inside the check says
counts for nothing here: a VM may fill its own disk.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nixwright.runner.failure import excerpt
from nixwright.runner.results import Excerpt, Outcome, Why
from nixwright.tools.eval_records import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nixwright.runner.progress import Progress

# Nix' words, with what they mean; the first that fits counts. A shell makes 128 + N of a program that signal N ended:
# a driver that is killed has not said no.
_MEANS = (
    (Why.INTERRUPTED, re.compile(r"interrupted by the user|failed (?:due to signal 15|with exit code 143)\b")),
    (Why.DISK_FULL, re.compile(r"No space left on device|disk is full|lack of free disk space|Disk quota exceeded")),
    (Why.READ_ONLY, re.compile(r"Read-only file system|readonly database|remounting \S+ writable|is not writable")),
    (Why.STORE_GONE, re.compile(r"cannot connect to socket at ")),
    (
        Why.NO_BUILDER,
        re.compile(
            r"platform mismatch|missing system features|is required to build '[^']*', but I am a"
            r"|local builds are disabled|unable to start any build|cannot build on '"
        ),
    ),
    (Why.TIMED_OUT, re.compile(r"timed out after")),
    (
        Why.NO_MEMORY,
        re.compile(
            r"failed (?:due to signal 9|with exit code 137)\b|Cannot allocate memory|out of memory", re.IGNORECASE
        ),
    ),
)
_FAILED = (
    re.compile(r"Cannot build '(?P<drv>[^']+\.drv)'\.\s+Reason: builder failed"),
    re.compile(r"builder for '(?P<drv>[^']+\.drv)' failed"),
    re.compile(r"hash mismatch in fixed-output derivation '(?P<drv>[^']+\.drv)'"),
)
_SAID_NO = re.compile(
    r"Cannot build '(?P<drv>[^']+\.drv)'\.\s+Reason: builder failed|builder for '(?P<old>[^']+\.drv)' failed with"
)
_REMOTE_SAID_NO = re.compile(r"build of '(?P<drv>[^']+\.drv)' on '[^']*' failed: ")
_GONE = re.compile(
    r"unexpected end-of-file|disconnected unexpectedly|[Bb]roken pipe|Connection (?:reset|to \S+ closed)"
)
_LOG_LINES = re.compile(r"^\s*> .*\n?", re.MULTILINE)  # the end of a build's log within a message: the machine's words
_NEVER_THERE = "cannot build on '"  # a builder that cannot be reached, before anything is built
_DRIVER = re.compile(r"-nixos-test-driver-")
_LOG_OF_OTHER = 200  # lines at the end of the log of something that the check needs


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a build came to."""

    outcome: Outcome
    why: Why = Why.NONE
    words: str = ""
    excerpt: Excerpt = field(default_factory=Excerpt)


def verdict(progress: Progress, status: int | None, limit: str = "") -> Verdict:
    """Return what the end of a build means; `limit` names one of our own limits where that ended it."""
    if status == 0:
        return Verdict(Outcome.PASSED)
    if limit in {"total", "silence"}:
        return Verdict(Outcome.ERROR, Why.TIMED_OUT, "", _excerpt(progress, progress.derivation))
    errors = [_LOG_LINES.sub("", e) for e in progress.errors]
    failed = _failed(errors)
    lost = next((d for d in failed if _lost(d, progress, errors)), None)
    gone = [e for e in errors if _GONE.search(e) and not e.startswith(_NEVER_THERE)]
    if lost is not None or (not failed and gone):
        where = progress.machines.get(lost or "", "")
        said = [*([where] if where else []), *map(short, gone or list(progress.said)[-1:])]
        return Verdict(Outcome.ERROR, Why.BUILDER_LOST, "\n".join(said))
    why = next((why for why, pattern in _MEANS if any(pattern.search(e) for e in errors)), None)
    if why is None and progress.derivation in failed and any(_SAID_NO.search(e) for e in errors):
        return Verdict(Outcome.FAILED, Why.TEST, "", _excerpt(progress, progress.derivation))
    words = _words(errors) or "\n".join(list(progress.said)[-5:])
    return Verdict(Outcome.ERROR, why or _of_what(failed, progress), words, _excerpt(progress, *failed[:1]))


def driver_verdict(progress: Progress, status: int | None, limit: str = "") -> Verdict:
    """Return what the end of a test driver means that runs by itself, without Nix."""
    if status == 0:
        return Verdict(Outcome.PASSED)
    found = _excerpt(progress, progress.derivation)
    if limit in {"total", "silence"}:
        return Verdict(Outcome.ERROR, Why.TIMED_OUT, "", found)
    if status is not None and status < 0:
        why = Why.NO_MEMORY if -status == signal.SIGKILL else Why.INTERRUPTED
        return Verdict(Outcome.ERROR, why, f"the driver was ended by signal {-status}", found)
    return Verdict(Outcome.FAILED, Why.TEST, "", found)


def _of_what(failed: Sequence[str], progress: Progress) -> Why:
    """Return why, where it is no trouble that has a name: by what it was that did not build."""
    if not failed or failed[0] == progress.derivation:
        return Why.NIX
    return Why.DRIVER if _DRIVER.search(failed[0]) else Why.BUILD


def _lost(derivation: str, progress: Progress, errors: Sequence[str]) -> bool:
    """Tell whether a build ended because its remote builder went away.

    Nix then says `builder failed with exit code 1`, as of a build that fails: what is lacking is the remote's own word.
    """
    if derivation not in progress.machines:
        return False
    return not any(m["drv"] == derivation for e in errors for m in [_REMOTE_SAID_NO.search(e)] if m)


def _failed(errors: Sequence[str]) -> list[str]:
    """Return the derivations that did not build, of their own fault, in the order told."""
    found = (m["drv"] for e in errors for pattern in _FAILED for m in [pattern.search(e)] if m)
    return list(dict.fromkeys(found))


def _words(errors: Sequence[str]) -> str:
    """Return Nix' own words, each message once, without traces."""
    return "\n".join(dict.fromkeys(short(e) for e in errors))


def _excerpt(progress: Progress, derivation: str = "") -> Excerpt:
    if not derivation:
        return Excerpt()
    if derivation == progress.derivation:
        return excerpt(list(progress.lines), script=progress.script)
    log = [text for drv, text in progress.elsewhere if drv == derivation]
    return excerpt(log[-_LOG_OF_OTHER:], whole=False)
