"""A device is told who it is: by a file that is refused, by one that is right, by one that does not work."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nixwright.scenarios.driver import BaseMachine

# the container is a unit that the check brings: what runs it is not what is looked at here
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


def is_told_who_it_is(machine: BaseMachine, *, directory: str, ssh: int) -> None:
    """Wrong is refused and nothing changes; right makes users that log in; what does not work is taken back."""
    machine.wait_for_unit("multi-user.target")
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
