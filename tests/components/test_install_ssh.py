"""`install` over a real ssh connection onto a real disk: whole, broken off at each long step, with canaries."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from loop_devices import loop
from ssh_target import DISK, Target, target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANARY = "canary-9f3b71c4"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Target]:
    """A target with a second disk, which no host names: whatever happens, its bytes stay."""
    other = tmp_path / "other"
    other.write_bytes(random.Random(9).randbytes(4 << 20))  # noqa: S311
    before = hashlib.sha256(other.read_bytes()).hexdigest()
    with loop(other), target(tmp_path) as found:
        (tmp_path / "passphrase").write_text(f"{CANARY}-passphrase\n")
        (tmp_path / "hash").write_text(f"$y$j9T${CANARY}\n")
        done = subprocess.run(
            [sys.executable, "-m", "nixwright", "gen", f"{tmp_path}/project/hosts/vm.py"],
            check=True,
            capture_output=True,
            text=True,
        )
        assert "new" in done.stdout
        yield found
    assert hashlib.sha256(other.read_bytes()).hexdigest() == before


def arguments(machine: Target) -> list[str]:
    here = machine.directory
    return [
        "install",
        f"{here}/project/hosts/vm.py",
        *("--passphrase", f"cryptswap={here}/passphrase"),
        *("--secret", f"/etc/passwords/ada={here}/hash"),
        *("--yes", "vm"),
    ]


def mounted(machine: Target) -> str:
    """Mount the installed root file system once more, look at it, and unmount it."""
    at = machine.directory / "look"
    at.mkdir(exist_ok=True)
    script = f"""
root=$(losetup --find --show --offset 61MiB {machine.device})
trap 'losetup --detach "$root"' EXIT
mount "$root" {at}
cd {at}
find . -printf '%P %m %u\\n'
cd /
umount {at}
"""
    command = ["unshare", "--mount", "bash", "-euc", script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def nothing_leaked(machine: Target, *texts: str) -> None:
    here = machine.directory
    kept = [*here.glob("state/**/*.json"), here / "argv", here / "log"]
    for text in (*texts, *(p.read_text() for p in kept if p.is_file())):
        assert CANARY not in text


def test_from_an_empty_disk_to_an_installed_one(machine: Target) -> None:
    done = machine.run(*arguments(machine))
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in machine.log] == ["format", "mount", "nixos-install", "unmount"]
    install = machine.log[2].split()
    assert install[1:4] == ["--root", "/mnt", "--system"]
    assert install[4].endswith("-nixos-system-vm")
    assert install[5:] == ["--no-root-password", "--no-channel-copy"]
    assert "[1/10] Build the system, and what formats the disks\n" in done.stderr
    assert done.stdout.startswith("vm is installed on the disks of root@127.0.0.1. Left to you, by the runbook:\n")
    there = mounted(machine)
    assert "etc/passwords/ada 600 root\n" in there
    assert "etc/ssh/ssh_host_ed25519_key 600 root\n" in there
    assert f"nix/store/{install[4].rpartition('/')[2]}/system 444 root\n" in there or "-nixos-system-vm/system" in there
    nothing_leaked(machine, done.stdout, done.stderr, there)
    verified = machine_verify(machine)
    assert (verified.returncode, verified.stdout.splitlines()[-1]) == (0, "10 hold, 0 differ, 2 not seen.")
    passphrase = ["cryptsetup", "open", "--test-passphrase", f"{machine.device}p2"]
    if not subprocess.run(["test", "-b", f"{machine.device}p2"], check=False).returncode:
        assert subprocess.run(passphrase, input=f"{CANARY}-passphrase", text=True, check=False).returncode == 0


def machine_verify(machine: Target) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nixwright", "verify-disk"]
    where = [f"{machine.directory}/project/hosts/vm.py", machine.device]
    return subprocess.run([*command, *where], check=False, capture_output=True, text=True)


def broken(machine: Target, reached: Path) -> subprocess.CompletedProcess[str]:
    """Install, and break the connection once `reached` is there."""
    argv = machine.command(*arguments(machine))
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=machine.environment,
        text=True,
    ) as process:
        for _ in range(6000):  # five minutes: the machine may have much else to do
            if reached.exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        machine.drop()
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


@pytest.mark.parametrize(
    ("step", "lost", "how", "formats"),
    [
        ("format", "Partition, format and mount the disks", "The disks may be half formatted", 2),
        ("install", "Install NixOS and its boot loader", "The disks stay as they are", 1),
    ],
)
def test_a_connection_that_breaks(machine: Target, step: str, lost: str, how: str, formats: int) -> None:
    (machine.hang / step).touch()
    done = broken(machine, machine.hang / "reached")
    assert done.returncode == 2
    assert f"nixwright: the connection to root@127.0.0.1 was lost at: {lost}.\n{how}: " in done.stderr
    assert "give the same command again" in done.stderr
    (machine.hang / step).unlink()
    again = machine.run(*arguments(machine))
    assert again.returncode == 0, again.stderr
    assert machine.log.count("format") == formats
    assert ("Going on with the installation of vm: its disks are formatted.\n" in again.stderr) == (formats == 1)
    assert machine_verify(machine).returncode == 0
    nothing_leaked(machine, done.stdout, done.stderr, again.stdout, again.stderr)


def test_a_connection_that_breaks_while_the_system_is_copied(machine: Target) -> None:
    """Nix itself is in the middle of it, on the target's own disk."""
    (machine.directory / "project/hosts/vm.py").touch()
    holder = next(machine.directory.glob("holder")).read_text().strip()
    done = broken(machine, type(machine.directory)(f"/proc/{holder}/root/mnt/nix"))
    assert done.returncode == 2
    assert "nixwright: nix failed (exit status 1) at: Copy the system to the target's own disk.\n" in done.stderr
    again = machine.run(*arguments(machine))
    assert again.returncode == 0, again.stderr
    assert machine.log.count("format") == 1
    assert "-nixos-system-vm/system" in mounted(machine)


