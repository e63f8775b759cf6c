"""`nixwright install`: a host onto the disks of a machine that ssh reaches, step by step, and on after a break."""

from __future__ import annotations

import getpass
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright.cli import consent
from nixwright.cli.hosts import Hosts, add_arguments, host_files, load_hosts, refuse
from nixwright.errors import NixwrightError, ToolError
from nixwright.install import lints, state, target, work
from nixwright.install.plan import FORMAT, Options, Step, plan, secrets_of
from nixwright.local import local_wifi
from nixwright.parts.wifi import PROFILES, keyfile
from nixwright.tools.command import output_of
from nixwright.tools.nix_machine import nix_machine
from nixwright.tools.ssh import Remote
from nixwright.tree import changes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from nixwright.install.lints import Objection
    from nixwright.install.state import State
    from nixwright.install.target import Target

_LOOK = 60.0  # seconds for asking the target what it is
_FORGET = "--fresh"
_UNMOUNT = "system.build.unmount"  # a step of the runbook that has a step here


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("install", help="install a host on a machine that ssh reaches")
    add_arguments(parser, one=True)
    add_target(parser)
    parser.add_argument(
        "--secret", action="append", default=[], metavar="PATH=FILE", help="a file here to write to PATH of the host"
    )
    parser.add_argument(
        "--passphrase", action="append", default=[], metavar="NAME=FILE", help="a container's passphrase in a file here"
    )
    parser.add_argument("--wifi", metavar="SSID=FILE", help="a WiFi network, its key in a file here (default: wifi.py)")
    parser.add_argument(_FORGET, action="store_true", help="forget an installation that broke off, and format anew")
    consent.add_arguments(parser, "HOST'S NAME")


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a machine, and say from what and where its system is built."""
    parser.add_argument("--target", required=True, metavar="root@ADDRESS", help="the machine")
    parser.add_argument("--port", type=int, default=22, help="its ssh port (%(default)s)")
    parser.add_argument("--ssh-option", action="append", default=[], metavar="NAME=VALUE", help="as ssh's -o")
    add_flake(parser)
    parser.add_argument("--build-on", choices=("here", "target"), default="here", help="where to build (%(default)s)")


def add_flake(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names another flake than the project's."""
    parser.add_argument("--flake", metavar="REF", help="the flake with the host (default: the project's directory)")


def run(args: argparse.Namespace) -> int:
    """Install; return 0 where done, 2 for mistakes and where it stopped."""
    hosts = load_hosts(args, about=True)
    if hosts.told:
        return refuse(hosts, as_json=False)
    host = hosts.loaded[0].about
    if host["slots"]:
        what = f"{host['name']} is started from an image that is flashed: nothing is installed on it"
        raise NixwrightError(f"{what}. Build it: nixwright build --artifact image, then nixwright flash")
    remote = Remote.of(args.target, args.port, tuple(args.ssh_option))
    args.wifi = args.wifi or _local_wifi(host, host_files(args.hosts)[0])
    wifi = _wifi(args.wifi)
    options = _options(args, hosts.root, host, wifi=wifi is not None)
    layout = hashlib.sha256(hosts.files.get(f"modules/{host['name']}/disko.nix", "").encode()).hexdigest()[:16]
    if args.dry_run:
        steps = plan(host, remote, options, (), formatted=False)
        sys.stdout.write(work.told(steps, remote.environment))
        return 0
    before = None if args.fresh else _before(host["name"], remote.target, layout)
    found = _look(remote, host)
    object_to(_objections(hosts, host, options, found, before))
    formatted = before is not None and lints.is_formatted(host, found, before)
    steps = plan(host, remote, options, found.present, formatted=formatted)
    now = before if before is not None and formatted else state.State(host["name"], remote.target, layout)
    if formatted:
        sys.stderr.write(f"Going on with the installation of {host['name']}: its disks are formatted.\n")
    else:
        sys.stderr.write(_destroyed(host, found, remote))
        consent.ask(host["name"], args)
    _install(host, work.Work(remote, _Secrets(options, wifi).read), steps, now, found.boot)
    _ending(host, remote)
    return 0


