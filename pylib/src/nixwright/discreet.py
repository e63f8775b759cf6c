"""What a message may repeat of what it was given: nothing that is a secret, or that stands where secrets stand.

A secret gets into a message by an exception's own words, or by a value that is shown because it is wrong.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from nixwright.report.mistakes import HIDDEN
from nixwright.source.secrets import scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NAMES_A_SECRET = re.compile(r"psk|passw|passphrase|secret|token|credential|(^|_)key|key$", re.IGNORECASE)
_LEAST = 4  # characters: shorter ones stand in every other word


def discreet(text: str, error: BaseException | None = None) -> str:
    """Return a text without the secrets that are known, and nothing of it where it looks like one.

    Known is what variables hold whose names speak of secrets: those of the environment, and with an exception those of
    every frame that it came through.
    """
    for secret in sorted({*_named(os.environ), *_of_frames(error)}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return HIDDEN if text and scan([("", text)]) else text


def _of_frames(error: BaseException | None) -> Iterator[str]:
    trace = None if error is None else error.__traceback__
    while trace is not None:
        for names in (trace.tb_frame.f_locals, trace.tb_frame.f_globals):
            yield from _named(names)
        trace = trace.tb_next


def _named(names: Mapping[str, object]) -> Iterable[str]:
    """Values of variables with such a name, as they are and as `repr` shows them."""
    for name, value in list(names.items()):
        if isinstance(value, str | bytes) and len(value) >= _LEAST and _NAMES_A_SECRET.search(name):
            text = value if isinstance(value, str) else value.decode("utf-8", "replace")
            yield from {text, text.strip(), repr(text)[1:-1]} - {""}