def test_nothing_happens_without_the_name_typed(machine: Target) -> None:
    argv = [a for a in arguments(machine) if a not in {"--yes", "vm"}]
    done = machine.run(*argv, typed="yes\n")
    assert done.returncode == 2
    assert f"will be destroyed:\n  {DISK}  {machine.device}\n" in done.stderr
    assert done.stderr.endswith("nixwright: that is not vm: nothing was done\n")
    assert machine.log == []


def test_a_target_whose_disks_do_not_match(machine: Target) -> None:
    file = machine.directory / "project/hosts/vm.py"
    for old, new, said in (
        ("MiB(40)", "MiB(4000)", f"{DISK} has 320.0 MiB, and the layout needs 3.9 GiB"),
        ("virtio-vm", "virtio-other", "the target has no disk /dev/disk/by-id/virtio-other; it has "),
    ):
        text = file.read_text()
        file.write_text(text.replace(old, new))
        subprocess.run([sys.executable, "-m", "nixwright", "gen", file], check=True, capture_output=True)
        done = machine.run(*arguments(machine))
        assert (done.returncode, machine.log) == (2, [])
        assert said in done.stderr
        file.write_text(text)


def test_a_target_that_is_in_use_or_no_nixos(machine: Target) -> None:
    (machine.directory / "os-release").write_text("ID=debian\n")
    subprocess.run(["mkfs.ext4", "-q", machine.device], check=True)
    holder = (machine.directory / "holder").read_text().strip()
    subprocess.run(["nsenter", "--target", holder, "--mount", "mount", machine.device, "/mnt"], check=True)
    done = machine.run(*arguments(machine))
    assert (done.returncode, machine.log) == (2, [])
    assert (
        "the target runs debian, not NixOS with nixos-install\n    fix  start the target from a NixOS inst"
        in done.stderr
    )
    assert "something is mounted at /mnt on the target\n    fix  umount -R /mnt\n" in done.stderr
    assert f"{DISK} is mounted at /mnt\n" in done.stderr


def test_a_layout_that_changed_after_the_break(machine: Target) -> None:
    (machine.hang / "install").touch()
    broken(machine, machine.hang / "reached")
    file = machine.directory / "project/hosts/vm.py"
    file.write_text(file.read_text().replace("MiB(20)", "MiB(24)"))
    subprocess.run([sys.executable, "-m", "nixwright", "gen", file], check=True, capture_output=True)
    done = machine.run(*arguments(machine))
    assert done.returncode == 2
    assert "an installation of vm broke off with another layout: go on with that, or say --fresh\n" in done.stderr
    state = json.loads((machine.directory / "state/nixwright/install/vm.json").read_text())
    assert list(state["formatted"]) == [DISK]


def test_an_unreachable_target(machine: Target) -> None:
    machine.server.process.kill()
    machine.server.process.wait()
    done = machine.run(*arguments(machine))
    assert done.returncode == 2
    assert done.stderr.startswith("nixwright: ssh failed (exit status 255): ")
    assert "Connection refused" in done.stderr


def test_an_empty_passphrase_stops_before_the_disks(machine: Target) -> None:
    (machine.directory / "passphrase").write_text("\n")
    done = machine.run(*arguments(machine))
    assert done.returncode == 2
    assert done.stderr.endswith(
        "passphrase is empty.\nNothing was changed on the disks: give the same command again.\n"
    )
    assert machine.log == []
