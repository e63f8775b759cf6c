"""The root of a host with slots: what stage 1 does, what names the booted slot's partitions, and what is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from host_project import project  # noqa: F401 - a fixture
from layout_slots import DATA, EMMC, SLOTS, U_BOOT, emmc
from nixwright import Host, User
from nixwright.boards.qemu_vm import QemuVm
from nixwright.boards.rock64 import Rock64
from nixwright.errors import Mistake, collecting
from nixwright.layout import ESP, GPT, REST, Disk, Ext4, MiB, Partition, Squashfs, Vfat
from nixwright.layout.model import Layout
from nixwright.parts.overlay_root import OverlayRoot, slot_rules
from nixwright.parts.run0 import Run0
from nixwright.parts.volatile_logs import VolatileLogs
from nixwright.survey import survey
from programs import need
from slots_host import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from host_project import Project
    from nixwright.parts.base import Part

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL ivan@laptop"
ADMIN = User("admin", groups=["wheel"], ssh_keys=[KEY])


def rock64(*parts: Part, disk: Disk | None = None) -> Host:
    disks = [emmc() if disk is None else disk]
    return Host("rock64", state_version="26.05", board=Rock64(), disks=disks, parts=list(parts), users=[ADMIN])


def settings(host: Host, tmp_path: Path) -> dict[str, Any]:
    found = survey(host, tmp_path, "hosts/rock64.py")
    assert found is not None
    return {".".join(s.path): s.value for s in found.settled.settings}


def mistakes(host: Host, tmp_path: Path) -> list[Mistake]:
    with collecting() as found:
        survey(host, tmp_path, "hosts/rock64.py")
    return found


def test_a_layer_of_memory_lies_over_the_slot_that_booted(tmp_path: Path) -> None:
    found = settings(rock64(OverlayRoot(memory=25)), tmp_path)
    lower, memory = found["boot.initrd.systemd.mounts"]
    assert (lower["what"], lower["type"], lower["options"]) == ("/dev/disk/by-slot/root", "squashfs", "ro")
    assert memory["options"] == "mode=0755,size=25%"
    options = found["fileSystems./"]["options"]
    assert f"lowerdir={lower['where']}" in options
    assert all(o.split("=")[1].startswith(memory["where"]) for o in options if o.startswith(("upperdir", "workdir")))
    assert found["fileSystems./boot"]["device"] == "/dev/disk/by-slot/boot"  # never slot A's by name


def test_no_shell_for_whoever_is_at_the_console_unless_asked_for(tmp_path: Path) -> None:
    access = "boot.initrd.systemd.emergencyAccess"
    assert access not in settings(rock64(OverlayRoot()), tmp_path)
    assert settings(rock64(OverlayRoot(emergency_shell=True)), tmp_path)[access] is True


def test_no_sandbox_of_a_unit_is_weakened(tmp_path: Path) -> None:
    """An overlay is a root like another: what the original turned off for it, this does not."""
    for path, value in settings(rock64(OverlayRoot(), VolatileLogs(), Run0()), tmp_path).items():
        text = f"{path} {value}"
        assert not re.search(r"Protect|PrivateTmp|NoNewPrivileges|DynamicUser|Restrict", text), text


def test_the_image_starts_each_piece_where_the_layout_has_it(tmp_path: Path) -> None:
    found = settings(rock64(OverlayRoot()), tmp_path)
    image = found["system.build.image"].arguments[1] if hasattr(found["system.build.image"], "arguments") else None
    text = str(image or found["system.build.image"])
    for sector in (64, 16384, 32768, 294912):
        assert f"'sector': {sector}," in text
    assert "'size': 1225785344" in text


def test_udev_names_the_partitions_of_the_slot_of_the_kernel_line() -> None:
    rules = slot_rules(Layout.of([emmc()])).splitlines()
    # a line's matches are looked at before it imports: the parameter has a line of its own
    assert [("IMPORT" in rule, "rauc.slot}" in rule) for rule in rules] == [(True, False), *[(False, True)] * 4]
    assert [re.findall(r'PARTN\}=="(\d)".*boot\.(\d)".*by-slot/(\w+)"', r)[0] for r in rules[1:]] == [
        ("1", "0", "boot"),
        ("2", "0", "root"),
        ("3", "1", "boot"),
        ("4", "1", "root"),
    ]


def test_only_the_boot_that_finds_no_slot_b_counts_as_the_first(tmp_path: Path) -> None:
    script = settings(rock64(OverlayRoot()), tmp_path)["boot.initrd.systemd.services.fresh-flash"]["script"]
    marker, kernel = tmp_path / "run" / "fresh-flash", tmp_path / "sys"
    script = script.replace("/run/nixwright", str(marker.parent)).replace("/sys/class/block", str(kernel))
    for partitions, fresh in (([], True), ([1, 2], True), ([1, 2, 3, 4, 5], False), ([13], True)):
        for number in partitions:
            directory = kernel / "mmcblk1" / f"mmcblk1p{number}"
            directory.mkdir(parents=True)
            (directory / "partition").write_text(f"{number}\n")
        subprocess.run(["bash", "-c", script], check=True, capture_output=True)
        assert marker.exists() is fresh, partitions
        shutil.rmtree(kernel, ignore_errors=True)
        shutil.rmtree(marker.parent, ignore_errors=True)


def test_what_a_slot_host_lacks_is_told(tmp_path: Path) -> None:
    by_id = "/dev/disk/by-id/usb-x"
    plain = GPT(Partition("boot", MiB(512), ESP()), Partition("root", REST, Ext4("/")))
    vm = Host("vm", state_version="26.05", board=QemuVm(), disks=[Disk(by_id, plain)], parts=[OverlayRoot()])
    cases = {
        "there are no slots to boot from": vm,
        "OverlayRoot(): from nixwright.parts.overlay_root": rock64(),
        "nothing is mounted at /data": rock64(OverlayRoot(), disk=Disk(EMMC, GPT(*U_BOOT, SLOTS))),
        "U-Boot looks for its slots on the eMMC": rock64(OverlayRoot(), disk=Disk(by_id, GPT(*U_BOOT, SLOTS, DATA))),
        "does not start without idbloader.img": rock64(OverlayRoot(), disk=Disk(EMMC, GPT(U_BOOT[1], SLOTS, DATA))),
        "would not survive a boot": rock64(OverlayRoot(), VolatileLogs(at="/var/log/kept")),
    }
    for what, host in cases.items():
        found = [m for m in mistakes(host, tmp_path) if what in f"{m.field} {m.what} {m.given} {m.allowed} {m.fix}"]
        assert len(found) == 1, (what, mistakes(host, tmp_path))
        assert found[0].fix


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (Vfat("/data"), "has no links and no owners: nothing could be kept on it"),
        (Squashfs("/data"), "is read-only: nothing could be kept on it"),
        *((Ext4(path), "would hide what the slot has there") for path in ("/nix", "/nix/store", "/etc")),
    ],
    ids=lambda value: f"{value.kind}-{value.at}" if isinstance(value, Ext4 | Squashfs | Vfat) else "",
)
def test_what_cannot_be_mounted_beside_the_slots(content: Ext4 | Squashfs | Vfat, what: str, tmp_path: Path) -> None:
    more = [] if content.at == "/data" else [Partition("more", MiB(64), content, at_first_boot=True)]
    data = Partition("data", REST, content, at_first_boot=True) if content.at == "/data" else DATA
    found = mistakes(rock64(OverlayRoot(), disk=Disk(EMMC, GPT(*U_BOOT, SLOTS, *more, data))), tmp_path)
    assert [(m.field, m.what, m.given) for m in found] == [(f"{type(content).__name__}.at", what, content.at)]


def test_a_file_system_of_stage_1_made_at_first_boot(tmp_path: Path) -> None:
    log = Partition("log", MiB(64), Ext4("/var/log"), at_first_boot=True)
    found = settings(rock64(OverlayRoot(), disk=Disk(EMMC, GPT(*U_BOOT, SLOTS, log, DATA))), tmp_path)
    assert {**found["fileSystems./var/log"], "device": ""} == {"device": "", "fsType": "ext4"}


def test_logs_are_written_seldom_and_where_they_stay(tmp_path: Path) -> None:
    found = settings(rock64(OverlayRoot(), VolatileLogs(every=600, weeks=2, at="/data/log")), tmp_path)
    assert found["services.journald.storage"] == "volatile"
    config = found["services.rsyslogd.defaultConfig"]
    assert config.count('flushInterval="600"') == config.count('file="/data/log/') == 2
    assert found["services.logrotate.settings./data/log/*.log"]["rotate"] == 2
    assert found["systemd.services.syslog.unitConfig.RequiresMountsFor"] == "/data/log"


def test_logs_are_rotated_though_the_root_forgets(tmp_path: Path) -> None:
    need("logrotate")
    found = settings(rock64(OverlayRoot(), VolatileLogs(at="/data/log")), tmp_path)
    said = dict(found["services.logrotate.settings./data/log/*.log"])
    said.pop("postrotate")  # tells rsyslog
    lines = [said.pop("frequency"), *(key if value is True else f"{key} {value}" for key, value in said.items())]
    option, state = found["services.logrotate.extraArgs"]
    assert state.startswith("/data/log/")
    config = tmp_path / "logrotate.conf"
    config.write_text(f"{tmp_path}/*.log {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n")
    config.chmod(0o644)
    lasts = tmp_path / state.rpartition("/")[2]

    def boot() -> list[str]:
        """Rotate once, as the first time after a boot; return the logs that are kept."""
        subprocess.run(["logrotate", option, lasts, config], check=True, capture_output=True)
        return sorted(p.name for p in tmp_path.glob("*.log*"))

    (tmp_path / "messages.log").write_text("a line\n")
    assert boot() == ["messages.log"]
    eight_days_ago = (datetime.now(tz=UTC) - timedelta(days=8)).strftime("%Y-%-m-%-d-0:0:0")
    lasts.write_text(f'logrotate state -- version 2\n"{tmp_path}/messages.log" {eight_days_ago}\n')
    assert boot() == ["messages.log.1.gz"]
    with (tmp_path / "auth.log").open("wb") as file:
        file.truncate(17 << 20)
    assert boot() == ["auth.log.1.gz", "messages.log.1.gz"]


def test_rsyslog_takes_its_configuration_and_writes_in_large_pieces(tmp_path: Path) -> None:
    need("rsyslogd")
    path = tmp_path / "rsyslog.conf"
    path.write_text(VolatileLogs(at=str(tmp_path)).rsyslog())
    done = subprocess.run(["rsyslogd", "-N1", "-f", path], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    path.write_text('main_queue(queue.type="NoSuchList")\n')  # it does refuse what is none
    assert subprocess.run(["rsyslogd", "-N1", "-f", path], check=False, capture_output=True).returncode != 0


def test_nothing_is_installed_on_a_host_that_is_flashed(project: Project) -> None:  # noqa: F811 - pytest's way
    project.host(HOST, "gateway")
    answer = project.run("install", "hosts/gateway.py", "--target", "root@10.0.0.7", "--dry-run")
    assert answer.status != 0
    assert "nixwright build --artifact image, then nixwright flash" in answer.err
    assert answer.out == ""
