"""The update client as a program: a real HTTPS server with an authority of its own, and real bundles of real RAUC."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import ssl
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from bundles import Authority, bundle
from nixwright.parts.programs import update_client
from programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(update_client.__file__)
ASKED = "/api/v1/updates/latest"
RAUC = """#!/bin/sh
case "$1 $2" in
  "status --output-format=json") cat "$DEVICE/status";;
  install*) [ -e "$DEVICE/deaf" ] && { echo "LastError: no" >&2; exit 1; }; cp "$2" "$DEVICE/installed";;
  *) exec REAL "$@";;
esac
"""
SYSTEMCTL = '#!/bin/sh\n[ "$1" = reboot ] && touch "$DEVICE/rebooted"\n'


@dataclass(slots=True)
class Server:
    """What the server says: for a path a status, headers and a body; and what it was asked."""

    port: int = 0
    answers: dict[str, list[tuple[int, dict[str, str], bytes]]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def says(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer a path; several answers come one after another, the last one again and again."""
        self.answers.setdefault(path, []).append((status, headers, body))

    def offers(self, version: str, url: str | None = None) -> None:
        """Offer a version."""
        said = {"version": version, "bundle_url": url or self.url("/update.raucb")}
        self.answers[ASKED] = [(200, {}, json.dumps(said).encode())]

    def url(self, path: str, scheme: str = "https") -> str:
        """A URL of this server."""
        return f"{scheme}://localhost:{self.port}{path}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs bundles, and the server's certificate."""
    need("openssl", "rauc", "mksquashfs")
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def new(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A bundle of version 1.10.0."""
    return bundle(authority, tmp_path_factory.mktemp("bundle"), version="1.10.0").read_bytes()


@pytest.fixture
def server(authority: Authority) -> Iterator[Server]:
    """A server that answers what it was told to."""
    found = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            those = found.answers.get(self.path, [(404, {}, b"")])
            status, headers, body = those.pop(0) if len(those) > 1 else those[0]
            self.send_response(status)
            for name, value in ({"Content_Length": str(len(body))} | headers).items():
                if value:
                    self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that breaks off is what is tested

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server)
    with Quiet(("localhost", 0), Handler) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        found.port = running.server_address[1]
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield found
        running.shutdown()
        thread.join()


@dataclass(frozen=True, slots=True)
class Answer:
    """How the program ended, and what it said."""

    returncode: int
    stdout: str


@dataclass(frozen=True, slots=True)
class Device:
    """A directory that stands for a device of version 1.9.3."""

    at: Path
    server: Server
    authority: Authority

    def status(self, **changes: str) -> None:
        """Have RAUC say of the booted slot what it says, but for some changes."""
        about = {"class": "boot", "bootname": "A", "state": "booted", "boot_status": "good"} | changes
        primary = about.pop("primary", "boot.0")
        said = {"booted": "boot.0", "boot_primary": primary, "slots": [{"boot.0": about}, {"rootfs.0": {}}]}
        (self.at / "status").write_text(json.dumps(said))

    def arguments(self, current: str = "1.9.3", limit: int = 100_000_000) -> list[str]:
        """The program's command line."""
        files = {"system": "running", "command-line": "cmdline", "interfaces": "net", "settings": "updates.json"}
        files |= {"good": "good.json", "tried": "tried.json", "refused": "refused.json", "directory": "bundles"}
        return [
            *(f"--server={self.server.url('')}/", f"--current={current}"),
            *("--compatible=gw", f"--keyring={self.authority.certificate}", f"--limit={limit}"),
            *(f"--authorities={self.authority.certificate}", "--interface=wan", "--attempts=3", "--pause=0.1"),
            *(f"--{name}={self.at / file}" for name, file in files.items()),
        ]

    def run(self, *more: str, current: str = "1.9.3", limit: int = 100_000_000) -> Answer:
        """Run the program to its end, in this process."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = update_client.main([*self.arguments(current, limit), *more])
        assert not list((self.at / "bundles").glob("*")), "what was fetched is still there"
        return Answer(status, out.getvalue())

    @property
    def installed(self) -> bytes | None:
        """What RAUC was told to install."""
        path = self.at / "installed"
        return path.read_bytes() if path.exists() else None

    @property
    def rebooted(self) -> bool:
        """Whether it was told to."""
        return (self.at / "rebooted").exists()

    @property
    def tried(self) -> Any:
        """The version that is written down."""
        path = self.at / "tried.json"
        return json.loads(path.read_text())["version"] if path.exists() else None


@pytest.fixture
def device(tmp_path: Path, server: Server, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Device:
    """A device whose slot passed its health gate."""
    need("systemd-analyze")
    programs = tmp_path / "bin"
    programs.mkdir()
    real = subprocess.run(["sh", "-c", "command -v rauc"], capture_output=True, text=True, check=True).stdout.strip()
    for name, text in {"systemctl": SYSTEMCTL, "rauc": RAUC.replace("REAL", real)}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DEVICE", str(tmp_path))
    (tmp_path / "this-system").mkdir()
    (tmp_path / "running").symlink_to("this-system")
    (tmp_path / "cmdline").write_text("rauc.slot=boot.0\n")
    (tmp_path / "good.json").write_text(json.dumps({"boot.0": str(tmp_path / "this-system")}))
    (tmp_path / "net/wan").mkdir(parents=True)
    (tmp_path / "net/wan/address").write_text("02:00:5e:10:00:01\n")
    found = Device(tmp_path, server, authority)
    found.status()
    return found


def test_a_newer_version_is_installed(device: Device, server: Server, new: bytes) -> None:
    server.offers("1.10.0")  # newer than 1.9.3, though no text order says so
    server.says("/update.raucb", new)
    argv = [sys.executable, str(PROGRAM), *device.arguments()]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1.10.0 is installed: rebooting\n")
    assert device.installed == new
    assert device.rebooted
    assert device.tried == "1.10.0"
    path, headers = server.asked[0]
    assert path == ASKED
    assert headers["x-device-id"] == "02005e100001"
    assert headers["x-current-version"] == "1.9.3"


@pytest.mark.parametrize(
    ("current", "offered", "said"),
    [
        ("1.10.0", "1.10.0", "1.10.0 is the latest version"),
        ("1.10.0", "1.9.3", "1.9.3 is older than 1.10.0: left alone"),
        ("1.10.0", "1.10.0~rc1", "1.10.0~rc1 is older than 1.10.0: left alone"),
        ("26.05.20261101.abc", "26.05.20261002.fff", "26.05.20261002.fff is older than 26.05.20261101.abc: left alone"),
    ],
)
def test_no_other_version_is(device: Device, server: Server, current: str, offered: str, said: str) -> None:
    server.offers(offered)
    done = device.run(current=current)
    assert (done.returncode, done.stdout) == (0, f"{said}\n")
    assert [path for path, _ in server.asked] == [ASKED]


def test_an_older_version_where_it_is_asked_for(device: Device, server: Server, new: bytes) -> None:
    server.offers("1.10.0")
    server.says("/update.raucb", new)
    assert device.run("--downgrade", current="2.0.0").returncode == 0
    assert device.installed == new


def test_what_fell_back_is_not_installed_again(device: Device, server: Server, new: bytes) -> None:
    server.offers("1.10.0")
    server.says("/update.raucb", new)
    (device.at / "tried.json").write_text('{"version": "1.10.0"}')
    done = device.run()
    assert (done.returncode, done.stdout) == (0, "1.10.0 was installed before and fell back: left alone\n")
    assert device.installed is None
    (device.at / "tried.json").write_text('{"version": "1.9.9"')
    assert device.run().returncode == 0
    assert device.installed == new


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: (d.at / "good.json").write_text('{"boot.0": "/nix/store/older"}'), "has not passed its health gate"),
        (lambda d: (d.at / "good.json").write_text('{"boot.1": "x"}'), "has not passed its health gate"),
        (lambda d: (d.at / "good.json").unlink(), "has not passed its health gate"),
        (lambda d: (d.at / "good.json").write_text("[]"), "good.json is no JSON object"),
        (lambda d: (d.at / "cmdline").write_text("quiet"), "has not passed its health gate"),
        (lambda d: d.status(boot_status="bad"), "RAUC does not call boot.0 booted and good"),
        (lambda d: d.status(state="inactive"), "RAUC does not call boot.0 booted and good"),
        (lambda d: (d.at / "status").write_text("{}"), "rauc status does not tell of the booted slot"),
        (lambda d: (d.at / "status").write_text("{"), "what rauc status prints is no JSON object"),
        (lambda d: (d.at / "updates.json").write_text('{"server_url": 7}'), "must have server_url"),
        (lambda d: (d.at / "updates.json").write_text('{"server_url": "https://x", "y": 1}'), "must have server_url"),
        (lambda d: (d.at / "updates.json").write_text('{"server_url": "http://localhost"}'), "is no https URL"),
        (lambda d: (d.at / "updates.json").write_text('{"server_url": "https://a b"}'), "is no https URL"),
    ],
)
def test_a_device_that_is_not_ready_asks_nobody(device: Device, server: Server, change: Any, said: str) -> None:
    server.offers("1.10.0")
    change(device)
    done = device.run()
    assert done.returncode == 1
    assert said in done.stdout
    assert not server.asked


def test_an_install_that_waits_for_its_boot_is_left_alone(device: Device, server: Server) -> None:
    device.status(primary="boot.1")
    done = device.run()
    assert (done.returncode, done.stdout) == (0, "boot.1 was installed and waits for the next boot\n")
    assert not server.asked


def test_the_server_that_the_device_was_told(device: Device, server: Server) -> None:
    server.says("/own/api/v1/updates/latest", b"", 204)
    (device.at / "updates.json").write_text(json.dumps({"server_url": server.url("/own")}))
    done = device.run()
    assert (done.returncode, done.stdout) == (0, "the server has no update\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is no JSON object"),
        (b"[]", "is no JSON object"),
        (b'{"version": "1.10.0"', "is no JSON object"),
        (b"\xff\xfe", "is no JSON object"),
        (b"[" * 60_000, "is no JSON object"),
        (b" " * 70_000, "says more than 65536 bytes"),
        (b'{"version": 2, "bundle_url": "https://localhost/"}', "names no version"),
        (b'{"version": "--help", "bundle_url": "https://localhost/"}', "names no version"),
        (b'{"version": "2 0", "bundle_url": "https://localhost/"}', "names no version"),
        (b'{"version": "2.0"}', "names no bundle_url"),
        (b'{"version": "2.0", "bundle_url": "http://localhost/"}', "is no https URL"),
        (b'{"version": "2.0", "bundle_url": "file:///etc/passwd"}', "is no https URL"),
        (b'{"version": "2.0", "bundle_url": "https://[::1/"}', "is no https URL"),
        (b'{"version": "2.0", "bundle_url": "https://localhost/a\\r\\nX: y"}', "is no https URL"),
        (b'{"version": "2.0", "bundle_url": "/update.raucb"}', "is no https URL"),
    ],
)
def test_an_answer_that_is_none_is_refused(device: Device, server: Server, body: bytes, said: str) -> None:
    server.says(ASKED, body)
    done = device.run()
    assert done.returncode == 1
    assert said in done.stdout
    assert device.installed is None
    assert len(server.asked) == 1


@pytest.mark.parametrize("path", [ASKED, "/update.raucb"])
def test_redirects_lead_to_https_alone(device: Device, server: Server, path: str, new: bytes) -> None:
    server.offers("1.10.0")
    if path == ASKED:
        server.says("/elsewhere", server.answers.pop(ASKED)[0][2])
        server.says("/update.raucb", new)
    else:
        server.says("/elsewhere", new)
    server.says(path, b"", 302, Location=server.url("/elsewhere", "http"))
    done = device.run()
    assert done.returncode == 1
    assert "which is not https" in done.stdout
    assert device.installed is None
    server.answers[path] = [(302, {"Location": server.url("/elsewhere")}, b"")]
    assert device.run().returncode == 0
    assert device.installed == new


def test_a_server_of_another_authority_is_refused(device: Device, server: Server, tmp_path: Path) -> None:
    server.offers("1.10.0")
    other = Authority.make(tmp_path / "other")
    done = device.run(f"--authorities={other.certificate}")
    assert done.returncode == 1
    assert "the server's certificate is not trusted" in done.stdout
    assert not server.asked


def test_it_tries_again(device: Device, server: Server, new: bytes) -> None:
    server.offers("1.10.0")
    server.answers[ASKED].insert(0, (503, {}, b"later"))
    server.says("/update.raucb", new[: len(new) // 2], Content_Length=str(len(new)))
    server.says("/update.raucb", new)
    done = device.run()
    assert done.returncode == 0
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "no luck",
        "no luck",
        "1.10.0 is installed",
    ]
    assert device.installed == new


def test_a_server_that_cannot_be_reached_is_no_failure(device: Device, server: Server) -> None:
    server.says(ASKED, b"", 503)
    done = device.run()
    assert done.returncode == 75
    assert len(server.asked) == 3
    assert device.run(f"--server={server.url('').replace(str(server.port), '1')}").returncode == 75
    server.answers[ASKED] = [(404, {}, b"")]
    assert device.run().returncode == 1


def test_what_ends_early_is_removed(device: Device, server: Server, new: bytes) -> None:
    server.offers("1.10.0")
    server.says("/update.raucb", new[:-1], Content_Length=str(len(new)))
    assert device.run().returncode == 75
    assert device.installed is None


@pytest.mark.parametrize("length", ["told", "lied about", "untold"])
def test_what_is_too_large_is_refused(device: Device, server: Server, new: bytes, length: str) -> None:
    server.offers("1.10.0")
    told = {"told": str(len(new)), "lied about": "10", "untold": ""}[length]
    server.says("/update.raucb", new, Content_Length=told)
    done = device.run(limit=len(new) - 1)
    assert done.returncode == 1
    assert device.installed is None
    assert ("rauc info fails" if length == "lied about" else f"more than {len(new) - 1}") in done.stdout


def test_a_full_disk_is_no_server_that_cannot_be_reached(device: Device, server: Server, new: bytes) -> None:
    server.offers("1.10.0")
    server.says("/update.raucb", new)
    (device.at / "bundles").mkdir()
    (device.at / "bundles/update.raucb").symlink_to("/dev/full")
    done = device.run()
    assert done.returncode == 1
    assert "update.raucb cannot be written: No space left on device" in done.stdout
    assert [path for path, _ in server.asked] == [ASKED, "/update.raucb"]


def test_what_has_no_room_is_not_fetched(
    device: Device, server: Server, new: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.offers("1.10.0")
    server.says("/update.raucb", new)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=2, f_frsize=4096))
    done = device.run()
    assert done.returncode == 1
    assert f"has {len(new)} bytes, and {device.at}/bundles has room for 8192" in done.stdout


def test_what_a_power_cut_left_is_removed(device: Device, server: Server) -> None:
    (device.at / "bundles").mkdir()
    (device.at / "bundles/update.raucb").write_bytes(b"half")
    server.says(ASKED, b"", 204)
    assert device.run().returncode == 0  # run looks that nothing is left


@pytest.mark.parametrize("wrong", ["authority", "compatible", "version", "truncated", "bytes"])
def test_a_bundle_that_is_not_right_is_never_installed(
    device: Device, server: Server, authority: Authority, tmp_path: Path, wrong: str
) -> None:
    signer = Authority.make(tmp_path / "other") if wrong == "authority" else authority
    version = "1.0.0" if wrong == "version" else "1.10.0"  # an old bundle, announced as a new one
    made = bundle(signer, tmp_path / "made", version=version, compatible="other" if wrong == "compatible" else "gw")
    data = made.read_bytes()
    if wrong == "truncated":
        data = data[:-100]
    if wrong == "bytes":
        data = os.urandom(len(data))
    server.offers("1.10.0")
    server.says("/update.raucb", data)
    done = device.run()
    assert done.returncode == 1
    said = {
        "compatible": "the bundle is for other, and this is gw",
        "version": "is of version 1.0.0, announced was 1.10.0",
    }
    assert said.get(wrong, "rauc info fails") in done.stdout
    assert device.installed is None
    assert device.tried is None


@pytest.mark.parametrize("told", ["ETag", "Last_Modified", "nothing"])
def test_a_refused_bundle_is_fetched_again_only_once_it_is_another(
    device: Device, server: Server, tmp_path: Path, new: bytes, told: str
) -> None:
    server.offers("1.10.0")
    wrong = bundle(device.authority, tmp_path / "made", version="1.10.0", compatible="other").read_bytes()
    server.answers["/update.raucb"] = [(200, {} if told == "nothing" else {told: "one"}, wrong)]
    assert "the bundle is for other" in device.run().stdout
    again = device.run()
    assert again.returncode == 1
    assert ("still has the bundle that was refused before" in again.stdout) == (told != "nothing")
    server.answers["/update.raucb"] = [(200, {} if told == "nothing" else {told: "two"}, new)]
    assert device.run().returncode == 0
    assert device.installed == new


def test_an_install_that_fails_may_be_tried_again(device: Device, server: Server, new: bytes) -> None:
    server.offers("1.10.0")
    server.says("/update.raucb", new)
    (device.at / "deaf").touch()
    done = device.run()
    assert (done.returncode, done.stdout) == (1, "not updated: rauc install fails: LastError: no\n")
    assert device.tried is None
    assert not device.rebooted
