"""`nixwright provision`: what a device would say of a `config.toml`, a bundle of it, and giving it to a device."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.cli.hosts import add_limits, load_hosts, refuse
from nixwright.errors import NixwrightError
from nixwright.parts.provisioning import DEVICE
from nixwright.provisioning.bundle import LIMITS, read_source
from nixwright.provisioning.derived import SOURCE, WrongConfigError, derived_files, parse
from nixwright.provisioning.device import Device
from nixwright.provisioning.edit import path_of
from nixwright.provisioning.json_schema import config_schema
from nixwright.provisioning.shape import RefusedError, read
from nixwright.provisioning.users import numbers_for
from nixwright.tools import provision_client
from nixwright.tools.command import output_stream, send
from nixwright.tree import read_stamp

if TYPE_CHECKING:
    import argparse

    from nixwright.provisioning.model import Config

_WRONG = 2
_EITHER = "config.toml, or a bundle"
_TABLES = "users.NAME, containers.container.NAME (or network, volume, build), network"
_EXECUTABLE = 0o100


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser("provision", help="tell a device of one image who it is: config.toml")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    validate = actions.add_parser("validate", help="say what the device would say of config.toml, or a bundle")
    bundle = actions.add_parser("bundle", help="pack config.toml with files for its containers")
    push = actions.add_parser("push", help="give a device another configuration, signed, or over SSH")
    for command, help_ in ((validate, _EITHER), (bundle, SOURCE), (push, f"{_EITHER}; none with --remove")):
        command.add_argument("source", type=Path, nargs="?" if command is push else None, help=help_)
        command.add_argument("--host", type=Path, metavar="HOST.py", help="the host file of the device's image")
        add_limits(command)
    bundle.add_argument("--files", type=Path, metavar="DIRECTORY", help="becomes ${FILES_DIR}")
    bundle.add_argument("-o", "--output", type=Path, required=True, help="a file that ends in .tar.gz or .tar.zst")
    push.add_argument("--to", required=True, metavar="WHERE", help="http://ADDRESS:8080, or ssh://USER@ADDRESS")
    push.add_argument("--key", type=Path, help="an admin's key of SSH, to sign with")
    alone = push.add_mutually_exclusive_group()
    alone.add_argument("--only", metavar="TABLE", help=f"give this table of it alone: {_TABLES}")
    alone.add_argument("--remove", metavar="TABLE", help="take this table out of what the device has")
    push.add_argument("--dry-run", action="store_true", help="only say what would be given, and to whom")
    actions.add_parser("schema", help="print the JSON Schema of config.toml, for editors")


def run(args: argparse.Namespace) -> int:
    """Do what is asked for; return 0, or 2 for mistakes. Raises NixwrightError where it cannot be done."""
    if args.action == "schema":
        sys.stdout.write(json.dumps(config_schema(), indent=2) + "\n")
        return 0
    if args.action == "push" and args.remove is not None:
        return _remove(args)
    if args.source is None:
        raise NixwrightError("SOURCE is missing: the config.toml, or the bundle, that the device is given")
    device = Device(wan="wan", lan="lan")
    if args.host is not None:
        args.hosts = [args.host]
        hosts = load_hosts(args)
        if hosts.told:
            return refuse(hosts, as_json=False)
        device = _device(hosts.loaded[0].name, hosts.files)
    try:
        return _with_source(args, device)
    except RefusedError as error:
        return _told(error, args.source)


def _with_source(args: argparse.Namespace, device: Device) -> int:
    """Do what is asked for with a source. Raises RefusedError where the device would refuse it."""
    if args.action == "bundle":
        return _bundle(args.source, args.files, args.output, device)
    config = _read(args.source, device)
    if args.action == "push":
        return _push(args, config, device)
    unsure = "" if args.host is not None else "; whether it fits a host, --host hosts/NAME.py says"
    sys.stdout.write(f"the configuration is right{unsure}\n")
    return 0


def _device(name: str, files: dict[str, str]) -> Device:
    """Return what the host's image would know of the device."""
    path = f"modules/{name}/{DEVICE}"
    if path not in files:
        raise NixwrightError(f"{name} is no host with Provisioning: no device of it is told anything")
    stamped = read_stamp(files[path])
    return read(Device, tomllib.loads(files[path] if stamped is None else stamped.body))


def _read(source: Path, device: Device) -> Config:
    """Read a source as the device would. Raises RefusedError."""
    if not source.is_file():
        raise NixwrightError(f"{source}: there is no such file")
    with tempfile.TemporaryDirectory() as room:
        return parse(read_source(source, Path(room)), device)


def _told(error: RefusedError, source: Path) -> int:
    if isinstance(error, WrongConfigError):
        name = str(source) if source.suffix == ".toml" else f"{source}: {SOURCE}"
        sys.stderr.write(error.report(name) + "\n")
    else:
        for fault in error.faults:
            words = "; ".join(filter(None, (fault.what, fault.given, fault.allowed)))
            sys.stderr.write(f"{source}: {words}\n")
    number = len(error.faults)
    sys.stderr.write(f"{number} mistake{'' if number == 1 else 's'}. The device would change nothing.\n")
    return _WRONG


