"""The checks of a host's own disks: what they expect follows from the description, and each scenario can fail."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from fake_machine import fake_machine
from nixwright.layout import GPT, Ext4, MiB, Partition, Raw
from nixwright.layout.disk import Disk
from nixwright.layout.model import Layout
from nixwright.parts.base import Context, UserView
from nixwright.proofs import of_disks
from nixwright.scenarios import disks, installed
from nixwright.scenarios.boots import wait_for_boot
from parts_host import pibox_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nixwright.checks.model import Check
    from nixwright.scenarios.driver import QemuMachine

SSD = "/dev/disk/by-id/virtio-a"
UP = "Reached target multi-user.target - Multi-User System."


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the console does not say at once, it never says."""
    for room in ("boots", "disks", "installed"):
        monkeypatch.setattr(f"nixwright.scenarios.{room}.seconds", lambda _: 1)


def checks(layout: Layout, *users: UserView) -> list[Check]:
    context = Context("box", "feeddead", "26.05", "aarch64-linux", layout, users, [])
    return list(of_disks(context))


def value(layout: Layout, scenario: Callable[..., None], name: str) -> Any:
    (check,) = [c for c in checks(layout) if c.scenario is scenario]
    return check.values[name]


def size(layout: Layout) -> int:
    """MiB of a VM's only disk."""
    images: Any = checks(layout)[0].differences[0].settings["virtualisation.emptyDiskImages"]
    number: int = images[0]["size"]
    return number


class Machine:
    """A machine that says what it is told to say, and keeps what it was asked.

    Its console shows the next of `console` when the machine starts, and after each time that somebody types.
    """

    def __init__(self, state: Path, answers: dict[str, str], console: Sequence[str] = (UP,)) -> None:
        self.state_dir, self.out_dir, self.answers = state, state, answers
        self.asked: list[str] = []
        self.console, self.shown = list(console), UP

    def succeed(self, *commands: str, timeout: object = None) -> str:
        self.asked += commands
        return "".join(text for c in commands for start, text in self.answers.items() if start in c)

    fail = succeed

    def get_console_log(self) -> str:
        return self.shown

    def start(self) -> None:
        self.asked.append("start")
        self.shown = self.console.pop(0)

    def send_console(self, chars: str) -> None:
        self.asked.append(f"send_console {chars}")
        self.shown += self.console.pop(0)

    def __getattr__(self, name: str) -> Callable[..., None]:
        def called(*arguments: object) -> None:
            self.asked.append(" ".join([name, *map(str, arguments)]))

        return called


def machine(state: Path, **answers: str) -> QemuMachine:
    return cast("QemuMachine", Machine(state, {k.replace("_", " "): v for k, v in answers.items()}))


def asked(machine: QemuMachine) -> list[str]:
    return cast("Machine", machine).asked


SGDISK = """\
Number  Start (sector)    End (sector)  Size       Code  Name
   1            2048         2097151   1023.0 MiB  EF00  EFI system partition
   2         2097152         2162687   32.0 MiB    FFFF  luks key
"""
ROWS = [
    ["1", "2048", "2097151", "EF00", "EFI system partition"],
    ["2", "2097152", "2162687", "GUID", "luks key"],
]


def test_the_table_is_compared_to_the_sector(tmp_path: Path) -> None:
    box = machine(tmp_path, sgdisk=SGDISK)
    disks.formats(box, passphrases={"/run/k/a": "b"}, tables={SSD: ROWS})
    assert asked(box)[1:3] == [
        "install -d -m 0700 $(dirname /run/k/a); printf '%s' 'b' > /run/k/a",
        "destroy-format-mount --yes-wipe-all-disks >&2",
    ]
    for wrong in (ROWS[:1], [ROWS[0], [*ROWS[1][:2], "2162688", *ROWS[1][3:]]]):
        with pytest.raises(AssertionError, match=SSD):
            disks.formats(box, passphrases={}, tables={SSD: wrong})


def test_sabotages_of_the_disks_leave_disks_to_evaluate() -> None:
    """Without any, disko does not evaluate: that shows nothing of a check."""
    broken = [path for c in checks(pibox_layout()) for s in c.sabotages for path in s.settings]
    assert "system.build.destroyFormatMount" in broken
    assert "disko.devices" not in broken


def test_what_mounts_itself_is_kept_from_it_where_it_is_mounted_elsewhere() -> None:
    (pibox,) = [s for c in checks(pibox_layout()) for s in c.sabotages if s.name == "elsewhere"]
    assert "systemd.services.zfs-mount.enable" in pibox.settings


def test_slots_and_properties_are_compared(tmp_path: Path) -> None:
    wanted = {SSD: {"version": ["2"], "opens": ["/a", "/b"], "refuses": ["/c"]}}
    disks.opens(machine(tmp_path, luksDump="2\n"), containers=wanted)
    with pytest.raises(AssertionError, match="has 1 key slots, not 2"):
        disks.opens(machine(tmp_path, luksDump="1\n"), containers=wanted)
    disks.properties(machine(tmp_path, get="on\n"), pools={"tank": {"autotrim": "on"}}, datasets={})
    with pytest.raises(AssertionError, match="compression of tank is on, not lz4"):
        disks.properties(machine(tmp_path, get="on\n"), pools={}, datasets={"tank": {"compression": "lz4"}})


