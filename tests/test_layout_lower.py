"""What a layout lowers to, one test for each trap of disko and of stage 1; and the PiBox as a whole, in pictures."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from nixwright.layout import (
    ESP,
    GPT,
    REST,
    Dataset,
    Disk,
    Ext4,
    F2fs,
    GiB,
    KeyFile,
    Luks,
    MiB,
    Partition,
    Passphrase,
    Raw,
    Sectors,
    Squashfs,
    Swap,
    Zpool,
    picture,
)
from nixwright.layout.lower import settings
from nixwright.layout.model import Layout
from nixwright.layout.steps import steps
from nixwright.runbook import Phase
from programs import need

SSD = "/dev/disk/by-id/ata-Samsung_SSD_870_QVO_1TB_S5RRNF0R123456"


def pibox(version: Any = 2, mounts: Any = "native") -> Layout:
    key = KeyFile("/keyfile", size=8192)
    tank = Zpool(
        "tank",
        reserved=GiB(200),
        ashift=13,
        mounts=mounts,
        datasets=[
            Dataset("local/root", at="/", wiped=True),
            Dataset("local/nix", at="/nix"),
            Dataset("persist/system", at="/persist"),
            Dataset("persist/lib", at="/var/lib"),
            Dataset("persist/journal", at="/var/log/journal"),
            Dataset("persist/user/ivan", at="/home/ivan", snapshots=True),
        ],
    )
    root = Luks("cryptroot", opens_with=[Passphrase(), key], content=tank.member(), version=version)
    table = GPT(
        Partition("EFI system partition", MiB(1023), ESP(at=None)),
        Partition("luks key", MiB(32), Luks("cryptkey", opens_with=[Passphrase()], content=Ext4(files=[key]))),
        Partition("swap", GiB(8), Luks("cryptswap", opens_with=[key], content=Swap())),
        Partition("root", REST, root),
    )
    return Layout.of([Disk(SSD, table)])


def value(layout: Layout, *path: str) -> Any:
    """The value at a path, wherever its setting starts."""
    for setting in settings(layout):
        if setting.path == path[: len(setting.path)]:
            found: Any = setting.value
            for name in path[len(setting.path) :]:
                found = found[name]
            return found
    raise KeyError(path)


def partition(layout: Layout, name: str) -> Any:
    return value(layout, "disko", "devices", "disk", "main", "content", "partitions", name)


def initrd(layout: Layout, *path: str) -> Any:
    return value(layout, "boot", "initrd", *path)


def hooks_of(tree: Any) -> list[str]:
    if not isinstance(tree, dict):
        return []
    own = [v for k, v in tree.items() if k.endswith("Hook")]
    return own + [h for v in tree.values() for h in hooks_of(v)]


def test_partitions_are_made_in_their_order_and_not_by_name() -> None:
    names = ["EFI-system-partition", "luks-key", "swap", "root"]
    assert [partition(pibox(), n)["priority"] for n in names] == [1, 2, 3, 4]
    assert [partition(pibox(), n)["label"] for n in names] == ["EFI system partition", "luks key", "swap", "root"]
    assert [partition(pibox(), n)["size"] for n in names] == ["1023M", "32M", "8G", "100%"]


def test_a_partition_is_found_by_its_disk_and_not_by_a_label_another_disk_may_have() -> None:
    assert partition(pibox(), "root")["device"] == f"{SSD}-part4"
    assert initrd(pibox(), "luks", "devices", "cryptroot")["device"] == f"{SSD}-part4"


def test_boot_and_format_have_keys_of_their_own_syntax() -> None:
    swap = partition(pibox(), "swap")["content"]
    assert swap["initrdUnlock"] is False
    assert swap["settings"]["keyFile"] == "/run/luks-keys/cryptkey-keyfile"
    assert initrd(pibox(), "luks", "devices", "cryptswap") == {
        "device": f"{SSD}-part3",
        "allowDiscards": True,
        "keyFile": "/keyfile:/dev/mapper/cryptkey",
        "keyFileSize": 8192,
        "keyFileTimeout": 30,
        "crypttabExtraOpts": ["headless=true"],
    }
    assert initrd(pibox(), "supportedFilesystems") == ["ext4"]


def test_no_key_size_and_no_additional_key_file_reach_disko() -> None:
    text = str([s.value for s in settings(pibox()) if s.module == "disko"])
    assert "keyFileSize" not in text
    assert "additionalKeyFiles" not in text
    adding = partition(pibox(), "root")["content"]["postCreateHook"]
    assert adding.index("--test-passphrase") < adding.index("luksAddKey")


def test_mounting_opens_every_container_and_unmounting_closes_them_the_last_first() -> None:
    disk = value(pibox(), "disko", "devices", "disk", "main")
    opened = re.findall(r'part\d" (\w+)$', disk["preMountHook"], re.MULTILINE)
    assert list(dict.fromkeys(opened)) == ["cryptkey", "cryptswap", "cryptroot"]
    closed = re.findall(r"close --deferred (\w+)", disk["postUnmountHook"])
    assert closed == ["cryptroot", "cryptswap", "cryptkey"]


def test_luks1_is_said_to_cryptsetup() -> None:
    assert partition(pibox(version=1), "root")["content"]["extraFormatArgs"] == ["--type", "luks1"]
    assert "extraFormatArgs" not in partition(pibox(), "root")["content"]


def test_whoever_types_slowly_or_wrongly_still_boots() -> None:
    assert initrd(pibox(), "luks", "devices", "cryptkey")["crypttabExtraOpts"] == ["tries=0"]
    assert initrd(pibox(), "systemd", "services", "zfs-import-tank") == {
        # the container itself, too: the target is given up once another container's key file cannot be read
        "after": ["cryptsetup.target", "systemd-cryptsetup@cryptroot.service"],
        "wants": ["cryptsetup.target"],
    }
    device = initrd(pibox(), "systemd", "units", "dev-mapper-cryptkey.device")
    assert device["overrideStrategy"] == "asDropin"
    assert "After=systemd-cryptsetup@cryptkey.service" in device["text"]


def test_the_container_of_the_key_is_closed_once_the_system_is_up() -> None:
    unit = value(pibox(), "systemd", "services", "cryptkey-close")
    assert unit["wantedBy"] == ["basic.target"]
    assert unit["serviceConfig"]["ExecStart"].parts[0] == "-"


def test_rolling_back_fails_closed_and_has_a_way_out() -> None:
    unit = initrd(pibox(), "systemd", "services", "rollback-tank")
    assert unit["requiredBy"] == unit["before"] == ["sysroot.mount"]
    assert unit["requires"] == unit["after"] == ["zfs-import-tank.service"]
    assert unit["unitConfig"] == {"DefaultDependencies": False, "ConditionKernelCommandLine": "!norollback"}
    assert unit["script"] == "zfs rollback -r tank/local/root@blank\n"


def test_the_blank_snapshot_is_made_once() -> None:
    hook = value(pibox(), "disko", "devices", "zpool", "tank", "datasets", "local/root", "postCreateHook")
    assert hook.startswith("if ! zfs list -H -t snapshot tank/local/root@blank")


def test_the_pool_is_told_in_strings() -> None:
    tank = value(pibox(), "disko", "devices", "zpool", "tank")
    assert tank["options"] == {"ashift": "13", "autotrim": "on"}
    assert tank["rootFsOptions"]["mountpoint"] == "legacy"
    assert tank["datasets"]["reserved"]["options"] == {"canmount": "off", "quota": "200G", "reservation": "200G"}
    strings = [*tank["options"].values(), *tank["rootFsOptions"].values()]
    assert all(isinstance(v, str) for v in strings)
    assert value(pibox(), "boot", "zfs", "forceImportRoot") is False


def test_how_a_pool_mounts_is_one_field() -> None:
    native = value(pibox(), "disko", "devices", "zpool", "tank", "datasets", "local/nix")
    legacy = value(pibox(mounts="legacy"), "disko", "devices", "zpool", "tank", "datasets", "local/nix")
    assert native == {"type": "zfs_fs", "mountpoint": "/nix"}
    assert legacy == {**native, "options": {"mountpoint": "legacy"}}


def test_what_is_kept_beside_a_wiped_root_is_mounted_early_but_no_home() -> None:
    said = [s.path[1] for s in settings(pibox()) if s.path[-1] == "neededForBoot"]
    assert said == ["/persist", "/var/log/journal"]


def test_the_layout_answers_what_survives() -> None:
    layout = pibox()
    assert layout.survives("/persist/etc/ssh")
    assert not layout.survives("/etc/ssh")
    assert not layout.survives("/persistent")
    assert layout.encrypted
    assert layout.has_zfs


def test_after_a_gap_every_start_is_said() -> None:
    table = GPT(
        Raw("u-boot", Sectors(64), MiB(8), file="/tmp/u-boot.itb"),  # noqa: S108 - a name of the user's
        Partition("boot", MiB(128), ESP(), start=MiB(16)),
        Partition("image", MiB(100), Squashfs("/image")),
        Partition("root", REST, F2fs("/", format=["-O", "extra_attr"])),
    )
    layout = Layout.of([Disk(SSD, table)])
    assert [partition(layout, n)["start"] for n in ("boot", "image", "root")] == ["16M", "144M", "244M"]
    assert "content" not in partition(layout, "image")  # there is no mkfs for a squashfs
    assert value(layout, "fileSystems", "/image")["options"] == ["ro"]
    assert partition(layout, "root")["content"]["extraArgs"] == ["-O", "extra_attr"]
    assert "seek=64 " in value(layout, "disko", "devices", "disk", "main", "postCreateHook")
    assert "start" not in partition(pibox(), "root")


def test_hooks_are_clean_shell() -> None:
    need("shellcheck")
    found = [h for s in settings(pibox()) for h in hooks_of(s.value)]
    assert len(found) == 7
    for hook in [*found, "echo $unquoted"]:
        run = subprocess.run(
            ["shellcheck", "--shell=bash", "-"], input=hook, capture_output=True, text=True, check=False
        )
        assert (run.returncode == 0) == (hook != "echo $unquoted"), run.stdout


def test_steps_have_the_exact_numbers() -> None:
    found = steps(pibox(), "pibox")
    table = next(s for s in found if s.title == "Compare the partition table")
    assert [re.split(r"\s{2,}", line)[1:3] for line in table.expect.splitlines()] == [
        ["2048", "2097151"],
        ["2097152", "2162687"],
        ["2162688", "18939903"],
        ["18939904", "the end"],
    ]
    assert any(s.commands.endswith("pibox.config.system.build.destroyFormatMount") for s in found)
    assert found[-1].phase is Phase.AFTER
    assert "rm -r /run/luks-keys" in found[-1].commands
    assert steps(Layout.of([]), "vm") == []


def test_the_terminal_picture_is_80_columns_and_shows_what_is_wiped() -> None:
    text = picture.terminal(pibox())
    assert max(map(len, text.splitlines())) == 80
    assert "│   └ LUKS2 cryptkey, opens with passphrase" in text
    assert "│     └ ext4 (not mounted), keeps /keyfile" in text
    assert re.search(r"local/root +/ +wiped at boot", text)
    assert re.search(r"persist/user/ivan +/home/ivan +kept, snapshots", text)
    assert "1056 MiB + 8 GiB" in text


@pytest.mark.parametrize("layout", [pibox(), Layout.of([Disk(SSD, GPT(Partition("a", GiB(1), Ext4("/"))))])])
def test_the_svg_picture_is_well_formed_and_stays_within_its_frame(layout: Layout) -> None:
    root = ET.fromstring(picture.svg(layout))  # noqa: S314 - our own
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    boxes = [e.attrib for e in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(boxes) > 1
    assert all(int(b["x"]) + int(b["width"]) <= width and int(b["y"]) + int(b["height"]) <= height for b in boxes)
