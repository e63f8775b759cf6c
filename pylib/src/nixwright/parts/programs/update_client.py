"""Ask a server for a newer version, fetch its bundle, have RAUC install it, and start it.

`GET SERVER/api/v1/updates/latest` is answered with `{"version": "1.4.0", "bundle_url": "https://..."}`, or with 204.
Nothing happens unless the booted slot has passed its health gate and no other install waits for its start. Versions are
compared as `systemd-analyze compare-versions` does (the UAPI group's specification); an older one is left alone unless
asked for, and so is one that was installed before and fell back. HTTPS alone, redirects too. What was fetched must be
signed, for this kind of device, and of the version that the server announced, or it is removed and never installed;
until the next boot it is not fetched again, unless the server says by `ETag` or `Last-Modified` that it is another one.

Exit status: 0 done or nothing to do, 1 refused or failed, 2 called wrongly, 75 the server cannot be reached. Python's
own library, `rauc`, `systemctl` and `systemd-analyze` are all it needs.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

_SLOT = re.compile(r"(?:^|\s)rauc\.slot=(\S+)")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~^+-]{0,127}")
_ANSWER_LIMIT = 64 * 1024  # bytes of what the server says of its latest version
_PIECE = 1024 * 1024  # bytes
_LATEST = "/api/v1/updates/latest"
_SILENCE = 30  # seconds without a byte
_INSTALL = 1800  # seconds that RAUC may take
_NEWER, _OLDER, _EQUAL = 11, 12, 0  # what systemd-analyze compare-versions exits with
TRY_LATER = 75  # EX_TEMPFAIL of sysexits.h


class RefusedError(Exception):
    """This update, or any update now, is not for this device."""


class UnreachableError(Exception):
    """The server cannot be reached, or breaks off: another try may help."""


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to HTTPS alone."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - the library's signature
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """Refuse what is not HTTPS."""
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise RefusedError(f"{req.full_url} redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener(authorities: Path) -> urllib.request.OpenerDirector:
    """Return what opens URLs: HTTPS, with certificates that these authorities signed, and nothing else."""
    context = ssl.create_default_context(cafile=str(authorities))
    found = urllib.request.OpenerDirector()  # without handlers for http, ftp, file and proxies
    for handler in (
        urllib.request.HTTPSHandler(context=context),
        _SecureRedirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        found.add_handler(handler)
    return found


def output(*command: str, timeout: int = 60) -> str:
    """Return what a program prints. Raises RefusedError where it fails or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().rpartition("\n")[2]
        raise RefusedError(f"{' '.join(command[:2])} fails: {said or error.returncode}") from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"{command[0]} gives no answer: {error}") from None
    return done.stdout


def parsed(text: str | bytes, what: str) -> dict[str, Any]:
    """Return JSON's object. Raises RefusedError where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RefusedError(f"{what} is no JSON object")
    return found


def compare(one: str, other: str) -> int:
    """Return 1, 0 or -1: whether a version is newer than, as new as, or older than another."""
    command = ("systemd-analyze", "compare-versions", one, other)
    try:
        status = subprocess.run(command, capture_output=True, timeout=60, check=False).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"{command[0]} gives no answer: {error}") from None
    if status not in (_NEWER, _OLDER, _EQUAL):
        raise RefusedError(f"{one} and {other} cannot be compared")
    return {_NEWER: 1, _OLDER: -1}.get(status, 0)


def ready(options: argparse.Namespace) -> bool:
    """Tell whether no install waits for its boot. Raises RefusedError unless the booted slot is good."""
    said = _SLOT.findall(options.command_line.read_text())
    good = parsed(options.good.read_bytes() if options.good.exists() else b"{}", str(options.good))
    if len(said) != 1 or good.get(said[0]) != str(options.system.resolve(strict=True)):
        raise RefusedError("the booted slot has not passed its health gate")
    status = parsed(output("rauc", "status", "--output-format=json"), "what rauc status prints")
    slots = status.get("slots")
    try:
        about = next(s[said[0]] for s in slots if said[0] in s)  # type: ignore[union-attr]
        state = about["state"], about["boot_status"]
    except (TypeError, KeyError, StopIteration):
        raise RefusedError("rauc status does not tell of the booted slot") from None
    if state != ("booted", "good"):
        raise RefusedError(f"RAUC does not call {said[0]} booted and good")
    if status.get("boot_primary") != said[0]:
        say(f"{status.get('boot_primary')} was installed and waits for the next boot")
        return False
    return True


def server_of(options: argparse.Namespace) -> str | None:
    """Return the server that the device's configuration names, else the host file's; None where neither does."""
    if options.settings is None or not options.settings.exists():
        named: str | None = options.server
        return named
    said = parsed(options.settings.read_bytes(), str(options.settings))
    server = said.get("server_url")
    if set(said) != {"server_url"} or not isinstance(server, str):
        raise RefusedError(f"{options.settings} must have server_url, a text, and nothing else")
    return server


def request(url: str, options: argparse.Namespace) -> urllib.request.Request:
    """Return a request that says who asks. Raises RefusedError for a URL that is not HTTPS."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        parts = urllib.parse.urlsplit("")
    if parts.scheme != "https" or not parts.hostname or not re.fullmatch("[!-~]+", url):
        raise RefusedError(f"{url!r} is no https URL")
    headers = {"User-Agent": "nixwright-update-client", "X-Current-Version": options.current}
    if options.interface is not None:
        with contextlib.suppress(OSError):
            address = (options.interfaces / options.interface / "address").read_text().strip()
            headers["X-Device-ID"] = address.replace(":", "")
    return urllib.request.Request(url, headers=headers)  # noqa: S310 - https, see above


