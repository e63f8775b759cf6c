"""A device with slots, as far as ssh shows it: real bash runs the real scripts, with RAUC, U-Boot and systemd played.

`ssh` is a stand-in that runs what it is given here, with the device's files in the place of this machine's; a real sshd
may run it, too. What the played programs know lies in one JSON file, so a test can say what happens and read what was
done. What RAUC says of its slots is real RAUC's answer, with that filled in.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATUS = Path(__file__).with_name("data") / "rauc-status.json"

_SSH = """\
#!{python}
import os, pathlib, sys
at = {at!r}
if pathlib.Path(at, "cut").exists():
    sys.exit(255)
script = os.environ.get("SSH_ORIGINAL_COMMAND") or sys.argv[-1]
os.environ["CONNECTION"] = str(os.getppid())
for name in ("/proc/cmdline", "/proc/sys/kernel/random/boot_id", "/etc/os-release"):
    script = script.replace(name, at + "/" + name.rpartition("/")[2])
script = script.replace("/data/", at + "/data/")
os.environ["PATH"] = at + "/bin:" + os.environ["PATH"]
os.execvp("bash", ["bash", "-c", script])
"""
_PLAYED = """\
#!{python}
import json, os, pathlib, signal, sys
at = pathlib.Path({at!r})
state = json.loads((at / "state.json").read_text())
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
if name != "init":
    state["done"].append(" ".join([name, *arguments]))
status = 0


def boots(slot):
    (at / "cmdline").write_text("loglevel=4 rauc.slot=boot." + "01"["AB".index(slot)] + " panic=10\\n")
    (at / "os-release").write_text("VERSION_ID=26.05\\nIMAGE_VERSION=" + state["version"][slot] + "\\n")
    (at / "boot_id").write_text("boot " + str(len(state["done"])) + "\\n")


if name == "run0":
    (at / "state.json").write_text(json.dumps(state))
    os.execvp(arguments[0], arguments)
elif name == "fw_printenv":
    print({{"BOOT_ORDER": " ".join(state["order"])}}.get(arguments[1]) or state["left"][arguments[1][5]])
elif name == "systemctl" and arguments == ["reboot"]:
    if state["comes_back"]:
        slot = state["order"][0] if state["starts"] else state["slot"]
        state["slot"], state["gate"] = slot, state["then"]
        state["marked"][slot] = "good" if state["then"] == "active" else "bad"
        boots(slot)
    else:
        (at / "cut").touch()
elif name == "systemctl":
    sub = "auto-restart" if state["gate"] == "activating" and state["why"] else "start"
    print("NRestarts=0\\nActiveState=" + state["gate"] + "\\nSubState=" + sub)
elif name == "journalctl":
    print("not well: " + state["why"] if state["why"] else "" if "--quiet" in arguments else "-- No entries --")
elif arguments[:2] == ["install", "--progress"]:
    status = state["install"]
    if not status:
        other = "AB".replace(state["slot"], "")
        (at / "installed").write_bytes(pathlib.Path(arguments[2]).read_bytes())
        state["order"], state["version"][other], state["marked"][other] = [other, state["slot"]], "2.0", "good"
elif arguments[:2] == ["status", "mark-active"]:
    state["order"].reverse()
elif name == "rauc":
    said = json.loads(pathlib.Path({status!r}).read_text())
    said["booted"], said["boot_primary"] = ("boot.%d" % "AB".index(s) for s in (state["slot"], state["order"][0]))
    for name, about in ((n, a) for each in said["slots"] for n, a in each.items()):
        slot = "AB"[int(name[-1])]
        if about["bootname"]:
            about["state"] = "booted" if slot == state["slot"] else "inactive"
            about["boot_status"] = state["marked"][slot]
        if "version" in about["slot_status"]["bundle"]:
            about["slot_status"]["bundle"]["version"] = state["version"][slot]
    print(json.dumps(said))
(at / "state.json").write_text(json.dumps(state))
if name == "systemctl" and arguments == ["reboot"] and "SSH_CONNECTION" in os.environ:
    os.kill(int(os.environ["CONNECTION"]), signal.SIGKILL)  # nobody says goodbye
if name == "init":
    boots(state["slot"])
sys.exit(status)
"""


@dataclass(frozen=True, slots=True)
class SlotsDevice:
    """The device: its files are in `at`, the stand-in for ssh in `at`/here."""

    at: Path

    def make(self, **changes: Any) -> SlotsDevice:
        """Make it, running slot A, both slots good."""
        for directory in ("bin", "here", "data/config"):
            (self.at / directory).mkdir(parents=True)
        state = {
            "slot": "A",
            "order": ["A", "B"],
            "left": {"A": "3", "B": "3"},
            "marked": {"A": "good", "B": "good"},
            "version": {"A": "1.0", "B": "0.9"},
            "gate": "active",
            "install": 0,
            "starts": True,
            "comes_back": True,
            "then": "active",
            "why": "",  # what the health gate found that is not well
            "done": [],
        }
        self.write(state | changes)
        programs = {
            f"bin/{name}": _PLAYED for name in ("rauc", "fw_printenv", "systemctl", "journalctl", "run0", "init")
        }
        for name, text in {"here/ssh": _SSH, **programs}.items():
            program = self.at / name
            program.write_text(text.format(python=sys.executable, at=str(self.at), status=str(STATUS)))
            program.chmod(0o755)
        self.start()
        return self

    def start(self) -> None:
        """Start it, from the slot that it knows."""
        subprocess.run([self.at / "bin/init"], check=True)

    def write(self, state: dict[str, Any]) -> None:
        """Say what the played programs know."""
        (self.at / "state.json").write_text(json.dumps(state))

    @property
    def state(self) -> dict[str, Any]:
        """What the played programs know."""
        found: dict[str, Any] = json.loads((self.at / "state.json").read_text())
        return found

    @property
    def changed(self) -> list[str]:
        """What was done that changes anything."""
        return [c for c in self.state["done"] if c.startswith(("rauc install", "rauc status mark", "systemctl reboot"))]
