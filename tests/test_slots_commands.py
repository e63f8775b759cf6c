"""`status`, `rollback`, `update`, `build` of a host with slots: what they run, what they refuse, what comes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from host_project import SMALLEST, Project, project  # noqa: F401 - a fixture
from hypothesis import given
from hypothesis import strategies as st
from nixwright.cli import device as device_module
from nixwright.errors import ToolError
from nixwright.install.slot_state import parse
from programs import need
from slots_device import SlotsDevice
from slots_host import HOST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TARGET = ("--target", "root@10.0.0.5")


@pytest.fixture
def box(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SlotsDevice]:  # noqa: F811
    """A project with a host with slots; call it for its device, with what is special about that."""
    project.host(HOST, "box")
    project.run("gen", "hosts/box.py")
    at = tmp_path / "device"
    monkeypatch.setenv("PATH", f"{at}/here:{tmp_path}/tools:/usr/bin:/bin")
    monkeypatch.setattr(device_module, "_AGAIN", 0.05)
    return lambda **changes: SlotsDevice(at).make(**changes)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of 5 MiB and a bit, and a rauc that takes it."""
    path = tmp_path / "update.raucb"
    path.write_bytes(bytes(range(256)) * (5 << 12) + b"end")
    (tmp_path / "tools").mkdir()
    rauc = tmp_path / "tools/rauc"
    rauc.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/rauc-here\n')
    rauc.chmod(0o755)
    return path


def update(project: Project, bundle: Path, *more: str) -> Any:  # noqa: F811
    return project.run("update", "hosts/box.py", *TARGET, "--bundle", str(bundle), "--yes", "box", *more)


def test_status_says_which_slot_runs_and_which_is_good(project: Project, box: Callable[..., SlotsDevice]) -> None:  # noqa: F811
    box()
    answer = project.run("status", "hosts/box.py", *TARGET)
    assert answer.out.splitlines() == [
        "box at root@10.0.0.5: slot A runs, version 1.0, not provisioned",
        "  A  good     tries left: 3        as flashed, or empty         runs, starts next",
        "  B  good     tries left: 3        installed: 0.9",
        "  health gate: passed",
    ]
    assert answer.status == 0


def test_status_of_a_slot_that_is_not_good_yet(project: Project, box: Callable[..., SlotsDevice]) -> None:  # noqa: F811
    device = box(slot="B", order=["B", "A"], marked={"A": "good", "B": "bad"}, gate="activating")
    (device.at / "data/config/config.toml").touch()
    answer = project.run("status", "hosts/box.py", "--target", "ada@10.0.0.5", "--json")
    assert answer.status == 1
    found = json.loads(answer.out)
    assert (found["slot"], found["first"], found["version"], found["provisioned"]) == ("B", "B", "0.9", True)
    assert found["slots"][1] == {"name": "B", "marked": "bad", "tries": "3", "version": "0.9"}
    assert device.state["done"][0].startswith("run0 bash")  # who is not root becomes it there


def test_the_hosts_page_says_what_runs_on_its_device(project: Project, box: Callable[..., SlotsDevice]) -> None:  # noqa: F811
    box(slot="B", order=["B", "A"], left={"A": "3", "B": "2"})
    now = [
        "now        runs         slot B, version 0.9",
        "           health gate  passed",
        "           slot A       good, 3 tries left",
        "           slot B       good, 2 tries left, version 0.9 installed, starts next",
        "           provisioned  no: it waits to be told who it is",
    ]
    shown = project.run("show", "hosts/box.py", *TARGET).out
    assert "\n".join(now) in shown
    assert "bundles  for box, signed by one whom ./updates.pem knows" in shown
    assert "now " not in project.run("show", "hosts/box.py").out
    project.run("show", "hosts/box.py", "--html", "page.html", *TARGET)
    page = project.text("page.html")
    assert "<h2>Now</h2>" in page
    assert "slot B, version 0.9" in page
    answer = project.run("show", "hosts/box.py", "hosts/box.py", "--target", "nobody")
    assert (answer.status, "'nobody' is no machine" in answer.err) == (2, True)