def latest(server: str, options: argparse.Namespace, over: urllib.request.OpenerDirector) -> tuple[str, str] | None:
    """Return the version that the server offers and its bundle's URL; None where it has none."""
    at = f"{server.rstrip('/')}{_LATEST}"
    asked = request(at, options)
    with over.open(asked, timeout=_SILENCE) as answer:
        if answer.status == http.HTTPStatus.NO_CONTENT:
            return None
        text = answer.read(_ANSWER_LIMIT + 1)
    if len(text) > _ANSWER_LIMIT:
        raise RefusedError(f"{at} says more than {_ANSWER_LIMIT} bytes")
    said = parsed(text, f"what {at} says")
    version, url = said.get("version"), said.get("bundle_url")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise RefusedError(f"{at} names no version")
    if not isinstance(url, str):
        raise RefusedError(f"{at} names no bundle_url")
    request(url, options)  # refuses what is no https URL
    return version, url


def wanted(version: str, options: argparse.Namespace) -> bool:
    """Tell whether a version is to be installed; one that is not is told of."""
    order = compare(version, options.current)
    if order == 0:
        say(f"{options.current} is the latest version")
    elif order < 0 and not options.downgrade:
        say(f"{version} is older than {options.current}: left alone")
    elif tried(options) == version:
        say(f"{version} was installed before and fell back: left alone")
    else:
        return True
    return False


