"""The health gate as a program: a device of fake `rauc`, `systemctl` and `ip`, whose answers are files."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nixwright.parts.programs import health_gate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROGRAM = Path(health_gate.__file__)
SYSTEMCTL = """#!/bin/sh
[ "$1" = reboot ] && exec touch "$DEVICE/rebooted"
where=system
while [ "$1" != -- ]; do case $1 in --user) where=user;; esac; shift; done; shift
for unit; do
  [ -e "$DEVICE/$where/$unit" ] && cat "$DEVICE/$where/$unit" || printf 'LoadState=not-found\\nActiveState=inactive\\n'
  echo
done
"""
RAUC = """#!/bin/sh
case "$1 $2" in
  "status --output-format=json") cat "$DEVICE/status";;
  "status mark-good") [ -e "$DEVICE/deaf" ] && { echo "no boot loader" >&2; exit 1; }; echo "$3" >>"$DEVICE/marked";;
esac
"""
IP = """#!/bin/sh
[ -e "$DEVICE/net/$5" ] || { echo "Device \\"$5\\" does not exist." >&2; exit 1; }
cat "$DEVICE/net/$5"
"""


def status(booted: str = "boot.0") -> Any:
    """What RAUC prints, as version 1.15 does."""
    slots = []
    for index, name in enumerate("AB"):
        state = "booted" if booted == f"boot.{index}" else "inactive"
        about = {
            "class": "boot",
            "type": "vfat",
            "bootname": name,
            "state": state,
            "parent": None,
            "boot_status": "good",
        }
        root = {"class": "rootfs", "type": "raw", "bootname": None, "state": "active", "parent": f"boot.{index}"}
        slots += [{f"boot.{index}": about}, {f"rootfs.{index}": root}]
    return {"compatible": "gw", "variant": "", "booted": booted, "boot_primary": booted, "slots": slots}


def address(*addresses: str, up: bool = True, scope: str = "global") -> Any:
    flags = ["BROADCAST", *(["UP"] if up else [])]
    return [{"ifname": "lan", "flags": flags, "addr_info": [{"local": a, "scope": scope} for a in addresses]}]


@dataclass(frozen=True, slots=True)
class Device:
    """A directory that stands for a device."""

    at: Path

    def unit(self, name: str, state: str = "active", *, start: str = "a1", manager: str = "system") -> None:
        """Have a unit."""
        path = self.at / manager / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"LoadState=loaded\nActiveState={state}\nInvocationID={start}\nNRestarts=0\n")

    def interface(self, name: str, about: Any) -> None:
        """Have an interface."""
        (self.at / "net").mkdir(exist_ok=True)
        (self.at / "net" / name).write_text(json.dumps(about))

    def passed(self, slots: Mapping[str, str]) -> None:
        """Have slots that passed before, each with a system."""
        (self.at / "good.json").write_text(json.dumps(slots))

    @property
    def system(self) -> str:
        """The system that runs."""
        return str((self.at / "running").resolve())

    @property
    def good(self) -> Any:
        """What is written down of the slots."""
        path = self.at / "good.json"
        return json.loads(path.read_text()) if path.exists() else {}

    @property
    def marked(self) -> list[str]:
        """The slots that RAUC was told to be good."""
        path = self.at / "marked"
        return path.read_text().split() if path.exists() else []

    @property
    def rebooted(self) -> bool:
        """Whether it was told to."""
        return (self.at / "rebooted").exists()

    def arguments(self, *more: str, sustained: float = 60, within: float = 30) -> list[str]:
        """The program's command line."""
        return [
            *("--unit=dnsmasq.service", "--interface=lan", "--reboot", "--every=5"),
            *(f"--sustained={sustained}", f"--within={within}"),
            *(f"--{name}={self.at / file}" for name, file in FILES.items()),
            *more,
        ]

    def run(self, *more: str, sustained: float = 60, within: float = 30) -> Answer:
        """Run the program to its end, in this process: the clock does not wait."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = health_gate.main(self.arguments(*more, sustained=sustained, within=within))
        return Answer(status, out.getvalue())


@dataclass(frozen=True, slots=True)
class Answer:
    """How the program ended, and what it said."""

    returncode: int
    stdout: str


@dataclass(slots=True)
class Clock:
    """Time that passes where somebody sleeps, and what happens at which second."""

    now: float = 0
    events: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def monotonic(self) -> float:
        """The seconds that have passed."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass, and what happens meanwhile happen."""
        self.now += seconds
        for event in [e for e in self.events if e[0] <= self.now]:
            self.events.remove(event)
            event[1]()


