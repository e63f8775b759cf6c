"""A project whose flake has plain derivations in place of VM tests: any Nix builds them at once, with no nixpkgs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from nixwright.cli.checks import this_system

HOST = '''"""A virtual machine with one disk."""

from nixwright import Host, User
from nixwright.boards.qemu_vm import QemuVm
from nixwright.layout import ESP, GPT, REST, Disk, Ext4, MiB, Partition
from nixwright.parts.ssh import Ssh

boot = Partition("boot", MiB(512), ESP())
root = Partition("root", REST, Ext4(at="/"))
host = Host(
    name="hello",
    state_version="26.05",
    board=QemuVm(),
    disks=[Disk("/dev/disk/by-id/virtio-hello", GPT(boot, root))],
    parts=[Ssh()],
    users=[User("ada", groups=["wheel"], ssh_keys=["ssh-ed25519 KEY"])],
)
'''.replace("KEY", "AAAAC3NzaC1lZDI1NTE5AAAAIP3uQw1AvVfe6sGGzZeQAz0PBvkJqIBufObnF6t8fVAp a@b")

FLAKE = "flake"  # apart from what Nix and we write below the root: a flake is all that lies beside it
ONLY = "^(hello-boots|host-hello)$"
PASSES = "echo 'subtest: it is up'; echo '(finished: subtest: it is up, in 0.01 seconds)'; echo > $out"
FAILS = "echo 'subtest: it is up'; echo '!!! Test \"it is up\" failed with error: \"no lamp\"'; exit 1"


def derivation(name: str, script: str, more: str = "") -> str:
    """Return a Nix expression for a derivation that a shell builds."""
    shell = shutil.which("sh")
    path = os.pathsep.join(
        dict.fromkeys(str(Path(shutil.which(p) or "").parent) for p in ("sh", "sleep", "mkdir", "cp"))
    )
    return (
        f'(derivation {{ name = "{name}"; system = "{this_system()}"; builder = "{shell}"; PATH = "{path}"; '
        f"args = [ \"-c\" ''{script}'' ]; {more} }})"
    )


def write_flake(root: Path, checks: dict[str, str], sabotages: dict[str, str] | None = None) -> None:
    """Write the flake: names to Nix expressions."""

    def rows(found: dict[str, str]) -> str:
        return " ".join(f'"{name}" = {text};' for name, text in found.items())

    (root / FLAKE).mkdir(exist_ok=True)
    (root / FLAKE / "flake.nix").write_text(
        f"{{ outputs = _: {{ checks.{this_system()} = {{ {rows(checks)} }}; "
        f"legacyPackages.{this_system()}.sabotages = {{ {rows(sabotages or {})} }}; }}; }}\n",
        encoding="utf-8",
    )


def project(root: Path, checks: dict[str, str], sabotages: dict[str, str] | None = None) -> Path:
    """Make a project with one host, its generated files, and a flake."""
    (root / "hosts").mkdir(parents=True)
    (root / "hosts/hello.py").write_text(HOST, encoding="utf-8")
    done = nixwright(root, "gen", "hosts/hello.py")
    assert done.returncode == 0, done.stderr
    write_flake(root, checks, sabotages)
    return root


def environment(root: Path) -> dict[str, str]:
    """Return an environment where Nix builds as whoever we are, without a sandbox, and what it builds is in `root`."""
    settings = "experimental-features = nix-command flakes\nsandbox = false\nbuild-users-group =\nsubstituters =\n"
    env = {k: v for k, v in os.environ.items() if k not in {"CI", "NIX_REMOTE"}}
    ours = {"NIX_STORE_DIR": "nix/store", "NIX_STATE_DIR": "nix/var", "NIX_LOG_DIR": "nix/log"}
    ours |= {"XDG_STATE_HOME": "state", "XDG_CACHE_HOME": "cache"}
    return env | {"NIX_CONFIG": settings} | {name: str(root / below) for name, below in ours.items()}


def nixwright(root: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of nixwright in a project."""
    env = environment(root) | ({} if path is None else {"PATH": path})
    line = [sys.executable, "-m", "nixwright", *arguments]
    return subprocess.run(line, cwd=root, env=env, capture_output=True, text=True, check=False, timeout=240)


def run_tests(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `nixwright test` of a project, whose flake is taken as it lies there, with no git; two checks unless said."""
    only = () if "-k" in arguments else ("-k", ONLY)  # the host has more checks, of parts that are not meant here
    return nixwright(root, "test", "--flake", f"path:{root / FLAKE}", *only, *arguments)