def tried(options: argparse.Namespace) -> str | None:
    """Return the version that was installed last."""
    try:
        said = json.loads(options.tried.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    version = said.get("version") if isinstance(said, dict) else None
    return version if isinstance(version, str) else None


def write(file: Any, piece: bytes) -> None:
    """Write all of a piece to an unbuffered file. Raises RefusedError where the disk is full, or broken."""
    left = memoryview(piece)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise RefusedError(f"{file.name} cannot be written: {error.strerror}") from None


def mark(url: str, headers: Any) -> list[str]:
    """Return what tells a bundle from another one that the same URL leads to; nothing where the server says nothing."""
    said = [headers.get(name, "") for name in ("ETag", "Last-Modified")]
    return [url, headers.get("Content-Length", ""), *said] if any(said) else []


def refused(options: argparse.Namespace) -> list[str]:
    """Return the mark of the bundle that was refused last."""
    try:
        said = json.loads(options.refused.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return said if isinstance(said, list) else []


def fetch(url: str, to: Path, options: argparse.Namespace, over: urllib.request.OpenerDirector) -> list[str]:
    """Fetch a URL into a file, and return the bundle's mark.

    Raises RefusedError where it is too large, or was refused before, UnreachableError where it ends early.
    """
    until = time.monotonic() + options.patience
    with over.open(request(url, options), timeout=_SILENCE) as answer, to.open("wb", buffering=0) as file:
        known = mark(url, answer.headers)
        if known and known == refused(options):
            raise RefusedError(f"{url} still has the bundle that was refused before")
        length = answer.headers.get("Content-Length", "")
        size = int(length) if length.isascii() and length.isdigit() else None
        if size is not None and size > options.limit:
            raise RefusedError(f"{url} has {size} bytes, more than {options.limit}")
        disk = os.statvfs(to.parent)
        room = disk.f_bavail * disk.f_frsize
        if size is not None and size > room:
            raise RefusedError(f"{url} has {size} bytes, and {to.parent} has room for {room}")
        got = 0
        while piece := answer.read(_PIECE):
            got += len(piece)
            if got > options.limit:
                raise RefusedError(f"{url} has more than {options.limit} bytes")
            if time.monotonic() > until:
                raise UnreachableError(f"{url} takes longer than {options.patience:g} s")
            write(file, piece)
        if size is not None and got != size:
            raise UnreachableError(f"{url} ends after {got} of {size} bytes")
        os.fsync(file.fileno())
    return known


def persistently(options: argparse.Namespace, what: Any, *arguments: Any) -> Any:
    """Call something that asks the server, again where that cannot be reached; the last failure is raised."""
    for left in reversed(range(options.attempts)):
        try:
            return what(*arguments)
        except (UnreachableError, OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                raise RefusedError(f"{error.url} answers {error.code}") from None
            if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
                raise RefusedError(f"the server's certificate is not trusted: {error}") from None
            say(f"no luck: {error}" + (f"; again in {options.pause:g} s" if left else ""))
            if not left:
                raise UnreachableError(str(error)) from None
        time.sleep(options.pause)
    raise UnreachableError("not asked")


def judge(bundle: Path, version: str, options: argparse.Namespace) -> None:
    """Raise RefusedError unless a bundle is signed, for this device, and of the version that was announced."""
    command = ("rauc", "info", f"--keyring={options.keyring}", "--output-format=json", str(bundle))
    about = parsed(output(*command, timeout=_INSTALL), "what rauc info prints")
    if about.get("compatible") != options.compatible:
        raise RefusedError(f"the bundle is for {about.get('compatible')}, and this is {options.compatible}")
    if about.get("version") != version:
        raise RefusedError(f"the bundle is of version {about.get('version')}, announced was {version}")


def write_down(path: Path, version: str) -> None:
    """Remember a version that was installed; a power cut leaves the old file or the new one."""
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump({"version": version}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def say(text: str) -> None:
    """Write a line to the journal."""
    print(text, flush=True)  # noqa: T201


def update(options: argparse.Namespace) -> None:
    """Look for an update and install it."""
    server = server_of(options)
    if server is None:
        say("no server is named")
        return
    if not ready(options):
        return
    over = opener(options.authorities)
    options.directory.mkdir(parents=True, exist_ok=True)
    bundle = options.directory / "update.raucb"
    try:
        offer = persistently(options, latest, server, options, over)
        if offer is None:
            say("the server has no update")
            return
        version, url = offer
        if not wanted(version, options):
            return
        known = persistently(options, fetch, url, bundle, options, over)
        try:
            judge(bundle, version, options)
        except RefusedError:
            options.refused.write_text(json.dumps(known), encoding="utf-8")
            raise
        output("rauc", "install", str(bundle), timeout=_INSTALL)
        write_down(options.tried, version)
    finally:
        bundle.unlink(missing_ok=True)  # whole or not, also what a power cut left
    say(f"{version} is installed: rebooting")
    output("systemctl", "reboot")


def main(arguments: list[str]) -> int:
    """Read the command line and go."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--server", help="https URL of the server of updates")
    parser.add_argument("--settings", type=Path, help="JSON of the device: another server")
    parser.add_argument("--current", required=True, metavar="VERSION", help="what runs")
    parser.add_argument("--compatible", required=True, help="what bundles must be for")
    parser.add_argument("--keyring", type=Path, required=True, help="who may sign bundles")
    parser.add_argument("--authorities", type=Path, required=True, help="who may sign the server's certificate")
    parser.add_argument("--good", type=Path, required=True, help="what the health gate wrote down")
    parser.add_argument(
        "--tried", type=Path, required=True, help="where the version that was installed is written down"
    )
    parser.add_argument(
        "--refused",
        type=Path,
        required=True,
        help="where a refused bundle is written down, until the next boot",
    )
    parser.add_argument("--directory", type=Path, required=True, help="where the bundle is kept meanwhile")
    parser.add_argument("--limit", type=int, required=True, metavar="BYTES", help="of a bundle")
    parser.add_argument("--downgrade", action="store_true", help="install older versions, too")
    parser.add_argument("--interface", help="whose address tells the server which device asks")
    parser.add_argument("--attempts", type=int, default=3, help="to reach the server")
    parser.add_argument("--pause", type=float, default=20, metavar="S", help="between two attempts")
    parser.add_argument("--patience", type=float, default=1800, metavar="S", help="for a bundle")
    parser.add_argument("--system", type=Path, default=Path("/run/booted-system"), help=argparse.SUPPRESS)
    parser.add_argument("--command-line", type=Path, default=Path("/proc/cmdline"), help=argparse.SUPPRESS)
    parser.add_argument("--interfaces", type=Path, default=Path("/sys/class/net"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        update(options)
    except UnreachableError as error:
        say(f"not updated: {error}")
        return TRY_LATER
    except (RefusedError, OSError) as error:
        say(f"not updated: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