FILES = {"required": "required.json", "good": "good.json", "system": "running", "command-line": "cmdline"}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The program's clock."""
    found = Clock()
    monkeypatch.setattr(health_gate, "time", found)
    return found


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    """A device that is well."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"systemctl": SYSTEMCTL, "rauc": RAUC, "ip": IP}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DEVICE", str(tmp_path))
    (tmp_path / "this-system").mkdir()
    (tmp_path / "running").symlink_to("this-system")
    (tmp_path / "cmdline").write_text("console=ttyS2,1500000 rauc.slot=boot.0 init=/nix/store/x/init\n")
    (tmp_path / "status").write_text(json.dumps(status()))
    device = Device(tmp_path)
    device.unit("dnsmasq.service")
    device.interface("lan", address("172.20.30.1"))
    return device


def test_a_slot_that_stays_well_is_good(device: Device) -> None:
    argv = [sys.executable, str(PROGRAM), *device.arguments(sustained=0.3), "--every=0.1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "boot.0 is good: well for 0.3 s\n", "")
    assert device.marked == ["boot.0"]
    assert device.good == {"boot.0": device.system}
    assert not device.rebooted


@pytest.mark.parametrize("second", [5, 30, 55])
def test_it_is_well_for_the_whole_time_before_it_is_marked(device: Device, clock: Clock, second: int) -> None:
    clock.events.append((second, lambda: device.unit("dnsmasq.service", "failed")))
    done = device.run()
    assert done.returncode == 1
    assert done.stdout.startswith("not well: dnsmasq.service is failed\n")
    assert not device.marked
    assert not device.good


def test_what_comes_up_late_is_waited_for(device: Device, clock: Clock) -> None:
    device.unit("dnsmasq.service", "activating")
    clock.events.append((25, lambda: device.unit("dnsmasq.service")))
    assert device.run().returncode == 0
    assert clock.now == 25 + 60
    assert device.marked == ["boot.0"]


def test_what_comes_up_too_late_is_not(device: Device, clock: Clock) -> None:
    device.unit("dnsmasq.service", "activating")
    clock.events.append((31, lambda: device.unit("dnsmasq.service")))
    assert device.run().returncode == 1
    assert clock.now == 30
    assert not device.marked


def test_a_unit_that_starts_again_meanwhile_was_not_well(device: Device, clock: Clock) -> None:
    clock.events.append((20, lambda: device.unit("dnsmasq.service", start="b2")))
    done = device.run()
    assert done.stdout.splitlines() == ["not well: dnsmasq.service started again", "boot.0 is good: well for 60 s"]
    assert clock.now >= 20 + 60


def test_a_unit_that_starts_again_and_again_is_never_well(device: Device, clock: Clock) -> None:
    for at in range(20, 900, 20):
        clock.events.append((at, partial(device.unit, "dnsmasq.service", start=f"b{at}")))
    assert device.run(within=100).returncode == 1
    assert clock.now < 900
    assert not device.marked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.unit("dnsmasq.service", "activating"), "dnsmasq.service is activating"),
        (lambda d: (d.at / "system/dnsmasq.service").unlink(), "dnsmasq.service is not-found"),
        (lambda d: (d.at / "system/dnsmasq.service").write_text("nonsense\n"), "dnsmasq.service is unknown"),
        (lambda d: (d.at / "system/dnsmasq.service").write_text(""), "systemctl tells of 0 units in place of 1"),
        (lambda d: d.interface("lan", address()), "lan has no address"),
        (lambda d: d.interface("lan", address("fe80::1", scope="link")), "lan has no address"),
        (lambda d: d.interface("lan", address("172.20.30.1", up=False)), "lan is down"),
        (lambda d: d.interface("lan", []), "ip tells nothing of lan"),
        (lambda d: (d.at / "net/lan").write_text("[{"), "what ip says of lan is no JSON"),
        (lambda d: (d.at / "net/lan").unlink(), 'ip -j fails: Device "lan" does not exist.'),
        (lambda d: (d.at / "cmdline").write_text("quiet\n"), "does not say which slot was booted"),
        (lambda d: (d.at / "cmdline").write_text("rauc.slot=boot.0 rauc.slot=boot.1\n"), "does not say which slot"),
        (lambda d: (d.at / "status").write_text('{"booted'), "what rauc status prints is no JSON"),
        (lambda d: (d.at / "status").write_text("[]"), "rauc status lists no slots"),
        (lambda d: (d.at / "status").write_text(json.dumps(status("boot.1"))), "does not say that boot.0 is booted"),
        (lambda d: (d.at / "deaf").touch(), "rauc status fails: no boot loader"),
        (lambda d: (d.at / "running").unlink(), "No such file or directory"),
        (lambda d: (d.at / "required.json").write_text('["dnsmasq.service"'), "required.json is no JSON"),
        (lambda d: (d.at / "required.json").write_text('{"dnsmasq.service": 1}'), "is no list of units"),
        (lambda d: (d.at / "required.json").write_text('["dnsmasq.service", 7]'), "is no list of units"),
        (lambda d: (d.at / "required.json").write_text('["dnsmasq.service", ""]'), "is no list of units"),
        (lambda d: (d.at / "required.json").write_text('["--version"]'), "is no list of units"),
        (lambda d: (d.at / "required.json").write_bytes(b"\xff"), "cannot be read"),
        (lambda d: (d.at / "required.json").write_text('["web.service"]'), "web.service is not-found"),
        (lambda d: (d.at / "required.json").mkdir(), "cannot be read"),
    ],
)
def test_what_is_not_well_is_not_marked(device: Device, change: Any, said: str) -> None:
    change(device)
    done = device.run(sustained=0, within=0)
    assert done.returncode == 1
    assert said in done.stdout
    assert not device.marked
    assert not device.good
    assert not device.rebooted  # no other slot ever passed


def test_what_the_device_was_told_to_require(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    (device.at / "required.json").write_text('["web.service", "nobody@app.service", "getty@tty1.service"]')
    nobody, asked = pwd.getpwnam("nobody"), []
    real = subprocess.run

    def run(command: Any, **how: Any) -> subprocess.CompletedProcess[str]:
        who = {key: how.pop(key) for key in ("user", "group", "extra_groups", "env") if key in how}
        if who:  # root alone may run a program as somebody
            asked.append((who["user"], who["group"], *who["extra_groups"], who["env"]["XDG_RUNTIME_DIR"]))
        return real(command, **how)

    monkeypatch.setattr("subprocess.run", run)
    device.unit("web.service")
    device.unit("getty@tty1.service")
    device.unit("app.service", "failed", manager="user")
    assert "not well: app.service is failed" in device.run("--user=nobody", sustained=0).stdout
    device.unit("app.service", manager="user")
    assert device.run("--user=nobody", sustained=0).returncode == 0
    assert set(asked) == {(nobody.pw_uid, nobody.pw_gid, f"/run/user/{nobody.pw_uid}")}
    lost = device.run("--unit=none-such@x.service", "--user=nobody", "--user=none-such")
    assert "there is no user none-such" in lost.stdout
    (device.at / "required.json").write_text("[]")
    assert device.run(sustained=0).returncode == 0


def test_a_slot_that_passed_before_keeps_its_tries_though_it_is_not_well(device: Device) -> None:
    device.passed({"boot.0": device.system, "boot.1": "/nix/store/older"})
    device.interface("lan", address())
    done = device.run()
    assert done.returncode == 1
    assert device.marked == ["boot.0"]
    assert not device.rebooted
    assert done.stdout.splitlines()[-1] == "boot.0 stays marked good"


def test_a_full_disk_is_no_reason_to_reboot(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slot has all its tries again: it would come up, be well, and reboot for ever."""
    device.passed({"boot.1": "/nix/store/another"})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = device.run()
    assert (done.returncode, device.marked, device.rebooted) == (1, ["boot.0"], False)
    assert done.stdout.splitlines()[1:] == [
        "not well: [Errno 28] No space left on device",
        "boot.0 stays marked good",
    ]