def test_what_was_unmounted_is_closed_before_it_is_opened_again() -> None:
    """A container is closed by its last user, which may be udev, a moment after cryptsetup was told to close it."""
    disks.again(fake_machine({}), mounts=["/"], keys="/run/keys")
    with pytest.raises(AssertionError, match=r"never succeeded: .*/dev/mapper"):
        disks.again(fake_machine({"/dev/mapper": False}), mounts=["/"], keys="/run/keys")


def test_the_images_go_out_and_come_in_again(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "empty0.qcow2").write_text("image")
    (inside / "empty0.qcow2").chmod(0o444)  # as a store has it
    box = machine(outside)
    installed.starts(box, after=str(inside), images=["empty0.qcow2"], questions={})
    assert (outside / "empty0.qcow2").read_text() == "image"
    (outside / "empty0.qcow2").write_text("can be written")
    assert asked(box)[0] == "start"


def test_somebody_types_slowly_and_wrongly_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("nixwright.scenarios.installed.time.sleep", slept.append)
    box = Machine(tmp_path, {}, ["for a?", "for a?", "for b?", UP])
    questions = {"for a": "one", "for b": "two"}
    installed.starts(cast("QemuMachine", box), after=str(tmp_path), images=[], questions=questions)
    typed = [f"send_console {t}\n" for t in ("wrong", "one", "two")]
    assert box.asked == ["start", *typed, "wait_for_unit multi-user.target"]
    assert slept[0] > 90


