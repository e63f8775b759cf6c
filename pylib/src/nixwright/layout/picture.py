"""Pictures of a layout: for an 80 column terminal, and as SVG. What is nested on the disk is nested here."""

from __future__ import annotations

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


def svg(layout: Layout) -> str:
    """Return the picture as an SVG document, with a line feed at the end."""
    body: list[str] = []
    y = _LINE
    for name, disk in zip(layout.names, layout.disks, strict=True):
        body.append(_text(_PAD, y, f"{name}: {disk.path}", "title"))
        y += _PAD
        for box in _boxes(disk):
            where = f"{told(box.start)} + {told(box.size) if box.size else 'the rest'}"
            height = _LINE * (1 + len(box.lines)) + 2 * _PAD + _height(box.size)
            body.append(_rect(_PAD, y, _SVG_WIDTH - 2 * _PAD, height, "partition"))
            body.append(_text(2 * _PAD, y + _LINE, f"{box.title}   {where}", "label"))
            for index, (depth, text) in enumerate(box.lines):
                left, top = 2 * _PAD * (depth + 1), y + _PAD + _LINE * (index + 1)
                inner = height - 2 * _PAD - _LINE * (index + 1) - _PAD * depth
                body.append(_rect(left, top, _SVG_WIDTH - 2 * left, max(inner, _LINE), "inside"))
                body.append(_text(left + _PAD, top + _LINE - 4, text, "label"))
            y += height
        y += 2 * _LINE
    for title, rows in _pools(layout):
        body.append(_text(_PAD, y, title, "title"))
        for row in rows:
            y += _LINE
            body.append(_text(3 * _PAD, y, row, "wiped" if row.endswith("wiped at boot") else "label"))
        y += 2 * _LINE
    style = (
        "text{font:13px monospace;white-space:pre}.title{font-weight:bold}.wiped{fill:#b00}"
        ".partition{fill:#f4f4f4;stroke:#333}.inside{fill:#fff;stroke:#888}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SVG_WIDTH}" height="{y}" viewBox="0 0 {_SVG_WIDTH} {y}">'
    return "\n".join([head, f"<style>{style}</style>", *body, "</svg>", ""])


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
