"""A host as one page of HTML: nothing is fetched, nothing runs, light and dark, and as clear on a phone."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from nixwright.errors import NixwrightError
from nixwright.report import said

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    Data = Mapping[str, Any]

_MARK = '<meta name="generator" content="nixwright show">'


def page(about: Data, checks: Sequence[Data], source: str) -> str:
    """Return the page. `checks` as the runner lists them, `source` is the host file."""
    name = str(about["name"])
    drawings = "".join(f'<div class="w{w}">{drawing}</div>' for w, drawing in about["drawings"].items())
    known = [(c, "".join(f"<li>{escape(p)}</li>" for p in proves)) for c, proves in said.checks(checks)]
    sections = [
        _section("What survives a reboot", _survival(about)),
        _section("Disks", drawings + _pairs(said.pools(about))),
        _section("Now", _pairs(about.get("device", [])), "As the device said when this page was made."),
        _section("Updates", _pairs(said.updates(about))),
        _section("Network", _pairs(said.network(about))),
        _section("Users", _pairs(said.users(about))),
        _section("Services", _chips(said.services(about))),
        _section("Secrets it expects", _pairs(said.secrets(about)), "Where they lie, never what they are."),
        _section("Checks that prove it", "".join(f"<h3>{escape(c)}</h3><ul>{items}</ul>" for c, items in known)),
        _section("Settings of its own", _pairs(said.settings(about), code=True), "NixOS options, beside the parts."),
        _section("Modules of its own", _chips((i, True) for i in about["imports"])),
        _section("Parts", _pairs((p["kind"], p["about"]) for p in about["parts"])),
        _section("Defaults that were taken", _pairs(said.defaults(about), code=True)),
    ]
    facts = "".join(f"<li>{escape(f)}</li>" for f in said.head(about))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{_MARK}
<title>{escape(name)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(name)}</h1>
<p>{escape(str(about["title"]))}</p>
<ul class="chips">{facts}</ul>
</header>
<main>
{"".join(s for s in sections if s)}</main>
<footer>Made by nixwright from {escape(source)}. No secret is in this page.</footer>
</body>
</html>
"""


def write_page(path: Path, text: str) -> None:
    """Write a page; never over a file that is none of ours. Raises NixwrightError."""
    try:
        if path.exists() and _MARK not in path.read_text(encoding="utf-8", errors="replace"):
            raise NixwrightError(f"{path} is there already, is no page of ours, and stays as it is")
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NixwrightError(f"cannot write {path}: {error.strerror}") from error


def _section(title: str, body: str, about: str = "") -> str:
    note = f"<p>{escape(about)}</p>" if about else ""
    return f"<section><h2>{escape(title)}</h2>{note}{body}</section>\n" if body else ""


def _pairs(rows: Iterable[tuple[str, str]], *, code: bool = False) -> str:
    tag = "code" if code else "span"
    listed = "".join(f"<dt>{escape(n)}</dt><dd><{tag}>{escape(t)}</{tag}></dd>" for n, t in rows)
    return f"<dl>{listed}</dl>" if listed else ""


def _chips(words: Iterable[tuple[str, bool]]) -> str:
    listed = "".join(f"<li{' class=own' if own else ''}>{escape(w)}</li>" for w, own in words)
    return f'<ul class="chips">{listed}</ul>' if listed else ""


def _survival(about: Data) -> str:
    """Return the table of what a boot wipes and keeps: directories first, then whole file systems and single paths."""
    wiped = said.wiped(about["survival"])
    gone = "".join(_row("wiped", p, f"but for {but}" if but else "all of it") for p, but in wiped)
    kept = "".join(_row("kept", m["path"], text) for m, text in said.mounts(about) if not m["wiped"])
    single = "".join(_row("kept", p["path"], f"kept at {p['source']}") for p in about["survival"]["paths"])
    if not gone + kept:
        return ""
    heads = "<tr><th>at each boot</th><th>path</th><th>where</th></tr>"
    return f"<table><thead>{heads}</thead><tbody>{gone}{kept}{single}</tbody></table>"


def _row(state: str, path: str, text: str) -> str:
    return (
        f'<tr class="{state}"><td><b>{state}</b></td><td><code>{escape(path)}</code></td><td>{escape(text)}</td></tr>'
    )


_STYLE = """
:root{--ink:#1f2328;--soft:#59636e;--paper:#fff;--page:#f6f8fa;--line:#d1d9e0;--box:#eef2f6;--wiped:#b3261e;
--kept:#1a7f37;--own:#0b57d0}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b1;--paper:#161b22;--page:#0d1117;--line:#30363d;
--box:#21262d;--wiped:#ff8a80;--kept:#56d364;--own:#8ab4f8}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:56rem;padding:1.5rem 1rem 3rem;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
header,section{margin:0 0 1rem}
h1{margin:0;font-size:2rem;line-height:1.2}
header p{margin:.25rem 0 .75rem;font-size:1.1rem;color:var(--soft)}
section{padding:1rem 1.25rem 1.25rem;background:var(--paper);border:1px solid var(--line);border-radius:.6rem}
h2{margin:0 0 .6rem;font-size:1.1rem}
h2+p{margin:-.4rem 0 .6rem;color:var(--soft);font-size:.9rem}
h3{margin:.6rem 0 .2rem;font-size:1rem}
section ul:not(.chips){margin:0;padding-left:1.2rem}
code{font:.9em/1.5 ui-monospace,monospace}
.chips{display:flex;flex-wrap:wrap;gap:.4rem;margin:0;padding:0;list-style:none}
.chips li{padding:.1rem .6rem;background:var(--box);border:1px solid var(--line);border-radius:1rem;font-size:.9rem}
.chips .own{border-color:var(--own);color:var(--own)}
table{width:100%;border-collapse:collapse}
th{padding:0 .75rem .3rem 0;text-align:left;font-weight:normal;font-size:.85rem;color:var(--soft)}
td{padding:.3rem .75rem .3rem 0;border-top:1px solid var(--line);vertical-align:top}
td:last-child{color:var(--soft)}
td:first-child{width:7rem}
th{white-space:nowrap}
.wiped b{color:var(--wiped)}
.kept b{color:var(--kept)}
dl{display:grid;grid-template-columns:minmax(6rem,14rem) 1fr;gap:.35rem 1rem;margin:0}
dt{font-weight:600}
dd{margin:0;color:var(--soft)}
svg{display:block;width:100%;height:auto}
.w340{display:none}
footer{color:var(--soft);font-size:.85rem;text-align:center}
@media(max-width:46rem){
body{padding:1rem .6rem 2rem}
section{padding:.8rem .8rem 1rem}
.w720{display:none}
.w340{display:block}
dl{grid-template-columns:1fr;gap:0}
dd{margin:0 0 .5rem}
thead{display:none}
tr{display:grid;grid-template-columns:4.2rem 1fr;padding:.35rem 0;border-top:1px solid var(--line)}
td{padding:0;border:0}
td:last-child{grid-column:2}
}
@media print{body{background:none}section{break-inside:avoid}}
"""
