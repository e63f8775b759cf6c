"""On which line of a TOML file a value stands: `tomllib` does not say."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nixwright.provisioning.shape import Way

_BLANK = re.compile(r"([ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r'[A-Za-z0-9_-]+|"([^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
_BARE = re.compile(r"[^,\]}#\n]*")


def lines_of(text: str) -> dict[Way, int]:
    """Return the line of each key and entry of a file that `tomllib` has read; of one that is odd, of some of them."""
    scan = _Scan(text)
    with suppress(
        ValueError, RecursionError
    ):  # the file is right, this reader lacks something: a line less in a message
        scan.file()
    return scan.lines


def line_of(lines: dict[Way, int], way: Way) -> int:
    """Return the line of a value, or of the nearest that it is in; 0 where none is known."""
    return next((lines[way[:n]] for n in range(len(way), 0, -1) if way[:n] in lines), 0)


class _Scan:
    """A walk through a file: where it is, and what it has seen."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Way, int] = {}
        self.counts: dict[Way, int] = {}
        self._line, self._counted = 1, 0

    def file(self) -> None:
        table: Way = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(self.at)
        self.at = match.end()
        return match[0]

    def _expect(self, sign: str) -> None:
        if not self.text.startswith(sign, self.at):
            raise ValueError(self.at)
        self.at += len(sign)

    def _seen(self, way: Way) -> None:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        self.lines.setdefault(way, self._line)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_SPACE)
            key = self._skip(_KEY)
            keys.append(str(tomllib.loads(f"x = {key}")["x"]) if key[0] in "\"'" else key)
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def _header(self) -> Way:
        sign = "[[" if self.text.startswith("[[", self.at) else "["
        start = self.at
        self.at += len(sign)
        keys = self._keys()
        self._expect("]" * len(sign))
        end, self.at = self.at, start
        way: Way = ()
        for index, key in enumerate(keys):
            way = (*way, key)
            last = index == len(keys) - 1
            if last and sign == "[[":
                self.counts[way] = self.counts.get(way, 0) + 1
            self._seen(way)
            if way in self.counts:
                way = (*way, self.counts[way] - 1)
                self._seen(way)
        self.at = end
        return way

    def _pair(self, table: Way) -> None:
        start = self.at
        keys = self._keys()
        end, self.at = self.at, start
        way = table
        for key in keys:
            way = (*way, key)
            self._seen(way)
        self.at = end
        self._expect("=")
        self._skip(_SPACE)
        self._value(way)

    def _value(self, way: Way) -> None:
        sign = self.text[self.at : self.at + 1]
        if sign == "[":
            self.at += 1
            self._entries(way)
        elif sign == "{":
            self.at += 1
            self._inline(way)
        else:
            self._skip(_STRING if sign in "\"'" else _BARE)

    def _entries(self, way: Way) -> None:
        for index in range(len(self.text)):
            self._skip(_BLANK)
            if self.text.startswith("]", self.at):
                break
            self._seen((*way, index))
            self._value((*way, index))
            self._skip(_BLANK)
            if not self.text.startswith(",", self.at):
                break
            self.at += 1
        self._expect("]")

    def _inline(self, way: Way) -> None:
        self._skip(_BLANK)
        while not self.text.startswith("}", self.at):
            self._pair(way)
            self._skip(_BLANK)
            if self.text.startswith(",", self.at):
                self.at += 1
                self._skip(_BLANK)
        self._expect("}")
