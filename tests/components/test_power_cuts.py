"""The power of a real QEMU guest is cut at random moments of an update, of a promotion, of a first provisioning.

The guest is killed (SIGKILL, nothing flushed) and starts again from the same disks: from the slot that U-Boot's
variables say as RAUC left them, with one try less. Then the slots are looked at to the byte, the file system is
mounted, the device's own `provision recover` decides what was left undecided, and the configuration is the old or the
new, whole.
That boot is the start of the next round, in turn: `rauc install` by real RAUC into the slot that does not run, an
`import` by the device's own program, and the first provisioning, from a bundle on a stick.

Modelled: what was written and not flushed is lost, or reaches the disk in part and in any order (`cached_disk.py`); the
memory of the guest is gone; f2fs and U-Boot's variables (two copies, by fw_setenv) are the kernel's and Debian's own.
Not modelled: a block of 4 KiB that is half written, an eMMC that damages what it did not write, flash that must be
erased before it is written (U-Boot's variables lie on a disk here), and systemd, whose `systemctl` is played. The guest
runs this machine's programs: the slots' bytes are compared, not started; U-Boot itself is cut in test_u_boot.py.

`NIXWRIGHT_POWER_CUTS=25` says how many rounds (2 of 5 are updates, 2 promotions, 1 a first provisioning),
`NIXWRIGHT_POWER_SEED` which moments; `-s` shows both, and what came of each round.
"""

from __future__ import annotations

import json
import os
import py_compile
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from bundles import bundle
from cached_disk import CachedDisk, Power
from guest import Drive
from nixwright.parts.provisioning import program_text
from nixwright.provisioning.derived import DERIVED
from nixwright.provisioning.toml_text import toml_text
from programs import need
from provisioning_example import DEVICE, FILES, WHOLE, archive, packed
from updates_bench import PARTITION, SERVE, Bench, fw_env_config, need_rauc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from guest import Guest

