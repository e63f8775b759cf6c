"""A way in when nothing else is left: a root shell on the serial console, for one boot, asked for in U-Boot.

Whoever can type at U-Boot's prompt holds the board in his hands, and could read its eMMC, too. Nothing on the network
can ask for it, and nobody has a password that could be guessed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from nixwright.checks.model import Difference
from nixwright.nix.values import NixPath, Text, config, pkgs
from nixwright.parts.base import Context, File, Part
from nixwright.parts.facts import BootVariables, SerialConsole
from nixwright.record import record
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

PROGRAM = "serial-recovery.sh"
_CONFIG = "/etc/fw_env.config"


@record
class SerialRecovery(Part):
    """A root shell on the board's serial console, once, after `setenv _RUT_OH_ 1; saveenv; reset` at U-Boot's prompt.

    The variable is taken back before the shell starts; the next boot asks for a login again.
    """

    module: ClassVar[str] = "serial-recovery"
    requires: ClassVar[tuple[type[Fact], ...]] = (SerialConsole, BootVariables)

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to a unit that looks for the variable, and one that is the shell."""
        console = context.fact(SerialConsole)
        if console is None:
            return
        login = f"serial-getty@{console.terminal}.service"
        program = Text((pkgs.runtimeShell, " -eu ", NixPath(f"./{PROGRAM}"), f" {console.terminal} {_CONFIG}"))
        look: dict[str, Value] = {
            "description": "A root shell on the serial console, where U-Boot was told so",
            "wantedBy": ["multi-user.target"],
            "before": [login],
            "path": [pkgs.ubootTools, config.systemd.package],
            "serviceConfig": {"Type": "oneshot", "ExecStart": program},
        }
        for name, value in look.items():
            yield self.set(f"systemd.services.serial-recovery.{name}", value)
        speeds = ",".join(dict.fromkeys(map(str, (console.baud, 115200, 57600, 38400))))
        shell: dict[str, Value] = {
            "description": "Root shell on %I",
            "conflicts": ["serial-getty@%i.service"],
            "after": ["serial-getty@%i.service"],
            "unitConfig": {"OnSuccess": "serial-getty@%i.service", "OnFailure": "serial-getty@%i.service"},
            "serviceConfig": {
                "ExecStart": Text((pkgs["util-linux"], f"/bin/agetty --autologin root --noclear %I {speeds} vt220")),
                "Type": "idle",
                "TTYPath": "/dev/%I",
                "TTYReset": True,
                "TTYVHangup": True,
                "UtmpIdentifier": "%I",
            },
        }
        for name, value in shell.items():
            yield self.set(f'systemd.services."serial-root@".{name}', value)

    def files(self, context: Context) -> Iterator[File]:
        """The program."""
        text = (Path(__file__).with_name("programs") / PROGRAM).read_text("utf-8")
        yield File(PROGRAM, text)

    def in_vm(self, context: Context) -> Iterator[Difference]:
        """Nothing could be asked for."""
        yield Difference("a VM has neither U-Boot's variables nor the board's console", without=[self.module])

    def steps(self, context: Context) -> Iterator[Step]:
        """Try it once, while all is well."""
        yield Step(
            Phase.VERIFY,
            "The way in by the serial console",
            "At U-Boot's countdown press a key, then give it these. The shell is there for one boot.",
            "setenv _RUT_OH_ 1; saveenv; reset",
            "A root shell on the serial console, and after another reset a login prompt.",
        )