def test_a_question_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wrong passphrase the machine must ask again: that it asked before is no answer."""
    monkeypatch.setattr("nixwright.scenarios.installed.time.sleep", lambda _: None)
    box = Machine(tmp_path, {}, ["for a?", "wrong: no more tries", UP])
    with pytest.raises(AssertionError, match=r"the console never said for a, but at last: .*no more tries"):
        installed.starts(cast("QemuMachine", box), after=str(tmp_path), images=[], questions={"for a": "one"})


def test_nobody_waits_for_a_machine_that_gave_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Machine(tmp_path, {}, ["Reached target emergency.target - Emergency Mode."])
    monkeypatch.setattr("nixwright.scenarios.boots.retry", lambda found, _: found(not True))  # looks once
    box.start()
    with pytest.raises(AssertionError, match=r"never said .*multi-user.*but at last: .*Emergency Mode"):
        wait_for_boot(cast("QemuMachine", box))


def test_mounts_and_swap_are_compared(tmp_path: Path) -> None:
    good = machine(tmp_path, findmnt="tank/a\n", readlink="1\n", swapon="1\n")
    installed.mounted(good, mounts={"/": "tank/a"}, swaps=1)
    with pytest.raises(AssertionError, match="/ is tank/b, not tank/a"):
        installed.mounted(machine(tmp_path, findmnt="tank/b\n", readlink="2\n"), mounts={"/": "tank/a"}, swaps=0)
    with pytest.raises(AssertionError, match="0 swap devices are on, not 1"):
        installed.mounted(machine(tmp_path, swapon="0\n"), mounts={}, swaps=1)


def test_the_power_is_cut_between_writing_and_looking(tmp_path: Path) -> None:
    box = machine(tmp_path)
    installed.wiped(box, wiped=["/etc"], kept=["/persist"], pools=["tank"], questions={})
    told = asked(box)
    crash = told.index("crash")
    assert told[:crash] == ["touch /etc/written-before", "touch /persist/written-before", "sync"]
    assert told[crash + 1] == "start"
    assert {"test -e /etc/written-before", "test -e /persist/written-before"} <= set(told[crash:])


def test_what_is_expected_of_the_pibox() -> None:
    layout = pibox_layout()
    (table,) = value(layout, disks.formats, "tables").values()
    assert [int(first) // 2048 for _, first, *_ in table] == [1, 1024, 1056, 9248]
    containers = value(layout, disks.opens, "containers")
    swap = next(c for device, c in containers.items() if device.endswith("part3"))
    assert swap["opens"] == ["/run/luks-keys/cryptkey-keyfile"]
    assert "/run/luks-keys/cryptkey.passphrase" in swap["refuses"]
    (question,) = value(layout, installed.starts, "questions")
    assert re.search(question, "Please enter passphrase for disk luks key (cryptkey): (press TAB for no echo)")
    assert not re.search(question, "Please enter passphrase for disk root (cryptroot): (press TAB for no echo)")
    assert value(layout, installed.closed, "closed") == ["cryptkey"]


def test_the_disks_have_room_for_what_is_reserved() -> None:
    layout = pibox_layout()
    reserved = sum(p.reserved.bytes for p in layout.pools if p.reserved is not None)
    assert size(layout) * 2**20 > reserved + 9248 * 2**20
    said = Layout.of([Disk(SSD, GPT(Partition("a", MiB(10), Ext4(at="/"))), size=MiB(100))])
    assert size(said) == 100


def test_what_cannot_be_formatted_without_an_image_is_not_checked() -> None:
    assert checks(Layout.of([])) == []
    table = GPT(Raw("boot", MiB(1), MiB(1), file="/images/boot"), Partition("a", MiB(10), Ext4(at="/"), start=MiB(4)))
    assert checks(Layout.of([Disk(SSD, table)])) == []


def test_a_check_that_starts_from_another_starts_its_machines_itself() -> None:
    folder = Path(__file__).parents[1] / "checks" / "pibox"
    assert "start_all()" in (folder / "disks.py").read_text()
    assert "start_all()" not in (folder / "installed.py").read_text()
    assert "starts(machine, after=AFTER," in (folder / "installed.py").read_text()
    assert 'AFTER = \\"${outputOf "disks"}\\"' in (folder / "installed.nix").read_text()


def test_the_disk_of_another_pool_keeps_its_bytes() -> None:
    before, after = (True, "aaaa  -\n"), (True, "bbbb  -\n")
    box = fake_machine({"sha256sum": [before, before]})
    disks.leaves_others_alone(box, bystander="/dev/b")
    told = box.commands
    looks = [index for index, c in enumerate(told) if "sha256sum" in c]
    assert told[looks[0] - 1] == "zpool export bystander"
    assert any("destroy-format-mount" in c for c in told[slice(*looks)])
    assert told[-3:] == ["zpool import bystander", "test -e /run/bystander/kept", "zpool export bystander"]
    with pytest.raises(AssertionError, match="/dev/b, which the description does not name, was written to"):
        disks.leaves_others_alone(fake_machine({"sha256sum": [before, after]}), bystander="/dev/b")
    gone = {"sha256sum": [before, before], "zpool import": False}
    with pytest.raises(AssertionError, match="zpool import"):
        disks.leaves_others_alone(fake_machine(gone), bystander="/dev/b")


def test_only_a_host_with_pools_has_a_bystander() -> None:
    plain = Layout.of([Disk(SSD, GPT(Partition("a", MiB(10), Ext4(at="/"))))])
    assert not [c for c in checks(plain) if c.scenario is disks.leaves_others_alone]
    (check,) = [c for c in checks(pibox_layout()) if c.scenario is disks.leaves_others_alone]
    (image,) = cast("Any", check.differences[0].settings["virtualisation.emptyDiskImages"])
    assert check.values["bystander"] == f"/dev/disk/by-id/virtio-{image['driveConfig']['deviceExtraOpts']['serial']}"


HASHED = UserView("ivan", ("wheel",), (), "/persist/passwords/ivan")


def test_a_hash_is_written_by_the_install_steps_and_the_password_typed_at_the_console() -> None:
    found = checks(pibox_layout(), HASHED, UserView("eve", (), ()))
    names = [c.scenario for c in found]
    assert names.index(disks.passwords_are_written) < names.index(disks.keeps)
    assert names.index(installed.wiped) < names.index(installed.logs_in)
    (written,) = [c for c in found if c.scenario is disks.passwords_are_written]
    box = fake_machine({})
    disks.passwords_are_written(box, **cast("Any", written.values))
    (command,) = box.commands
    assert command.startswith("echo 'gets ivan in' | setsid -w sh -c ")
    assert "mkpasswd -m yescrypt > /mnt/persist/passwords/ivan" in command
    (logs_in,) = [c for c in found if c.scenario is installed.logs_in]
    assert logs_in.values["passwords"] == {"ivan": "gets ivan in"}
    (start,) = [c for c in found if c.scenario is installed.starts]
    assert start.keeps == ["disko", "storage", "users"]


def test_nobody_logs_in_where_no_hash_lies_on_the_disk() -> None:
    found = checks(pibox_layout(), UserView("eve", (), ()))
    assert not {disks.passwords_are_written, installed.logs_in} & {c.scenario for c in found}
    (start,) = [c for c in found if c.scenario is installed.starts]
    assert start.keeps == ["disko", "storage"]


def test_another_password_is_tried_first() -> None:
    box = fake_machine({})
    installed.logs_in(box, passwords={"ivan": "open"})
    shown = [c for c in box.calls if c.startswith(("send_chars", "wait_until_tty"))]
    turn = ["wait_until_tty_matches 1 login: ", "send_chars ivan\n 0.1", "wait_until_tty_matches 1 Password: "]
    wrong = [*turn, "send_chars not open\n 0.1", "wait_until_tty_matches 1 Login incorrect"]
    assert shown == [*wrong, *turn, "send_chars open\n 0.1"]
    with pytest.raises(AssertionError, match=r"never succeeded: .* session opened for user ivan"):
        installed.logs_in(fake_machine({"session opened": False}), passwords={"ivan": "open"})
