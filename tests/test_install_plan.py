"""What `install` decides without a machine: its steps as data, and what stands against them."""

from __future__ import annotations

import dataclasses
import getpass
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from host_project import EXAMPLE, SMALLEST, Project, project  # noqa: F401 - a fixture
from nixwright.cli import install as command
from nixwright.errors import NixwrightError, ToolError
from nixwright.install import lints, state, target, work
from nixwright.install.plan import Options, Step, plan, secrets_of
from nixwright.install.target import Target, TargetDisk
from nixwright.load import load
from nixwright.parts.wifi import PROFILES
from nixwright.tools import nix_machine
from nixwright.tools.block_devices import BlockDevice, parse
from nixwright.tools.nix_machine import NixMachine
from nixwright.tools.ssh import Remote
from programs import need

if TYPE_CHECKING:
    from nixwright.install.lints import Objection

ROOT = Path(__file__).parent.parent
REMOTE = Remote.of("root@10.0.0.7", 22, ())
SSD = "/dev/disk/by-id/ata-Samsung_SSD_870_QVO_1TB_S5RRNF0R123456"


@pytest.fixture(scope="module")
def pibox() -> dict[str, Any]:
    (loaded,) = load([ROOT / "hosts/pibox.py"], ROOT, about=True)
    return loaded.about


def keys(steps: list[Step]) -> list[str]:
    return [s.key for s in steps]


def test_the_steps_in_their_order(pibox: dict[str, Any]) -> None:
    steps = plan(pibox, REMOTE, Options("/project"), (), formatted=False)
    order = ["build", "scripts", "passphrases", "format", "system", "keys", "flake"]
    assert [k for k in keys(steps) if not k.startswith("by-hand")] == [*order, "look", "install", "finish"]
    assert [a.stdin for s in steps for a in s.actions if a.stdin] == ["passphrase:cryptkey", "passphrase:cryptroot"]
    by_hand = {s.title: s for s in steps if s.key.startswith("by-hand")}
    assert by_hand["Password of ivan"].once == "ever"
    assert by_hand["A place for the boot files"].once == "boot"
    assert "NixOS onto the mounted disks" not in by_hand


def test_a_formatted_disk_is_not_formatted_again(pibox: dict[str, Any]) -> None:
    present = list(secrets_of(pibox).values())
    steps = plan(pibox, REMOTE, Options("/project"), present, formatted=True)
    assert keys(steps)[:4] == ["build", "scripts", "mount", "system"]
    assert "destroy" not in str(steps[2:])


def test_built_on_the_target_nothing_is_built_here(pibox: dict[str, Any]) -> None:
    steps = plan(pibox, REMOTE, Options("/project", on_target=True), (), formatted=False)
    built = [a.argv for s in steps for a in s.actions if "build" in a.argv]
    stores = [argv[argv.index("--store") + 1] for argv in built]
    assert stores == ["ssh-ng://root@10.0.0.7", "ssh-ng://root@10.0.0.7?remote-store=local%3Froot%3D/mnt"]
    assert "scripts" not in keys(steps)


def test_a_secret_that_is_given_is_not_asked_for(pibox: dict[str, Any], tmp_path: Path) -> None:
    options = Options("/project", secrets={"/persist/passwords/ivan": tmp_path / "hash"})
    steps = plan(pibox, REMOTE, options, (), formatted=False)
    assert "Password of ivan" not in [s.title for s in steps]
    (secret,) = [a for s in steps for a in s.actions if a.stdin.startswith("file:")]
    assert secret.stdin == "file:/persist/passwords/ivan"
    assert "umask 077" in secret.argv[-1]


def looked(host: dict[str, Any], root: Path) -> subprocess.CompletedProcess[str]:
    """Run the very script that looks for secrets, with /mnt elsewhere."""
    (step,) = [s for s in plan(host, REMOTE, Options("/p"), (), formatted=True) if s.key == "look"]
    script = shlex.split(step.actions[0].argv[-1])[-1].replace("/mnt", str(root))
    return subprocess.run(["bash", "--norc", "-euc", script], check=False, capture_output=True, text=True)


