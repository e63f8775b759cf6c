"""The way in by the serial console: what is typed there is read by a root shell, once."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nixwright.scenarios.boots import wait_for_boot
from nixwright.scenarios.driver import retry, seconds

if TYPE_CHECKING:
    from collections.abc import Generator

    from nixwright.scenarios.driver import QemuMachine

_LINE = "line"  # QEMU's socket for the serial line, in the directory of the machine's state


@contextmanager
def at_the_line(machine: QemuMachine) -> Generator[socket.socket, None, None]:
    """Hold the other end of the serial line."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(machine.state_dir / _LINE))
        yield line


def opens_once(machine: QemuMachine, *, terminal: str, variable: str) -> None:
    """The console asks for a login, at the boot after it was asked for it is a root shell, and then a login again."""
    wait_for_boot(machine)
    login, shell = f"serial-getty@{terminal}.service", f"serial-root@{terminal}.service"
    gone = f'test -z "$(fw_printenv -n {variable} 2>/dev/null)"'
    machine.wait_for_unit(login)
    machine.succeed("systemctl start serial-recovery.service")
    machine.fail(f"systemctl is-active {shell}")
    machine.succeed(f"fw_setenv {variable} 1")
    machine.shutdown()
    machine.start()
    wait_for_boot(machine)
    machine.wait_for_unit(shell)
    machine.succeed(gone)  # taken back before anybody is in
    with at_the_line(machine) as line:

        def obeys(_: bool) -> bool:  # noqa: FBT001 - what `retry` calls it with
            line.sendall(b"echo $(id -u) $(tty) >/run/who\r")
            return machine.execute(f"grep -qx '0 /dev/{terminal}' /run/who")[0] == 0

        retry(obeys, seconds(120))
        line.sendall(b"exit\r")
        machine.wait_for_unit(login)
    machine.succeed("systemctl restart serial-recovery.service")
    machine.fail(f"systemctl is-active {shell}")
    machine.succeed(gone)