def test_another_system_in_the_slot_has_not_passed(device: Device) -> None:
    device.passed({"boot.0": "/nix/store/older", "boot.1": "/nix/store/another"})
    device.interface("lan", address())
    assert device.run().returncode == 1
    assert not device.marked
    assert device.rebooted
    assert device.good["boot.0"] == "/nix/store/older"


@pytest.mark.parametrize("broken", ["status", "deaf", "running"])
def test_an_update_that_breaks_updating_falls_back(device: Device, broken: str) -> None:
    device.passed({"boot.1": "/nix/store/another"})
    if broken == "deaf":
        (device.at / "deaf").touch()
    else:
        (device.at / broken).unlink()
    assert device.run(sustained=0).returncode == 1
    assert not device.marked
    assert device.rebooted == (broken != "running")  # without it nothing is known of the slot either


def test_no_reboot_where_the_host_file_wants_none(device: Device) -> None:
    device.passed({"boot.1": "/nix/store/another"})
    device.interface("lan", address())
    argv = [a for a in device.arguments() if a != "--reboot"]
    assert health_gate.main(argv) == 1
    assert not device.rebooted


@pytest.mark.parametrize("text", ["", "[]", '{"boot.0": 1}', '{"boot.0"', "\0"])
def test_what_is_written_down_of_the_slots_counts_only_whole(device: Device, text: str) -> None:
    (device.at / "good.json").write_text(text)
    device.interface("lan", address())
    assert device.run().returncode == 1
    assert not device.marked
    device.interface("lan", address("172.20.30.1"))
    assert device.run().returncode == 0
    assert device.good == {"boot.0": device.system}