def test_no_first_boot_without_its_secrets(pibox: dict[str, Any], tmp_path: Path) -> None:
    hashed, key = tmp_path / "persist/passwords/ivan", tmp_path / "persist/etc/ssh/initrd_ssh_host_ed25519_key"
    for path in (hashed, key):
        path.parent.mkdir(parents=True)
    hashed.write_text("$y$")
    done = looked(pibox, tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"others may read it: {hashed} (chmod 600)\nmissing: {key}\n"
    hashed.chmod(0o600)
    key.write_text("key")
    key.chmod(0o600)
    assert looked(pibox, tmp_path).returncode == 0


def test_no_first_boot_without_the_profile_of_the_only_network(tmp_path: Path) -> None:
    wifi = {"kind": "WifiNetwork", "interface": "wlan0", "by": "NetworkManager", "networks": []}
    kept = {"kind": "KeptPath", "path": PROFILES, "source": f"/persist{PROFILES}", "is_file": False}
    host: dict[str, Any] = dict.fromkeys(("secrets", "steps", "pools", "containers"), ()) | {"name": "pi"}
    for facts, at in (([wifi], PROFILES), ([wifi, kept], f"/persist{PROFILES}")):
        directory = tmp_path / str(len(facts))
        profile = directory / f"{at[1:]}/wifi.nmconnection"
        profile.parent.mkdir(parents=True)
        done = looked(host | {"facts": facts}, directory)
        assert done.returncode == 1
        assert "after the first boot nobody could reach the host" in done.stderr
        profile.write_text("[wifi]")
        profile.chmod(0o600)
        assert looked(host | {"facts": facts}, directory).returncode == 0


def test_a_kept_path_is_written_where_it_lies(pibox: dict[str, Any], tmp_path: Path) -> None:
    kept = {"kind": "KeptPath", "path": PROFILES, "source": f"/persist{PROFILES}", "is_file": False}
    host = pibox | {"facts": [*pibox["facts"], kept]}
    options = Options("/p", secrets={f"{PROFILES}/wifi.nmconnection": tmp_path})
    (action,) = [a for s in plan(host, REMOTE, options, (), formatted=True) if s.key == "secrets" for a in s.actions]
    assert f"mv /mnt/persist{PROFILES}/wifi.nmconnection.new" in action.argv[-1]


def test_what_the_user_tells_ssh_outranks_what_we_do() -> None:
    """ssh takes the first of an option's values (ssh_config(5)); a slow target may need longer to answer."""
    flags = Remote.of("root@192.0.2.7", 22, ("ConnectTimeout=300",)).flags
    assert flags.index("ConnectTimeout=300") < flags.index("ConnectTimeout=15")


def test_the_bar_of_a_program_is_seen_on_a_terminal() -> None:
    """nix draws its own bar, on a terminal alone: its errors are our terminal, also where its output is kept."""
    ours, theirs = os.openpty()
    program = (
        "from nixwright.tools.command import run_here; run_here(['sh', '-c', 'test -t 2 && echo bar >&2'], keep=True)"
    )
    with os.fdopen(ours, "rb", 0) as seen:
        subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True)
        os.close(theirs)
        assert seen.read(100) == b"bar\r\n"


def test_every_script_is_a_script_of_bash(pibox: dict[str, Any], tmp_path: Path) -> None:
    """What ssh is told comes apart again as `bash --norc -euc SCRIPT`, and bash and shellcheck take the script."""
    need("shellcheck")
    scripts = [target.script([SSD], ["/run/luks-keys/a"])]
    for step in plan(pibox, REMOTE, Options("/project"), (), formatted=False):
        for action in step.actions:
            if action.argv[0] == "ssh":
                *begin, script = shlex.split(action.argv[-1])
                assert begin == ["bash", "--norc", "-euc"]
                scripts.append(work.fill(script, {n: f"/nix/store/{n}" for n in re.findall(r"<([a-z-]+)>", script)}))
    assert len(scripts) == 11
    for number, script in enumerate(scripts):
        path = tmp_path / f"{number}.sh"
        path.write_text(f"#!/bin/bash\n{script}\n")
        subprocess.run(["bash", "-n", path], check=True)
        own = script.startswith(("test -d", "sync", "echo", "nixos-install", "/nix", "wrong"))
        subprocess.run(["shellcheck", "--severity=warning", path], check=own, capture_output=True)