def test_an_update_goes_to_the_other_slot_and_starts_it(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    bundle: Path,
) -> None:
    device = box()
    answer = update(project, bundle)
    assert answer.status == 0, answer.err
    assert answer.out.endswith("Slot B runs and is good.\n")
    assert "installed: 2.0" in answer.out
    assert (device.at / "installed").read_bytes() == bundle.read_bytes()
    assert not list((device.at / "data").glob("update*"))  # what was sent is gone again
    assert device.changed[0].startswith("rauc install --progress ")
    assert device.changed[1:] == ["systemctl reboot"]
    assert "sending: 100 % of 5.0 MiB" in answer.err
    assert (project.root / "rauc-here").read_text() == f"info --keyring={project.root}/hosts/updates.pem {bundle}\n"


def test_an_update_that_fails_on_the_device_is_told(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    bundle: Path,
) -> None:
    device = box(starts=False)
    answer = update(project, bundle)
    assert answer.status == 1
    assert answer.out.endswith("Slot B did not start, or not well: the device went back to slot A.\n")
    device.write(device.state | {"slot": "A", "starts": True, "then": "failed", "order": ["A", "B"], "gate": "active"})
    device.write(device.state | {"marked": {"A": "good", "B": "good"}})
    answer = update(project, bundle)
    assert answer.status == 1
    told = "Slot B runs, and is not marked good (health gate: not passed): if it fails, the device goes back.\n"
    assert answer.out.endswith(told)


def test_a_gate_that_did_not_pass_and_looks_again_is_told_with_its_reason(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    bundle: Path,
) -> None:
    """systemd calls a unit that it will start again `activating`, like one that has not looked yet."""
    device = box(then="activating")
    answer = update(project, bundle, "--wait", "1.5")
    assert "slot B runs; its health gate decides" in answer.err
    told = "Slot B runs, and is not marked good: if it fails, the device goes back.\n"
    assert (answer.status, answer.out.endswith(told)) == (1, True)
    device.write(device.state | {"slot": "A", "order": ["A", "B"], "gate": "active"})
    device.write(device.state | {"why": "dnsmasq.service is failed", "marked": {"A": "good", "B": "good"}})
    device.start()
    answer = update(project, bundle, "--wait", "1.5")
    gate = "not passed, it looks again: dnsmasq.service is failed"
    assert f"slot B runs; its health gate: {gate}\n" in answer.err
    told = f"Slot B runs, and is not marked good (health gate: {gate}): if it fails, the device goes back.\n"
    assert (answer.status, answer.out.endswith(told)) == (1, True)
    answer = project.run("status", "hosts/box.py", *TARGET)
    assert (answer.status, answer.out.splitlines()[-1]) == (1, f"  health gate: {gate}")
    answer = update(project, bundle)
    assert f"slot B of root@10.0.0.5 is not known to be good (health gate: {gate}): an update would" in answer.err


def test_rauc_refusing_a_bundle_changes_nothing_else(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    bundle: Path,
) -> None:
    device = box(install=1)
    answer = update(project, bundle)
    assert answer.status == 2
    assert "failed (exit status 1) at: Write it to the slot that does not run" in answer.err
    assert device.changed[1:] == []
    assert not list((device.at / "data").glob("update*"))


def test_a_device_that_does_not_come_back(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    bundle: Path,
) -> None:
    box(comes_back=False)
    answer = update(project, bundle, "--wait", "0.3")
    assert answer.status == 2
    assert "root@10.0.0.5 did not come back within 0.3 s; where the other slot fails, it starts slot A" in answer.err


def test_only_a_device_that_is_good_is_updated(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    bundle: Path,
) -> None:
    """The slot that would be overwritten is the one to go back to."""
    device = box(gate="activating", marked={"A": "bad", "B": "good"})
    answer = update(project, bundle)
    assert answer.status == 2
    assert "slot A of root@10.0.0.5 is not known to be good" in answer.err
    assert device.changed == []


