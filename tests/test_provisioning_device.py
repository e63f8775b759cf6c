from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import pwd
import socket
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nixwright.parts.provisioning import program_text
from nixwright.provisioning import activation, sources
from nixwright.provisioning.bundle import LIMITS, Limits, read_source
from nixwright.provisioning.derived import LONGEST, WrongConfigError, parse
from nixwright.provisioning.form import form_fields
from nixwright.provisioning.shape import RefusedError
from nixwright.provisioning.signed import MOST, MOST_OF_ONE, SECONDS, Nonces, message, signer
from nixwright.provisioning.store import ActivationError, current, locked, recover
from nixwright.provisioning.users import apply_users
from programs import need
from provisioning_example import DEVICE, SECRET, SMALL, WHOLE, archive, packed
from provisioning_server import Served, key, put, server, signed, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from nixwright.provisioning.device import Device

HERE = Path(__file__).parent
NAMES = st.text(alphabet="abz-_é ", min_size=1, max_size=120).filter(lambda name: name.strip() == name)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return replace(DEVICE, directory=str(tmp_path / "config"))


def told(directory: Path) -> dict[str, Any]:
    return {p.name: p.read_text("utf-8") for p in directory.iterdir() if p.is_file() and not p.name.startswith(".")}


def works(monkeypatch: pytest.MonkeyPatch, *, broken: str = "") -> list[str]:
    """Stand in for systemd: everything is active, but what is broken."""
    asked: list[str] = []

    def systemctl(user: str, *words: str, seconds: float = 30) -> str | None:
        asked.append(" ".join([*([f"{user}@"] if user else []), *words]))
        wrong = bool(broken) and words[-1] == broken and seconds > 0
        if "--property=ActiveState" in words:
            return f"ActiveState={'failed' if wrong else 'active'}\nJob=\n"
        if words[0] == "show":
            return "exit-code\n" if wrong else "success\n"
        return None if wrong else ""

    monkeypatch.setattr(activation, "_systemctl", systemctl)
    monkeypatch.setattr(activation, "_failed", lambda _device: f": {broken} failed" if broken else "")
    monkeypatch.setattr(activation, "_STEP", 0.01)
    return asked