ROUNDS = int(os.environ.get("NIXWRIGHT_POWER_CUTS", "3"))
SEED = int(os.environ.get("NIXWRIGHT_POWER_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
TURN = ("first", "promotion", "update", "promotion", "update")
# How many writes and flushes each takes (some 38, 53, 54), and a few more: then the power goes when it is done.
LENGTH = {"update": 48, "promotion": 70, "first": 70}
PROVISION = f"{sys.executable} -I /shared/provision.pyc --device /shared/provision.toml"
WORK = {
    "update": "cp /shared/NAME /run/bundle; rauc install /run/bundle",
    "promotion": f"{PROVISION} import /shared/NAME",
    "first": f"{PROVISION} first-boot",
}
DONE = "that is done for good"
# What applies a configuration takes its time, and works.
SYSTEMCTL = """\
#!/bin/sh
case " $* " in *" restart "*) sleep 0.5;; *ActiveState*) echo ActiveState=active;; esac
"""
# Names and bytes of the configuration in force, by the names that the device's programs know.
STATE = f"""\
if test -e pending; then echo undecided; exit; fi
if ! test -e current; then test ! -e config.toml; echo none; exit; fi
for name in {" ".join(DERIVED)}; do test "$(readlink "$name")" = current/"$name"; done
find current/ -type f -printf '%P %m\\n' -exec sha256sum {{}} + | sort | sha256sum | cut -d ' ' -f 1
"""
BOOTED = f"""\
{SERVE}
rauc status mark-good
mkdir -p /run/bin /data/config
cp /shared/systemctl /run/bin/
export PATH=/run/bin:$PATH
{PROVISION} recover
cd /data/config
{STATE}"""
OURS = replace(DEVICE, containers_user="root")  # somebody whom this machine has


@dataclass(frozen=True, slots=True)
class Found:
    """What the disks hold after a cut, and the guest that started from them says."""

    starts: str
    slots: dict[str, tuple[str, str]]
    told: str  # the configuration's digest, or `none`


@dataclass(frozen=True, slots=True)
class Device:
    """The device, its bundles, and the power that it runs on."""

    bench: Bench
    power: Power
    rng: random.Random
    at: Path

    @classmethod
    def make(cls, at: Path, rng: random.Random) -> Device:
        """Make one that was never started, both bundles of its system, and both of who it is."""
        made = cls(Bench.make(at), Power(), rng, at)
        (at / "provision.py").write_text(program_text(), "utf-8")
        py_compile.compile(str(at / "provision.py"), str(at / "provision.pyc"), doraise=True)  # seconds in the guest
        (at / "provision.toml").write_text(toml_text(asdict(OURS)), "utf-8")
        (at / "systemctl").write_text(SYSTEMCTL)
        (at / "systemctl").chmod(0o755)
        bundle(made.bench.authority, at / "old", images=made.bench.old).rename(at / "system-old")
        (at / "system-new").symlink_to(made.bench.good)
        plain = WHOLE.replace("${FILES_DIR}", "/srv").replace("${CONFIG_DIR}", "/srv")  # alike wherever it lies
        plain = plain.replace("settle_seconds = 1", "settle_seconds = 0")
        for name, text in (("one", plain), ("two", plain.replace("timeout_seconds = 20", "timeout_seconds = 21"))):
            (at / name).write_bytes(packed(archive({"config.toml": text.encode(), **FILES}), "gz"))
        stick = made.stick.path
        with stick.open("wb") as file:
            file.truncate(4 << 20)
        subprocess.run(["mkfs.vfat", "-n", "STICK", stick], check=True, capture_output=True)
        subprocess.run(["mcopy", "-i", stick, at / "one", "::config.tar.gz"], check=True)
        return made

    @property
    def stick(self) -> Drive:
        return Drive(self.at / "stick", "stick")

    def whole(self, name: str) -> str:
        """Return what a device says that was told one of the bundles on this machine, by the same program."""
        room = self.at / f"told-{name}"
        (room / "config").mkdir(parents=True)
        (room / "provision.toml").write_text(toml_text(asdict(replace(OURS, directory=str(room / "config")))))
        run = [sys.executable, "-I", f"{self.at}/provision.pyc", "--device", f"{room}/provision.toml"]
        run += ["--run", f"{room}/run", "import", f"{self.at}/{name}"]
        path = {"PATH": f"{self.at}:{os.environ['PATH']}"}
        subprocess.run(run, check=True, capture_output=True, env=os.environ | path, umask=0o022)
        return subprocess.run(
            ["bash", "-euc", STATE], cwd=room / "config", check=True, capture_output=True, text=True
        ).stdout.strip()

    @contextmanager
    def running(self, letter: str) -> Iterator[Guest]:
        """Start it from a slot, on disks that lose what is not flushed; the power is cut in the end."""
        disks = self.bench.disks
        cached = {"flash": CachedDisk(disks.flash, self.power), "environment": CachedDisk(disks.variables, self.power)}
        with ExitStack() as stack:
            drives = [Drive(stack.enter_context(d.plugged()), n, image="nbd") for n, d in cached.items()]
            guest = stack.enter_context(self.bench.guest(letter, [*drives, self.stick]))
            self.bench.share(guest)
            for name in ("provision.pyc", "provision.toml", "systemctl", "system-old", "system-new", "one", "two"):
                (guest.shared / name).write_bytes((self.at / name).read_bytes())
            (guest.shared / "systemctl").chmod(0o755)
            yield guest
        self.power.comes_back()
        for disk in cached.values():
            disk.lose(self.rng)

    def chosen(self) -> str:
        """Return the slot that starts now, as the boot loader chooses it: one try less."""
        disks = self.bench.disks
        letter = disks.starts()[0]
        config = self.at / "fw_env.config"
        config.write_text(fw_env_config(str(disks.variables)))
        left = int(disks.environment()[f"BOOT_{letter}_LEFT"])
        subprocess.run(["fw_setenv", "-c", config, f"BOOT_{letter}_LEFT", str(left - 1)], check=True)
        return letter

    def slots(self) -> dict[str, tuple[str, str]]:
        return {letter: self.bench.disks.slot(letter.lower()) for letter in "AB"}

    def cut_within(self, guest: Guest, kind: str, script: str) -> tuple[int, bool]:
        """Cut the power in the middle of a script, or just after; return when, and whether it had said it was done."""
        moment = self.rng.randrange(LENGTH[kind])
        self.power.goes_after(moment)
        guest.send(f"PATH=/run/bin:$PATH\n{script}\necho {DONE}")
        end = time.monotonic() + 600
        while not self.power.gone.wait(0.05):
            assert time.monotonic() < end, guest.console
            if guest.said(DONE):
                time.sleep(self.rng.random())
                break
        guest.kill()
        return self.power.used, guest.said(DONE)


@dataclass(frozen=True, slots=True)
class Cut:
    """One round: what was done in which slot, what there was before, and how far it came."""

    kind: str
    before: Found
    wanted: object  # what the other slot, or the configuration, would be
    done: bool

    def left(self, after: Found) -> str:
        """Return whether it left the old or the new; fail for anything else."""
        runs = self.before.starts
        other = "BA"["AB".index(runs)]
        assert after.slots[runs] == self.before.slots[runs], "the slot that ran was touched"
        if self.kind == "update":
            assert after.told == self.before.told
            if after.starts == runs:
                assert not self.done, "RAUC was done, and the old slot starts"
                return (
                    "old" if after.slots[other] in (self.before.slots[other], self.wanted) else "old, other slot half"
                )
            assert after.slots[other] == self.wanted, "half a slot starts"
            return "new"
        assert (after.starts, after.slots) == (runs, self.before.slots)
        assert after.told == self.wanted or (after.told == self.before.told and not self.done), after.told
        return "new" if after.told == self.wanted else "old"


def test_a_cut_leaves_the_good_slot_and_the_old_or_the_new_configuration(tmp_path: Path) -> None:
    need_rauc()
    need("mkfs.vfat", "mcopy")
    device = Device.make(tmp_path, random.Random(SEED))  # noqa: S311 - the same for the same seed
    configurations = {name: device.whole(name) for name in ("one", "two")}
    came: Counter[str] = Counter()
    script, letter = PARTITION + BOOTED, "A"
    cut: Cut | None = None
    print(f"\nseed {SEED}, {ROUNDS} rounds")  # noqa: T201 - for whoever wants the same moments again
    for number in range(ROUNDS + 1):
        begun = time.monotonic()
        if cut:
            letter, script = device.chosen(), BOOTED
        with device.running(letter) as guest:
            told = guest.succeed(script).split()[-1]
            now = Found(letter, device.slots(), told)
            if cut:
                left = cut.left(now)
                came[f"{cut.kind}: {left}"] += 1
                print(f"  {left}, {time.monotonic() - begun:.0f} s to the next")  # noqa: T201
            if number == ROUNDS:
                break
            cut = begin(device, guest, TURN[number % len(TURN)], now, configurations)
    print(json.dumps(came, sort_keys=True))  # noqa: T201
    assert came.total() == ROUNDS


def begin(device: Device, guest: Guest, kind: str, now: Found, configurations: dict[str, str]) -> Cut:
    """Do one of the three things, and cut the power on the way."""
    one, two = configurations.values()
    bench = device.bench
    wanted: object
    if kind == "update":
        back = now.slots["BA"["AB".index(now.starts)]] == bench.updated
        name, wanted = ("system-old", bench.running) if back else ("system-new", bench.updated)
    elif kind == "promotion":
        if now.told == "none":
            first = guest.succeed(f"export PATH=/run/bin:$PATH\n{WORK['first']}\ncd /data/config\n{STATE}").split()[-1]
            assert first == one
            now = replace(now, told=first)
        name, wanted = ("two", two) if now.told == one else ("one", one)
    else:
        guest.succeed("rm -rf /data/config; mkdir /data/config; sync")
        now, name, wanted = replace(now, told="none"), "one", one
    used, done = device.cut_within(guest, kind, WORK[kind].replace("NAME", name))
    print(f"{kind} cut after {used} writes and flushes{', when it was done' if done else ''}:", end="")  # noqa: T201
    return Cut(kind, now, wanted, done)