def _install(host: dict[str, Any], worker: work.Work, steps: list[Step], now: State, boot: str) -> None:
    """Run the steps, and keep what must not be done twice. Raises NixwrightError that says where it stopped."""
    for number, step in enumerate(steps, 1):
        mark = f"{step.title}, boot {boot}" if step.once == "boot" else step.title
        if step.once and mark in now.done:
            work.say(number, len(steps), f"{step.title}: done before")
            continue
        work.say(number, len(steps), step.title)
        try:
            worker.do(step)
            if step.key == FORMAT:
                found = _look(worker.remote, host)
                now.formatted = {d: found.disks[d].table for d in found.disks}
        except NixwrightError as error:
            raise _stopped(error, now, step) from None
        if step.once:
            now.done.append(mark)
        state.save(now)
    now.finished = True
    state.save(now)


def _stopped(error: NixwrightError, now: State, step: Step) -> NixwrightError:
    """Say where it stopped and how to go on. The error's own text holds no secret: those went to standard input."""
    if now.formatted:
        how = "The disks stay as they are: give the same command again, and it goes on there."
    elif step.key == FORMAT:
        how = "The disks may be half formatted: give the same command again, and they are formatted anew."
    else:
        how = "Nothing was changed on the disks: give the same command again."
    return NixwrightError(f"{error}.\n{how}")


def _ending(host: dict[str, Any], remote: Remote) -> None:
    left = [s["title"] for s in host["steps"] if s["phase"] in {"AFTER", "VERIFY"} and _UNMOUNT not in s["commands"]]
    sys.stdout.write(f"{host['name']} is installed on the disks of {remote.target}. Left to you, by the runbook:\n")
    for title in ("Power it off, take the installer's medium out, start it", *left):
        sys.stdout.write(f"  {title}\n")


def _before(host: str, target_name: str, layout: str) -> State | None:
    """Return an installation of this host that broke off. Raises NixwrightError where it is not this one."""
    found = state.load(host)
    if found is None or found.finished:
        return None
    if found.formatted and (found.target != target_name or found.layout != layout):
        other = f"on {found.target}" if found.target != target_name else "with another layout"
        raise NixwrightError(f"an installation of {host} broke off {other}: go on with that, or say {_FORGET}")
    return found


def _look(remote: Remote, host: dict[str, Any]) -> Target:
    disks = [d["device"] for d in host["disks"]]
    return target.parse(output_of(remote.argv(target.script(disks, list(secrets_of(host).values()))), timeout=_LOOK))


def _objections(
    hosts: Hosts, host: dict[str, Any], options: Options, found: Target, before: State | None
) -> list[Objection]:
    here = objections_here(hosts, host, on_target=options.on_target)
    return [*here, *lints.of_machine(host, found), *lints.of_disks(host, found, before)]


def objections_here(hosts: Hosts, host: dict[str, Any], *, on_target: bool) -> list[Objection]:
    """Return what of this machine and of the project stands against building a host."""
    stale = [c.path for c in changes(hosts.root, hosts.files, {h.source for h in hosts.loaded}, ("modules",))]
    unknown = _unknown(hosts.root, hosts.files)
    return [*lints.of_build(host, nix_machine(), on_target=on_target), *lints.of_files(unknown, stale)]


def object_to(found: list[Objection]) -> None:
    """Tell the warnings. Raises NixwrightError with all that forbids it."""
    for warning in (o for o in found if o.warning):
        sys.stderr.write(f"Note: {warning.what}.\n  better  {warning.fix}\n")
    against = [o for o in found if not o.warning]
    if against:
        lines = "".join(f"\n  {o.what}\n    fix  {o.fix}" for o in against)
        raise NixwrightError(f"{len(against)} thing{'s stand' if len(against) > 1 else ' stands'} against it:{lines}")


def _unknown(root: Path, files: Iterable[str]) -> list[str]:
    """Return the generated files that Git does not track: a flake does not see them. None outside of a repository."""
    try:
        inside = output_of(["git", "-C", str(root), "rev-parse", "--is-inside-work-tree"], timeout=_LOOK)
        if inside.strip() != "true":
            return []
        tracked = output_of(["git", "-C", str(root), "ls-files", "-z", "--", "modules"], timeout=_LOOK)
    except ToolError:
        return []
    known = set(tracked.split("\0"))
    return [f for f in files if f not in known and (root / f).exists()]


