"""A host on the terminal: one screen, 80 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from nixwright.report import said
from nixwright.report.strip import strip

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nixwright.report.colour import Colours

    Data = Mapping[str, Any]

WIDTH = 80
_FEW = 112  # characters: two lines
_LABEL = 11  # columns of the margin with the sections' names


def screen(about: Data, checks: Sequence[Data], source: str, colours: Colours) -> str:
    """Return the screen, with a line feed at the end. `checks` as the runner lists them, `source` is the host file."""
    page = _Page(colours)
    title = f": {about['title']}" if about["title"] else ""
    name = about["name"]
    first, *more = textwrap.wrap(f"{name}{title}", WIDTH)
    page.lines += [colours(name, "bold", "cyan") + first[len(name) :], *more]
    page.lines += [colours(t.rstrip(" ·"), "dim") for t in _wrapped(" · ".join([*said.head(about), source]), WIDTH)]
    page.blank()
    for disk in about["disks"]:
        page.lines += _disk(disk, colours)
    if not about["disks"]:
        page.rows("disks", [("", "none described: what there is stays as it is")])
    page.rows("pools", said.pools(about))
    _mounts(page, about)
    page.rows("updates", said.updates(about))
    page.rows("now", about.get("device", []))
    page.rows("network", said.network(about))
    page.rows("users", said.users(about))
    page.flow("services", [f"{name}*" if own else name for name, own in said.services(about)])
    page.rows("secrets", said.secrets(about), gap=26)
    page.rows("checks", [(name, _few(proves)) for name, proves in said.checks(checks)])
    page.rows("settings*", said.settings(about), gap=32)
    page.flow("imports", about["imports"])
    page.rows("defaults", said.defaults(about), dim=True)
    return "\n".join(page.lines) + "\n"


class _Page:
    """Lines as they come together: a margin with the section's name, then two columns or a run of words."""

    def __init__(self, colours: Colours) -> None:
        self.colours, self.lines = colours, list[str]()

    def blank(self) -> None:
        self.lines.append("")

    def rows(self, label: str, rows: Iterable[tuple[str, str]], *, gap: int = 0, dim: bool = False) -> None:
        """Add a section of names and what is said of each; `gap` is how wide names may be before they break."""
        listed = list(rows)
        if not listed:
            return
        limit = gap or 18
        names = [n for n, _ in listed]
        width = min(max(map(len, names)), limit)
        for number, (name, text) in enumerate(listed):
            margin = label if number == 0 else ""
            room = WIDTH - _LABEL - width - 2
            wrapped = _wrapped(text, room) or [""]
            if len(name) > width:  # a line of its own
                self.line(margin, name)
                margin, name = "", ""  # noqa: PLW2901 - said already
            for line in wrapped:
                self.line(margin, f"{name:<{width}}  {self.colours(line, 'dim') if dim else line}")
                margin, name = "", ""  # noqa: PLW2901 - once

    def flow(self, label: str, words: Sequence[str]) -> None:
        """Add a section of words one after the other."""
        for line in _wrapped(", ".join(words), WIDTH - _LABEL):
            self.line(label, line)
            label = ""

    def line(self, margin: str, text: str) -> None:
        self.lines.append(f"{self.colours(f'{margin:<{_LABEL}}', 'bold')}{text}".rstrip())


def _disk(disk: Data, colours: Colours) -> list[str]:
    device = disk["device"]
    head = f"{disk['name']}  {device}"
    if len(head) > WIDTH:
        head = f"{disk['name']}  {device[: WIDTH - len(disk['name']) - 3]}…"
    drawn = strip(disk, WIDTH)
    if not drawn:
        drawn = [
            f"  {p['number']:>2}  {p['label'][:24]:<24}  {said.size(p):>10}  {', '.join(said.content(p['content']))}"[
                :WIDTH
            ]
            for p in disk["partitions"]
        ]
    outside = said.outside(disk)
    return [colours(head, "bold"), *drawn, *(_wrapped(f"outside: {outside}", WIDTH) if outside else [])]


def _mounts(page: _Page, about: Data) -> None:
    """Add the mounts, what is wiped in red, and what that means for the directories that a person knows."""
    colours, listed = page.colours, said.mounts(about)
    width = min(max((len(m["path"]) for m, _ in listed), default=0), 24)
    label = "mounts"
    for mount, text in listed:
        state = colours("WIPED", "red", "bold") if mount["wiped"] else colours("kept ", "green")
        first, *more = _wrapped(text, WIDTH - _LABEL - 9 - width) or [""]
        page.line(label, f"{state}  {mount['path']:<{width}}  {first}")
        for line in more:
            page.line("", f"{'':<{width + 9}}{line}")
        label = ""
    wiped = said.wiped(about["survival"])
    empty = ", ".join(path for path, but in wiped if not but)
    rows = [("empties", empty)] if empty else []
    page.rows("each boot", rows + [(path, f"but for {but}") for path, but in wiped if but])


def _few(sentences: Sequence[str]) -> str:
    """Return as many sentences as fit on two lines, each to its first semicolon, and how many more there are."""
    short = [sentence.partition(";")[0] for sentence in sentences]
    shown = [f"{'; '.join(short[:n])}; and {len(short) - n} more" for n in range(1, len(short))] + ["; ".join(short)]
    return next((text for text in reversed(shown) if len(text) <= _FEW), shown[0])


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text at its blanks: what has a hyphen in it is a name here."""
    return textwrap.wrap(text, width, break_on_hyphens=False)
