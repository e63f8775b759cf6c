"""A device is told who it is: by a file that is refused, by one that is right, by one that does not work."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from nixwright.scenarios.driver import seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import BaseMachine, QemuMachine

CONFIG = """\
version = 1

[users.eva]
isAdmin = true
ssh_key = "{key}"

{more}
[activation]
required = ["{unit}"]
timeout_seconds = {seconds}

[containers.container.{unit}]
privileged = true
Container.Image = "localhost/{unit}"
"""


def stand_in(machine: BaseMachine) -> None:
    """Bring a unit for the container that a device is told of, started by the target: no image can be fetched here."""
    units = "/run/systemd/system"
    machine.succeed(
        f"mkdir -p {units}/provisioned.target.wants",
        f"printf '[Service]\\nExecStart=/run/current-system/sw/bin/sleep infinity\\n' > {units}/probe.service",
        f"ln -s ../probe.service {units}/provisioned.target.wants/",
        "systemctl daemon-reload",
    )


def is_told_who_it_is(machine: BaseMachine, *, directory: str, ssh: int) -> None:
    """Wrong is refused and nothing changes; right makes users that log in; what does not work is taken back."""
    machine.wait_for_unit("multi-user.target")
    stand_in(machine)
    live = f"{directory}/config.toml"
    machine.fail(f"test -e {live}")
    machine.succeed("ssh-keygen -q -t ed25519 -N '' -f /root/eva")
    key = " ".join(machine.succeed("cat /root/eva.pub").split()[:2])

    def give(name: str, unit: str, more: str) -> str:
        text = CONFIG.format(key=key, unit=unit, more=more, seconds=5 if unit == "absent" else 300)
        machine.succeed(f"printf %s {shlex.quote(text)} > /root/{name}.toml")
        return f"/root/{name}.toml"

    wrong = give("wrong", "probe", '[users.root]\nshell = "fish"\n')
    for action in ("validate", "import"):
        machine.fail(f"provision {action} {wrong} 2> /root/said")
        machine.succeed("grep -q '^config.toml:8  users.root.shell: ' /root/said")
    machine.fail(f"test -e {live}")
    machine.fail("getent passwd eva")

    first = give("first", "probe", "[users.bob]\n")
    machine.succeed(f"provision import {first}", f"cmp {first} {live}")
    machine.succeed("id -nG eva | grep -qw wheel", "id bob", "test -d /home/eva")
    login = f"ssh -p {ssh} -i /root/eva -o BatchMode=yes -o StrictHostKeyChecking=no"
    machine.wait_until_succeeds(f"{login} eva@localhost true", timeout=60)
    machine.fail(f"{login} bob@localhost true")
    machine.succeed(f"provision import {first} | grep -q 'nothing to do'")

    broken = give("broken", "absent", "")
    machine.fail(f"provision import {broken}")
    machine.succeed(f"cmp {first} {live}", "id bob", "systemctl is-active provisioned.target")

    second = give("second", "probe", "")
    machine.succeed(f"provision import {second}", f"cmp {second} {live}")
    machine.fail("getent passwd bob")
    # as a power cut in the middle of it leaves it
    before, now = machine.succeed(f"ls -v {directory}/generations").split()[-2:]
    machine.succeed(f'echo \'{{"from": {before}, "to": {now}}}\' > {directory}/pending')
    machine.succeed("systemctl restart provision-recover", "systemctl restart provisioned.target")
    machine.succeed(f"cmp {first} {live}", "id bob", f"test ! -e {directory}/pending")


def finds_who_it_is(machine: QemuMachine, *, directory: str, seed: str, fresh: str) -> None:
    """A stick tells a device who it is; the boot partition's file does at the first boot of a flash, and then first.

    `seed` is that file, empty for none; `fresh` is there at such a boot.
    """
    machine.wait_for_unit("multi-user.target")
    machine.wait_for_unit("provision-first-boot.service")
    stand_in(machine)
    live, stick, at = f"{directory}/config.toml", "/dev/disk/by-label/STICK", "/run/stick"
    machine.succeed("ssh-keygen -q -t ed25519 -N '' -f /root/key")
    key = " ".join(machine.succeed("cat /root/key.pub").split()[:2])
    right = CONFIG.format(key=key, unit="probe", more="", seconds=300)
    texts = {
        "wrong": CONFIG.format(key=key, unit="probe", more='[users.root]\nshell = "fish"\n', seconds=300),
        "right": right,
        "seed": right.replace("[users.eva]", "[users.sam]"),
    }
    for name, text in texts.items():
        machine.succeed(f"printf %s {shlex.quote(text)} > /root/{name}.toml")
    if seed:  # of a device that was flashed long ago, it is not looked at
        machine.succeed(f"mkdir -p {PurePosixPath(seed).parent}", f"cp /root/seed.toml {seed}")

    plug(machine)
    machine.wait_until_succeeds("ls /dev/disk/by-id/usb-*", timeout=seconds(900))
    # udev may not watch the new disk yet, and would miss that it has a label
    machine.succeed("mkfs.vfat -n STICK /dev/disk/by-id/usb-*", "udevadm trigger --settle /dev/disk/by-id/usb-*")
    machine.wait_until_succeeds(f"test -e {stick}", timeout=seconds(900))
    for name in ("wrong", "right"):
        machine.succeed(f"mount --mkdir {stick} {at}", f"cp /root/{name}.toml {at}/config.toml", f"umount {at}")
        unplug(machine, stick)
        plug(machine)
        if name == "wrong":
            said = "grep -q '^config.toml:8  users.root.shell: ' /run/provision/refused"
            machine.wait_until_succeeds(said, timeout=seconds(900))
            machine.fail(f"test -e {live}")
    machine.wait_until_succeeds(f"cmp /root/right.toml {live}", timeout=seconds(900))
    machine.wait_until_succeeds("systemctl show -P ActiveState provision-first-boot | grep -x inactive")
    machine.succeed("id eva", "test ! -e /run/provision/refused")
    machine.fail("getent passwd sam")
    if seed:
        # a flash begins like this: nothing was told, and the mark is there
        machine.succeed(f"rm -r {directory}/current {directory}/generations")
        machine.succeed(f"mkdir -p {PurePosixPath(fresh).parent}", f"touch {fresh}")
        machine.succeed("systemctl restart provision-first-boot")
        machine.wait_until_succeeds(f"cmp /root/seed.toml {live}", timeout=seconds(900))
        machine.wait_until_succeeds("id sam", timeout=seconds(900))


def plug(machine: QemuMachine) -> None:
    """Put a USB stick in: what it holds is kept while it is out."""
    image = machine.state_dir / "stick.img"
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(16 << 20)
    machine.send_monitor_command(f"drive_add 0 if=none,id=stick,format=raw,file={image}")
    machine.send_monitor_command("device_add usb-storage,id=stick,drive=stick,removable=on")


def unplug(machine: QemuMachine, link: str) -> None:
    """Take it out."""
    machine.send_monitor_command("device_del stick")
    machine.wait_until_fails(f"test -e {link}", timeout=seconds(900))