def _destroyed(host: dict[str, Any], found: Target, remote: Remote) -> str:
    lines = [f"Everything on these disks of {remote.target} will be destroyed:"]
    for disk in host["disks"]:
        there = found.disks[disk["device"]]
        device = next((d for d in found.devices if d.number == there.number), None)
        about = "" if device is None else f"  {device.path}  {device.model} {device.serial}".rstrip()
        lines.append(f"  {disk['device']}{about}")
    return "\n".join(lines) + "\n"


def _options(args: argparse.Namespace, root: Path, host: dict[str, Any], *, wifi: bool) -> Options:
    secrets = dict(map(_pair, args.secret))
    for name in secrets:
        if not name.startswith("/"):
            raise NixwrightError(f"--secret {name}=...: say the absolute path that the host has it at")
    if wifi:
        secrets[f"{PROFILES}/wifi.nmconnection"] = _pair(args.wifi)[1]
    passphrases = dict(map(_pair, args.passphrase))
    known = secrets_of(host)
    for name in passphrases:
        if name not in known:
            raise NixwrightError(
                f"--passphrase {name}: nothing of that name asks for one; {', '.join(known) or 'none'}"
            )
    missing = [str(f) for f in (*secrets.values(), *passphrases.values()) if not f.is_file()]
    if missing:
        raise NixwrightError(f"there is no file {missing[0]}")
    return Options(args.flake or str(root), args.build_on == "target", secrets, passphrases)


def _pair(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not equals or not name or not file:
        raise NixwrightError("say NAME=FILE: the secret itself has no place in a command")
    return name, Path(file)


def _local_wifi(host: dict[str, Any], file: Path) -> str | None:
    """Return what `--wifi` would say by the file beside the host's, for a host that waits for a network."""
    if not any(f["kind"] == "WifiNetwork" and not f["networks"] for f in host["facts"]):
        return None
    found = local_wifi(file)
    return None if found is None else f"{found.ssid}={found.path}"


def _wifi(text: str | None) -> str | None:
    """Return the name of the WiFi network."""
    return None if text is None else _pair(text)[0]


class _Secrets:
    """Secrets as they are needed: read from files or typed, never kept anywhere else."""

    def __init__(self, options: Options, ssid: str | None) -> None:
        self.options, self.ssid = options, ssid

    def read(self, name: str) -> bytes:
        """Return a secret's bytes. Raises NixwrightError where it cannot be had; its text holds none."""
        kind, _, which = name.partition(":")
        if kind == "passphrase" and which not in self.options.passphrases:
            return _typed(which)
        file = self.options.passphrases[which] if kind == "passphrase" else self.options.secrets[which]
        try:
            data = file.read_bytes()
        except OSError as error:
            raise NixwrightError(f"{file} cannot be read: {error.strerror}") from None
        if not data.strip():
            raise NixwrightError(f"{file} is empty")
        if kind == "passphrase":
            return data.rstrip(b"\r\n")
        if self.ssid is not None and which == f"{PROFILES}/wifi.nmconnection":
            return _profile(self.ssid, data, file)
        return data


def _typed(name: str) -> bytes:
    if not sys.stdin.isatty():
        raise NixwrightError(f"nobody can be asked for the passphrase of {name} here: --passphrase {name}=FILE")
    while True:
        first = getpass.getpass(f"Passphrase of {name}: ")
        if first and first == getpass.getpass("The same again: "):
            return first.encode()
        sys.stderr.write("They differ, or are empty. Again:\n")


def _profile(ssid: str, data: bytes, file: Path) -> bytes:
    """Return NetworkManager's profile of a network. Raises NixwrightError for what is no key of WPA."""
    try:
        key = data.decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError:
        key = ""
    if not (8 <= len(key) <= 63 or (len(key) == 64 and set(key) <= set("0123456789abcdefABCDEF"))):  # noqa: PLR2004
        raise NixwrightError(f"{file} holds no key of WPA: 8 to 63 characters of ASCII, or 64 hexadecimal digits")
    return keyfile(ssid, key.replace("\\", "\\\\").replace(" ", "\\s")).encode()
