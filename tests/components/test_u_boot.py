"""Slots A and B by Debian's own U-Boot: which one starts, how tries run out, and what a power cut leaves."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from nixwright.boards.u_boot import one_line
from programs import need
from u_boot_machine import SIZE, SLOTS, U_BOOT, Board, booted, environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return Board(tmp_path_factory.mktemp("fresh"))


@pytest.fixture
def board(fresh: Board, tmp_path: Path) -> Board:
    return fresh.copy(tmp_path)


def test_a_fresh_board_starts_slot_a_by_its_own_script(board: Board) -> None:
    console = board.boot()
    assert booted(console) == ["A"]
    assert "build of A" in console
    # what the kernel was told, as the kernel itself printed it: the slot, and that a failure starts it again
    told = "init=/nix/store/x-nixos/init loglevel=4 panic=10 boot.panic_on_fail"
    assert f"{told} rauc.slot=boot.0\0" in console  # and nothing behind it
    assert board.counts == ("A B", "2", "3")


def test_slot_b_starts_by_its_own_script(board: Board) -> None:
    board.set(BOOT_ORDER="B A", BOOT_A_LEFT="3", BOOT_B_LEFT="3")
    console = board.boot()
    assert booted(console) == ["B"]
    assert "build of B" in console
    assert "rauc.slot=boot.1" in console
    assert board.counts == ("B A", "3", "2")


def test_a_bad_slot_runs_out_and_the_good_one_starts(board: Board) -> None:
    """An update to B whose system never gets as far as marking itself good."""
    board.write_slot("B", starts=False)
    board.set(BOOT_ORDER="B A", BOOT_A_LEFT="3", BOOT_B_LEFT="3")
    assert [booted(board.boot()) for _ in range(5)] == [["B"], ["B"], ["B"], ["A"], ["A"]]
    assert board.counts == ("B A", "1", "0")
    board.set(BOOT_A_LEFT="3")  # what marking A good does
    assert booted(board.boot()) == ["A"]


def test_both_run_out_and_both_are_tried_again(board: Board) -> None:
    board.set(BOOT_ORDER="B A", BOOT_A_LEFT="0", BOOT_B_LEFT="0")
    console = board.boot()
    assert "No slot is left: each gets 3 tries again" in console
    assert booted(console) == ["B"]
    assert board.counts == ("B A", "3", "2")


def test_a_slot_that_was_marked_bad_is_the_last_resort(board: Board) -> None:
    """RAUC takes a bad slot out of the order: it is tried only once the other has run out, and behind it."""
    board.set(BOOT_ORDER="B", BOOT_A_LEFT="0", BOOT_B_LEFT="1")
    assert booted(board.boot()) == ["B"]
    assert board.counts == ("B", "0", "0")
    assert booted(board.boot()) == ["B"]
    assert board.counts == ("B A", "3", "2")


@pytest.mark.parametrize(
    ("order", "left"),
    [
        ("", ""),
        ("X Y", "3"),
        ("A A B", "abc"),
        ("A B C", "-1"),
        ("BA", "99999"),
        ("=", "0x2"),
        ("-z", "-z"),
        ("A;B", "2 2"),
        ("boot.0", "${BOOT_ORDER}"),
        ('"', "'"),
    ],
)
def test_what_rauc_would_not_write_counts_as_nothing_said(board: Board, order: str, left: str) -> None:
    board.set(BOOT_ORDER=order, BOOT_A_LEFT=left, BOOT_B_LEFT=left)
    assert booted(board.boot()) == ["A"]
    assert board.counts[:2] == ("A B", "2")


@pytest.mark.parametrize(
    "damage",
    ["no script", "torn script", "no kernel", "no device tree", "no initrd", "no file system", "half a file system"],
)
def test_a_slot_that_was_half_written_costs_no_boot(board: Board, damage: str) -> None:
    """The power went while an update wrote slot B: A starts at once, not after three failures."""
    files = {"script": "boot.scr", "kernel": "Image", "device tree": "virt.dtb", "initrd": "initrd"}
    how, _, what = damage.partition(" ")
    if what in files:
        name = (files[what],)
        board.write_slot("B", left_out=name if how == "no" else (), torn=files[what] if how == "torn" else "")
    else:
        board.put("B", bytes(1 << 20) if how == "no" else bytes(2048))
    board.set(BOOT_ORDER="B A", BOOT_A_LEFT="3", BOOT_B_LEFT="3")
    console = board.boot()
    assert booted(console) == ["A"]
    assert "Slot B: holds no boot.scr" in console or "Slot B: did not start" in console
    assert board.counts == ("B A", "2", "3" if "holds no" in console else "2")


def test_without_slot_b_a_fresh_board_keeps_starting_slot_a(board: Board) -> None:
    """The image that is flashed holds slot A alone; nobody need mark it good for it to be found again."""
    board.put("B", bytes(1 << 20))
    assert [booted(board.boot()) for _ in range(5)] == [["A"]] * 5


def test_with_neither_slot_it_says_so_and_goes_on_trying(board: Board) -> None:
    for slot in "AB":
        board.write_slot(slot, left_out=("boot.scr",))
    console = board.cut("Neither slot starts; once more in a minute")
    assert booted(console) == []
    assert board.counts == (None, None, None)  # nothing was written to the flash: it would wear out
    board.write_slot("A")
    assert booted(board.boot()) == ["A"]


def test_what_a_slot_leaves_behind_does_not_disturb_the_choice(board: Board) -> None:
    """A variable saved under a name that the command counts with would hide it, for good."""
    names = {name.rstrip("=;") for name in re.findall(r"nw_\w+", U_BOOT.select_slot(SLOTS))}
    assert len(names) == 7
    assert not names & set(re.findall(r"\w+", U_BOOT.boot_cmd(SLOTS)))
    board.set(**dict.fromkeys(names, "9"), BOOT_ORDER="B A", BOOT_A_LEFT="3", BOOT_B_LEFT="3")
    assert booted(board.boot()) == ["B"]
    assert board.counts == ("B A", "3", "2")
    assert not names & set(board.variables)


def test_a_torn_environment_is_a_fresh_one(board: Board) -> None:
    board.set(BOOT_ORDER="B A", BOOT_A_LEFT="0", BOOT_B_LEFT="3")
    with board.flash.open("r+b") as file:
        file.write(b"\xff" * 100)
    assert booted(board.boot()) == ["A"]
    assert board.counts == ("A B", "2", "3")


def test_a_person_who_asked_for_usb_storage_gets_it_once(board: Board) -> None:
    """What it would do over USB, this machine has not; that it is asked once only can be seen all the same."""
    board.set(START_UMS="1")
    console = board.boot()
    assert "ums" in console  # "Unknown command 'ums'": this U-Boot cannot, and says so
    assert booted(console) == []
    assert "START_UMS" not in board.variables
    assert booted(board.boot()) == ["A"]


# Every step between power-on and the kernel, by what the console says at it.
STEPS = (
    "Loading Environment from Flash",
    "Hit any key",
    "bytes read in",
    "Saving Environment to Flash",
    "Erasing Flash",
    "Erased 2 sectors",
    "Writing to Flash",
    "tries left after this one",
    "## Executing script",
    "Starting kernel",
)


@pytest.mark.parametrize("good", ["A", "B"])
def test_whenever_the_power_is_cut_the_good_slot_starts(board: Board, good: str) -> None:
    """An update has just been installed to the other slot and is no good: A is cut at every second step, B between."""
    other = "B" if good == "A" else "A"
    board.write_slot(other, starts=False)
    for index, step in enumerate(STEPS):
        if index % 2 == (good == "B") and "Flash" not in step:
            continue
        board.set(**{"BOOT_ORDER": f"{other} {good}", f"BOOT_{good}_LEFT": "3", f"BOOT_{other}_LEFT": "1"})
        board.cut(step, later=0.01 * (index % 3))
        found: list[str] = []
        # The other slot starts once more where its try was not yet counted, thrice where the flash was torn.
        while good not in found:
            found += booted(board.boot())
            assert len(found) <= 4, f"cut at {step}: {found}, {board.counts}"
        assert set(found[:-1]) <= {other}, f"cut at {step}: {found}"


def test_linux_reads_and_writes_the_same_variables(board: Board, tmp_path: Path) -> None:
    """fw_setenv, as RAUC calls it, on the very flash that U-Boot reads next."""
    need("fw_printenv")
    config = tmp_path / "fw_env.config"
    config.write_text(f"{board.flash} 0x0 {SIZE:#x} {SIZE:#x}\n")
    board.boot()
    board.settled()
    assert _fw("fw_printenv", config, "BOOT_ORDER", "BOOT_A_LEFT") == "BOOT_ORDER=A B\nBOOT_A_LEFT=2\n"
    _fw("fw_setenv", config, "BOOT_ORDER", "B A")
    _fw("fw_setenv", config, "BOOT_A_LEFT", "0")
    assert booted(board.boot()) == ["B"]
    board.settled()
    assert _fw("fw_printenv", config, "-n", "BOOT_B_LEFT") == "2\n"


def test_linux_finds_both_copies_where_u_boot_is_told_to_keep_them(tmp_path: Path) -> None:
    """/etc/fw_env.config as it is written, on a file in place of the flash: a torn copy leaves the older one."""
    need("fw_printenv")
    place = U_BOOT.environment
    flash = tmp_path / "mtd0"
    flash.write_bytes(b"\xff" * (place.offsets[1] + place.size))
    config = tmp_path / "fw_env.config"
    config.write_text(place.fw_env_config.replace(place.device, str(flash)))
    defaults = tmp_path / "defaults"
    defaults.write_text("BOOT_ORDER=A B\n")
    for order in ("B A", "A", "B"):
        _fw("fw_setenv", config, "-f", str(defaults), "BOOT_ORDER", order)
    whole = flash.read_bytes()
    said = []
    for start in place.offsets:
        flash.write_bytes(whole[: start + 8] + bytes(8) + whole[start + 16 :])
        said.append(_fw("fw_printenv", config, "-n", "BOOT_ORDER").strip())
    assert set(said) == {"A", "B"}  # the newest, and the one before it


def _fw(program: str, config: Path, *arguments: str) -> str:
    argv = [program, "-c", str(config), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_the_command_fits_into_the_flash_that_keeps_it() -> None:
    """U-Boot saves its command with the rest: beside what U-Boot's own defaults take, 4 KiB must do."""
    assert len(one_line(U_BOOT.select_slot(SLOTS))) < 2048
    assert len(environment({})) == SIZE


def test_the_two_copies_stand_one_behind_the_other() -> None:
    first, second = U_BOOT.environment.offsets
    assert all(b - a == U_BOOT.environment.size for a, b in pairwise((first, second)))
