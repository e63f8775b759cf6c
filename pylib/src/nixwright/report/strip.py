"""A disk as a strip of boxes side by side, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nixwright.report.said import content, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNBROKEN = 12  # characters of a line that is better not broken


def strip(disk: Mapping[str, Any], width: int = 80) -> list[str]:
    """Return a disk's partitions as a table of one row, each a column; empty where they do not fit in `width`.

    Columns are made wide enough for the table to be low; what is left goes to the largest partition.
    """
    columns = [_words(p) for p in disk["partitions"]]
    if not columns:
        return []
    space = width - 3 * len(columns) - 1
    # a word that is carried over stands one further in
    least = [max(len(word) + (i > 0) for text in c for i, word in enumerate(text.split(" "))) for c in columns]
    widths = [max([w, *(len(t) for t in c if len(t) <= _UNBROKEN)]) for w, c in zip(least, columns, strict=True)]
    if sum(widths) > space:
        widths = least
    if sum(widths) > space:
        return []
    _lower(columns, widths, space)
    if sum(widths) < space:
        largest = max(range(len(columns)), key=lambda i: disk["partitions"][i]["size"] or float("inf"))
        widths[largest] += space - sum(widths)
    cells = [_broken(c, w) for c, w in zip(columns, widths, strict=True)]
    rows = max(map(len, cells))
    rule = ["─" * (w + 2) for w in widths]
    lines = [f"┌{'┬'.join(rule)}┐"]
    for row in range(rows):
        texts = [(c[row] if row < len(c) else "").ljust(w) for c, w in zip(cells, widths, strict=True)]
        lines.append(f"│ {' │ '.join(texts)} │")
    return [*lines, f"└{'┴'.join(rule)}┘"]


def _words(partition: Mapping[str, Any]) -> list[str]:
    return [f"{partition['number']} {partition['label']}", size(partition), *content(partition["content"])]


def _lower(columns: Sequence[Sequence[str]], widths: list[int], space: int) -> None:
    """Widen the highest columns, that of them first which needs least for it, while there is space and it helps."""
    while True:
        heights = [len(_broken(c, w)) for c, w in zip(columns, widths, strict=True)]
        left = space - sum(widths)
        found = [
            (extra, i)
            for i, height in enumerate(heights)
            if height == max(heights)
            for extra in range(1, left + 1)
            if len(_broken(columns[i], widths[i] + extra)) < height
        ]
        if not found:
            return
        extra, chosen = min(found)
        widths[chosen] += extra


def _broken(words: Sequence[str], width: int) -> list[str]:
    """Break each line at blanks where it is wider than its column; what follows stands one further in."""
    found: list[str] = []
    for text in words:
        line = ""
        for word in text.split(" "):
            if line and len(line) + 1 + len(word) > width:
                found.append(line)
                line = f" {word}"
            else:
                line = f"{line} {word}" if line else word
        found.append(line)
    return found
