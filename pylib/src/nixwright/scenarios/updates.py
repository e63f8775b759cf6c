"""Updates to slots A and B: installed, started, found good or bad, with the power cut on the way.

The scenario is the boot loader: between two boots it reads U-Boot's variables from their disk, takes the first
slot that has tries left, writes one try less, and starts the machine with the name of that slot, as the boards' own
script does.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import time
import zlib
from typing import TYPE_CHECKING

from nixwright.scenarios.boots import wait_for_boot
from nixwright.scenarios.driver import retry, seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

_VARIABLES = "empty1.qcow2"  # the disk of U-Boot's variables: raw, the name is the driver's
_SIZE = 0x2000  # bytes of them
_KEYS = "/etc/update-keys"
MANIFEST = """\
[update]
compatible={compatible}
version={version}

[bundle]
format={format}

[image.boot]
filename=boot.vfat

[image.rootfs]
filename=rootfs.squashfs
"""


def expect(found: object, wanted: object) -> None:
    """Fail unless something is what it should be."""
    if found != wanted:
        raise AssertionError(f"{found!r} in place of {wanted!r}")


def variables(machine: QemuMachine) -> dict[str, str]:
    """Return U-Boot's variables, as they are on their disk; U-Boot's own where nothing was written yet."""
    data = (machine.state_dir / _VARIABLES).read_bytes()[:_SIZE]
    if zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
        return {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
    words = data[4:].split(b"\0\0", 1)[0].decode().split("\0")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def set_variables(machine: QemuMachine, values: dict[str, str]) -> None:
    """Write U-Boot's variables to their disk, while the machine is off."""
    text = "".join(f"{name}={value}\0" for name, value in values.items()) + "\0"
    data = text.encode().ljust(_SIZE - 4, b"\0")
    whole = (zlib.crc32(data).to_bytes(4, "little") + data).ljust(1 << 20, b"\0")
    (machine.state_dir / _VARIABLES).write_bytes(whole)


def power_on(machine: QemuMachine) -> str:
    """Choose a slot as the boot loader does, and start the machine; return the slot's letter."""
    said = variables(machine)
    for letter in said["BOOT_ORDER"].split():
        left = int(said.get(f"BOOT_{letter}_LEFT", "3"), 16)
        if left > 0:
            set_variables(machine, said | {f"BOOT_{letter}_LEFT": f"{left - 1:x}"})
            os.environ["QEMU_KERNEL_PARAMS"] = f"rauc.slot=boot.{'AB'.index(letter)}"
            machine.log(f"the boot loader starts slot {letter}: {left - 1} tries left")
            machine.start()
            return letter
    raise AssertionError(f"no slot is left: {said}")


