"""Who gets in: SSH, users, and the firewall, seen from another machine."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from nixwright.scenarios.driver import seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import BaseMachine

_OPTIONS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=30"


def address_of(machine: BaseMachine, interface: str) -> str:
    """Wait for an interface's IPv4 address, other than one that it made up itself, and return it."""
    show = f"ip -4 -o address show dev {interface} | awk '{{ print $4 }}' | grep -v '^169[.]254[.]'"
    return machine.wait_until_succeeds(show, timeout=seconds(120)).split()[0].partition("/")[0]


def ssh_takes_keys_only(
    machine: BaseMachine, client: BaseMachine, *, interface: str, port: int, keys: dict[str, list[str]]
) -> None:
    """Each key of the description is taken; no password, no other key, and never root."""
    machine.wait_for_unit("multi-user.target")
    machine.wait_for_open_port(port)
    client.wait_for_unit("multi-user.target")
    address = address_of(machine, interface)
    ssh = f"ssh -p {port} {_OPTIONS}"
    client.succeed("rm -rf /root/keys; mkdir -m 700 /root/keys; ssh-keygen -q -t ed25519 -N '' -f /root/keys/own")
    for user, those in keys.items():
        for number, key in enumerate(those):
            file = f"/root/keys/{user}{number}.pub"
            client.succeed(f"printf '%s\\n' {shlex.quote(key)} > {file}")
            # the server says of a public key alone whether it would do
            offer = f"{ssh} -v -o BatchMode=yes -o IdentitiesOnly=yes -i {file} {user}@{address} true 2>&1 || true"
            said = client.succeed(offer)
            if "Server accepts key" not in said:
                raise AssertionError(f"{user}'s key {number} is not taken: {said}")
    for user in (*keys, "root"):
        # the methods that the server offers stand in its refusal
        refusal = client.fail(f"{ssh} -o BatchMode=yes -i /root/keys/own {user}@{address} true 2>&1")
        if "Permission denied (publickey)." not in refusal:
            raise AssertionError(f"{user} is offered more than keys: {refusal}")
    own = client.succeed("cat /root/keys/own.pub").strip()
    machine.succeed("mkdir -p /etc/ssh/authorized_keys.d")
    for user in (*keys, "root"):
        machine.succeed(f"echo {shlex.quote(own)} >> /etc/ssh/authorized_keys.d/{user}")
    for user in keys:
        if user != "root":
            client.succeed(f"{ssh} -o BatchMode=yes -i /root/keys/own {user}@{address} test -w '~'")
    client.fail(f"{ssh} -o BatchMode=yes -i /root/keys/own root@{address} true")


def ssh_host_key_is(machine: BaseMachine, client: BaseMachine, *, interface: str, port: int, path: str) -> None:
    """The server shows the key that is kept, and no other."""
    machine.wait_for_open_port(port)
    client.wait_for_unit("multi-user.target")
    kept = machine.succeed(f"cut -d ' ' -f 2 {path}.pub").strip()
    scanned = client.succeed(
        f"ssh-keyscan -p {port} {address_of(machine, interface)} 2>/dev/null | grep -v '^#' | cut -d ' ' -f 3"
    )
    if set(scanned.split()) != {kept}:
        raise AssertionError(f"the server shows {scanned!r}, kept is {kept!r}")


def users_are(machine: BaseMachine, *, users: dict[str, list[str]]) -> None:
    """The users of the description are there with their groups; no other person is, and nobody without a password."""
    machine.wait_for_unit("multi-user.target")
    for user, groups in users.items():
        has = set(machine.succeed(f"id -Gn {user}").split())
        if not set(groups) <= has:
            raise AssertionError(f"{user} is in {sorted(has)}, not in all of {groups}")
        if ("wheel" in has) != ("wheel" in groups):
            raise AssertionError(f"{user} may become root: {sorted(has)}")
    people = "getent passwd | awk -F: '$3 >= 1000 && $3 < 30000 { print $1 }'"
    there = set(machine.succeed(people).split())
    if there != set(users) - {"root"}:
        raise AssertionError(f"the host's people are {sorted(there)}")
    # root's own is emptied by the test driver's module
    entries = machine.succeed("cut -d : -f 1,2 /etc/shadow").split()
    if empty := [e for e in entries if e.endswith(":") and e != "root:"]:
        raise AssertionError(f"without a password: {empty}")


def only_these_ports(machine: BaseMachine, client: BaseMachine, *, interface: str, tcp: list[int]) -> None:
    """What listens is reached on the ports of the description, and on no other."""
    machine.wait_for_unit("multi-user.target")
    client.wait_for_unit("multi-user.target")
    address = address_of(machine, interface)
    for port in tcp:
        machine.wait_for_open_port(port)
        client.wait_until_succeeds(_knock(address, port), timeout=seconds(120))
    closed = next(p for p in range(47000, 48000) if p not in tcp)
    machine.succeed(f"systemd-run --unit=listener systemd-socket-activate -l {closed} --inetd -a cat")
    machine.wait_until_succeeds(_knock("127.0.0.1", closed))
    client.fail(_knock(address, closed))
    machine.succeed("systemctl stop listener")


def _knock(address: str, port: int) -> str:
    return f"timeout 20 bash -c 'exec 3<>/dev/tcp/{address}/{port}'"
