"""Mark the slot that this device booted good, once the device has been well for long enough.

Well is: each named unit is active and has not started again meanwhile, each named interface is up and has an address,
and so are the units that /data names. What cannot be read or understood counts as not well. A slot that passed once
with this very system keeps its tries: it is marked at once, and a cable that is out for three boots brings no old
system back. One that has not passed, beside one that has, is left by a reboot: when its tries are used up the boot
loader starts the other.

Exit status: 0 well, 1 not well, 2 called wrongly. Python's own library, `rauc`, `systemctl` and `ip` are all it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_UNIT = re.compile(r"[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|socket|target|mount|timer|path)")
_SLOT = re.compile(r"(?:^|\s)rauc\.slot=(\S+)")
_PROPERTIES = ("LoadState", "ActiveState", "InvocationID", "NRestarts")
_ANSWER = 30  # seconds that a program may take to answer


class NotWellError(Exception):
    """Something is not as it should be, or cannot be told."""


def output(*command: str, **who: Any) -> str:
    """Return what a program prints, run as somebody. Raises NotWellError where it fails, or does not answer."""
    try:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, capture_output=True, text=True, timeout=_ANSWER, check=True, **who
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().rpartition("\n")[2]
        raise NotWellError(f"{' '.join(command[:2])} fails: {said or error.returncode}") from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NotWellError(f"{command[0]} gives no answer: {error}") from None
    return done.stdout


def parsed(text: str, what: str) -> Any:
    """Return JSON's value. Raises NotWellError where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NotWellError(f"{what} is no JSON") from None


def slot_of(command_line: str) -> str:
    """Return the slot that the boot loader says it started. Raises NotWellError where it says none, or two."""
    said = _SLOT.findall(command_line)
    if len(said) != 1:
        raise NotWellError("the kernel's command line does not say which slot was booted: rauc.slot=boot.0")
    return str(said[0])


def agree(slot: str, status: Any) -> None:
    """Raise NotWellError unless RAUC, too, says that this boot slot is the one that runs."""
    slots = status.get("slots") if isinstance(status, dict) else None
    if not isinstance(slots, list) or not all(isinstance(s, dict) and len(s) == 1 for s in slots):
        raise NotWellError("rauc status lists no slots")
    named = {name: about for each in slots for name, about in each.items()}
    if not all(isinstance(about, dict) for about in named.values()):
        raise NotWellError("rauc status tells nothing of its slots")
    running = {n: a.get("bootname") for n, a in named.items() if a.get("state") == "booted" and a.get("bootname")}
    if set(running) != {slot} or status.get("booted") not in (slot, running[slot]):
        raise NotWellError(f"rauc status does not say that {slot} is booted")


def beside(user: str) -> dict[str, Any]:
    """Return how a program runs as a user beside that user's manager: `--machine` would log in, each time it asks."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise NotWellError(f"there is no user {user}") from None
    environment = {"PATH": os.environ.get("PATH", ""), "XDG_RUNTIME_DIR": f"/run/user/{entry.pw_uid}"}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "env": environment}


def starts(names: list[str], user: str | None = None) -> dict[str, tuple[str, str]]:
    """Return for each unit, of a user or of the system, which start of it is active.

    Raises NotWellError where one is not active.
    """
    whose, who = (["--user"], beside(user)) if user else ([], {})
    shown = output("systemctl", *whose, "show", f"--property={','.join(_PROPERTIES)}", "--", *names, **who)
    blocks = [b for b in shown.strip().split("\n\n") if b]
    if len(blocks) != len(names):
        raise NotWellError(f"systemctl tells of {len(blocks)} units in place of {len(names)}")
    found, wrong = {}, []
    for name, block in zip(names, blocks, strict=True):
        about = {key: value for key, _, value in (line.partition("=") for line in block.splitlines())}
        loaded, active = about.get("LoadState", "unknown"), about.get("ActiveState", "unknown")
        if (loaded, active) != ("loaded", "active"):
            wrong.append(f"{name} is {loaded if loaded != 'loaded' else active}")
        found[name] = (about.get("InvocationID", ""), about.get("NRestarts", ""))
    if wrong:
        raise NotWellError(", ".join(wrong))
    return found


def units(names: list[str], users: list[str]) -> dict[str, tuple[str, str]]:
    """Return which start of each unit is active; `USER@NAME` is a unit of one of the `users`.

    Raises NotWellError where one is not active.
    """
    of_user = {user: [n for n in names if n.startswith(f"{user}@")] for user in users}
    found: dict[str, tuple[str, str]] = {}
    system = [n for n in names if not any(n in own for own in of_user.values())]
    if system:
        found |= starts(system)
    for user, own in of_user.items():
        if own:
            known = starts([n.partition("@")[2] for n in own], user)
            found |= {f"{user}@{name}": start for name, start in known.items()}
    return found


def has_address(interface: str) -> None:
    """Raise NotWellError unless an interface is up and has an address that others can reach."""
    found = parsed(output("ip", "-j", "address", "show", "dev", interface), f"what ip says of {interface}")
    try:
        about = found[0]
        up = "UP" in about["flags"]
        addresses = [a for a in about["addr_info"] if a["scope"] == "global" and not a.get("tentative")]
    except (TypeError, KeyError, IndexError, AttributeError):
        raise NotWellError(f"ip tells nothing of {interface}") from None
    if not up or not addresses:
        raise NotWellError(f"{interface} {'has no address' if up else 'is down'}")


def required(path: Path) -> list[str]:
    """Return the units that the device's configuration requires; a file that is not there requires none.

    Raises NotWellError for anything but a list of units' names.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise NotWellError(f"{path} cannot be read: {error}") from None
    names = parsed(text, str(path))
    if not isinstance(names, list) or not all(isinstance(n, str) and _UNIT.fullmatch(n) for n in names):
        raise NotWellError(f"{path} is no list of units")
    return names