def test_a_dry_run_is_the_whole_of_it(project: Project) -> None:  # noqa: F811
    project.host(EXAMPLE)
    done = project.run("install", "hosts/pibox.py", "--target", "root@10.0.0.7", "--port", "2222", "--dry-run")
    assert done.status == 0
    assert done.out.startswith("export NIX_SSHOPTS='-p 2222 -o ConnectTimeout=15 ")
    assert "nixos-install --root /mnt --system <system> --no-root-password --no-channel-copy" in done.out
    assert "# reads the passphrase of cryptroot\n" in done.out
    assert "if zpool list tank >/dev/null 2>&1; then zpool export tank; fi" in done.out
    assert done.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "pi"], "'pi' is no machine: say root@address"),
        (["--target=-oProxyCommand=x@y"], "'-oProxyCommand=x@y' is no machine: say root@address"),
        (["--target", "ivan@pi"], "ivan@pi: installing and switching takes root: say root@pi"),
        (["--target", "root@pi", "--ssh-option", "a b"], "'a b' is no option of ssh: say NAME=VALUE, without spaces"),
        (["--target", "root@pi", "--secret", "x"], "say NAME=FILE: the secret itself has no place in a command"),
        (["--target", "root@pi", "--secret", "x=y"], "say the absolute path that the host has it at"),
        (["--target", "root@pi", "--secret", "/x=/no/such"], "there is no file /no/such"),
        (["--target", "root@pi", "--passphrase", "x=/etc/hostname"], "nothing of that name asks for one; none"),
    ],
)
def test_wrong_arguments(project: Project, arguments: list[str], said: str) -> None:  # noqa: F811
    project.host(SMALLEST, "vm")
    done = project.run("install", "hosts/vm.py", *arguments, "--dry-run")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert said in done.err


# The target


LSBLK = json.dumps(
    {
        "blockdevices": [
            {
                **dict.fromkeys(("tran", "model", "serial", "fstype", "label")),
                "name": "sda",
                "path": "/dev/sda",
                "type": "disk",
                "rm": False,
                "hotplug": False,
                "ro": False,
                "size": 10**12,
                "mountpoints": [None],
                "maj:min": "8:0",
            }
        ]
    }
)


def ready(**more: Any) -> Target:
    disk = TargetDisk(SSD, "8:0", 10**12, "table-1")
    plain = Target(
        machine="aarch64",
        user=0,
        system="nixos",
        boot="b",
        efi=True,
        zfs=True,
        memory=8 << 30,
        programs=frozenset(target.PROGRAMS),
        disks={SSD: disk},
        devices=tuple(parse(LSBLK)),
    )
    return dataclasses.replace(plain, **more)


def whats(found: list[Objection]) -> list[str]:
    return [o.what for o in found]


def test_a_target_as_it_should_be(pibox: dict[str, Any]) -> None:
    assert whats([*lints.of_machine(pibox, ready()), *lints.of_disks(pibox, ready(), None)]) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"user": 1000}, "the target does not let root in"),
        ({"machine": "x86_64"}, "the target is x86_64, and pibox is aarch64"),
        ({"system": "raspbian"}, "the target runs raspbian, not NixOS with nixos-install"),
        ({"programs": frozenset({"nix"})}, "the target runs nixos, not NixOS with nixos-install"),
        ({"zfs": False}, "the target has no ZFS"),
        ({"memory": 1 << 29}, "the target has 512.0 MiB of memory: the system is copied to its disk, not to memory, "),
        ({"disks": {}}, f"the target has no disk {SSD}; it has /dev/sda (931.3 GiB)"),
        ({"disks": {SSD: TargetDisk(SSD, "8:0", 10**9, "")}}, f"{SSD} has 953.7 MiB, and the layout needs 9.0 GiB"),
        ({"mounted": frozenset({"/mnt/x"})}, "something is mounted at /mnt/x on the target"),
        ({"pools": frozenset({"tank"})}, "the target has a pool tank imported"),
        (
            {"devices": tuple(parse(LSBLK.replace("[null]", '["/iso"]')))},
            f"{SSD} is mounted at /iso",
        ),
    ],
)
def test_a_target_that_will_not_do(pibox: dict[str, Any], more: dict[str, Any], said: str) -> None:
    found = [*lints.of_machine(pibox, ready(**more)), *lints.of_disks(pibox, ready(**more), None)]
    assert len(found) == 1
    assert found[0].what.startswith(said)
    assert found[0].fix


