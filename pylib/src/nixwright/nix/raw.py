"""Raw Nix of several lines: laid where it stands, as long as that changes none of its strings."""

from __future__ import annotations


def lines(text: str) -> list[tuple[int, str]]:
    """Return each line with the columns that it stands further in than its place; a blank one as (0, "").

    A text whose strings would not stay the same when its lines move comes back in one piece.
    """
    first, *rest = text.split("\n")
    if not rest or any(line != line.rstrip() for line in (first, *rest)) or not _may_move(text):
        return [(0, text)]
    least = min((len(line) - len(line.lstrip(" ")) for line in rest if line.strip()), default=0)
    columns = [max(0, len(line) - len(line.lstrip(" ")) - least) for line in rest]
    return [(0, first), *((further, line.lstrip(" ")) for further, line in zip(columns, rest, strict=True))]


def _may_move(text: str) -> bool:  # noqa: C901, PLR0912 - one case a token
    """Tell whether every string that spans lines is an indented one that begins on a line of its own."""
    inside: list[str] = []  # what is open: '"', "''", and "{" for a brace or an interpolation
    at = 0
    while at < len(text):
        innermost = inside[-1] if inside else "{"
        step = 1
        if text.startswith("${", at) and innermost != "{":
            inside.append("{")
            step = 2
        elif innermost == '"':
            if text[at] == "\n":
                return False
            if text[at] == '"':
                inside.pop()
            step = 2 if text[at] == "\\" else 1
        elif innermost == "''":
            if text.startswith(("'''", "''$", "''\\"), at):
                step = 3
            elif text.startswith("''", at):
                inside.pop()
                step = 2
        elif text.startswith("''", at):
            line = text[at + 2 :].split("\n", 1)[0]
            if line.strip() and "''" not in line:
                return False
            inside.append("''")
            step = 2
        elif text[at] == "#":
            step = len(text[at:].split("\n", 1)[0])
        elif text[at] in '"{':
            inside.append(text[at])
        elif text[at] == "}" and inside:
            inside.pop()
        at += step
    return True
