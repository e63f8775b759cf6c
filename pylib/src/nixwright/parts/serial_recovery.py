"""A way in when nothing else is left: a root shell on the serial console, for one boot, asked for in U-Boot.

Whoever can type at U-Boot's prompt holds the board in his hands, and could read its eMMC, too. Nothing on the network
can ask for it, and nobody has a password that could be guessed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from nixwright.checks.model import Check, Difference, Sabotage
from nixwright.nix.values import If, Merge, NixPath, Text, config, force, pkgs
from nixwright.parts import vm_variables
from nixwright.parts.base import Context, File, Part
from nixwright.parts.facts import BootVariables, SerialConsole
from nixwright.record import record
from nixwright.runbook import Phase, Step
from nixwright.scenarios import recovery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

PROGRAM = "serial-recovery.sh"
VARIABLE = "_RUT_OH_"
_CONFIG = "/etc/fw_env.config"
_IN_A_VM = re.compile(r"ttyS([1-3])")  # terminals that QEMU has, too, beside the one that the test driver reads


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
        agetty = (pkgs["util-linux"], "/bin/agetty --login-program ", config.services.getty.loginProgram)
        shell: dict[str, Value] = {
            "description": "Root shell on %I",
            "conflicts": ["serial-getty@%i.service"],
            "after": ["serial-getty@%i.service"],
            "unitConfig": {"OnSuccess": "serial-getty@%i.service", "OnFailure": "serial-getty@%i.service"},
            "serviceConfig": {
                "ExecStart": Text((*agetty, f" --autologin root --noclear %I {speeds} vt220")),
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

    def checks(self, context: Context) -> Iterator[Check]:
        """The shell is there when it was asked for, and once."""
        console = context.fact(SerialConsole)
        number = _IN_A_VM.fullmatch(console.terminal) if console else None
        if console is None or number is None:
            return
        shell = 'systemd.services."serial-root@".serviceConfig.ExecStart'
        again = "systemd.services.serial-recovery.serviceConfig.ExecStartPost"
        set_it: Value = f"-/run/current-system/sw/bin/fw_setenv {VARIABLE} 1"
        yield Check(
            "recovery",
            "asked for, a root shell is at the serial console, once",
            recovery.opens_once,
            {"terminal": console.terminal, "variable": VARIABLE},
            keeps=[self.module],
            differences=[_in_qemu(console.terminal, int(number[1]))],
            sabotages=[
                Sabotage(
                    "no-shell", "what is asked for does not come", {shell: force("/run/current-system/sw/bin/true")}
                ),
                Sabotage("stays-open", "what was asked for once is asked for again", {again: set_it}),
            ],
        )

    def in_vm(self, context: Context) -> Iterator[Difference]:
        """Nothing could be asked for."""
        yield Difference("a VM has neither U-Boot's variables nor the board's console", without=[self.module])

    def steps(self, context: Context) -> Iterator[Step]:
        """Try it once, while all is well."""
        yield Step(
            Phase.VERIFY,
            "The way in by the serial console",
            "At U-Boot's countdown press a key, then give it these. The shell is there for one boot.",
            f"setenv {VARIABLE} 1; saveenv; reset",
            "A root shell on the serial console, and after another reset a login prompt.",
        )


def _in_qemu(terminal: str, number: int) -> Difference:
    """Return what a VM has in place of the board's console and of U-Boot's flash."""
    line = "-chardev socket,id=line,path=line,server=on,wait=off"
    x86 = f"-device isa-serial,index={number},chardev=line"
    other = f"-device pci-serial-4x,chardev{number + 1}=line"  # without ISA it has all four of them
    here = pkgs.stdenv.hostPlatform
    options = Merge(([line], If(here.isx86_64, [x86]), If(here.isAarch64, [other])))
    settings: dict[str, Value] = {
        "virtualisation.qemu.options": options,
        "virtualisation.emptyDiskImages": [vm_variables.DRIVE],
        **vm_variables.SETTINGS,
        "environment.etc.u-boot-initial-env.text": "BOOT_ORDER=A B\n",
        "environment.systemPackages": [pkgs.ubootTools],
        f'systemd.services."serial-getty@{terminal}"': {"wantedBy": ["getty.target"], "overrideStrategy": "asDropin"},
    }
    return Difference("QEMU has the serial line, and U-Boot's variables are on a disk of it", settings)
