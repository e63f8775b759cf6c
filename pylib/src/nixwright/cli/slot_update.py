"""`nixwright update` of a host with slots: a signed bundle to the slot that does not run, and what came of it."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright.cli import consent
from nixwright.cli.device import add_patience
from nixwright.cli.install import object_to, objections_here
from nixwright.cli.rollback import outcome
from nixwright.errors import NixwrightError
from nixwright.install import slot_update, work
from nixwright.install.slot_state import told
from nixwright.install.slot_update import PLACE, Signer
from nixwright.report.progress import Progress
from nixwright.tools.command import send

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from nixwright.cli.device import Device
    from nixwright.install.plan import Step

    Data = dict[str, Any]

_PKCS11 = "pkcs11:"
_OURS = ("bundle", "cert", "key")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only a host with slots takes."""
    slots = parser.add_argument_group("of a host with slots")
    slots.add_argument("--bundle", type=Path, metavar="FILE", help="a signed bundle, in place of building one")
    slots.add_argument("--cert", metavar="FILE", help="the certificate that the bundle is signed with")
    slots.add_argument("--key", metavar="FILE", help="its key, a file or pkcs11:...; it is read by rauc alone")
    add_patience(parser)


def refuse_arguments(args: argparse.Namespace, host: Data) -> None:
    """Raise NixwrightError where a host without slots is given what only slots take."""
    given = next((name for name in _OURS if getattr(args, name) is not None), None)
    if given:
        raise NixwrightError(
            f"--{given} is for hosts with slots, and {host['name']} has none: nixos-rebuild switches it"
        )


def run(args: argparse.Namespace, device: Device, first: str, check: Callable[[], None]) -> int:
    """Build, sign, ask, send, install, restart, wait; return 0 where the new slot runs and is good, 1 where not.

    `first` is what --dry-run prints before, `check` runs the host's checks.
    """
    if args.way is not None:
        raise NixwrightError(f"--way is nixos-rebuild's: {device.name} has slots, and is updated as a whole")
    if args.build_on == "target":
        raise NixwrightError(f"{device.name} builds nothing: its root is read-only, so bundles are built here")
    signer = _signer(args)
    keyring = _keyring(device)
    with tempfile.TemporaryDirectory(prefix="nixwright-update-") as directory:
        bundle = args.bundle or Path("<directory>" if args.dry_run else directory) / "update.raucb"
        if signer is None:
            steps = [slot_update.look(keyring, bundle)]
        else:
            steps = slot_update.build(device.host, args.flake or str(device.hosts.root), signer, keyring, bundle)
        if args.dry_run:
            sys.stdout.write((first if signer else "") + _told(steps, device, bundle))
            return 0
        return _update(args, device, steps, bundle, check if signer and not args.unchecked else lambda: None)


def _update(
    args: argparse.Namespace, device: Device, steps: list[Step], bundle: Path, check: Callable[[], None]
) -> int:
    before = device.ask()
    sys.stderr.write(told(device.name, device.remote.target, before))
    if not before.decided:
        raise NixwrightError(
            f"slot {before.slot} of {device.remote.target} is not known to be good (health gate: {before.gate_told}): "
            f"an update would overwrite slot {before.other.name}, the one to go back to. Nothing was changed"
        )
    if args.bundle is None:
        object_to(objections_here(device.hosts, device.host, on_target=False))
    check()
    worker = work.Work(device.remote, _no_secret)
    install = slot_update.install(device.remote)
    count = len(steps) + len(install) + 2
    for number, step in enumerate(steps, 1):
        work.say(number, count, step.title)
        worker.do(step)
    sys.stderr.write(f"Slot {before.other.name} of {device.remote.target} will be overwritten, and started.\n")
    consent.ask(device.name, args)
    work.say(len(steps) + 1, count, "Send it to the device")
    _send(device, bundle)
    for number, step in enumerate(install, len(steps) + 2):
        work.say(number, count, step.title)
        worker.do(step)
    work.say(count, count, "Restart, and wait for the health gate")
    after = device.restart(before, args.wait)
    sys.stdout.write(told(device.name, device.remote.target, after))
    return outcome(after, before.other.name)


def _send(device: Device, bundle: Path) -> None:
    size = bundle.stat().st_size
    status = send(slot_update.receive(device.remote), bundle, Progress("sending", size, sys.stderr))
    if status:
        raise work.StoppedError(
            f"the bundle did not get to {device.remote.target}:{PLACE} (exit status {status}): nothing was installed"
        )


def _signer(args: argparse.Namespace) -> Signer | None:
    """Return who signs; None where a bundle is signed already. Raises NixwrightError for what does not go together."""
    if args.bundle is not None:
        extra = next((n for n in ("cert", "key", "flake") if getattr(args, n) is not None), None)
        if extra:
            raise NixwrightError(f"--bundle is a bundle that is signed already: leave --{extra} out")
        if not args.bundle.is_file():
            raise NixwrightError(f"{args.bundle} is no file")
        return None
    missing = [f"--{name}" for name in ("cert", "key") if getattr(args, name) is None]
    if missing:
        fix = "an update is signed: say --cert FILE --key FILE, or --bundle FILE for one that is signed already"
        raise NixwrightError(f"{' and '.join(missing)} missing; {fix}")
    for name in ("cert", "key"):
        path: str = getattr(args, name)
        if not path.startswith(_PKCS11) and not Path(path).is_file():
            raise NixwrightError(f"--{name} {path}: is no file")
    return Signer(args.cert, args.key)


def _keyring(device: Device) -> Path:
    """Return the keyring by which the device knows who may sign. Raises NixwrightError where it takes no updates."""
    fact = next((f for f in device.host["facts"] if f["kind"] == "SlotUpdates"), None)
    if fact is None:
        raise NixwrightError(f"{device.name} has slots, and no part that takes updates to them: Updates(...)")
    beside = (device.hosts.root / device.hosts.loaded[0].source).parent
    return beside / str(fact["keyring"])


def _told(steps: list[Step], device: Device, bundle: Path) -> str:
    sent = f"{shlex.join(slot_update.receive(device.remote))} < {shlex.quote(str(bundle))}"
    rest = [slot_update.restart(device.remote), device.question]
    return "".join(
        (
            f"# Which slot runs, and that it is good\n{shlex.join(device.question)}\n",
            work.told(steps, {}),
            f"\n# Send it to the device\n{sent}\n",
            work.told(slot_update.install(device.remote), {}),
            "\n# Restart, and wait for the health gate\n",
            *(f"{shlex.join(argv)}\n" for argv in rest),
        )
    )


def _no_secret(name: str) -> bytes:
    raise NixwrightError(f"an update reads no secret, and {name} was asked for")
