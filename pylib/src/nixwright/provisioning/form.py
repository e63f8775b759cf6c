"""What people see in a browser, and what a browser sends: two pages without a script, and one form."""

from __future__ import annotations

import html
import re

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; }}
body {{ color: #1b1f24; background: #fff; }}
h1 {{ font-size: 1.4rem; }}
textarea {{ width: 100%; height: 16rem; font: 0.9rem/1.4 monospace; box-sizing: border-box; }}
label {{ display: block; margin: 1rem 0 0.3rem; font-weight: 600; }}
button {{ font: inherit; margin: 1rem 0.5rem 0 0; padding: 0.4rem 1rem; }}
pre {{ background: #f4f5f7; padding: 0.8rem; overflow-x: auto; white-space: pre-wrap; }}
.wrong {{ border-left: 0.3rem solid #b42318; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6e8eb; background: #16181c; }} pre {{ background: #23262c; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
_FORM = """\
{told}<p>This device does not know yet who it is. Give it a <code>config.toml</code>, or a bundle with one.</p>
<form action="/apply" method="post" enctype="multipart/form-data">
<input type="hidden" name="token" value="{token}">
<label for="file">A file: .toml, .tar.gz or .tar.zst</label>
<input type="file" id="file" name="file" accept=".toml,.gz,.tgz,.zst,.tzst,.zstd">
<label for="text">or its text</label>
<textarea id="text" name="text" spellcheck="false" autocomplete="off"></textarea>
<button name="do" value="apply">Put in force</button><button name="do" value="check">Check only</button>
</form>"""
_KNOWN = """\
<p>This device knows who it is. Who may change that signs what they send:</p>
<pre>nixwright provision push config.toml --to {address} --key ~/.ssh/id_ed25519</pre>"""


def page_of_form(name: str, token: str, refused: str) -> str:
    """Return the page of a device that was never told, with what it was told wrong."""
    told = f'<p>What was found is refused:</p><pre class="wrong">{html.escape(refused)}</pre>' if refused else ""
    return _PAGE.format(title=html.escape(name), refresh="", body=_FORM.format(told=told, token=html.escape(token)))


def page_of_known(name: str, address: str) -> str:
    """Return the page of a device that was told."""
    return _PAGE.format(title=html.escape(name), refresh="", body=_KNOWN.format(address=html.escape(address)))


def page_of_job(name: str, state: str, said: list[str]) -> str:
    """Return the page of what is being done, or was; it comes again by itself until that is decided."""
    refresh = '<meta http-equiv="refresh" content="2">\n' if state == "running" else ""
    heading = {"running": "It is being done", "done": "Done", "failed": "Refused"}[state]
    wrong = ' class="wrong"' if state == "failed" else ""
    lines = html.escape("\n".join(said))
    body = f'<p id="state">{heading}</p>\n<pre{wrong}>{lines}</pre>\n<p><a href="/">Back</a></p>'
    return _PAGE.format(title=html.escape(name), refresh=refresh, body=body)


def form_fields(content_type: str, body: bytes) -> dict[str, bytes]:
    """Return the fields of a form as a browser sends it (multipart/form-data); none of what is none."""
    match = re.search(r'boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?', content_type)
    if not content_type.startswith("multipart/form-data") or match is None:
        return {}
    mark = b"\r\n--" + match[1].encode()
    found = {}
    at = len(mark) - 2 if body.startswith(mark[2:]) else -1
    while at >= 0 and body[at : at + 2] == b"\r\n":
        head = body.find(b"\r\n\r\n", at)
        end = body.find(mark, head)
        if head < 0 or end < 0:
            break
        name = re.search(rb'(?i)content-disposition: form-data; name="([a-z]{1,16})"', body[at:head])
        if name is not None:
            found[name[1].decode()] = body[head + 4 : end]
        at = end + len(mark)
    return found
