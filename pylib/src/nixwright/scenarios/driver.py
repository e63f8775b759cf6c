"""The interface of the NixOS test driver, as scenarios see it: the machines' methods and the driver's own functions.

Source: nixos/lib/test-driver/src/test_driver/machine/__init__.py and driver.py of nixpkgs. What is here is there under
the same name; inside a check these are the driver's own, and nothing of this module is copied but `seconds`. A timeout
is whole seconds in NixOS 26.05, a timedelta from 26.11 on (a number works there, with a warning): `seconds` gives
either.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class BaseMachine(Protocol):
    """A node, VM or container."""

    name: str

    def log(self, msg: str) -> None:
        """Write a line to the test's log."""

    def start(self) -> None:
        """Boot the node; most methods do where it is not up."""

    def shutdown(self) -> None:
        """Power off and wait until that is done."""

    def wait_for_shutdown(self) -> None:
        """Wait until the node has powered off by itself."""

    def execute(
        self,
        command: str,
        check_return: bool = True,  # noqa: FBT001, FBT002 - the driver's signature
        check_output: bool = True,  # noqa: FBT001, FBT002 - the same
        timeout: Any = ...,
    ) -> tuple[int, str]:
        """Run a command and return its status and output."""
        ...

    def succeed(self, *commands: str, timeout: Any = ...) -> str:
        """Run commands that must succeed, and return what they print."""
        ...

    def fail(self, *commands: str, timeout: Any = ...) -> str:
        """Run commands that must fail, and return what they print."""
        ...

    def wait_until_succeeds(self, command: str, timeout: Any = ...) -> str:
        """Repeat a command each second until it succeeds (15 min at most), and return what it printed."""
        ...

    def wait_until_fails(self, command: str, timeout: Any = ...) -> str:
        """Repeat a command each second until it fails."""
        ...

    def systemctl(self, q: str, user: str | None = None) -> tuple[int, str]:
        """Run systemctl with those arguments."""
        ...

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: Any = ...) -> None:
        """Wait until a unit is active; fails as soon as it has failed."""

    def get_unit_info(self, unit: str, user: str | None = None) -> dict[str, str]:
        """Return the properties that `systemctl show` prints."""
        ...

    def get_unit_property(self, unit: str, property: str, user: str | None = None) -> str:  # noqa: A002 - the driver's name
        """Return one property of a unit."""
        ...

    def require_unit_state(self, unit: str, require_state: str = "active") -> None:
        """Fail where the unit is in another state."""

    def wait_for_file(self, filename: str, timeout: Any = ...) -> None:
        """Wait until a file is there."""

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: Any = ...) -> None:
        """Wait until something listens on a TCP port."""

    def wait_for_closed_port(self, port: int, addr: str = "localhost", timeout: Any = ...) -> None:
        """Wait until nothing listens on a TCP port."""

    def start_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """Start a unit."""
        ...

    def stop_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """Stop a unit."""
        ...

    def copy_from_host(self, source: str, target: str) -> None:
        """Copy a file of the build into the node."""


class QemuMachine(BaseMachine, Protocol):
    """A node that is a VM. Its files are in `state_dir`; what is put into `out_dir` is the test's output."""

    state_dir: Path
    out_dir: Path

    def start(self, allow_reboot: bool = False) -> None:  # noqa: FBT001, FBT002 - the driver's signature
        """Boot; with `allow_reboot` a reboot of the guest is no end of the VM."""

    def reboot(self) -> None:
        """Press Ctrl-Alt-Delete, and connect again; needs `start(allow_reboot=True)`."""

    def crash(self) -> None:
        """Cut the power."""

    def block(self) -> None:
        """Pull the network cable of eth1."""

    def unblock(self) -> None:
        """Plug it in again."""

    def send_console(self, chars: str) -> None:
        """Type at the serial console."""

    def wait_for_console_text(self, regex: str, timeout: Any = ...) -> None:
        """Wait until the serial console shows a new line that matches."""

    def get_console_log(self) -> str:
        """Return what the serial console showed since the machine was started last."""
        ...

    def send_chars(self, chars: str, delay: float | None = ...) -> None:
        """Type at the keyboard, with so many seconds between keys."""

    def wait_until_tty_matches(self, tty: str, regexp: str, timeout: Any = ...) -> None:
        """Wait until what a virtual console shows matches; fails where it does not in 15 min."""

    def send_monitor_command(self, command: str) -> str:
        """Give QEMU's monitor a command."""
        ...

    def screenshot(self, filename: str) -> None:
        """Keep a picture of the screen in the test's output."""

    def switch_root(self) -> None:
        """Leave stage 1, where the backdoor is there (`testing.initrdBackdoor`)."""


class NspawnMachine(BaseMachine, Protocol):
    """A node that is a container."""


# The driver's own names, which a check finds without an import (`Driver.test_symbols`).
GIVEN = frozenset({"BaseMachine", "NspawnMachine", "QemuMachine", "retry", "start_all", "subtest"})


@contextmanager
def subtest(name: str) -> Iterator[None]:  # noqa: ARG001 - the driver's signature
    """Group what is done in the log under a name."""
    yield


def retry(fn: Callable[[bool], bool], timeout_seconds: Any = 900) -> None:
    """Call a function each second until it is true; it is told whether this is the last time."""
    for last in (*[False] * timeout_seconds, True):
        if fn(last):
            return
    raise TimeoutError(f"action timed out after {timeout_seconds} tries")


def seconds(number: int) -> Any:
    """Return a duration as this driver takes it: whole seconds in NixOS 26.05, a timedelta from 26.11 on."""
    return timedelta(seconds=number) if find_spec("test_driver.duration") else number
