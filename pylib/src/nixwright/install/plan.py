"""The steps of an installation as data: which programs run where, in which order, and what each is for.

Nothing here runs. A name in angle brackets (`<system>`) stands for a store path that an earlier step gives. Every step
may be done again but formatting, so one that broke off goes on from its begin: what is done is done quickly.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nixwright.layout.hooks import KEYS
from nixwright.parts.wifi import PROFILES
from nixwright.tools.nix_machine import FEATURES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from nixwright.tools.ssh import Remote

Data = dict[str, Any]

ROOT = "/mnt"
FORMAT, SYSTEM = "format", "install"
# disko's scripts in `system.build`, and how their store paths end.
SCRIPTS = {
    "destroyFormatMount": "disko-destroy-format-mount",
    "mount": "disko-mount",
    "unmount": "disko-unmount",
}
TOPLEVEL = "toplevel"
# What was built here nobody signed: root, whom we are there, may say that it is good.
COPY = ("nix", *FEATURES, "copy", "--substitute-on-destination", "--no-check-sigs", "--to")
_OURS = "nixos-install "  # a step of the runbook that has a step of its own here
_BY_HAND = ("SECRETS", "INSTALL")
_MEMORY = ("/run/", "/nix/")  # what is made at boot, or built


@dataclass(frozen=True, slots=True)
class Action:
    """One program. `stdin` names the secret that it reads, `keeps` what its output is remembered as."""

    argv: tuple[str, ...]
    stdin: str = ""
    keeps: str = ""
    terminal: bool = False  # it asks a person


@dataclass(frozen=True, slots=True)
class Step:
    """Some programs that belong together.

    `once` where a person has a part in it: it is not done again, with "boot" unless the target was restarted (what it
    mounts is gone then).
    """

    key: str
    title: str
    actions: tuple[Action, ...]
    once: Literal["", "ever", "boot"] = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command was told: the flake, where to build, and where secrets lie on this machine.

    `secrets` maps paths of the host to files here, `passphrases` names of containers and pools to files here.
    """

    flake: str
    on_target: bool = False
    secrets: Mapping[str, Path] = field(default_factory=dict)
    passphrases: Mapping[str, Path] = field(default_factory=dict)


def plan(host: Data, remote: Remote, options: Options, present: Collection[str], *, formatted: bool) -> list[Step]:
    """Return the steps. `present` are files that the target has already; `formatted` leaves the disks as they are."""
    return [
        *_build(host, remote, options),
        *_passphrases(host, remote, present),
        _disks(remote, formatted=formatted),
        _system(host, remote, options),
        *_secrets(host, remote, options),
        *_by_hand(host, remote, options),
        *_look(host, remote),
        _nixos(remote),
        _finish(host, remote),
    ]


def secrets_of(host: Data) -> dict[str, str]:
    """Return where passphrases are looked for before they are asked for: name of a container or pool to file."""
    found = {c["name"]: c["passphrase_file"] for c in host["containers"] if c["passphrase_file"]}
    native = {p["name"]: p["passphrase_file"] for p in host["pools"]}
    return found | {name: file for name, file in native.items() if file}


def lies_at(host: Data, path: str) -> str:
    """Return where a path of the running host lies on its disks: what stays on a wiped root lies elsewhere."""
    for kept in (f for f in host["facts"] if f["kind"] == "KeptPath"):
        if path == kept["path"] or path.startswith(f"{kept['path']}/"):
            return str(kept["source"]) + path.removeprefix(kept["path"])
    return path


def key_files(host: Data) -> list[str]:
    """Return the host keys that the SSH servers look for, as paths of the host."""
    return [f["host_key"] for f in host["facts"] if f["kind"] == "SshServer" and f["host_key"]]


def _build(host: Data, remote: Remote, options: Options) -> Iterator[Step]:
    """Build before anything is destroyed: a system that does not build leaves the disks as they are."""
    where = ["--store", remote.store(), "--eval-store", "auto"] if options.on_target else []
    names = [*SCRIPTS, *([] if options.on_target else [TOPLEVEL])]
    build = Action(_nix_build(host, options, names, where), keeps="scripts")
    if options.on_target:
        evaluate = ["nix", *FEATURES, "eval", "--raw", f"{_attribute(host, options, TOPLEVEL)}.drvPath"]
        yield Step("build", "Evaluate the system, build what formats the disks", (Action(tuple(evaluate)), build))
        return
    yield Step("build", "Build the system, and what formats the disks", (build,))
    scripts = [f"<{s}>" for s in SCRIPTS.values()]
    copy = Action((*COPY, remote.store(), *scripts))
    yield Step("scripts", "Copy what formats the disks to the target's memory", (copy,))


def _attribute(host: Data, options: Options, name: str) -> str:
    return f"{options.flake}#nixosConfigurations.{host['name']}.config.system.build.{name}"


def _nix_build(host: Data, options: Options, names: list[str], where: list[str]) -> tuple[str, ...]:
    attributes = [_attribute(host, options, n) for n in names]
    return ("nix", *FEATURES, "build", "--no-link", "--json", *where, *attributes)


def _passphrases(host: Data, remote: Remote, present: Collection[str]) -> Iterator[Step]:
    missing = {n: f for n, f in secrets_of(host).items() if f not in present}
    if missing:
        actions = [
            Action(tuple(remote.argv(_receive(file, "0700"))), stdin=f"passphrase:{name}")
            for name, file in missing.items()
        ]
        yield Step("passphrases", "Hand the passphrases to the target's memory", tuple(actions))