def test_a_promotion_and_what_it_asks_for(device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, said = works(monkeypatch), list[str]()
    directory = Path(device.directory)
    assert activation.take(
        put(tmp_path / "a", WHOLE.replace("settle_seconds = 1", "settle_seconds = 0")), device, said.append
    )
    assert asked == [
        "restart provisioned.target",
        "appsvc@ show --property=ActiveState --property=Job web.service",
        "appsvc@ show --property=ActiveState --property=Job web.service",
        "show --property=Result --value dns.service",  # neither required nor allowed to be degraded
    ]
    assert (directory / "config.toml").stat().st_mode & 0o777 == 0o600
    assert json.loads((directory / "health-required.json").read_text("utf-8")) == ["appsvc@web.service"]
    assert not (directory / "pending").exists()
    asked.clear()
    assert not activation.take(tmp_path / "a", device, said.append)
    assert asked == []
    assert said[-1] == "this is the configuration in force: nothing to do"
    assert SECRET not in "\n".join(said)


@pytest.mark.parametrize("broken", ["provisioned.target", "web.service", "dns.service"])
def test_what_does_not_work_is_taken_back(
    broken: str, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(monkeypatch)
    text = WHOLE.replace("settle_seconds = 1", "settle_seconds = 0").replace(
        "timeout_seconds = 20", "timeout_seconds = 1"
    )
    activation.take(put(tmp_path / "a", text), device, print)
    before = told(Path(device.directory))
    asked = works(monkeypatch, broken=broken)
    other = put(tmp_path / "b", text + "# another\n")
    with pytest.raises(ActivationError, match=broken):
        activation.take(other, device, print)
    assert told(Path(device.directory)) == before
    assert asked.count("restart provisioned.target") == 2
    assert recover(Path(device.directory)) == ""


def test_what_ends_at_once_is_taken_back(device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works(monkeypatch)
    systemctl, states = activation._systemctl, ["activating", "active", "active", "deactivating"]

    def short(user: str, *words: str, seconds: float = 30) -> str | None:
        if states and "--property=ActiveState" in words:
            return f"ActiveState={states.pop(0)}\n"
        return systemctl(user, *words, seconds=seconds)

    monkeypatch.setattr(activation, "_systemctl", short)
    with pytest.raises(ActivationError, match=r"failed: appsvc@web\.service"):
        activation.take(put(tmp_path / "a", SMALL.replace("settle_seconds = 0\n", "")), device, print)
    assert current(Path(device.directory)) is None


def test_a_containers_user_is_asked_as_that_user(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def run(argv: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        asked.append((" ".join(argv), how.get("user"), how.get("group"), how.get("env", {}).get("XDG_RUNTIME_DIR")))
        return subprocess.CompletedProcess(argv, 0, answers.pop(0), "")

    monkeypatch.setattr("subprocess.run", run)
    # systemd shows a job as its number, and none as nothing
    answers = [
        f"ActiveState={said}\n" for said in ("active\nJob=", "active", "active\nJob=7", "deactivating\nJob=8", "")
    ]
    own, nobody = replace(device, containers_user="nobody"), pwd.getpwnam("nobody")
    assert activation._is_active("nobody@web.service", own)
    assert activation._is_active("dns.service", own)
    number, show = nobody.pw_uid, "show --property=ActiveState --property=Job"
    assert asked == [
        (f"systemctl --user {show} web.service", number, nobody.pw_gid, f"/run/user/{number}"),
        (f"systemctl {show} dns.service", None, None, None),
    ]
    # one that is about to be restarted is that of before
    assert [activation._is_active("dns.service", own) for _ in list(answers)] == [False, False, False]
    # whose user is not there, nothing of theirs is active
    assert not activation._is_active("none-such@web.service", replace(device, containers_user="none-such"))


def test_a_first_one_that_does_not_work_leaves_a_device_that_was_never_told(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(monkeypatch, broken="provisioned.target")
    with pytest.raises(ActivationError):
        activation.take(put(tmp_path / "a", SMALL), device, print)
    assert current(Path(device.directory)) is None
    assert not (Path(device.directory) / "config.toml").exists()


def test_a_number_stays_a_users(device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works(monkeypatch)
    users = Path(device.directory, "users.json")
    numbers = []
    for text in (WHOLE, WHOLE.replace("[users.bob]", "[users.aaron]"), WHOLE):
        activation.take(put(tmp_path / "a", text.replace("settle_seconds = 1", "settle_seconds = 0")), device, print)
        numbers.append({name: user["uid"] for name, user in json.loads(users.read_text("utf-8")).items()})
    assert numbers == [{"ada": 20000, "bob": 20001}, {"ada": 20000, "aaron": 20002}, {"ada": 20000, "bob": 20001}]


def test_two_at_once(device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works(monkeypatch)
    inner: list[str] = []

    def again(_text: str) -> None:
        if not inner:
            inner.append("")
            with pytest.raises(RefusedError, match="another configuration is being applied"):
                activation.take(tmp_path / "a", device, print)
            inner.append("refused")

    assert activation.take(put(tmp_path / "a", SMALL), device, again)
    assert inner == ["", "refused"]


def test_something_of_another_kind_in_the_way_is_not_lost(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(monkeypatch)
    directory = Path(device.directory)
    (directory / "ssh-authorized-keys").mkdir(parents=True)  # empty, as the image may make it
    (directory / "openvpn").mkdir()
    put(directory / "openvpn" / "client.conf", "remote")
    put(directory / "lan.json", "{}")
    with pytest.raises(RefusedError, match="is in the way"):
        activation.take(put(tmp_path / "a", SMALL), device, print)
    (directory / "lan.json").unlink()
    assert activation.take(tmp_path / "a", device, print)
    assert (directory / "openvpn" / "client.conf").read_text("utf-8") == "remote"


def trials(*words: str) -> dict[str, Any]:
    """Run the trials in a process of their own: they fork, and measure memory."""
    need("zstd")
    argv = [sys.executable, str(HERE / "provisioning_trials.py"), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=HERE)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_files_and_bundles_with_mistakes() -> None:
    found = trials("--files", "250", "--seed", "70000")
    assert found["taken"] > 20
    assert found["refused"] > 100


def test_kills_leave_the_old_or_the_new(tmp_path: Path) -> None:
    found = trials("--kills", "20", "--seed", "7", "--below", str(tmp_path))
    assert found["cut"] > 4


@settings(deadline=None, max_examples=30)
@given(
    st.dictionaries(NAMES.map(lambda name: f"files/{name}"), st.binary(max_size=2000), max_size=5),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT]),
    st.sampled_from(["gz", "tar"]),
)
def test_archives_are_read_as_they_were_made(members: dict[str, bytes], kind: int, how: str) -> None:
    import tempfile  # noqa: PLC0415 - hypothesis and tmp_path do not go together

    with tempfile.TemporaryDirectory() as room:
        source, into = Path(room, "source"), Path(room, "into")
        into.mkdir()
        try:
            data = archive({"config.toml": SMALL.encode(), **members}, kind=kind)
        except ValueError:  # ustar has no room for every name
            return
        source.write_bytes(packed(data, "gz"))
        assert how in ("gz", "tar")
        assert read_source(source, into) == SMALL.encode()
        assert {str(p.relative_to(into)): p.read_bytes() for p in into.rglob("*") if p.is_file()} == members


def member(name: str, **fields: Any) -> bytes:
    """An archive with a right config.toml and one odd member."""
    room = io.BytesIO()
    with tarfile.open(fileobj=room, mode="w") as tar:
        info = tarfile.TarInfo("config.toml")
        info.size = len(SMALL)
        tar.addfile(info, io.BytesIO(SMALL.encode()))
        odd = tarfile.TarInfo(name)
        data = fields.pop("data", b"")
        odd.size = len(data)
        for field, value in fields.items():
            setattr(odd, field, value)
        tar.addfile(odd, io.BytesIO(data))
    return room.getvalue()


ODD = {
    "parent": (member("files/../../evil", data=b"x"), "leads elsewhere"),
    "absolute": (member("/etc/evil", data=b"x"), "leads elsewhere"),
    "elsewhere": (member("bin/sh", data=b"x"), "is no place of one"),
    "symlink": (member("files/a", type=tarfile.SYMTYPE, linkname="/etc/shadow"), "neither a file nor a directory"),
    "hard_link": (member("files/a", type=tarfile.LNKTYPE, linkname="config.toml"), "neither a file nor a directory"),
    "device": (member("files/a", type=tarfile.BLKTYPE, devmajor=8), "neither a file nor a directory"),
    "fifo": (member("files/a", type=tarfile.FIFOTYPE), "neither a file nor a directory"),
    "twice": (archive({"config.toml": SMALL.encode(), "./config.toml": b""}), "has config.toml twice"),
    "file_twice": (member("files/a", data=b"1")[:-1024] + archive({"files/a": b"2"}), None),
    "none": (archive({"files/a": b"1"}), "has no config.toml"),
    "control": (member("files/a\x1b[2J", data=b"x"), "leads elsewhere"),
    "deep": (member("files/" + "a/" * 40 + "b", data=b"x"), "leads elsewhere"),
    "large_config": (archive({"config.toml": b"#" * 300_000}), "config.toml is too large"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_archive(name: str, tmp_path: Path) -> None:
    data, said = ODD[name]
    into = tmp_path / "a" / "b" / "into"
    into.mkdir(parents=True)
    (tmp_path / "source").write_bytes(gzip.compress(data))
    if said is None:  # what comes after the end of an archive is nobody's
        assert read_source(tmp_path / "source", into) == SMALL.encode()
        return
    with pytest.raises(RefusedError, match=said):
        read_source(tmp_path / "source", into)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "source"]
    assert not [p for p in into.rglob("*") if p.is_symlink() or p.name == "evil"]


@pytest.mark.parametrize("how", ["gz", "zst"])
def test_bombs_and_limits(how: str, tmp_path: Path) -> None:
    need("zstd")
    limits = replace(LIMITS, unpacked=3 << 20, member=1 << 20, members=20)
    cases = {
        "is too large unpacked": archive({"config.toml": SMALL.encode()}) + bytes(64 << 20),
        "has a member that is too large": archive({"config.toml": b"", "files/a": bytes(2 << 20)}),
        "has too many members": archive({f"files/{n}": b"" for n in range(30)}),
        "ends before its end": archive({"config.toml": SMALL.encode()})[:700],
    }
    for number, (said, data) in enumerate(cases.items()):
        (into := tmp_path / str(number)).mkdir()
        source = tmp_path / f"{number}.x"
        source.write_bytes(packed(data, how))
        with pytest.raises(RefusedError, match=said):
            read_source(source, into, limits)
    (into := tmp_path / "short").mkdir()
    source = tmp_path / "short.x"
    source.write_bytes(packed(archive({"config.toml": SMALL.encode()}), how)[:-9])
    with pytest.raises(RefusedError, match=r"is no whole|ends before"):
        read_source(source, into)
    source.write_bytes(bytes(100))
    with pytest.raises(RefusedError, match="is too large"):
        read_source(source, into, Limits(source=99))


def test_the_mark_of_an_editor_is_left_out(tmp_path: Path) -> None:
    marked = b"\xef\xbb\xbf" + SMALL.encode()
    for data in (marked, gzip.compress(archive({"config.toml": marked}))):
        (tmp_path / "source").write_bytes(data)
        assert read_source(tmp_path / "source", tmp_path / "into") == SMALL.encode()
    (tmp_path / "source").write_bytes(marked + b"\n" * LONGEST)
    with pytest.raises(WrongConfigError, match="is too large"):
        parse(read_source(tmp_path / "source", tmp_path / "into"), DEVICE)


def test_time_runs_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(packed(archive({"config.toml": SMALL.encode(), "files/a": bytes(8 << 20)}), "gz"))
    with pytest.raises(RefusedError, match="takes too long"):
        read_source(source, tmp_path, replace(LIMITS, seconds=0))


def seeds(tmp_path: Path, device: Device) -> Device:
    (tmp_path / "run").mkdir()
    for kind in ("by-label", "by-partlabel"):
        (tmp_path / "disk" / kind).mkdir(parents=True)
    put(tmp_path / "disk-data", "")
    (tmp_path / "disk" / "by-partlabel" / "data").symlink_to(tmp_path / "disk-data")
    (tmp_path / "disk" / "by-label" / "f2fs").symlink_to(tmp_path / "disk-data")
    return replace(
        device, seed=str(tmp_path / "seed.toml"), fresh=str(tmp_path / "fresh"), sticks=str(tmp_path / "disk")
    )


def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Plug a stick in, with a `mount` that copies instead."""
    (tmp_path / "stick").mkdir()
    put(tmp_path / "stick" / "config.toml", text)
    (tmp_path / "disk" / "by-label" / "USB").symlink_to(tmp_path / "stick")
    tools = tmp_path / "bin"
    tools.mkdir()
    put(tools / "mount", f'#!/bin/sh\n[ "$5" = {tmp_path}/disk/by-label/USB ] && cp "$5"/* "$6"\n').chmod(0o755)
    put(tools / "umount", '#!/bin/sh\nrm -f "$1"/*\n').chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("fresh", "seed", "usb", "which"),
    [
        (True, SMALL, SMALL + "# usb", "seed"),
        (True, "version = 2", SMALL + "# usb", "usb"),
        (True, None, SMALL + "# usb", "usb"),
        (False, SMALL, SMALL + "# usb", "usb"),  # not fresh: what lies on the boot partition is of long ago
        (False, SMALL, None, None),
        (True, None, None, None),
        (True, "version = 2", "version = 3", None),
    ],
)
def test_where_a_device_looks(  # noqa: PLR0913, PLR0917 - a case, and three fixtures
    fresh: bool,  # noqa: FBT001 - a case of a test
    seed: str | None,
    usb: str | None,
    which: str | None,
    device: Device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works(monkeypatch)
    device = seeds(tmp_path, device)
    if fresh:
        put(tmp_path / "fresh", "")
    if seed is not None:
        put(tmp_path / "seed.toml", seed)
    if usb is not None:
        stick(tmp_path, monkeypatch, usb)
    said: list[str] = []
    found = sources.import_first(device, tmp_path / "run", said.append, wait=False)
    config = Path(device.directory, "config.toml")
    assert found == (which is not None)
    assert config.exists() == found
    if which:
        assert ("# usb" in config.read_text("utf-8")) == (which == "usb")
    refused = tmp_path / "run" / "refused"
    assert refused.exists() == (which is None and bool(seed) and fresh)
    assert [p.name for p in (tmp_path / "run").iterdir() if p.name != "refused"] == []


def test_a_power_cut_in_the_first_boot_does_not_make_the_flash_an_old_one(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(monkeypatch)
    device = seeds(tmp_path, device)
    fresh = put(tmp_path / "fresh", "")
    assert not sources.import_first(device, tmp_path / "run", print, wait=False)
    fresh.unlink()  # the next boot
    put(tmp_path / "seed.toml", SMALL)
    assert sources.import_first(device, tmp_path / "run", print, wait=False)
    assert not (Path(device.directory) / "seed-allowed").exists()


def test_what_did_not_work_is_tried_again_and_what_is_wrong_is_not(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = seeds(tmp_path, device)
    put(tmp_path / "fresh", "")
    put(tmp_path / "seed.toml", SMALL)
    stick(tmp_path, monkeypatch, "version = 2")
    works(monkeypatch, broken=device.target)
    now, said = [0.0], list[str]()

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 1000:  # the network is there at last
            works(monkeypatch)

    monkeypatch.setattr(sources, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
    assert sources.import_first(device, tmp_path / "run", said.append, wait=True)
    assert len([text for text in said if text == "found config.toml on USB"]) == 1
    # a minute later, two, four, eight, sixteen
    assert [text for text in said if "again" in text] == [
        f"{device.seed} is tried again in {minutes} min" for minutes in (1, 2, 4, 8, 16)
    ]
    assert now[0] == 60 + 120 + 240 + 480 + 960


def test_a_source_waits_for_another_that_is_applied(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(monkeypatch)
    device = seeds(tmp_path, device)
    put(tmp_path / "fresh", "")
    put(tmp_path / "seed.toml", SMALL)
    said, other = list[str](), contextlib.ExitStack()
    other.enter_context(locked(Path(device.directory)))
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        other.close()

    monkeypatch.setattr(sources, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
    assert sources.import_first(device, tmp_path / "run", said.append, wait=True)
    assert now[0] == 60


def test_sticks_by_whatever_name(tmp_path: Path, device: Device) -> None:
    device = seeds(tmp_path, device)
    (tmp_path / "disk" / "by-uuid").mkdir()
    for name, link in {"sda": "by-uuid/1A2B", "sdb1": "by-label/DATA", "sdc1": "by-partlabel/stick"}.items():
        put(tmp_path / name, "")
        (tmp_path / "disk" / link).symlink_to(tmp_path / name)
    (tmp_path / "disk/by-uuid/3C4D").symlink_to(tmp_path / "sdc1")  # a second name of the same
    (tmp_path / "disk/by-uuid/5E6F").symlink_to(tmp_path / "disk-data")  # the device's own
    assert [link.name for link in sources._sticks(device)] == ["DATA", "stick", "1A2B"]


def test_nobody_looks_into_what_is_not_promoted(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works(monkeypatch)
    real, modes = activation._belongs, list[int]()

    def belongs(made: Path, user: str) -> None:
        modes.append(made.stat().st_mode & 0o777)
        real(made, user)

    monkeypatch.setattr(activation, "_belongs", belongs)
    activation.take(put(tmp_path / "a", SMALL), device, print)
    assert modes == [0o700]
    assert Path(device.directory, "current").stat().st_mode & 0o777 == 0o755


def test_users_come_stay_and_go(tmp_path: Path) -> None:
    room, homes = tmp_path / "userdb", tmp_path / "home"
    ada, bob = ({"uid": n, "admin": n == 20000, "shell": "bash"} for n in (20000, 20001))
    put(tmp_path / "users.json", json.dumps({"ada": ada, "bob": bob}))
    assert apply_users(tmp_path, {"bash": "/bin/bash"}, room, homes) == ["made ada", "made bob"]
    assert sorted(p.name for p in room.iterdir()) == [
        *("20000.group", "20000.user", "20000.user-privileged", "20001.group", "20001.user", "20001.user-privileged"),
        *("ada.group", "ada.user", "ada.user-privileged", "ada:wheel.membership"),
        *("bob.group", "bob.user", "bob.user-privileged"),
    ]
    assert json.loads((room / "20000.user").read_text("utf-8"))["userName"] == "ada"
    assert (homes / "bob").stat().st_mode & 0o777 == 0o700
    assert (room / "ada.user-privileged").stat().st_mode & 0o777 == 0o600
    put(room / "guest.user", '{"userName": "guest", "uid": 5}')
    assert apply_users(tmp_path, {"bash": "/bin/bash"}, room, homes) == []
    put(tmp_path / "users.json", json.dumps({"ada": {**ada, "admin": False}}))
    assert apply_users(tmp_path, {"bash": "/bin/bash"}, room, homes) == ["removed bob"]
    assert sorted(p.name for p in room.iterdir()) == [
        *("20000.group", "20000.user", "20000.user-privileged"),
        *("ada.group", "ada.user", "ada.user-privileged", "guest.user"),
    ]
    assert (homes / "bob").is_dir()
    put(tmp_path / "users.json", json.dumps({"root": ada}))
    with pytest.raises(RefusedError, match=r"users\.root: is a user of the image"):
        apply_users(tmp_path, {}, room, homes)
    assert (room / "ada.user").exists()


def test_a_number_of_somebody_who_was_forgotten_is_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the files that say who has which number are lost while the device runs; NSS still knows the number."""
    ada = {"uid": 20000, "admin": True, "shell": "bash"}
    put(tmp_path / "users.json", json.dumps({"ada": ada}))
    apply_users(tmp_path, {}, tmp_path / "userdb", tmp_path / "home")
    monkeypatch.setattr("nixwright.provisioning.users.pwd.getpwuid", lambda number: number)
    put(tmp_path / "users.json", json.dumps({"sam": ada}))
    assert apply_users(tmp_path, {}, tmp_path / "userdb", tmp_path / "home") == ["removed ada", "made sam"]
    assert json.loads((tmp_path / "userdb/20000.user").read_text("utf-8"))["userName"] == "sam"
    put(tmp_path / "users.json", json.dumps({"eva": {**ada, "uid": 20001}}))
    with pytest.raises(RefusedError, match=r"users\.eva: is a user of the image"):
        apply_users(tmp_path, {}, tmp_path / "userdb", tmp_path / "home")


def test_nonces_are_used_once_and_end() -> None:
    nonces = Nonces()
    nonce = nonces.give("a", 0)
    assert nonce is not None
    assert nonces.use(nonce, 1)
    assert not nonces.use(nonce, 1)
    late = nonces.give("a", 0)
    assert late is not None
    assert not nonces.use(late, SECONDS)
    assert not nonces.use("", 0)
    assert all(nonces.give("a", 1000) for _ in range(MOST_OF_ONE))
    assert nonces.give("a", 1000) is None
    assert nonces.give("b", 1000) is not None
    given = sum(nonces.give(str(n), 1000) is not None for n in range(2 * MOST))
    assert given == MOST - MOST_OF_ONE - 1
    assert nonces.give("a", 1000 + SECONDS) is not None


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_body_of_a_form_gets_an_answer(body: bytes) -> None:
    assert form_fields("multipart/form-data; boundary=x", body) == {} or body.startswith(b"--x\r\n")


def test_only_an_admins_signature_over_this_very_request_counts(tmp_path: Path) -> None:
    ada, eve = tmp_path / "ada", tmp_path / "eve"
    signers = put(tmp_path / "signers", f'ada namespaces="nixwright-provision" {key(ada)}\n')
    key(eve)
    said = message("n", "POST", "/config", "d")
    assert signer(signed(ada, said), said, signers) == "ada"
    assert signer(signed(eve, said), said, signers) is None
    assert signer(signed(ada, said, "file"), said, signers) is None
    assert signer(signed(ada, said), message("m", "POST", "/config", "d"), signers) is None
    assert signer(signed(ada, said), said, tmp_path / "none") is None
    for wrong in ("", "!", base64.b64encode(b"x" * 40_000).decode(), signed(ada, said)[:-40]):
        assert signer(wrong, said, signers) is None


def form(token: str, text: str, do: str = "apply") -> tuple[bytes, dict[str, str]]:
    parts = {"token": token, "file": "", "text": text.replace("\n", "\r\n"), "do": do}
    body = "".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts.items())
    return f"{body}--b--\r\n".encode(), {"Content-Type": "multipart/form-data; boundary=b"}


def token(served: Served) -> str:
    return served.ask("GET", "/")[2].decode().partition('name="token" value="')[2].partition('"')[0]


def test_a_device_from_its_page_to_a_signed_change(tmp_path: Path) -> None:  # noqa: PLR0915 - one life
    ada, eve = tmp_path / "ada", tmp_path / "eve"
    text = WHOLE.replace("settle_seconds = 1", "settle_seconds = 0").partition('ssh_key = "')
    config = text[0] + 'ssh_key = "' + key(ada) + ' x"' + text[2].partition('"')[2]
    key(eve)
    with server(tmp_path) as served:
        assert served.ask("GET", "/health")[2] == b'{"provisioned": false}\n'
        # not by a name of somebody else's, not without the page's token, not by anyone who signs
        assert served.ask("GET", "/", Host="evil.example")[0] == 403
        body, headers = form("guessed", config)
        assert served.ask("POST", "/apply", body, **headers)[0] == 403
        assert served.signed(ada, "POST", "/config", config.encode())[0] == 401
        wrong = config.replace('shell = "zsh"', 'shell = "fish"')
        body, headers = form(token(served), wrong)
        status, answer, _ = served.ask("POST", "/apply", body, **headers)
        assert status == 303
        refused = served.job(answer["Location"])
        assert refused["state"] == "failed"
        assert refused["said"][0].startswith("config.toml:6  users.ada.shell: ")
        body, headers = form(token(served), config, "check")
        assert served.job(served.ask("POST", "/apply", body, **headers)[1]["Location"])["state"] == "done"
        assert not (served.config / "config.toml").exists()
        body, headers = form(token(served), config)
        job = served.ask("POST", "/apply", body, **headers)[1]["Location"]
        assert served.job(job)["said"][-1] == "the configuration is in force"
        assert (served.config / "config.toml").read_text("utf-8") == config
        assert served.ask("POST", "/apply", body, **headers)[0] == 404
        assert b"nixwright provision push" in served.ask("GET", "/")[2]

        other = config.replace("timeout_seconds = 20", "timeout_seconds = 21").encode()
        assert served.ask("POST", "/config", other)[0] == 401
        assert served.signed(eve, "POST", "/config", other)[0] == 401
        nonce = served.nonce()
        status, data = served.signed(ada, "POST", "/config", other, nonce)
        assert status == 202
        assert served.job(json.loads(data)["job"])["state"] == "done"
        assert (served.config / "config.toml").read_bytes() == other
        assert served.signed(ada, "POST", "/config", config.encode(), nonce)[0] == 401  # a nonce is good once
        assert served.signed(ada, "GET", "/config") == (200, other)
        status, data = served.signed(ada, "POST", "/validate", b"version = 1")
        assert served.job(json.loads(data)["job"])["said"][0].startswith("config.toml  users: is missing")
        assert (served.config / "config.toml").read_bytes() == other
        # what was signed for one path, method or body is good for no other
        nonce = served.nonce()
        proof = signed(ada, message(nonce, "POST", "/validate", hashlib.sha256(other).hexdigest()))
        said = {"X-Provision-Nonce": nonce, "X-Provision-Signature": proof}
        assert served.ask("POST", "/config", other, **said)[0] == 401
        assert served.ask("GET", "/../config.toml")[0] == 404
        headers = {"Content-Length": "999999999999"}
        assert served.ask("POST", "/config", b"", **headers)[0] == 413
        until(lambda: not [*(tmp_path / "run").iterdir()])
    log = (tmp_path / "log").read_text("utf-8")
    assert "signed by ada" in log
    assert SECRET not in log
    assert "Traceback" not in log


NO_REQUESTS = (
    b"\x16\x03\x01\x02\x00\x01",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /apply HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST /apply HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /config HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST /apply HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n\r\n\xff\xff\xff\xff",
    b"POST /apply HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n\r\n\xff",
)


def test_bytes_that_are_no_request(tmp_path: Path) -> None:
    with server(tmp_path) as served:
        for raw in NO_REQUESTS:
            with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                with contextlib.suppress(ConnectionResetError):
                    while data := connection.recv(4096):
                        answer += data
            assert b" 200 " not in answer[:16], raw[:80]
            assert served.ask("GET", "/health")[0] == 200, raw[:80]
        assert not served.config.exists()
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")


def test_what_the_kinds_of_calls_are(tmp_path: Path, device: Device) -> None:
    """The program's other commands, as the units call them."""
    put(tmp_path / "provision.py", program_text())
    put(tmp_path / "device.toml", f'directory = "{device.directory}"\nseed = ""\nsticks = "{tmp_path}/none"\n')

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-I", str(tmp_path / "provision.py"), "--device", str(tmp_path / "device.toml")]
        return subprocess.run(
            [*argv, "--run", str(tmp_path / "run"), *words], capture_output=True, text=True, check=False
        )

    calls: dict[str, Callable[[], subprocess.CompletedProcess[str]]] = {
        "recover": lambda: run("recover"),
        "apply": lambda: run("apply", "--records", str(tmp_path / "userdb"), "--homes", str(tmp_path / "home")),
    }
    for name, call in calls.items():
        done = call()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), name
    assert run("first-boot").returncode == 1
    assert run("validate", str(tmp_path / "missing")).returncode == 1
    assert not (Path(device.directory) / "config.toml").exists()
    assert (Path(device.directory) / "config.toml").is_symlink()