def _bundle(source: Path, files: Path | None, output: Path, device: Device) -> int:
    """Pack a bundle, the same bytes each time, and look at it as the device would before it gets its name."""
    how = next((end for end in (".tar.gz", ".tar.zst") if output.name.endswith(end)), None)
    if how is None:
        raise NixwrightError(f"{output}: a bundle's name ends in .tar.gz or .tar.zst")
    _read(source, device)
    data = _tar(source, files)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".bundle-") as room:
        made = Path(room, output.name)
        if how == ".tar.gz":
            made.write_bytes(gzip.compress(data, 9, mtime=0))
        else:
            with tempfile.TemporaryFile() as plain:
                plain.write(data)
                plain.seek(0)
                with output_stream(["zstd", "-19", "-q", "-c"], stdin=plain, needs="it packs .tar.zst") as packed:
                    made.write_bytes(packed.read())
        _read(made, device)
        made.replace(output)
    sys.stdout.write(f"{output}: {output.stat().st_size} bytes of at most {LIMITS.source}\n")
    return 0


def _tar(source: Path, files: Path | None) -> bytes:
    room = io.BytesIO()
    with tarfile.open(fileobj=room, mode="w", format=tarfile.PAX_FORMAT) as tar:
        paths = [(SOURCE, source)]
        if files is not None:
            if not files.is_dir():
                raise NixwrightError(f"{files}: there is no such directory")
            inside = sorted(path for path in files.rglob("*") if not path.is_dir())
            paths += [(f"files/{path.relative_to(files).as_posix()}", path) for path in inside]
        for name, path in paths:
            if path.is_symlink() or not path.is_file():
                raise NixwrightError(f"{path} is no plain file: a device takes no links and no devices")
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            info.mode = 0o755 if path.stat().st_mode & _EXECUTABLE else 0o644
            with path.open("rb") as file:
                tar.addfile(info, file)
    return room.getvalue()


def _push(args: argparse.Namespace, config: Config, device: Device) -> int:
    """Give a device a source that it would take."""
    target = args.to.removeprefix("ssh://") if args.to.startswith("ssh://") else None
    if target is not None and (not target or target.startswith("-")):
        raise NixwrightError(f"{args.to!r} is no address for SSH: ssh://ada@172.20.30.1")
    if args.only is not None:
        return _only(args)
    page = None if target else _page(args)
    if args.dry_run:
        names = derived_files(config, device, numbers_for([*config.users], {}))
        way = " ".join(provision_client.import_argv(target)) if target else f"POST {page}/config, signed by {args.key}"
        sys.stdout.write(f"{way}\n" + "".join(f"  {name}\n" for name in sorted((SOURCE, *names))))
        return 0
    if target is not None:
        return _WRONG if send(provision_client.import_argv(target), args.source, lambda _sent: None) else 0
    if page is None:
        raise NixwrightError(f"{args.to!r} is no device's address")
    return _give(page, args.key, "POST", "/config", args.source.read_bytes())


def _page(args: argparse.Namespace) -> provision_client.Device:
    if args.key is None:
        raise NixwrightError("--key is missing: a device takes what an admin of it signs, and nothing else")
    if not args.key.is_file():
        raise NixwrightError(f"{args.key}: there is no such key of SSH: ssh-keygen -t ed25519 makes one")
    return provision_client.Device.at(args.to)


def _give(page: provision_client.Device, key: Path, method: str, path: str, body: bytes) -> int:
    """Ask a device for something, and tell what it says until that is decided."""
    job = page.signed(key, method, path, body)
    return 0 if page.wait(str(job.get("job", "")), _say) else _WRONG


def _only(args: argparse.Namespace) -> int:
    """Give a device one table of a source that it would take as a whole."""
    method, path = _table(args.only)
    with tempfile.TemporaryDirectory() as room:
        table = tomllib.loads(read_source(args.source, Path(room)).decode("utf-8"))
    for step in args.only.split("."):
        if step not in table:
            raise NixwrightError(f"{args.source} has no {args.only}: --remove {args.only} takes it from the device")
        table = table[step]
    return _ask(args, method, path, json.dumps(table).encode())


def _remove(args: argparse.Namespace) -> int:
    """Take one table out of what a device has."""
    method, path = _table(args.remove)
    if method != "PUT":
        raise NixwrightError(f"{args.remove} is changed, and not taken away: --only {args.remove}")
    return _ask(args, "DELETE", path, b"")


def _table(name: str) -> tuple[str, str]:
    """Return method and path of the request for a table."""
    found = path_of(tuple(name.split(".")))
    if found is None:
        raise NixwrightError(f"{name} is no table that can be given alone: {_TABLES}")
    return found


def _ask(args: argparse.Namespace, method: str, path: str, body: bytes) -> int:
    if args.to.startswith("ssh://"):
        raise NixwrightError("a table alone goes to the device's page, signed: --to http://ADDRESS:8080 --key KEY")
    page = _page(args)
    if args.dry_run:
        sys.stdout.write(f"{method} {page}{path}, signed by {args.key}\n")
        return 0
    return _give(page, args.key, method, path, body)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