def first_boot(machine: QemuMachine, *, slots: dict[str, list[int]], disk: str) -> None:
    """Start slot A for the first time, and make the slots' partitions where the description has them, in MiB."""
    machine.crash()
    set_variables(machine, {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"})
    power_on(machine)
    wait_for_boot(machine)
    lines = "".join(f"start={start}MiB, size={size}MiB, name={name}\\n" for name, (start, size) in slots.items())
    machine.succeed(f"printf 'label: gpt\\n{lines}' | sfdisk --quiet --wipe always {disk} >&2")
    machine.succeed("udevadm settle --timeout=1800", timeout=seconds(1900))


def configured(machine: QemuMachine) -> configparser.ConfigParser:
    """Return the configuration that RAUC runs with."""
    started = machine.get_unit_property("rauc.service", "ExecStart")
    found = re.search(r"--conf=(\S+)", started)
    if found is None:
        raise AssertionError(started)
    conf = configparser.ConfigParser()
    conf.read_string(machine.succeed(f"cat {found[1]}"))
    return conf


def has_its_slots(
    machine: QemuMachine, *, slots: dict[str, list[int]], disk: str, devices: dict[str, str], compatible: str
) -> None:
    """RAUC runs, with the slots of the description, their boot loader, and verity bundles alone."""
    first_boot(machine, slots=slots, disk=disk)
    machine.wait_for_unit("rauc.service")
    conf = configured(machine)
    expect(conf["system"]["compatible"], compatible)
    expect(conf["system"]["bootloader"], "uboot")
    expect(conf["system"]["bundle-formats"].split(), ["verity"])
    machine.succeed(f"grep -q 'BEGIN CERTIFICATE' {conf['keyring']['path']}")
    said = machine.succeed("rauc status")
    for name, device in devices.items():
        slot = conf[f"slot.{name}"]
        expect(slot["device"], device)
        letter = "AB"[int(name[-1])]
        if name.startswith("boot"):
            expect(slot["bootname"], letter)
        else:
            expect(slot["parent"], f"boot.{name[-1]}")
        machine.succeed(f"test -b {device}")
        if f"[{name}]" not in re.sub(r"\x1b\[[0-9;]*m", "", said):
            raise AssertionError(said)


def is_found_good(machine: QemuMachine, *, gate: str, letter: str = "A") -> None:
    """The health gate looks for as long as it must; then the slot has all its tries again: the boot took one."""
    machine.wait_for_unit(gate, timeout=seconds(600))
    machine.succeed("sync")
    expect(variables(machine)[f"BOOT_{letter}_LEFT"], "3")
    machine.succeed(f"grep -F boot.{'AB'.index(letter)} /data/rauc/good.json")
    machine.succeed(f"journalctl -b -u {gate} -o cat | grep -E 'boot.{'AB'.index(letter)} is good: well for'")


def make_bundle(  # noqa: PLR0913 - each is what makes a bundle right or wrong
    machine: QemuMachine, *, compatible: str, name: str, megabytes: int = 4, form: str = "verity", key: str = "signer"
) -> None:
    """Make a signed bundle /root/NAME of two images of random bytes."""
    at = f"/root/{name}-content"
    manifest = MANIFEST.format(compatible=compatible, version="2.0.0", format=form)
    machine.succeed(
        f"mkdir {at} && printf '{manifest}' >{at}/manifest.raucm",
        f"head -c 1M /dev/urandom >{at}/boot.vfat; head -c {megabytes}M /dev/urandom >{at}/rootfs.squashfs",
        f"rauc bundle --cert={_KEYS}/{key}.pem --key={_KEYS}/{key}.key {at} /root/{name} >&2",
    )


def digest(*devices: str) -> str:
    """Return a command that prints a digest of the first 32 MiB of each device: more than is ever written here."""
    return f"for device in {' '.join(devices)}; do head -c 32M $device | sha256sum; done"


def refuses_what_is_wrong(machine: QemuMachine, *, devices: dict[str, str], compatible: str) -> None:
    """A bundle of another signer or another device, a plain one and half a one change nothing."""
    make_bundle(machine, compatible=compatible, name="good")
    make_bundle(machine, compatible=compatible, name="stranger", key="stranger", megabytes=1)
    make_bundle(machine, compatible=f"not-{compatible}", name="other", megabytes=1)
    make_bundle(machine, compatible=compatible, name="plain", form="plain", megabytes=1)
    machine.succeed("head -c 1M /root/good >/root/half")
    look = digest(*devices.values())
    before, order = machine.succeed(look), variables(machine)
    for name in ("stranger", "other", "plain", "half"):
        machine.log(machine.fail(f"rauc install /root/{name} 2>&1"))
    machine.succeed("sync")
    expect(machine.succeed(look), before)
    expect(variables(machine), order)


def installs_to_the_other_slot(machine: QemuMachine, *, devices: dict[str, str], gate: str) -> None:
    """What is installed stands in slot B to the byte; slot B is next, starts, and is found good."""
    look = digest(devices["boot.0"], devices["rootfs.0"])
    before = machine.succeed(look)
    machine.log(machine.succeed("rauc install /root/good 2>&1", timeout=seconds(900)))
    for name, image in (("boot", "boot.vfat"), ("rootfs", "rootfs.squashfs")):
        file = f"/root/good-content/{image}"
        machine.succeed(f"cmp -n $(stat -c %s {file}) {file} {devices[f'{name}.1']}")
    expect(machine.succeed(look), before)
    machine.succeed("sync")
    expect(variables(machine)["BOOT_ORDER"], "B A")
    expect(json.loads(machine.succeed("rauc status --output-format=json"))["boot_primary"], "boot.1")
    machine.shutdown()
    expect(power_on(machine), "B")
    wait_for_boot(machine)
    expect(json.loads(machine.succeed("rauc status --output-format=json"))["booted"], "boot.1")
    is_found_good(machine, gate=gate, letter="B")
    cycles = machine.succeed("journalctl -b -o cat --no-pager -g 'ordering cycle' || true")
    if "ordering cycle" in cycles:
        raise AssertionError(cycles)


def survives_power_cuts(  # noqa: PLR0913 - the slots, and what is written to them
    machine: QemuMachine, *, slots: dict[str, list[int]], disk: str, devices: dict[str, str], compatible: str, gate: str
) -> None:
    """With the power cut while slot B is written, slot A starts, the same to the byte."""
    first_boot(machine, slots=slots, disk=disk)
    machine.wait_for_unit(gate, timeout=seconds(600))
    make_bundle(machine, compatible=compatible, name="large", megabytes=24)
    look = digest(devices["boot.0"], devices["rootfs.0"])
    machine.succeed(
        f"head -c 1M /dev/urandom >{devices['boot.0']}; head -c 4M /dev/urandom >{devices['rootfs.0']}; sync"
    )
    before = machine.succeed(look)
    machine.succeed("systemd-run --unit=installing rauc install /root/large")
    # not before the writing, not after it
    machine.wait_until_succeeds("journalctl -b -u rauc -o cat | grep -F 'writing data to device'", timeout=seconds(300))
    machine.wait_until_succeeds(f"! cmp -s -n 1M /dev/zero {devices['boot.1']}", timeout=seconds(300))
    machine.succeed("systemctl is-active installing")
    machine.crash()
    expect(variables(machine)["BOOT_ORDER"], "A")  # half an update is never started
    expect(power_on(machine), "A")
    wait_for_boot(machine)
    expect(machine.succeed(look), before)
    machine.wait_for_unit(gate, timeout=seconds(600))
    machine.succeed("rauc status >&2")


def falls_back(machine: QemuMachine, *, gate: str) -> None:
    """An update that never comes up is started as often as it has tries, and then the slot before it again."""
    machine.log(machine.succeed("rauc install /root/large 2>&1", timeout=seconds(900)))
    machine.succeed("sync")
    machine.shutdown()
    for _ in range(3):
        expect(power_on(machine), "B")
        time.sleep(2)
        machine.crash()
    expect(variables(machine)["BOOT_B_LEFT"], "0")
    expect(power_on(machine), "A")
    wait_for_boot(machine)
    machine.wait_for_unit(gate, timeout=seconds(600))
    said = json.loads(machine.succeed("rauc status --output-format=json"))
    expect((said["booted"], said["boot_primary"]), ("boot.0", "boot.0"))
    machine.succeed(f"journalctl -b -u {gate} -o cat | grep -F 'boot.0 passed before'")
    machine.succeed(
        "rauc status mark-bad boot.1 && rauc status mark-active boot.0 && rauc status mark-good boot.0 && sync"
    )
    expect(variables(machine)["BOOT_ORDER"].split()[0], "A")
    states = {
        name: s[name]["boot_status"]
        for s in json.loads(machine.succeed("rauc status --output-format=json"))["slots"]
        for name in s
    }
    expect((states["boot.0"], states["boot.1"]), ("good", "bad"))


def leaves_what_is_not_well(machine: QemuMachine, *, gate: str, told: str) -> None:
    """An update that comes up and is not well is not marked good, and reboots until the slot before it starts.

    `told` may be a link into a configuration that this device was not given yet.
    """
    machine.succeed("rauc install /root/large >&2 && fw_setenv BOOT_B_LEFT 1 && sync", timeout=seconds(900))
    machine.succeed(
        f"at=$(readlink -m {told}); mkdir -p ${{at%/*}}; echo '[\"no-such.service\"]' >$at; sync",
    )
    machine.shutdown()
    expect(power_on(machine), "B")
    wait_for_boot(machine)
    machine.wait_for_shutdown()  # the gate's reboot
    expect(variables(machine)["BOOT_B_LEFT"], "0")
    expect(power_on(machine), "A")
    wait_for_boot(machine)
    machine.succeed(f"rm $(readlink -f {told})")
    machine.wait_for_unit(gate, timeout=seconds(600))


def watchdog_resets(machine: QemuMachine, *, runtime: int) -> None:
    """The hardware watchdog is fed, and it resets a kernel that hangs."""
    wait_for_boot(machine)
    machine.succeed("test -c /dev/watchdog0")
    told = machine.succeed("systemctl show --property=RuntimeWatchdogUSec --value").strip()
    if told not in {f"{runtime}s", f"{runtime // 60}min"}:
        raise AssertionError(told)
    open_by = "for fd in /proc/1/fd/*; do readlink $fd; done"
    retry(lambda _: "/dev/watchdog" in machine.succeed(open_by), seconds(120))
    machine.succeed("sysctl -w kernel.panic=0 kernel.sysrq=1 >&2")
    machine.execute("(sleep 2; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &")
    machine.wait_for_shutdown()  # without a reboot of its own: this is the reset
