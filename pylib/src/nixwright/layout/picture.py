"""Pictures of a layout: for an 80 column terminal, and as SVG. What is nested on the disk is nested here."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixwright.layout.content import FileSystem, KeyFile, Luks
from nixwright.layout.disk import places
from nixwright.layout.pool import Member
from nixwright.layout.sizes import SECTOR, Rest, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.content import Content
    from nixwright.layout.disk import Disk
    from nixwright.layout.model import Layout

_WIDTH = 80
_PER_HALVING = 12  # pixels of height for each factor of two: 32 MiB and 1 TB both stay visible
_SVG_WIDTH, _LINE, _PAD = 720, 18, 8
_REST = 1 << 40  # bytes: as what the rest of a disk is drawn whose size is not said
_CHARACTER = 7.9  # pixels that a character of the picture is wide


@dataclass(frozen=True, slots=True)
class Box:
    """A run of the disk: its title, what it holds line by line with the depth of nesting, its bytes (0: unknown)."""

    title: str
    start: int
    size: int
    lines: tuple[tuple[int, str], ...]


def terminal(layout: Layout) -> str:
    """Return the picture as text, 80 columns at most, with a line feed at the end."""
    out: list[str] = []
    for name, disk in zip(layout.names, layout.disks, strict=True):
        size = "" if disk.size is None else f", {told(disk.size.bytes)}"
        out += [_cut(f"{name}: {disk.path}{size}"), "┌" + "─" * (_WIDTH - 2) + "┐"]
        boxes = list(_boxes(disk))
        for index, box in enumerate(boxes):
            where = f"{told(box.start)} + {told(box.size) if box.size else 'the rest'}"
            out.append(_row(f"{box.title}{where:>{max(1, _WIDTH - 4 - len(box.title))}}"))
            out += [_row("  " * depth + "└ " + text) for depth, text in box.lines]
            out += [_row("")] * (_height(box.size) // 6)
            out.append(
                ("├" if index < len(boxes) - 1 else "└") + "─" * (_WIDTH - 2) + ("┤" if index < len(boxes) - 1 else "┘")
            )
    for title, rows in _pools(layout):
        out += ["", _cut(title), *(_cut(f"  {row}") for row in rows)]
    return "\n".join(out) + "\n"


def svg(layout: Layout, width: int = _SVG_WIDTH) -> str:
    """Return the picture as an SVG document `width` pixels wide, with a line feed at the end.

    Text that is wider is broken into lines. A page that holds the picture chooses its colours by `--ink`, `--paper`,
    `--box` and `--wiped`.
    """
    body: list[str] = []
    y = 0
    for name, disk in zip(layout.names, layout.disks, strict=True):
        y = _paragraph(body, f"{name}: {disk.path}", (0, y, width), "title") + _PAD
        for box in _boxes(disk):
            where = f"{told(box.size) if box.size else 'the rest'}, from {told(box.start)}"
            y = _drawn(body, box, (0, y, width), [box.title, where])
        y += _LINE
    for title, rows in _pools(layout):
        y = _paragraph(body, title, (0, y, width), "title")
        for row in rows:
            words = row if width >= _SVG_WIDTH else re.sub(r" {2,}", "  ", row)
            y = _paragraph(body, words, (2 * _PAD, y, width), "wiped" if "wiped at boot" in row else "label")
        y += _LINE
    head = (
        f'<svg class="layout" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" viewBox="0 0 {width} {y}"'
    )
    about = f'role="img" aria-label="what the disks hold"><style>{_STYLE}</style>'
    return "\n".join([f"{head} {about}", *body, "</svg>", ""])


_STYLE = (
    "svg.layout text{font:13px ui-monospace,monospace;white-space:pre;fill:var(--ink,#222)}"
    "svg.layout .title{font-weight:bold}svg.layout .wiped{fill:var(--wiped,#b00)}"
    "svg.layout rect{fill:var(--paper,#fff);stroke:var(--ink,#222);stroke-opacity:.45}"
    "svg.layout .partition{fill:var(--box,#f4f4f4)}"
)


def _drawn(body: list[str], box: Box, place: tuple[int, int, int], title: list[str]) -> int:
    """Draw a partition and, nested in it, what it holds; return where the next begins."""
    left, top, width = place
    heads = _wrapped("   ".join(title), width - 2 * _PAD)
    lines = [_wrapped(text, width - 4 * _PAD * depth - 2 * _PAD) for depth, text in box.lines]
    inner = sum(_LINE * len(wrapped) + _PAD for wrapped in lines)
    height = _LINE * len(heads) + inner + _PAD * (len(lines) + 1) + _height(box.size or _REST)
    body.append(_rect(left, top, width, height, "partition"))
    y = _lines_at(body, heads, left + _PAD, top, "label")
    bottom = top + height
    for (depth, _), wrapped in zip(box.lines, lines, strict=True):
        indent, bottom = 2 * _PAD * depth, bottom - _PAD
        body.append(_rect(left + indent, y + _PAD // 2, width - 2 * indent, bottom - y - _PAD // 2, "inside"))
        y = _lines_at(body, wrapped, left + indent + _PAD, y + _PAD // 2, "label") + _PAD // 2
    return top + height


def _paragraph(body: list[str], text: str, place: tuple[int, int, int], kind: str) -> int:
    left, top, width = place
    return _lines_at(body, _wrapped(text, width - left), left, top, kind)


def _lines_at(body: list[str], lines: list[str], left: int, top: int, kind: str) -> int:
    """Add lines of text and return where the next begins."""
    for number, line in enumerate(lines, 1):
        body.append(_text(left, top + _LINE * number - 4, line, kind))
    return top + _LINE * len(lines)


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines of so many pixels; runs of blanks that align columns stay."""
    return textwrap.wrap(text, max(8, int(width / _CHARACTER)), drop_whitespace=True, subsequent_indent="  ") or [""]