def test_without_a_yes_nothing_is_done(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    bundle: Path,
) -> None:
    device = box()
    for command in (("update", "--bundle", str(bundle)), ("rollback",)):
        answer = project.run(command[0], "hosts/box.py", *TARGET, *command[1:], "--yes", "no")
        assert answer.status == 2
        assert "that is not box: nothing was done" in answer.err
    assert device.changed == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--cert and --key missing; an update is signed: say --cert FILE --key FILE, or --bundle FILE"),
        (("--cert", "none.pem", "--key", "pkcs11:token=x"), "--cert none.pem: is no file"),
        (("--bundle", "none.raucb"), "none.raucb is no file"),
        (("--bundle", "hosts/box.py", "--key", "k"), "is a bundle that is signed already: leave --key out"),
        (("--way", "boot"), "--way is nixos-rebuild's: box has slots, and is updated as a whole"),
        (("--build-on", "target"), "box builds nothing: its root is read-only"),
    ],
)
def test_what_does_not_go_together(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    device = box()
    answer = project.run("update", "hosts/box.py", *TARGET, "--yes", "box", *arguments)
    assert answer.status == 2
    assert told in answer.err
    assert device.state["done"] == []


def test_a_host_without_slots(project: Project, tmp_path: Path) -> None:  # noqa: F811
    project.host(SMALLEST, "vm")
    for command in (("status", *TARGET), ("rollback", *TARGET), ("build",)):
        answer = project.run(command[0], "hosts/vm.py", *command[1:])
        assert (answer.status, answer.err) == (
            2,
            "nixwright: vm has no slots A and B: its layout holds no Slots(...)\n",
        )
    answer = project.run("update", "hosts/vm.py", *TARGET, "--bundle", str(tmp_path))
    assert "--bundle is for hosts with slots, and vm has none: nixos-rebuild switches it" in answer.err
    assert "QemuVm has no serial console that is known" in project.run("serial", "hosts/vm.py").err


def test_a_dry_run_asks_nobody(project: Project, box: Callable[..., SlotsDevice], bundle: Path) -> None:  # noqa: F811
    device = box()
    for command in ("status", "rollback"):
        answer = project.run(command, "hosts/box.py", *TARGET, "--dry-run")
        assert (answer.status, "rauc status --detailed" in answer.out) == (0, True)
    answer = project.run("update", "hosts/box.py", *TARGET, "--bundle", str(bundle), "--dry-run")
    assert f"< {bundle}" in answer.out
    assert "nix " not in answer.out
    answer = project.run(
        "update", "hosts/box.py", *TARGET, "--cert", str(bundle), "--key", "pkcs11:token=x", "--dry-run"
    )
    assert "config.system.build.bundle'" in answer.out
    assert "--key=pkcs11:token=x '<directory>/update.raucb.content' '<directory>/update.raucb'" in answer.out
    assert device.state["done"] == []


def test_back_to_the_other_slot(project: Project, box: Callable[..., SlotsDevice]) -> None:  # noqa: F811
    device = box(slot="B", order=["B", "A"])
    answer = project.run("rollback", "hosts/box.py", *TARGET, "--yes", "box")
    assert (answer.status, device.changed) == (0, ["rauc status mark-active other", "systemctl reboot"])
    assert answer.out.endswith("Slot A runs and is good.\n")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"marked": {"A": "good", "B": "bad"}},
            "slot B of root@10.0.0.5 is marked bad: there is nothing to go back to",
        ),
        ({"left": {"A": "3", "B": "0"}}, "slot B of root@10.0.0.5 has no try left"),
    ],
)
def test_nothing_to_go_back_to(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    changes: dict[str, Any],
    told: str,
) -> None:
    device = box(**changes)
    answer = project.run("rollback", "hosts/box.py", *TARGET, "--yes", "box")
    assert (answer.status, device.changed) == (2, [])
    assert told in answer.err