def _receive(path: str, directory_mode: str) -> str:
    """Write standard input to a file that only root can read, whole or not at all."""
    quoted, directory = shlex.quote(path), shlex.quote(path.rpartition("/")[0])
    return (
        f"test -d {directory} || install -d -m {directory_mode} {directory}\n"
        f"umask 077\ncat >{quoted}.new\ntest -s {quoted}.new\nmv {quoted}.new {quoted}"
    )


def _disks(remote: Remote, *, formatted: bool) -> Step:
    if formatted:
        script = f"if mountpoint -q {ROOT}; then exit; fi\n<disko-mount>/bin/disko-mount"
        return Step("mount", "Open and mount the disks, which are formatted", (Action(tuple(remote.argv(script))),))
    script = "<disko-destroy-format-mount>/bin/disko-destroy-format-mount --yes-wipe-all-disks"
    return Step(FORMAT, "Partition, format and mount the disks", (Action(tuple(remote.argv(script))),))


def _system(host: Data, remote: Remote, options: Options) -> Step:
    store = remote.store(ROOT)
    if options.on_target:
        where = ["--store", store, "--eval-store", "auto"]
        build = Action(_nix_build(host, options, [TOPLEVEL], where), keeps="scripts")
        return Step("system", "Build the system on the target's own disk", (build,))
    return Step("system", "Copy the system to the target's own disk", (Action((*COPY, store, "<system>")),))


def _secrets(host: Data, remote: Remote, options: Options) -> Iterator[Step]:
    """Host keys made where the host wants them, and files that were named."""
    keys = [k for k in key_files(host) if k not in options.secrets]
    if keys:
        actions = [Action(tuple(remote.argv(_make_key(lies_at(host, k), host["name"])))) for k in keys]
        yield Step("keys", "Make the SSH host keys", tuple(actions))
    if options.secrets:
        actions = [
            Action(tuple(remote.argv(_receive(ROOT + lies_at(host, path), "0755"))), stdin=f"file:{path}")
            for path in options.secrets
        ]
        yield Step("secrets", "Write the secrets, for root alone", tuple(actions))


def _make_key(path: str, name: str) -> str:
    quoted, directory = shlex.quote(ROOT + path), shlex.quote((ROOT + path).rpartition("/")[0])
    return (
        f"test -d {directory} || install -d -m 0755 {directory}\n"
        f"test -s {quoted} || ssh-keygen -q -t ed25519 -N '' -C root@{name} -f {quoted}\n"
        f"ssh-keygen -l -f {quoted}"
    )


def _by_hand(host: Data, remote: Remote, options: Options) -> Iterator[Step]:
    """The runbook's own steps on the target: they ask there, and what is typed passes through no program of ours."""
    steps = [s for s in host["steps"] if s["phase"] in _BY_HAND and s["commands"] and _OURS not in s["commands"]]
    steps = [s for s in steps if not any(f"{ROOT}{lies_at(host, p)}" in s["commands"] for p in options.secrets)]
    if any(s["phase"] == "INSTALL" for s in steps):
        archive = ("nix", *FEATURES, "flake", "archive", "--json", "--to", remote.store(), options.flake)
        yield Step("flake", "Copy the flake to the target's memory", (Action(archive, keeps="flake"),))
    for number, step in enumerate(steps, 1):
        installs = step["phase"] == "INSTALL"
        enter = "cd <flake>\n" if installs else ""
        action = Action(tuple(remote.argv(f"{enter}{step['commands']}", terminal=True)), terminal=True)
        yield Step(f"by-hand-{number}", step["title"], (action,), "boot" if installs else "ever")


def _look(host: Data, remote: Remote) -> Iterator[Step]:
    """No first boot without what it needs: a password's hash, a stage 1 key, the profile of the only network."""
    paths = [s["where"] for s in host["secrets"] if s["where"].startswith("/") and not s["where"].startswith(_MEMORY)]
    files = " ".join(shlex.quote(ROOT + lies_at(host, p)) for p in dict.fromkeys(paths))
    profiles = shlex.quote(ROOT + lies_at(host, PROFILES))
    script = "wrong=0\n"
    if files:
        script += f"""\
for file in {files}; do
  if ! test -s "$file"; then
    echo "missing: $file" >&2
    wrong=1
  elif test -n "$(find "$file" -perm /007)"; then
    echo "others may read it: $file (chmod 600)" >&2
    wrong=1
  fi
done
"""
    if any(f["kind"] == "WifiNetwork" and f["by"] == "NetworkManager" and not f["networks"] for f in host["facts"]):
        script += f"""\
if test -z "$(find {profiles} -name '*.nmconnection' -size +0 -perm 600)"; then
  echo "no profile of a WiFi in {profiles}: after the first boot nobody could reach the host" >&2
  wrong=1
fi
"""
    if script.count("\n") > 1:
        action = Action(tuple(remote.argv(f'{script}test "$wrong" = 0')))
        yield Step("look", "Look whether every secret is there, for root alone", (action,))


def _nixos(remote: Remote) -> Step:
    """Not --flake: that builds with the target's disk as store, which emulation cannot."""
    command = f"nixos-install --root {ROOT} --system <system> --no-root-password --no-channel-copy"
    return Step(SYSTEM, "Install NixOS and its boot loader", (Action(tuple(remote.argv(command))),))


def _finish(host: Data, remote: Remote) -> Step:
    pools = "".join(
        f"\nif zpool list {p['name']} >/dev/null 2>&1; then zpool export {p['name']}; fi" for p in host["pools"]
    )
    script = (
        f"sync\nif mountpoint -q {ROOT}; then umount --recursive {ROOT}; fi\n"
        f"<disko-unmount>/bin/disko-unmount{pools}\nrm -rf {KEYS}"
    )
    return Step("finish", "Unmount, export, forget the passphrases", (Action(tuple(remote.argv(script))),))
