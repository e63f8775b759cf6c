"""The part of a failed check's log that matters: which subtest, its message, the user's own lines, the journal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixwright.runner.results import Excerpt

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 24  # lines of a traceback or a log that are shown
JOURNAL = 20  # lines of failed units
_MARK = "!!! "
_FAILED = re.compile(r'^!!! Test "(?P<name>.*?)" failed with error: "(?P<error>.*)$')
_SERIAL = re.compile(r"^(?P<machine>\S+) # (?:\[\s*[0-9.]+\] )?(?:(?P=machine) )?(?P<text>.*)$")
_SPEAKER = re.compile(r"^(?P<name>[\w.@\\-]+)(?:\[\d+\])?: ")
_UNIT = r"[\w.@\\:-]+\.(?:service|mount|target|socket|timer|device|swap|path|automount|scope)"
# What systemd says of a unit that fails, and the driver of one that it waits for.
_FAILS = (
    re.compile(rf"(?P<unit>{_UNIT}): Failed with result"),
    re.compile(rf"Failed to (?:start|mount|listen on|activate swap) (?P<unit>{_UNIT})"),
    re.compile(rf'unit "(?P<unit>{_UNIT})" (?:reached state "failed"|is inactive)'),
    re.compile(rf"Dependency failed for (?P<unit>{_UNIT})"),
)
_OURS = re.compile(r'^  File "<string>", line (?P<line>\d+)')


def excerpt(lines: Sequence[str], *, whole: bool = True, script: str = "") -> Excerpt:
    """Return what matters of the log of a check that failed; without the test driver's words, the log's end.

    `lines` are without escape codes; with `whole` False they are of something else that was built, such as the driver.
    `script` is the file whose lines the traceback counts, where it is known.
    """
    begin = next((n for n, line in enumerate(lines) if line.startswith(_MARK)), None) if whole else None
    if begin is None:
        said = [line for line in lines if not _SERIAL.match(line)] or list(lines)
        return Excerpt(lines=tuple(said[-MOST:]), units=(), journal=tuple(_journal(lines, _failed_units(lines))))
    subtest, message, end = _message(lines, begin)
    units = _failed_units([*lines[:begin], message])
    named = [u for u in units if u in message] or units
    return Excerpt(
        subtest, message, tuple(_traceback(lines[end:], script)), tuple(named), tuple(_journal(lines, named))
    )


def _message(lines: Sequence[str], begin: int) -> tuple[str, str, int]:
    """Return the innermost subtest that failed, the message (it may have many lines), and the line after it."""
    first = _FAILED.match(lines[begin])
    end = begin + 1
    if first is None:  # outside of any subtest
        return "", _last_words(lines, begin), begin
    words = [first["error"]]
    while not words[-1].endswith('"') and end < len(lines) and not lines[end].startswith(_MARK):
        if not _SERIAL.match(lines[end]):  # machines speak on while a message is printed
            words.append(lines[end])
        end += 1
    return first["name"], _short("\n".join(words).removesuffix('"').rstrip("\n")), end


def _last_words(lines: Sequence[str], begin: int) -> str:
    """Return the exception that a traceback ends with."""
    block = [line.removeprefix(_MARK) for line in lines[begin:] if line.startswith(_MARK)]
    return next((line for line in reversed(block) if line.strip() and not line.startswith(" ")), "")


def _traceback(lines: Sequence[str], script: str) -> list[str]:
    """Return the user's own frames of the traceback and its last words: the driver's frames help nobody.

    The driver prints its own assertions' tracebacks with a mark; any other exception ends Python, after the cleanup.
    """
    found: list[str] = []
    within = keep = False
    for line in (text.removeprefix(_MARK) for text in lines if not _SERIAL.match(text)):
        if line.startswith("Traceback "):
            within, keep = True, False
        elif not within:
            continue
        elif line.startswith('  File "'):
            keep = bool(_OURS.match(line))
        elif line.strip() and not line.startswith(" "):
            found.append(line)
            break
        if keep and line.strip() and not set(line.strip()) <= {"^", "~"}:
            found.append(_OURS.sub(rf"  {script}:\g<line>", line) if script else line)
    return _middle_out(list(dict.fromkeys(found)))


def _failed_units(lines: Sequence[str]) -> list[str]:
    """Return the units that the log says have failed, in its order."""
    found = (m["unit"] for line in lines for pattern in _FAILS for m in [pattern.search(line)] if m)
    return list(dict.fromkeys(found))


def _journal(lines: Sequence[str], units: Sequence[str]) -> list[str]:
    """Return what these units said, and systemd of them: by the unit's name, and by speakers called after it."""
    stems = {unit.rpartition(".")[0] for unit in units}
    found = []
    for line in lines:
        serial = _SERIAL.match(line)
        if serial is None:
            continue
        text = serial["text"]
        speaker = _SPEAKER.match(text)
        name = speaker["name"] if speaker else ""
        # a script of a unit speaks as UNIT-start, a program as itself
        if any(unit in text for unit in units) or any(name == s or name.startswith(f"{s}-") for s in stems):
            found.append(f"{serial['machine']}: {text}")
    return list(dict.fromkeys(found))[-JOURNAL:]  # a unit that is started again and again says the same


def _short(text: str) -> str:
    """Shorten a message of many lines (the output of a command): its begin and its end."""
    return "\n".join(_middle_out(text.split("\n")))


def _middle_out(lines: list[str]) -> list[str]:
    if len(lines) <= MOST:
        return lines
    head = MOST // 3
    return [*lines[:head], f"... {len(lines) - MOST} lines ...", *lines[len(lines) - (MOST - head) :]]