def test_an_update_is_built_and_signed_here(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    tmp_path: Path,
) -> None:
    """By real rauc and openssl; who is not in the device's keyring is found out before anything is sent."""
    need("rauc", "openssl", "mksquashfs")
    device = box()
    content = tmp_path / "content"
    content.mkdir()
    (tmp_path / "stored").write_bytes(os.urandom(1 << 16))
    (content / "rootfs.squashfs").symlink_to(tmp_path / "stored")
    manifest = (
        "[update]\ncompatible=box\nversion=2.0\n[bundle]\nformat=verity\n[image.rootfs]\nfilename=rootfs.squashfs\n"
    )
    (content / "manifest.raucm").write_text(manifest)
    (tmp_path / "tools").mkdir()
    nix = tmp_path / "tools/nix"
    configuration = json.dumps({"system": {"value": "aarch64-linux"}})
    built = json.dumps([{"outputs": {"out": str(content)}}])
    nix.write_text(f"#!/bin/sh\ncase $* in *show*) echo '{configuration}';; *) echo '{built}';; esac\n")
    nix.chmod(0o755)
    for name in ("ours", "theirs"):
        request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "2"]
        more = ["-keyout", f"{tmp_path}/{name}.key", "-out", f"{tmp_path}/{name}.pem"]
        subprocess.run([*request, *more], check=True, capture_output=True)
    shutil.copy(tmp_path / "ours.pem", tmp_path / "hosts/updates.pem")

    def run(signer: str) -> Any:
        signs = ("--cert", str(tmp_path / f"{signer}.pem"), "--key", str(tmp_path / f"{signer}.key"))
        return project.run("update", "hosts/box.py", *TARGET, *signs, "--unchecked", "--yes", "box")

    answer = run("theirs")
    assert answer.status == 2
    assert "at: Look whether the device will take it" in answer.err
    assert device.changed == []
    answer = run("ours")
    assert answer.status == 0, answer.err
    assert (device.at / "installed").read_bytes()[:4] == b"hsqs"


def test_build_runs_nix_and_says_what_next(
    project: Project,  # noqa: F811
    box: Callable[..., SlotsDevice],
    tmp_path: Path,
) -> None:
    box()
    (tmp_path / "tools").mkdir()
    nix = tmp_path / "tools/nix"
    configuration = json.dumps({"system": {"value": "aarch64-linux"}})
    nix.write_text(f"""#!{sys.executable}
import pathlib, sys
if "config" in sys.argv[3:5]:
    print({configuration!r})
    sys.exit()
pathlib.Path({str(tmp_path)!r}, "asked").write_text(sys.argv[-1])
stored = pathlib.Path({str(tmp_path)!r}, "stored")
stored.mkdir(exist_ok=True)
(stored / "box.img").write_bytes(bytes(3 << 20))
pathlib.Path(sys.argv[sys.argv.index("--out-link") + 1]).symlink_to(stored)
""")
    nix.chmod(0o755)
    answer = project.run("build", "hosts/box.py")
    assert answer.status == 0, answer.err
    assert answer.out == "result-box-image/box.img (3.0 MiB)\n"
    assert "Flash it: nixwright flash result-box-image/box.img" in answer.err
    for artifact, attribute in {"squashfs": "squashfs", "bundle": "bundle", "boot-script": "bootScript"}.items():
        assert project.run("build", "hosts/box.py", "--artifact", artifact, "-o", f"{artifact}.link").status == 0
        asked = (tmp_path / "asked").read_text()
        assert asked == f"{tmp_path}#nixosConfigurations.box.config.system.build.{attribute}"
    (tmp_path / "mine").write_text("kept")
    answer = project.run("build", "hosts/box.py", "-o", "mine")
    assert "mine is there already, is no link of ours, and stays as it is" in answer.err
    nix.write_text(f"#!/bin/sh\ncase $* in *show*) echo '{configuration}';; *) exit 3;; esac\n")
    answer = project.run("build", "hosts/box.py", "-o", "other")
    assert "nix failed (exit status 3): image of box was not built" in answer.err


@given(st.text())
def test_an_answer_that_is_none_is_a_mistake_and_no_traceback(text: str) -> None:
    with pytest.raises(ToolError, match="did not say which of its slots runs"):
        parse(text)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.text(max_size=3) | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["slots", "bootname", "x"]), inner),
    max_leaves=5,
)


@given(_ANYTHING)
def test_rauc_saying_something_else_is_a_mistake_and_no_traceback(status: Any) -> None:
    for found in (status, {"slots": status}, {"slots": [{"boot.0": status}]}):
        with pytest.raises(ToolError, match="did not say which of its slots runs"):
            parse(f"boot=x\nslot=boot.0\nrauc=\n{json.dumps(found)}")