def _boxes(disk: Disk) -> Iterator[Box]:
    """The disk's partitions and raw spaces, by their place."""
    size = None if disk.size is None else disk.size.bytes
    found = []
    for number, (part, (first, last)) in enumerate(
        zip(disk.table.partitions, places(disk.table.slices, size), strict=True), 1
    ):
        length = 0 if isinstance(part.size, Rest) and size is None else (last - first + 1) * SECTOR
        lines = tuple(_lines(part.content, 1)) if part.content is not None else ()
        found.append(Box(f"{number} {part.label}", first * SECTOR, length, lines))
    found += [Box(f"- {raw.name} (raw)", raw.start.bytes, raw.size.bytes, ()) for raw in disk.table.raws]
    return iter(sorted(found, key=lambda box: box.start))


def _lines(content: Content, depth: int) -> Iterator[tuple[int, str]]:
    if isinstance(content, Luks):
        ways = [f"key file {k.path}" if isinstance(k, KeyFile) else "passphrase" for k in content.opens_with]
        yield depth, f"LUKS{content.version} {content.name}, opens with {' or '.join(ways)}"
        yield from _lines(content.content, depth + 1)
    elif isinstance(content, Member):
        yield depth, f"member of pool {content.pool.name}"
    elif isinstance(content, FileSystem):
        files = ", ".join(k.path for k in getattr(content, "files", ()))
        yield depth, f"{content.kind} {content.at or '(not mounted)'}{f', keeps {files}' if files else ''}"
    else:
        yield depth, "swap"


def _pools(layout: Layout) -> Iterator[tuple[str, list[str]]]:
    for pool in layout.pools:
        rows = [] if pool.reserved is None else [f"{'reserved':<32}{'-':<24}{told(pool.reserved.bytes)}, never used"]
        for dataset in pool.datasets:
            state = "wiped at boot" if dataset.wiped else "kept" if dataset.at else ""
            rows.append(f"{dataset.name:<32}{dataset.at or '-':<24}{state}{', snapshots' if dataset.snapshots else ''}")
        own = ", encrypted by ZFS" if pool.encryption == "native" else ""
        yield f"pool {pool.name}, {pool.mounts} mounts{own}", rows


def _height(size: int) -> int:
    """Height by the logarithm of the size above 16 MiB: to scale, a key's 32 MiB beside a terabyte would vanish."""
    return max(0, (size >> 24).bit_length() - 1) * _PER_HALVING // 4


def _row(text: str) -> str:
    return f"│ {_cut(text, _WIDTH - 4):<{_WIDTH - 4}} │"


def _cut(text: str, width: int = _WIDTH) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _rect(x: int, y: int, width: int, height: int, kind: str) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}"/>'


def _text(x: int, y: int, text: str, kind: str) -> str:
    from html import escape  # noqa: PLC0415 - only an SVG needs it

    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'