def look(options: argparse.Namespace) -> dict[str, tuple[str, str]]:
    """Look at everything once. Raises NotWellError; else returns which start of each unit is active."""
    wanted = [*options.unit, *required(options.required)]
    found = units(list(dict.fromkeys(wanted)), options.user)
    for interface in options.interface:
        has_address(interface)
    return found


def stays_well(options: argparse.Namespace) -> bool:
    """Wait until all has been well for the whole time; False where it does not come to that."""
    begun = time.monotonic()
    since: float | None = None
    known: dict[str, tuple[str, str]] = {}
    told = ""
    while True:
        try:
            found = look(options)
            again = [name for name, start in found.items() if known.get(name, start) != start]
            wrong = f"{', '.join(again)} started again" if again else ""
        except NotWellError as error:
            found, wrong = {}, str(error)
        now = time.monotonic()
        since, known = None if wrong else now if since is None else since, found
        if since is not None and now - since >= options.sustained:
            return True
        if wrong and wrong != told:
            say(f"not well: {wrong}")
            told = wrong
        if wrong and now - begun >= options.within:
            return False
        time.sleep(options.every)


def known_good(path: Path) -> dict[str, str]:
    """Return which system each slot passed with; nothing where that cannot be told."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    good = isinstance(found, dict) and all(isinstance(system, str) for system in found.values())
    return found if good else {}


def remember(path: Path, slot: str, system: str) -> None:
    """Write down that a slot passed with a system; a power cut leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(known_good(path) | {slot: system}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def say(text: str) -> None:
    """Write a line to the journal."""
    print(text, flush=True)  # noqa: T201


def gate(options: argparse.Namespace) -> int:
    """Look, wait, mark; return the exit status."""
    good = known_good(options.good)
    slot, passed, marked, well = "", False, False, False
    try:
        system = str(options.system.resolve(strict=True))
        slot = slot_of(options.command_line.read_text())
        passed = good.get(slot) == system
        agree(slot, parsed(output("rauc", "status", "--output-format=json"), "what rauc status prints"))
        if passed:
            output("rauc", "status", "mark-good", slot)
            marked = True
            say(f"{slot} passed before: its tries are full again")
        well = stays_well(options)
        if well and not passed:
            output("rauc", "status", "mark-good", slot)
            marked = True
            say(f"{slot} is good: well for {options.sustained:g} s")
            remember(options.good, slot, system)
    except (NotWellError, OSError) as error:
        say(f"not well: {error}")
        well = False
    if well:
        return 0
    if marked:  # a reboot would use up none of its tries
        say(f"{slot} stays marked good")
    elif slot and not passed and options.reboot and any(other != slot for other in good):
        say(f"{slot} is not marked good, and another slot once was: rebooting, until the tries of {slot} are used up")
        output("systemctl", "reboot")
    else:
        say(f"{slot or 'the booted slot'} does not pass, and is not marked good")
    return 1


def main(arguments: list[str]) -> int:
    """Read the command line and go."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--unit", action="append", default=[], help="must be active; of a user: USER@NAME")
    parser.add_argument("--user", action="append", default=[], help="whose units there are, beside the system's")
    parser.add_argument("--interface", action="append", default=[], help="must be up, with an address")
    parser.add_argument("--required", type=Path, required=True, help="JSON list of more units; may be missing")
    parser.add_argument("--good", type=Path, required=True, help="JSON: the system that each slot passed with")
    parser.add_argument("--sustained", type=float, required=True, metavar="S", help="well for so long")
    parser.add_argument("--within", type=float, required=True, metavar="S", help="not well later than that: given up")
    parser.add_argument("--every", type=float, default=5, metavar="S", help="between two looks")
    parser.add_argument("--reboot", action="store_true", help="leave a slot that does not pass, beside one that did")
    parser.add_argument("--system", type=Path, default=Path("/run/booted-system"), help=argparse.SUPPRESS)
    parser.add_argument("--command-line", type=Path, default=Path("/proc/cmdline"), help=argparse.SUPPRESS)
    try:
        return gate(parser.parse_args(arguments))
    except NotWellError as error:  # of the reboot
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