@pytest.mark.parametrize(
    ("fs_type", "label", "known", "found"),
    [
        ("zfs_member", "tank", False, ["/dev/sdb2 holds another pool tank, which would be taken instead of a new one"]),
        ("zfs_member", "tank", True, []),  # a disk of the layout, which is destroyed first
        ("zfs_member", "backup", False, []),
        ("ext4", "tank", False, []),
    ],
)
def test_a_pool_of_that_name_on_another_disk(
    pibox: dict[str, Any], fs_type: str, label: str, found: list[str], *, known: bool
) -> None:
    member = BlockDevice("sdb2", "/dev/sdb2", "part", 10**9, removable=False, fs_type=fs_type, label=label)
    disk = BlockDevice("sdb", "/dev/sdb", "disk", 10**12, removable=True, number="8:16", children=(member,))
    there = ready(devices=(*ready().devices, disk))
    if known:
        there = dataclasses.replace(there, disks={SSD: TargetDisk(SSD, "8:16", 10**12, "")})
    objections = list(lints.of_disks(pibox, there, None))
    assert whats(objections) == found
    assert [o.fix for o in objections] == ["unplug /dev/sdb, or another name for the pool"] * len(found)


def test_kexec_is_advised_against(pibox: dict[str, Any]) -> None:
    (found,) = lints.of_machine(pibox, ready(system="debian"))
    assert "Not by kexec: a Raspberry Pi 4 locks up in it" in found.fix


def test_disks_in_use_by_this_very_installation_are_no_objection(pibox: dict[str, Any]) -> None:
    busy = ready(pools=frozenset({"tank"}), mounted=frozenset({"/mnt", "/mnt/nix"}))
    ours = state.State("pibox", "root@10.0.0.7", formatted={SSD: "table-1"})
    assert whats(list(lints.of_disks(pibox, busy, ours))) == []
    another = state.State("pibox", "root@10.0.0.7", formatted={SSD: "table-2"})
    assert len(list(lints.of_disks(pibox, busy, another))) == 3


def test_two_names_of_one_disk(pibox: dict[str, Any]) -> None:
    other = "/dev/disk/by-id/wwn-1"
    twice = pibox | {"disks": [pibox["disks"][0], pibox["disks"][0] | {"device": other}]}
    there = {SSD: TargetDisk(SSD, "8:0", 10**12, ""), other: TargetDisk(other, "8:0", 10**12, "")}
    assert f"{other} and {SSD} are one and the same disk" in whats(
        list(lints.of_disks(twice, ready(disks=there), None))
    )


def test_what_the_script_prints_is_read() -> None:
    text = f"""\
machine=aarch64
user=0
system=nixos
boot=abc
memory=4000000
efi=1
program=nix
program=nixos-install
mounted=/mnt
pool=tank
present=/run/luks-keys/cryptkey.passphrase
disk={SSD} 8:0 2000409264 1b2c
lsblk=
{LSBLK}
"""
    found = target.parse(text)
    assert found.disks == {SSD: TargetDisk(SSD, "8:0", 2000409264 * 512, "1b2c")}
    assert (found.efi, found.zfs, found.memory, found.mounted) == (True, False, 4096000000, frozenset({"/mnt"}))
    assert found.present == {"/run/luks-keys/cryptkey.passphrase"}
    for broken in ("", "Welcome!\n", text.partition("lsblk")[0]):
        with pytest.raises(ToolError, match="the target did not say what it is"):
            target.parse(broken)


def test_the_script_runs_here() -> None:
    need("lsblk")
    done = subprocess.run(
        ["bash", "--norc", "-euc", target.script(["/dev/none"], ["/etc/hostname"])],
        check=True,
        capture_output=True,
        text=True,
    )
    found = target.parse(done.stdout)
    assert found.disks == {}
    assert "bash" in found.programs
    assert found.present == {"/etc/hostname"}


# This machine


def test_who_can_build(pibox: dict[str, Any]) -> None:
    def said(here: NixMachine, *, on_target: bool = False) -> list[tuple[str, bool]]:
        return [(o.what.partition(":")[0], o.warning) for o in lints.of_build(pibox, here, on_target=on_target)]

    x86 = NixMachine("x86_64-linux")
    assert said(NixMachine("aarch64-linux")) == []
    assert said(dataclasses.replace(x86, builders=frozenset({"aarch64-linux"}))) == []
    assert said(x86, on_target=True) == []
    emulated = dataclasses.replace(x86, emulated=frozenset({"aarch64-linux"}))
    assert said(emulated) == [("this machine builds aarch64-linux by emulation", True)]
    assert said(x86) == [("this machine is x86_64-linux and cannot build for aarch64-linux", False)]
    assert said(NixMachine()) == [("this machine is without Nix and cannot build for aarch64-linux", False)]


