"""Pools that are encrypted in one way or another, roll-backs that fail, and file names that a pool cannot hold."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from nixwright.errors import Mistake, collecting
from nixwright.layout import ESP, GPT, REST, Dataset, Disk, GiB, Partition, Zpool
from nixwright.layout.lower import settings
from nixwright.layout.model import Layout
from nixwright.layout.steps import steps
from programs import need

if TYPE_CHECKING:
    from collections.abc import Mapping

DISK = "/dev/disk/by-id/virtio-impermanence"


def layout(*datasets: Dataset, **fields: Any) -> Layout:
    sets = datasets or (Dataset("local/root", at="/", wiped=True), Dataset("local/nix", at="/nix"))
    pool = Zpool("rpool", sets, mounts="legacy", **fields)
    return Layout.of([Disk(DISK, GPT(Partition("EFI", GiB(1), ESP()), Partition("root", REST, pool.member())))])


def mistakes(*datasets: Dataset, **fields: Any) -> list[Mistake]:
    with collecting() as found:
        layout(*datasets, **fields)
    return found


def lowered(which: Layout) -> dict[str, Any]:
    """All settings by their dotted path."""
    return {".".join(s.path): s.value for s in settings(which)}


def pool_of(which: Layout) -> Mapping[str, Any]:
    found: Mapping[str, Any] = lowered(which)["disko.devices.zpool.rpool"]
    return found


def content(which: Layout) -> Any:
    return lowered(which)["disko.devices.disk.main"]["content"]["partitions"]["root"]["content"]


def test_plain_zfs_asks_for_nothing() -> None:
    plain = layout()
    assert (plain.encrypted, plain.luks) == (False, ())
    assert "encryption" not in pool_of(plain)["rootFsOptions"]
    assert content(plain) == {"type": "zfs", "pool": "rpool"}
    assert not any("passphrase" in s.why for s in steps(plain, "vm"))


def test_luks2_puts_the_member_into_a_container_and_the_import_behind_it() -> None:
    crypt = layout(encryption="luks2")
    assert crypt.encrypted
    assert (content(crypt)["type"], content(crypt)["name"]) == ("luks", "cryptrpool")
    assert content(crypt)["content"] == {"type": "zfs", "pool": "rpool"}
    found = lowered(crypt)
    assert found["boot.initrd.luks.devices.cryptrpool"]["crypttabExtraOpts"] == ["tries=0"]
    assert found["boot.initrd.systemd.services.zfs-import-rpool"]["after"] == [
        "cryptsetup.target",
        "systemd-cryptsetup@cryptrpool.service",
    ]
    assert "encryption" not in pool_of(crypt)["rootFsOptions"]


def test_each_member_of_a_mirror_has_a_container_of_its_own() -> None:
    pool = Zpool("rpool", [Dataset("root", at="/")], mode="mirror", encryption="luks2")
    disks = [
        Disk(f"{DISK}{n}", GPT(Partition("EFI", GiB(1), ESP(at=None)), Partition("root", REST, pool.member(name))))
        for n, name in enumerate(("left", "right"))
    ]
    assert [c.name for c in Layout.of(disks).luks] == ["left", "right"]


def test_two_containers_of_one_name_are_refused() -> None:
    pool = Zpool("rpool", [Dataset("root", at="/")], mode="mirror", encryption="luks2")
    with collecting() as found:
        Layout.of([Disk(f"{DISK}{n}", GPT(Partition("root", REST, pool.member()))) for n in range(2)])
    assert [(m.field, m.given) for m in found] == [("Luks.name", "'cryptrpool'")]


def test_native_encryption_is_made_from_a_file_and_asks_ever_after() -> None:
    own = layout(encryption="native")
    assert own.encrypted
    pool = pool_of(own)
    properties = pool["rootFsOptions"]
    assert (properties["encryption"], properties["keyformat"]) == ("aes-256-gcm", "passphrase")
    assert properties["keylocation"] == "file:///run/luks-keys/pool-rpool.passphrase"
    assert pool["postCreateHook"] == "zfs set keylocation=prompt rpool\n"
    assert content(own) == {"type": "zfs", "pool": "rpool"}
    texts = [s.why + s.commands for s in steps(own, "vm")]
    assert any("a new passphrase for `rpool`" in t for t in texts)
    assert any("rm -r /run/luks-keys" in t for t in texts)


@pytest.mark.parametrize("hook", ["preCreateHook", "postCreateHook", "preMountHook"])
def test_the_hooks_of_native_encryption_pass_shellcheck(hook: str) -> None:
    need("shellcheck")
    text = "#!/usr/bin/env bash\nset -eu\n" + pool_of(layout(encryption="native"))[hook]
    done = subprocess.run(["shellcheck", "-"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_short_passphrase_is_asked_for_again(tmp_path: Any) -> None:
    """The hook itself, with zfs and zpool that know no pool; ZFS takes 8 characters and more."""
    hook = pool_of(layout(encryption="native"))["preCreateHook"].replace("/run/luks-keys", str(tmp_path / "keys"))
    script = f"set -euo pipefail\nzpool() {{ return 1; }}\nzfs() {{ return 1; }}\n{hook}"
    typed = "short\nshort\nlong enough\nelse enough\nlong enough\nlong enough\n"
    done = subprocess.run(["bash", "-c", script], input=typed, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "8 characters or more" in done.stderr
    assert "They differ" in done.stderr
    kept = tmp_path / "keys/pool-rpool.passphrase"
    assert (kept.read_text(), oct(kept.stat().st_mode & 0o777)) == ("long enough", "0o600")


def test_why_stage_1_stops_is_said_at_the_console() -> None:
    found = lowered(layout())
    for unit in ("zfs-import-rpool.serviceConfig", "rollback-rpool"):
        said = found[f"boot.initrd.systemd.services.{unit}"]
        assert said.get("serviceConfig", said)["StandardError"] == "journal+console"


def test_a_roll_back_that_fails_stops_the_boot() -> None:
    found = lowered(layout())
    unit = found["boot.initrd.systemd.services.rollback-rpool"]
    assert unit["requiredBy"] == ["sysroot.mount"]
    assert "wantedBy" not in unit
    assert unit["unitConfig"]["ConditionKernelCommandLine"] == "!norollback"
    assert "systemd.services.rollback-failed" not in found


def test_or_it_shouts() -> None:
    found = lowered(layout(if_rollback_fails="shout"))
    unit = found["boot.initrd.systemd.services.rollback-rpool"]
    assert unit["wantedBy"] == ["sysroot.mount"]
    assert "requiredBy" not in unit
    loud = found["systemd.services.rollback-failed"]
    assert loud["unitConfig"] == {"ConditionPathExists": "/run/rollback-failed"}
    assert "exit 1" in loud["script"]
    assert "/run/rollback-failed" in found["environment.loginShellInit"]


def test_the_shouting_script_goes_on_and_remembers(tmp_path: Any) -> None:
    """The unit's own script: NixOS runs it with `set -e`."""
    text = lowered(layout(if_rollback_fails="shout"))["boot.initrd.systemd.services.rollback-rpool"]["script"]
    note = tmp_path / "rollback-failed"
    text = text.replace("/run/rollback-failed", str(note))
    for status, said in ((0, None), (1, "rpool/local/root\n")):
        done = subprocess.run(["bash", "-ec", f"zfs() {{ return {status}; }}\n{text}"], check=False)
        assert done.returncode == 0
        assert (note.read_text() if note.exists() else None) == said


@pytest.mark.parametrize(
    ("name", "value"), [("normalization", "formD"), ("utf8only", "on"), ("casesensitivity", "insensitive")]
)
def test_file_names_that_programs_need(name: str, value: str) -> None:
    root, home = Dataset("root", at="/"), Dataset("home", at="/home", properties={name: value})
    assert mistakes(root, home) == []
    assert [m.field for m in mistakes(root, home, properties={name: value})] == [f"Zpool.properties.{name}"]
    nix = Dataset("local/nix", at="/nix")
    above = mistakes(Dataset("local", properties={name: value}), root, nix)
    assert [m.field for m in above] == [f"Dataset.properties.{name}"]
    healed = Dataset("local/nix", at="/nix", properties={name: {"utf8only": "off"}.get(name, "none")})
    if name != "casesensitivity":
        assert mistakes(Dataset("local", properties={name: value}), root, healed) == []


@pytest.mark.parametrize("name", ["encryption", "keyformat", "keylocation"])
def test_encryption_is_a_field(name: str) -> None:
    assert [m.field for m in mistakes(properties={name: "on"})] == [f"Zpool.properties.{name}"]
