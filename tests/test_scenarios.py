"""Scenarios: what they ask of the machines, under which answers they fail, and that the driver has what they use."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from datetime import timedelta
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from fake_machine import fake_machine
from nixwright.scenarios import access, boots, display, driver, network, unlock, upkeep
from nixwright.scenarios.pictures import pictured

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = pytest.mark.usefixtures("driver_of_26_05")


REAL = json.loads((Path(__file__).parent / "data/test-driver/interface.json").read_text())
BASES = {"BaseMachine": (), "QemuMachine": ("BaseMachine",), "NspawnMachine": ("BaseMachine",)}


@pytest.mark.parametrize("name", BASES)
def test_the_driver_has_every_method_with_the_same_parameters(name: str) -> None:
    ours = {n: f for n, f in vars(getattr(driver, name)).items() if inspect.isfunction(f) and not n.startswith("_")}
    real = {n: p for base in (*BASES[name], name) for n, p in REAL["machines"][base].items()}
    for method, function in ours.items():
        if method == "__init__":
            continue
        names = [("*" if p.kind is p.VAR_POSITIONAL else "") + p.name for p in _parameters(function)]
        positional = [n for n in names if not n.startswith("*") and n != "timeout"]
        known = [n.lstrip("=") for n in real[method]]
        assert set(names) <= set(known), method
        assert positional == [n for n in known if n in positional], method


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())[1:]


def test_the_driver_gives_every_name_that_is_not_copied() -> None:
    assert set(REAL["symbols"]) >= driver.GIVEN


def test_durations_are_what_the_driver_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert driver.seconds(20) == 20
    found = ModuleType("test_driver.duration")
    found.__spec__ = ModuleSpec("test_driver.duration", None)
    monkeypatch.setitem(sys.modules, "test_driver.duration", found)
    assert driver.seconds(20) == timedelta(seconds=20)


def test_retry_tells_the_last_time() -> None:
    told: list[bool] = []

    def never(last: bool) -> bool:  # noqa: FBT001 - as the driver calls it
        told.append(last)
        return False

    with pytest.raises(TimeoutError):
        driver.retry(never, 2)
    assert told == [False, False, True]
    driver.retry(lambda _: True)


UP = {"console log": "Reached target multi-user.target - Multi-User System."}
HEALTHY: dict[str, Any] = {"list-units --state=failed": "", "ordering cycle": ""} | UP


def test_a_whole_boot_passes_and_a_failed_unit_or_a_cycle_fails() -> None:
    boots.comes_up(fake_machine(HEALTHY))
    with pytest.raises(AssertionError, match=r"failed units: bad\.service"):
        boots.comes_up(fake_machine(HEALTHY | {"list-units --state=failed": "bad.service loaded failed"}))
    with pytest.raises(AssertionError, match="broke an ordering cycle"):
        boots.comes_up(fake_machine(HEALTHY | {"ordering cycle": "Found ordering cycle on a"}))


@pytest.mark.parametrize(("state", "settled"), [("running", True), ("degraded", True), ("starting", False)])
def test_a_failed_unit_is_told_at_once(state: str, settled: bool) -> None:  # noqa: FBT001 - a parameter
    """systemctl fails where a unit has failed; the driver runs commands by bash, which then fails the whole pipe."""
    machine = fake_machine(HEALTHY)
    boots.comes_up(machine)
    asked = next(c for c in machine.commands if "is-system-running" in c)
    fake = f"systemctl() {{ echo {state}; [ {state} = running ]; }}; {asked}"
    assert (subprocess.run(["bash", "-euo", "pipefail", "-c", fake], check=False).returncode == 0) == settled


def test_a_switch_goes_there_and_back() -> None:
    machine = fake_machine({"test -e /etc/next": [False, True, False]})
    boots.switches(machine, marker="/etc/next")
    switches = [c for c in machine.commands if "switch-to-configuration" in c]
    assert [c.partition("/switch")[0] for c in switches] == [
        "/run/booted-system/specialisation/next/bin",
        "/run/booted-system/bin",
    ]
    with pytest.raises(AssertionError, match="must fail"):
        boots.switches(fake_machine({"test -e /etc/next": [False, True, True]}), marker="/etc/next")
    with pytest.raises(AssertionError, match="must succeed"):
        boots.switches(fake_machine({"test -e /etc/next": False}), marker="/etc/next")


USERS: dict[str, Any] = {
    "id -Gn ada": "users wheel",
    "getent passwd": "ada\n",
    "/etc/shadow": "root:\nada:$6$x\n",
}


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"id -Gn ada": "users"}, "ada is in"),
        ({"getent passwd": "ada\nmallory\n"}, "the host's people are"),
        ({"/etc/shadow": "root:\nada:\n"}, "without a password"),
    ],
)
def test_users(other: dict[str, Any], told: str) -> None:
    access.users_are(fake_machine(USERS), users={"ada": ["wheel"]})
    with pytest.raises(AssertionError, match=told):
        access.users_are(fake_machine(USERS | other), users={"ada": ["wheel"]})


def test_a_user_may_not_become_root_unasked() -> None:
    with pytest.raises(AssertionError, match="ada may become root"):
        access.users_are(fake_machine(USERS), users={"ada": []})


ADDRESS = {"address show": "169.254.3.4/16\n192.168.1.5/24\n"}
SERVER = fake_machine({"address show": "192.168.1.5/24\n"})
KEYS = {"ada": ["ssh-ed25519 AAAA ada@laptop"]}
SSH: dict[str, Any] = {
    "-v -o BatchMode": "debug1: Server accepts key: x",
    "own ada@192.168.1.5 true": (False, "Permission denied (publickey)."),
    "own root@192.168.1.5 true": (False, "Permission denied (publickey)."),
    "cat /root/keys/own.pub": "ssh-ed25519 BBBB own\n",
}


def ssh(client: dict[str, Any]) -> None:
    machine = fake_machine({"address show": "192.168.1.5/24\n"})
    access.ssh_takes_keys_only(machine, fake_machine(client), interface="eth0", port=22, keys=KEYS)
    assert any("authorized_keys.d/root" in c for c in machine.commands)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"-v -o BatchMode": "Permission denied"}, "ada's key 0 is not taken"),
        ({"own ada@192.168.1.5 true": (False, "Permission denied (publickey,password).")}, "offered more than keys"),
        ({"own root@192.168.1.5 true": True}, "must fail"),
        ({"own ada@192.168.1.5 test": False}, "must succeed"),
    ],
)
def test_ssh(other: dict[str, Any], told: str) -> None:
    ssh(SSH)
    with pytest.raises(AssertionError, match=told):
        ssh(SSH | other)


def test_the_host_key_is_the_one_that_is_kept() -> None:
    machine = {"address show": "192.168.1.5/24\n", "cut -d": "AAAA\n"}
    arguments: dict[str, Any] = {"interface": "eth0", "port": 22, "path": "/persist/key"}
    access.ssh_host_key_is(fake_machine(machine), fake_machine({"ssh-keyscan": "AAAA\nAAAA\n"}), **arguments)
    with pytest.raises(AssertionError, match="the server shows"):
        access.ssh_host_key_is(fake_machine(machine), fake_machine({"ssh-keyscan": "AAAA\nBBBB\n"}), **arguments)


def test_the_firewall() -> None:
    machine = {"address show": "192.168.1.5/24\n"}
    arguments: dict[str, Any] = {"interface": "eth0", "tcp": [22, 47000]}
    client = fake_machine({"/192.168.1.5/47001": False})
    access.only_these_ports(fake_machine(machine), client, **arguments)
    assert any("/192.168.1.5/47000" in c for c in client.commands)
    with pytest.raises(AssertionError, match="must fail"):
        access.only_these_ports(fake_machine(machine), fake_machine({}), **arguments)
    with pytest.raises(AssertionError, match="never succeeded"):
        access.only_these_ports(fake_machine(machine), fake_machine({"/192.168.1.5/22'": False}), **arguments)
    with pytest.raises(AssertionError, match="never succeeded"):  # the listener itself must answer
        access.only_these_ports(fake_machine(machine | {"127.0.0.1": False}), client, **arguments)


def test_dhcp() -> None:
    machine = {"-j address show": json.dumps([{"addr_info": [{"local": "192.168.1.101"}]}])}
    network.gets_an_address(fake_machine(machine), fake_machine({}), interface="eth0", hostname="attic")
    with pytest.raises(AssertionError, match="never succeeded"):
        network.gets_an_address(fake_machine({"address show": False}), fake_machine({}), interface="eth0", hostname="x")
    router = fake_machine({"192.168.1.101 attic": False})
    with pytest.raises(AssertionError, match="never succeeded"):
        network.gets_an_address(fake_machine(machine), router, interface="eth0", hostname="attic")


def test_a_fixed_address() -> None:
    client = fake_machine({})
    network.has_its_address(fake_machine({}), client, interface="eth0", address="10.0.0.4/24")
    assert client.commands == ["ping -c 1 -W 20 10.0.0.4"]
    with pytest.raises(AssertionError, match="never succeeded"):
        network.has_its_address(
            fake_machine({}), fake_machine({"ping": False}), interface="eth0", address="10.0.0.4/24"
        )


def test_the_display() -> None:
    display.unit_is_confined(fake_machine({"LoadState": "loaded"}), unit="a.service", exposure=30)
    with pytest.raises(AssertionError, match=r"a\.service is not-found"):
        display.unit_is_confined(fake_machine({"LoadState": "not-found"}), unit="a.service", exposure=30)
    bad = fake_machine({"LoadState": "loaded", "systemd-analyze security": False})
    with pytest.raises(AssertionError, match="must succeed"):
        display.unit_is_confined(bad, unit="a.service", exposure=30)
    display.fails_for_want_of_a_panel(fake_machine({}), unit="a.service", words="no panel")
    with pytest.raises(AssertionError, match="never succeeded"):
        display.fails_for_want_of_a_panel(fake_machine({"journalctl": False}), unit="a.service", words="no panel")


AFAR: dict[str, Any] = {
    **UP,
    "awk 'NR == 1": "192.168.1.101\n",
    "/root/other -o": (False, "Permission denied (publickey)."),
    "ssh-keyscan -p 9999": "AAAA\n",
    "/etc/unlock-host": "AAAA\n",
    "ssh-keyscan -p 22": "BBBB\n",
}


RIGHT = "right"


def afar(machine: dict[str, Any], admin: dict[str, Any]) -> list[str]:
    there = {"address show": "192.168.1.102/24\n", "/etc/initrd-release": False} | UP | machine
    from_afar = fake_machine(AFAR | admin)
    unlock.unlocks_from_afar(
        fake_machine(there), from_afar, port=9999, address="", passphrase=RIGHT, opened="/x", interface="e", later=22
    )
    return list(from_afar.commands)


def test_unlocking_from_afar() -> None:
    commands = afar({}, {})
    assert any("StrictHostKeyChecking=yes" in c and "echo right" in c and "root@192.168.1.101" in c for c in commands)
    assert any("ssh-keyscan -p 22 192.168.1.102" in c for c in commands)


@pytest.mark.parametrize(
    ("machine", "admin", "told"),
    [
        ({}, {"ssh-keyscan -p 9999": "CCCC\n"}, "stage 1 shows"),
        ({}, {"test -e /etc/initrd-release": False}, "never succeeded"),
        ({}, {"/root/other -o": (False, "Connection refused")}, "not refused for being another"),
        ({}, {"/root/other -o": True}, "must fail"),
        ({"findmnt": False}, {}, "must succeed"),
        ({"/etc/initrd-release": True}, {}, "must fail"),
        ({}, {"ssh-keyscan -p 22": "AAAA\n"}, "show one host key"),
    ],
)
def test_unlocking_from_afar_fails(machine: dict[str, Any], admin: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        afar(machine, admin)


def test_the_timers_of_a_pool() -> None:
    timers, never = {"zfs-scrub": "monthly", "zfs-snapshot-daily": ""}, ["zpool-trim"]
    rested = UP | {"systemctl is-active zpool-trim": False}
    upkeep.timers_are_set(fake_machine(rested), timers=timers, never=never)
    for other in ({"OnCalendar=monthly": False}, {"is-active zfs-snapshot-daily.timer": False}):
        with pytest.raises(AssertionError, match="must succeed"):
            upkeep.timers_are_set(fake_machine(other | rested), timers=timers, never=never)
    with pytest.raises(AssertionError, match="must fail"):
        upkeep.timers_are_set(fake_machine(UP), timers=timers, never=never)


def test_snapshots_of_who_asks() -> None:
    arguments: dict[str, Any] = {"pool": "tank", "asked": ["home"], "others": ["nix"], "service": "s"}
    machine = fake_machine(UP | {"-t snapshot": "tank/home@a\ntank/home@b\n"})
    upkeep.snapshots_are_taken(machine, **arguments)
    assert "zfs create -p -o com.sun:auto-snapshot=false tank/nix" in machine.commands
    for taken in ("", "tank/home@a\ntank/nix@a\n"):
        with pytest.raises(AssertionError, match="snapshots are taken of"):
            upkeep.snapshots_are_taken(fake_machine(UP | {"-t snapshot": taken}), **arguments)


def test_a_picture_is_kept_of_each_screen_where_something_fails() -> None:
    one, other = fake_machine({}, "machine"), fake_machine({}, "client")
    with pictured(one, other):
        pass
    assert (one.calls, other.calls) == ([], [])
    with pytest.raises(AssertionError, match="it is dark"), pictured(one, other):
        raise AssertionError("it is dark")
    assert (one.calls, other.calls) == (["screenshot failed-machine"], ["screenshot failed-client"])


def test_a_screen_that_is_not_there_hides_no_failure() -> None:
    class Off:
        name = "machine"

        def screenshot(self, filename: str) -> None:
            raise OSError(filename)

    off: Any = Off()
    other = fake_machine({}, "client")
    with pytest.raises(AssertionError, match="it is dark"), pictured(off, other):
        raise AssertionError("it is dark")
    assert other.calls == ["screenshot failed-client"]