def test_how_nix_is_configured(tmp_path: Path) -> None:
    (tmp_path / "machines").write_text("# comment\nssh-ng://b aarch64-linux,armv7l-linux - 4\n")
    values = {"system": "x86_64-linux", "extra-platforms": ["i686-linux", "x86_64-linux"]}
    found = nix_machine.parse(
        json.dumps({k: {"value": v} for k, v in (values | {"builders": f"@{tmp_path}/machines"}).items()})
    )
    assert found == NixMachine("x86_64-linux", frozenset({"i686-linux"}), frozenset({"aarch64-linux", "armv7l-linux"}))
    inline = nix_machine.parse(
        json.dumps({k: {"value": v} for k, v in (values | {"builders": "ssh://a aarch64-linux ; @/none"}).items()})
    )
    assert inline.builders == {"aarch64-linux"}
    with pytest.raises(ToolError, match="nix did not say how it is configured"):
        nix_machine.parse("[]")


def test_nix_itself_is_asked() -> None:
    need("nix")
    assert nix_machine.nix_machine().system in {"x86_64-linux", "aarch64-linux"}


def test_files_that_git_does_not_know(project: Project) -> None:  # noqa: F811
    need("git")
    project.host(SMALLEST, "vm")
    project.run("gen", "hosts/vm.py")
    files = [f"modules/vm/{name}" for name in ("default.nix", "disko.nix")]
    assert command._unknown(project.root, files) == []
    git = ["git", "-C", str(project.root)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", files[0]], check=True)
    assert command._unknown(project.root, files) == [files[1]]
    (found,) = lints.of_files([files[1]], [])
    assert found.what == "Git does not know modules/vm/disko.nix, so Nix will not see it"


# Secrets and state

CANARY = "canary-51d0"


def test_a_wifi_key_becomes_a_profile_and_is_said_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "psk"
    file.write_text(f"{CANARY} \\x\n")
    path = f"{PROFILES}/wifi.nmconnection"
    secrets = command._Secrets(Options("/p", secrets={path: file}), "Home")
    profile = secrets.read(f"file:{path}").decode()
    assert f"psk={CANARY}\\s\\\\x\n" in profile
    assert "ssid=Home\n" in profile
    for wrong in ("short", "x" * 64, "größer als nötig"):
        file.write_text(wrong)
        with pytest.raises(NixwrightError, match="holds no key of WPA") as error:
            secrets.read(f"file:{path}")
        assert wrong not in str(error.value)
    assert capsys.readouterr() == ("", "")


def test_a_typed_passphrase_is_asked_for_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    typed = iter([CANARY, "other", "", CANARY, CANARY])
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(typed))
    assert command._Secrets(Options("/p"), None).read("passphrase:root") == CANARY.encode()
    assert capsys.readouterr().err == "They differ, or are empty. Again:\n" * 2


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(NixwrightError, match=r"--passphrase root=FILE"):
        command._Secrets(Options("/p"), None).read("passphrase:root")


def test_state_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state.load("pi") is None
    made = state.State("pi", "root@pi", "digest", {SSD: "table"}, ["Password of ivan"])
    state.save(made)
    assert state.load("pi") == made
    (tmp_path / "nixwright/install/pi.json").write_text("{")
    with pytest.raises(ToolError, match="remove it to begin anew"):
        state.load("pi")


def test_store_paths_are_told_apart_by_their_names() -> None:
    paths = [
        "/nix/store/a-disko-destroy-format-mount",
        "/nix/store/b-disko-mount",
        "/nix/store/c-nixos-system-pi-26.05",
    ]
    data = json.dumps([{"outputs": {"out": p}} for p in paths])
    assert work.kept("scripts", data) == {
        "disko-destroy-format-mount": paths[0],
        "disko-mount": paths[1],
        "system": paths[2],
    }
    for broken in ("", "null", "[{}]"):
        with pytest.raises(ToolError, match="nix did not say where"):
            work.kept("scripts", broken)
