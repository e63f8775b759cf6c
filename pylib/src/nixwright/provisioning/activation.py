"""From a source to a configuration in force: checked, derived, promoted, and kept only where it works."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright.provisioning.bundle import read_source
from nixwright.provisioning.derived import SOURCE, WrongConfigError, derived_files, parse
from nixwright.provisioning.edit import Edit, edited
from nixwright.provisioning.quadlet import ROOTLESS
from nixwright.provisioning.shape import Fault, RefusedError
from nixwright.provisioning.store import ActivationError, candidate, current, locked, promote
from nixwright.provisioning.users import numbers_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from nixwright.provisioning.device import Device
    from nixwright.provisioning.model import Config

_NUMBERS = "user-numbers.json"
_LONGEST_WAIT = 3600
_STEP = 1.0
_LONGEST_WORD = 300  # characters of what a unit says
# readable for whoever needs them: keys for sshd, which looks as the user; what programs of their own users read
_OPEN = ("ssh-authorized-keys", "containers.json", "lan.json", "wan.json", "firewall.json", "health-required.json")


def take(source: Path | Edit, device: Device, say: Callable[[str], None], *, first: bool = False) -> bool:
    """Put a source in force, or a change of what is; return False where it says what is in force already.

    Raises RefusedError where it is wrong, and ActivationError where it does not work: then what was in force before
    is so again. With `first` a device that was told already refuses.
    """
    directory = Path(device.directory)
    with locked(directory):
        if first and current(directory) is not None:
            raise RefusedError(Fault((), "this device was told already"))
        made = candidate(directory)
        try:
            _fill(source, made, device)
            number = current(directory)
            if number is not None and _digest(made) == _digest(directory / "generations" / str(number)):
                say("this is the configuration in force: nothing to do")
                return False
            say("the configuration is right; it is put in force")
            promote(directory, made, lambda: _activate(device, say))
        finally:
            shutil.rmtree(made, ignore_errors=True)
    say("the configuration is in force")
    return True


def _fill(source: Path | Edit, made: Path, device: Device) -> None:
    """Make a whole configuration in a directory that nothing points to."""
    (made / "files").mkdir(mode=0o755)
    if isinstance(source, Edit):
        data, config = _changed(source, made, device)
    else:
        data = read_source(source, made)
        config = parse(data, device)
    known = _json(Path(device.directory, "current", _NUMBERS), {})
    numbers = numbers_for([*config.users], known)
    texts = {**derived_files(config, device, numbers), _NUMBERS: json.dumps(numbers)}
    (made / SOURCE).write_bytes(data)
    (made / SOURCE).chmod(0o600)
    for name, text in texts.items():
        path = made / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o644 if name.partition("/")[0] in _OPEN else 0o640)
    _belongs(made, device.containers_user)


def _changed(edit: Edit, made: Path, device: Device) -> tuple[bytes, Config]:
    """Return the configuration in force with a change, and have its files again. Raises RefusedError."""
    live = Path(device.directory, "current")
    if not live.is_dir():
        raise RefusedError(Fault((), "this device was never told: there is nothing to change"))
    shutil.copytree(live / "files", made / "files", dirs_exist_ok=True)
    try:
        data = edited((live / SOURCE).read_bytes(), edit)
        return data, parse(data, device)
    except WrongConfigError as error:  # its lines are of a text that nobody has seen
        raise WrongConfigError(*error.faults) from None
    except RecursionError:
        raise RefusedError(Fault(edit.way, "is nested too deeply")) from None


def _belongs(made: Path, user: str) -> None:
    """Let the containers' user, and no other, read the rootless containers' files and what is in files/."""
    if os.geteuid() != 0 or not user:
        return
    try:
        group = pwd.getpwnam(user).pw_gid
    except KeyError:
        return
    for top in (made / "files", made / ROOTLESS):
        for path in [top, *top.rglob("*")] if top.is_dir() else []:
            os.chown(path, 0, group)
            path.chmod(0o750 if path.is_dir() or path.stat().st_mode & 0o100 else 0o640)


def _digest(directory: Path) -> str:
    """Return what tells configurations apart: every file, its path, and whether it is executable."""
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(directory)}\0{path.stat().st_mode & 0o100}\0{content}\n".encode())
    return digest.hexdigest()


def _activate(device: Device, say: Callable[[str], None]) -> None:
    """Restart what applies the configuration, and wait until what it requires is active, and stays so."""
    directory = Path(device.directory)
    said: dict[str, Any] = _json(directory / "activation.json", {})
    required: list[str] = _json(directory / "health-required.json", [])
    end = time.monotonic() + min(said.get("timeout_seconds", 300), _LONGEST_WAIT)
    say(f"restart {device.target}")
    if _systemctl("", "restart", device.target, seconds=end - time.monotonic()) is None:
        raise ActivationError(f"{device.target} did not come up{_failed(device)}")
    containers: dict[str, list[str]] = _json(directory / "containers.json", {})
    user = f"{device.containers_user}@" if device.containers_user else ""
    others = [*containers.get("rootful", []), *(f"{user}{unit}" for unit in containers.get("rootless", []))]
    others = [unit for unit in others if unit not in (*required, *said.get("allow_degraded", []))]
    while missing := [unit for unit in required if not _is_active(unit, device)]:
        if time.monotonic() > end:
            raise ActivationError(f"not active in time: {', '.join(missing)}{_look(missing, device)}")
        time.sleep(_STEP)
    settled = time.monotonic() + said.get("settle_seconds", 0)
    while True:
        lost = [unit for unit in required if not _is_active(unit, device)]
        lost += [unit for unit in others if _fails(unit, device)]
        if lost:
            raise ActivationError(f"failed: {', '.join(lost)}{_look(lost, device)}")
        if time.monotonic() >= settled:
            return
        time.sleep(_STEP)


def _failed(device: Device) -> str:
    """Return which of the units that apply the configuration failed, as a message ends."""
    units = (_systemctl("", "show", "--property=Requires", "--value", device.target) or "").split()
    failed = [f"{unit} failed{_last_word(unit)}" for unit in units if _fails(unit, device)]
    return f": {'; '.join(failed)}" if failed else ""


def _last_word(unit: str) -> str:
    """Return what a unit of ours said last before it failed, as a message ends."""
    invocation = (_systemctl("", "show", "--property=InvocationID", "--value", unit) or "").strip()
    asked = ["journalctl", "--output=cat", "--lines=1", "--quiet", f"_SYSTEMD_INVOCATION_ID={invocation}"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False, errors="replace").stdout.strip()
    return f": {said[:_LONGEST_WORD]}" if said else ""


def _look(units: list[str], device: Device) -> str:
    """Return where the reason is found, as a message ends: what a container says may be secret, and is not shown."""
    user, name = device.containers_user, units[0].rpartition("@")[2]
    rootless = bool(user) and units[0].startswith(f"{user}@")
    return f"; why, `journalctl {'_SYSTEMD_USER_UNIT=' if rootless else '--unit='}{name}` says"


def _is_active(unit: str, device: Device) -> bool:
    """Tell whether a unit is active, and not one of before that waits to be restarted."""
    said = _asked(unit, device, "show", "--property=ActiveState", "--property=Job") or ""
    about = {key: value for key, _, value in (line.partition("=") for line in said.splitlines())}
    return about.get("ActiveState") == "active" and about.get("Job", "") in ("", "0")


def _fails(unit: str, device: Device) -> bool:
    """Tell whether a unit ended badly, though it may be about to start again."""
    return (_asked(unit, device, "show", "--property=Result", "--value") or "success").strip() != "success"


def _asked(unit: str, device: Device, *words: str) -> str | None:
    """Ask about a unit as the health gate names it: of the system, or of the containers' user."""
    prefix = f"{device.containers_user}@"
    if device.containers_user and unit.startswith(prefix):
        return _systemctl(device.containers_user, *words, unit.removeprefix(prefix))
    return _systemctl("", *words, unit)


def _systemctl(user: str, *words: str, seconds: float = 30) -> str | None:
    """Return what systemctl says; None where it fails, or has no answer in time."""
    argv = ["systemctl", *(["--user"] if user else []), *words]
    try:
        who = _as(user) if user else {}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=max(seconds, 1), check=False, **who)
    except (subprocess.TimeoutExpired, KeyError):
        return None
    return None if done.returncode else done.stdout


def _as(user: str) -> dict[str, Any]:
    """Return how a process runs as a user beside that user's manager: `--machine` would log in, each time it asks."""
    entry = pwd.getpwnam(user)
    environment = {"PATH": os.environ.get("PATH", ""), "XDG_RUNTIME_DIR": f"/run/user/{entry.pw_uid}"}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "env": environment}


def _json(path: Path, otherwise: Any) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return otherwise