def mutated(text: str) -> st.SearchStrategy[bytes]:
    """A text with some bytes at random."""
    edits = st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(0, 255)), min_size=1, max_size=4)

    def edit(changes: list[tuple[int, int]]) -> bytes:
        data = bytearray(text.encode())
        for at, byte in changes:
            data[at] = byte
        return bytes(data)

    return edits.map(edit)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_at_random_are_understood_or_refused(
    data: st.DataObject, device: Device, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {
        "rauc": json.dumps(status()),
        "systemctl": "LoadState=loaded\nActiveState=active\n",
        "required": '["a.service"]',
    }
    texts["ip"] = json.dumps(address("172.20.30.1"))
    which = data.draw(st.sampled_from(sorted(texts)))
    raw = data.draw(mutated(texts[which]))
    calls: list[tuple[str, ...]] = []

    def run(command: tuple[str, ...], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if command[:3] == ("rauc", "status", "mark-good"):
            return subprocess.CompletedProcess(command, 0, "", "")
        said = raw if command[0] == which else texts[command[0]].encode()
        text = said.decode()  # raises UnicodeDecodeError, as subprocess does: a ValueError
        if command[0] == "systemctl" and which != "systemctl":
            text = f"{text}\n" * (len(command) - command.index("--") - 1)
        return subprocess.CompletedProcess(command, 0, text, "")

    monkeypatch.setattr(subprocess, "run", run)
    for name in ("good.json", "required.json"):
        (device.at / name).unlink(missing_ok=True)
    if which == "required":
        (device.at / "required.json").write_bytes(raw)
    status_of = health_gate.main(device.arguments(sustained=0, within=0))
    marked = any(c[:3] == ("rauc", "status", "mark-good") for c in calls)
    assert marked == (status_of == 0), capsys.readouterr().out
    if marked and which == "required":
        names = json.loads(raw)
        assert isinstance(names, list)
        assert all(isinstance(n, str) and n.endswith((".service", ".socket", ".target")) for n in names)
    if marked and which == "rauc":
        found = json.loads(raw)
        assert found["booted"] in {"boot.0", found["slots"][0]["boot.0"]["bootname"]}
    if marked and which == "systemctl":
        assert b"ActiveState=active" in raw


class Power:
    """It goes away before the step of that number."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def through(self, real: Any) -> Any:
        """Return a call that takes one step."""

        def step(*arguments: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise SystemExit
            return real(*arguments)

        return step


def test_a_power_cut_while_it_is_written_down_leaves_the_old_or_the_new(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"boot.1": "/nix/store/another"}
    new = old | {"boot.0": "/nix/store/new"}
    seen = []
    for steps in range(40):
        device.passed(old)
        power = Power(steps)
        with monkeypatch.context() as patched:
            for name in ("fsync", "open", "close"):
                patched.setattr(os, name, power.through(getattr(os, name)))
            patched.setattr(Path, "replace", power.through(Path.replace))
            try:
                health_gate.remember(device.at / "good.json", "boot.0", "/nix/store/new")
                break
            except SystemExit:
                seen.append(device.good)
    assert seen.count(old) >= 2
    assert seen.count(new) >= 2
    assert all(found in (old, new) for found in seen)
    assert device.good == new
