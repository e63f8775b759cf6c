"""Containers that a device is told of: they run, those that do not work are taken back, and a boot starts them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from nixwright.scenarios.driver import seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

# two servers of one image: one without root, in a network of its own, and one with the host's
SITE = """\
version = 1

[users.eva]
isAdmin = true
ssh_key = "{key}"

[activation]
required = ["web", "dns"]
timeout_seconds = {seconds}

[containers.container.web.Container]
Image = "{image}"
Exec = "busybox {command} -f -p 80 -h /srv"
PublishPort = "8081:80"
Volume = "${{FILES_DIR}}/www:/srv:ro"
{more}
[containers.container.dns]
privileged = true

[containers.container.dns.Container]
Image = "{image}"
Exec = "busybox httpd -f -p 8082 -h /srv"
Volume = "${{FILES_DIR}}/www:/srv:ro"
"""
# one more, called like a unit that every host has which is told who it is
TAKEN = """\
[containers.container.sshd]
privileged = true
Container.Image = "localhost/probe:1"
"""


def run_as_told(  # noqa: PLR0913 - where things are
    machine: QemuMachine, *, directory: str, user: str, uid: int, home: str, archive: str
) -> None:
    """One runs without root and is reached on the host alone, one with the host's network; both are there after a boot.

    `archive` holds the image localhost/probe:1, which every manager is given: none is fetched.
    """
    machine.wait_for_unit(f"user@{uid}.service")
    as_user = f"runuser -u {user} -- env -C / HOME={home} XDG_RUNTIME_DIR=/run/user/{uid}"
    for who in ("", as_user):
        machine.succeed(f"{who} podman load -q -i {archive}", timeout=seconds(600))
    machine.succeed("test -e /root/key || ssh-keygen -q -t ed25519 -N '' -f /root/key")
    key = " ".join(machine.succeed("cat /root/key.pub").split()[:2])

    def give(name: str, *, patience: int = 600, command: str = "httpd", more: str = "") -> str:
        text = SITE.format(key=key, seconds=patience, image="localhost/probe:1", command=command, more=more)
        machine.succeed(f"mkdir -p /root/{name}/files/www", f"echo {name} > /root/{name}/files/www/index.html")
        machine.succeed(f"printf %s {shlex.quote(text)} > /root/{name}/config.toml")
        machine.succeed(f"tar -C /root/{name} -czf /root/{name}.tar.gz config.toml files")
        return f"/root/{name}.tar.gz"

    machine.succeed(f"provision import {give('site')}", timeout=seconds(900))
    serve(machine, "site")
    # who a server is, seen from outside of its container
    for command, number in (("busybox httpd -f -p 80 ", uid), ("busybox httpd -f -p 8082 ", 0)):
        machine.succeed(f"test $(stat -c %u /proc/$(pgrep -o -f '^{command}')) = {number}")
    # the one without root is reached here alone, the other from everywhere
    machine.succeed("ss -Hltn 'sport = 8081' | grep -F 127.0.0.1:8081", "ss -Hltn 'sport = 8082' | grep -v 127.0.0.1")
    machine.fail("ss -Hltn 'sport = 8081' | grep -v 127.0.0.1")
    machine.succeed("journalctl -t web --no-pager | head -n 1")

    # one that ends at once, one of which Quadlet can make nothing, and one that is called like a unit of the image
    for name, command, more, says in (
        ("broken", "false", "", f"{user}@web.service"),
        ("unknown", "httpd", 'Immage = "a"', "unsupported key 'Immage'"),
        ("taken", "httpd", TAKEN, "sshd.service is a unit of the image"),
    ):
        broken = give(name, patience=120, command=command, more=more)  # a busy machine takes half a minute
        machine.fail(f"provision import {broken} 2> /root/said", timeout=seconds(600))
        machine.succeed(
            f"grep -F {shlex.quote(says)} /root/said", f"cmp /root/site/config.toml {directory}/config.toml"
        )
        serve(machine, "site")
    machine.succeed("systemctl is-active sshd")

    machine.shutdown()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    serve(machine, "site")
    machine.succeed(f"test $(stat -c %u /proc/$(pgrep -o -f '^busybox httpd -f -p 80 ')) = {uid}")


def serve(machine: QemuMachine, text: str) -> None:
    """Both servers answer with a text."""
    for port in (8081, 8082):
        machine.wait_until_succeeds(f"curl -sf http://127.0.0.1:{port}/ | grep -x {text}", timeout=seconds(900))
