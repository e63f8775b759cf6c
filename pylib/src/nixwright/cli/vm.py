"""`nixwright vm`: a host as a virtual machine, its real layout on scratch disks."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nixwright.cli import consent
from nixwright.cli.hosts import add_arguments, load_hosts, refuse
from nixwright.cli.install import add_flake, object_to, objections_here
from nixwright.errors import NixwrightError, ToolError
from nixwright.install import vm_plan
from nixwright.install.state import directory
from nixwright.install.vm_plan import Vm
from nixwright.tools.command import background, hand_over, run_here
from nixwright.tools.ssh import Remote

if TYPE_CHECKING:
    import argparse
    import subprocess

_GIB = 1 << 30
_INSTALLER_PORT = 22022  # of this machine, for the installer's ssh
_INSTALLED = "installed"  # a file that says that the disks have the host
_PATIENCE = 1800.0  # seconds for the installer to start: without hardware's help it is slow
_PORT = re.compile(r"(\d{1,5}):(\d{1,5})")


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("vm", help="run a host as a virtual machine, its layout on scratch disks")
    add_arguments(parser, one=True)
    parser.add_argument("--fresh", action="store_true", help="throw its disks away, and install anew")
    parser.add_argument("--window", action="store_true", help="a window in place of the terminal")
    parser.add_argument("--emulate", action="store_true", help="without the processor's own virtualization")
    parser.add_argument("--forward", action="append", default=[], metavar="HERE:THERE", help="a port, as in 2222:22")
    parser.add_argument("--memory", type=int, default=2048, metavar="MIB", help="MiB of memory (%(default)s)")
    parser.add_argument("--processors", type=int, default=2, metavar="N", help="(%(default)s)")
    parser.add_argument("--size", type=int, default=512, metavar="GIB", help="of disks without size= (%(default)s)")
    add_flake(parser)
    for name, value in (("secret", "PATH=FILE"), ("passphrase", "NAME=FILE")):
        parser.add_argument(f"--{name}", action="append", default=[], metavar=value, help="as install's")
    consent.add_arguments(parser, "HOST'S NAME")


def run(args: argparse.Namespace) -> int:
    """Install where that is not done, and start it; return 0 once it is off."""
    hosts = load_hosts(args, about=True)
    if hosts.told:
        return refuse(hosts, as_json=False)
    host = hosts.loaded[0].about
    flake = args.flake or str(hosts.root)
    home = directory().parent / "vm" / host["name"]
    ports = tuple(_port(p) for p in args.forward)
    how = ("tcg",) if args.emulate else ("hvf", "tcg") if sys.platform == "darwin" else ("kvm", "tcg")
    vm = Vm(flake, home, args.memory, args.processors, args.size * _GIB, ports, args.window, how)
    file = str(hosts.root / hosts.loaded[0].source)
    more = [part for n in ("secret", "passphrase") for value in getattr(args, n) for part in (f"--{n}", value)]
    port = _free_port()
    install = vm_plan.install(file, str(hosts.root), vm, port, more)
    installed = (home / _INSTALLED).exists() and not args.fresh
    if args.dry_run:
        sys.stdout.write(_told(host, vm, port, install, installed=installed))
        return 0
    if not installed:
        object_to(objections_here(hosts, host, on_target=False))
        if home.exists():
            sys.stderr.write(f"The disks in {home} will be thrown away.\n")
            consent.ask(host["name"], args)
            shutil.rmtree(home)
        _install(host, vm, port, install)
        (home / _INSTALLED).touch()
    return hand_over(vm_plan.boot(host, vm), Path.cwd())


def _install(host: dict[str, Any], vm: Vm, port: int, install: list[str]) -> None:
    """Make the disks, start the installer, install, switch it off. Raises NixwrightError."""
    vm.directory.mkdir(parents=True, mode=0o700)
    for command in (*vm_plan.create(host, vm), vm_plan.make_key(vm)):
        _do(command)
    key = Path(f"{vm.key}.pub").read_text(encoding="utf-8").strip()
    _do(vm_plan.build(host, vm, key))
    shutil.copyfile(vm.built / "variables", vm.variables)
    remote = Remote.of("root@127.0.0.1", port, _options(install))
    with background(vm_plan.installer(host, vm, port)) as machine:
        _await(remote, machine, vm)
        if volumes := vm_plan.format_volumes(host):
            _do(remote.argv(volumes))
        if _main([*install, "--yes", host["name"]], vm.directory):
            raise NixwrightError(f"the installation in the machine stopped; its console is in {vm.directory}")
        run_here(remote.argv("systemctl poweroff"))
        machine.wait(timeout=_PATIENCE)


def _main(argv: list[str], state: Path) -> int:
    """Run a command of ours as a person would, its state kept apart: how far hardware is, is another matter."""
    from nixwright.cli.main import main  # noqa: PLC0415 - it imports us

    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(state)
    try:
        return main(argv)
    finally:
        if before is None:
            del os.environ["XDG_STATE_HOME"]
        else:
            os.environ["XDG_STATE_HOME"] = before


def _await(remote: Remote, machine: subprocess.Popen[bytes], vm: Vm) -> None:
    """Wait until the installer lets us in."""
    sys.stderr.write("The installer starts; its console is in installer.log beside the disks.\n")
    until = time.monotonic() + _PATIENCE
    while run_here(remote.argv("true"), quiet=True)[0]:
        if machine.poll() is not None:
            raise ToolError(f"the installer's machine ended (exit status {machine.returncode}): {vm.directory}")
        if time.monotonic() > until:
            raise ToolError(f"the installer did not start within {_PATIENCE / 60:.0f} minutes: {vm.directory}")
        time.sleep(2)


def _do(command: list[str]) -> None:
    status, _ = run_here(command)
    if status:
        raise ToolError(f"{command[0]} failed (exit status {status})")


def _options(install: list[str]) -> tuple[str, ...]:
    return tuple(install[i + 1] for i, part in enumerate(install) if part == "--ssh-option")


def _port(text: str) -> tuple[int, int]:
    found = _PORT.fullmatch(text)
    if found is None or not all(0 < int(p) < 1 << 16 for p in found.groups()):
        raise NixwrightError(f"--forward {text}: say HERE:THERE, two ports, as in 2222:22")
    return int(found[1]), int(found[2])


def _free_port() -> int:
    """Return the first port from _INSTALLER_PORT that nobody listens at."""
    for port in range(_INSTALLER_PORT, 1 << 16):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise ToolError("no port is free")


def _told(host: dict[str, Any], vm: Vm, port: int, install: list[str], *, installed: bool) -> str:
    """Return what would run."""
    lines = []
    if not installed:
        lines += ["# Its disks, and the installer's key", f"mkdir -p {shlex.quote(str(vm.directory))}"]
        lines += [shlex.join(c) for c in (*vm_plan.create(host, vm), vm_plan.make_key(vm))]
        lines += ["", "# An installer of the host's own release", shlex.join(vm_plan.build(host, vm, "<key>"))]
        lines += [shlex.join(["cp", f"{vm.built}/variables", str(vm.variables)])]
        lines += ["", "# The installer's machine, beside what follows", shlex.join(vm_plan.installer(host, vm, port))]
        remote = Remote.of("root@127.0.0.1", port, _options(install))
        volumes = vm_plan.format_volumes(host)
        lines += ["", "# Onto its disks", *([shlex.join(remote.argv(volumes))] if volumes else [])]
        state = f"XDG_STATE_HOME={shlex.quote(str(vm.directory))} nixwright"
        lines += [f"{state} {shlex.join([*install, '--yes', host['name']])}"]
        lines += [shlex.join(remote.argv("systemctl poweroff")), ""]
    lines += [f"# The machine ({'Ctrl-a x' if not vm.window else 'the window'} ends it)"]
    return "\n".join([*lines, shlex.join(vm_plan.boot(host, vm)), ""])
