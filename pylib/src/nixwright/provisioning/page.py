"""The page on the LAN, and what machines say to it: who was never told takes a form, then only what is signed.

    GET  /           the form, or that the device was told     GET  /health     provisioned or not
    POST /apply      the form; 404 once it was told            GET  /jobs/ID    how far a promotion is
    GET  /nonce      what a signed request must name           GET  /config     config.toml, signed
    POST /config     another source, signed: 202 and a job     POST /validate   what would be said of it, signed
    PUT, DELETE, PATCH /config/...   one table of it, signed: `nixwright.provisioning.edit`

A signed request has the headers of `signed.py`; without them, or with others, it is 401.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import ipaddress
import json
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nixwright.provisioning.activation import take
from nixwright.provisioning.bundle import LIMITS, read_source
from nixwright.provisioning.derived import LONGEST, SOURCE, parse
from nixwright.provisioning.edit import Edit, edit_of, way_of
from nixwright.provisioning.form import form_fields, page_of_form, page_of_job, page_of_known
from nixwright.provisioning.shape import RefusedError
from nixwright.provisioning.signed import NONCE_HEADER, SIGNATURE_HEADER, Nonces, message, signer
from nixwright.provisioning.sources import told_wrong
from nixwright.provisioning.store import ActivationError, current

if TYPE_CHECKING:
    from collections.abc import Callable

    from nixwright.provisioning.device import Device

_MOST_AT_ONCE = 16  # connections
_MOST_JOBS = 16  # that are remembered
_BODY_SECONDS = 120.0
_FORM_EXTRA = 64 * 1024  # of a form, beside its file
_CHUNK_SIZE = 64 * 1024
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Job:
    """One promotion, or one look at a source: what was said of it, and how it ended."""

    def __init__(self) -> None:
        self.state = "running"
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)
        print(text, flush=True)  # noqa: T201 - the journal


class Site:
    """What all requests share."""

    def __init__(self, device: Device, run: Path) -> None:
        """Begin with a token for the form and no nonces."""
        self.device = device
        self.run = run
        self.token = secrets.token_urlsafe(32)
        self.nonces = Nonces()
        self.uploads = threading.Lock()
        self.jobs: dict[str, _Job] = {}

    @property
    def told(self) -> bool:
        """Whether the device knows who it is."""
        return current(Path(self.device.directory)) is not None

    def start(self, source: Path | Edit, *, apply: bool, first: bool = False) -> str:
        """Look at a source, and put it in force where that is asked for; return the job. The source is removed."""
        name, job = secrets.token_urlsafe(12), _Job()
        self.jobs = {**dict([*self.jobs.items()][-_MOST_JOBS + 1 :]), name: job}
        threading.Thread(
            target=self._work, args=(job, source), kwargs={"apply": apply, "first": first}, daemon=True
        ).start()
        return name

    def _work(self, job: _Job, source: Path | Edit, *, apply: bool, first: bool) -> None:
        state = "failed"
        try:
            if apply or isinstance(source, Edit):
                take(source, self.device, job.say, first=first)
            else:
                check(source, self.device, self.run)
                job.say("the configuration is right")
            state = "done"
        except (RefusedError, ActivationError) as error:
            job.say(told_wrong(error))
        except OSError as error:
            job.say(f"cannot be done: {error.strerror}")
        finally:
            if isinstance(source, Path):
                source.unlink(missing_ok=True)
            job.state = state


def check(source: Path, device: Device, run: Path) -> None:
    """Look at a source without any effect. Raises RefusedError with all that is wrong."""
    room = Path(tempfile.mkdtemp(prefix="check-", dir=run))
    try:
        parse(read_source(source, room), device)
    finally:
        shutil.rmtree(room, ignore_errors=True)


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = 30  # seconds that a client may be silent
    server_version = "nixwright"
    sys_version = ""
    site: ClassVar[Site]

    def do_GET(self) -> None:
        """Answer what changes nothing."""
        site, path = self.site, self.path
        if not self._is_ours():
            self._say(403, {"error": "ask for the device by its address"})
        elif path == "/":
            self._page(200, self._front())
        elif path == "/health":
            self._say(200, {"provisioned": site.told})
        elif path == "/nonce":
            nonce = site.nonces.give(str(self.client_address[0]))
            self._say(200 if nonce else 429, {"nonce": nonce} if nonce else {"error": "too many: wait"})
        elif path.startswith("/jobs/") and path[6:] in site.jobs:
            self._job(site.jobs[path[6:]])
        elif path == "/config":
            if self._signed(hashlib.sha256().hexdigest()) and site.told:
                self._send(200, "application/toml", Path(site.device.directory, SOURCE).read_bytes())
        else:
            self._say(404, {"error": "there is nothing here"})

    def do_POST(self) -> None:
        """Take a source."""
        routes: dict[str, Callable[[Path, str], None]] = {
            "/apply": self._apply,
            "/config": lambda body, digest: self._other(body, digest, apply=True),
            "/validate": lambda body, digest: self._other(body, digest, apply=False),
        }
        there = self.path in routes and not (self.path == "/apply" and self.site.told)
        self._take(routes[self.path] if there else None, LIMITS.source + _FORM_EXTRA)

    def do_PUT(self) -> None:
        """Change one table of the configuration."""
        way = way_of(self.command, self.path)
        self._take(None if way is None else partial(self._edit, way), LONGEST)

    do_DELETE = do_PATCH = do_PUT  # noqa: N815 - as http.server calls them

    def _take(self, route: Callable[[Path, str], None] | None, most: int) -> None:
        """Receive a body of so many bytes at most, and give it to what deals with it; None is nothing that is there."""
        if not self._is_ours():
            self._refuse(403, "ask for the device by its address")
        elif route is None:
            self._refuse(404, "there is nothing here")
        elif not (self.headers.get("Content-Length") or ("0" if self.command == "DELETE" else "")).isdecimal():
            self._say(411, {"error": "the length of the body is missing"})
        elif not self.site.uploads.acquire(timeout=_BODY_SECONDS):
            self._refuse(503, "another is being received: try again")
        else:
            body = self._new("body-")
            try:
                digest = self._body(body, most)
                if digest is not None:
                    route(body, digest)
            finally:
                body.unlink(missing_ok=True)
                self.site.uploads.release()

    def _is_ours(self) -> bool:
        """Tell whether the host that the browser asked for is no name of somebody else's who points it here."""
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return bool(host) and "." not in host
        return True

    def _body(self, into: Path, most: int) -> str | None:
        """Receive a body; return its digest, or None where it was refused."""
        left = int(self.headers.get("Content-Length") or 0)
        if left > most:
            self._refuse(413, f"is too large: at most {most} bytes")
            return None
        digest = hashlib.sha256()
        end = time.monotonic() + _BODY_SECONDS
        with into.open("wb") as file:
            while left:
                data = self._some(min(left, _CHUNK_SIZE))
                if not data or time.monotonic() > end:
                    self._say(408, {"error": "the body did not arrive"})
                    return None
                digest.update(data)
                file.write(data)
                left -= len(data)
        return digest.hexdigest()

    def _some(self, size: int) -> bytes:
        """Return what has arrived, up to so many bytes; nothing at its end."""
        return self.rfile.read1(size) if isinstance(self.rfile, io.BufferedReader) else self.rfile.read(size)

    def _apply(self, body: Path, _digest: str) -> None:
        """Take the form of a device that was never told."""
        fields = form_fields(self.headers.get("Content-Type") or "", body.read_bytes())
        if not hmac.compare_digest(fields.get("token", b""), self.site.token.encode()):
            self._say(403, {"error": "this form is of another time: load the page again"})
            return
        text = fields.get("text", b"").replace(b"\r\n", b"\n")
        source = fields.get("file") or text
        job = self.site.start(self._kept(source), apply=fields.get("do") == b"apply", first=True)
        self.send_response(303)
        self.send_header("Location", f"/jobs/{job}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _other(self, body: Path, digest: str, *, apply: bool) -> None:
        """Take another source from who may give it."""
        if self._signed(digest):
            job = self.site.start(self._kept(body.read_bytes()), apply=apply)
            self._say(202, {"job": f"/jobs/{job}"})

    def _edit(self, way: tuple[str, ...], body: Path, digest: str) -> None:
        """Take the change of one table from who may make it."""
        if self._signed(digest):
            try:
                edit = edit_of(self.command, way, body.read_bytes())
            except RefusedError as error:
                self._say(400, {"error": told_wrong(error)})
            else:
                self._say(202, {"job": f"/jobs/{self.site.start(edit, apply=True)}"})

    def _kept(self, data: bytes) -> Path:
        path = self._new("source-")
        path.write_bytes(data)
        return path

    def _new(self, prefix: str) -> Path:
        handle, name = tempfile.mkstemp(prefix=prefix, dir=self.site.run)
        os.close(handle)
        return Path(name)

    def _signed(self, digest: str) -> bool:
        """Tell whether an admin signed this very request; else answer it."""
        nonce, signature = self.headers.get(NONCE_HEADER) or "", self.headers.get(SIGNATURE_HEADER) or ""
        who = None
        if self.site.nonces.use(nonce):  # used up, whatever the signature says
            said = message(nonce, self.command, self.path, digest)
            who = signer(signature, said, Path(self.site.device.directory, "admin-signers"))
        if who is None:
            self._say(401, {"error": "not signed by an admin of this device, or not with a nonce of it"})
            return False
        print(f"{self.command} {self.path} signed by {who}", flush=True)  # noqa: T201 - the journal
        return True

    def _front(self) -> str:
        device = self.site.device
        if self.site.told:
            return page_of_known(device.name, self.headers["Host"])
        refused = self.site.run / "refused"
        return page_of_form(device.name, self.site.token, refused.read_text("utf-8") if refused.is_file() else "")

    def _job(self, job: _Job) -> None:
        if "text/html" in (self.headers.get("Accept") or ""):
            self._page(200, page_of_job(self.site.device.name, job.state, job.said))
        else:
            self._say(200, {"state": job.state, "said": job.said})

    def _refuse(self, status: int, error: str) -> None:
        """Answer without having read the body: some of it is, so that the answer arrives."""
        length = self.headers.get("Content-Length") or ""
        left = min(int(length), LIMITS.source) if length.isdecimal() and len(length) < 12 else 0  # noqa: PLR2004
        end = time.monotonic() + _BODY_SECONDS
        while left and time.monotonic() < end and (data := self._some(min(left, _CHUNK_SIZE))):
            left -= len(data)
        self._say(status, {"error": error})

    def _say(self, status: int, said: dict[str, Any]) -> None:
        self._send(status, "application/json", (json.dumps(said) + "\n").encode())

    def _page(self, status: int, text: str) -> None:
        self._send(status, "text/html; charset=utf-8", text.encode())

    def _send(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        """Tell the journal who asked for what; never a body, never a header."""
        said = (format % args).encode("ascii", "backslashreplace").decode()
        print(f"{self.client_address[0]} {said[:200]}", flush=True)  # noqa: T201 - the journal


class _Server(ThreadingHTTPServer):
    """A server that serves so many at once, and turns the rest away."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, handler: type[_Handler]) -> None:
        super().__init__(listening.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        print(f"{client_address[0]} went away", flush=True)  # noqa: T201 - the journal


def serve(device: Device, run: Path, address: str, port: int) -> None:
    """Serve until the process ends: on the socket that systemd hands over, else on an address of one's own."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1":
        listening = socket.socket(fileno=3)
    else:
        listening = socket.create_server((address, port))
    site = Site(device, run)
    handler = type("Handler", (_Handler,), {"site": site})
    server = _Server(listening, handler)
    print(f"the page is at http://{address or device.lan_address}:{listening.getsockname()[1]}/", flush=True)  # noqa: T201
    server.serve_forever()
