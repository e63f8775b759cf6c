"""A host as a virtual machine: its disks as images, an installer that puts the host onto them, the start from them.

The installer is of the release that the host uses, started in memory; the host gets onto its disks by `install`, as it
gets onto hardware: what is tried is the layout, disko's script and the boot chain, not a stand-in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nixwright.errors import ToolError
from nixwright.tools.nix_machine import FEATURES
from nixwright.tools.qemu import Image, Kernel, Machine, argv, console

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Data = dict[str, Any]

SSH = 22
VOLUME = 1 << 30  # bytes of a boot partition that stands on no disk of the layout, as on a board's eMMC
_INSTALLER_MEMORY = 4096  # MiB: the installer lives in memory
_BY_UUID = "/dev/disk/by-uuid/"
_VOLUME = "/dev/disk/by-id/virtio-{}"  # udev's name of such a disk in the machine


@dataclass(frozen=True, slots=True)
class Vm:
    """What the command was told. `size` in bytes is of disks whose size the host file does not say."""

    flake: str
    directory: Path
    memory: int = 2048
    processors: int = 2
    size: int = 512 << 30
    ports: tuple[tuple[int, int], ...] = ()
    window: bool = False
    accelerators: tuple[str, ...] = ("kvm", "tcg")

    @property
    def variables(self) -> Path:
        """UEFI's variables, which the machine writes."""
        return self.directory / "efi-variables.fd"

    @property
    def key(self) -> Path:
        """The key that opens the installer."""
        return self.directory / "installer-key"

    @property
    def built(self) -> Path:
        """A link to what `build` builds."""
        return self.directory / "installer"


def images(host: Data, vm: Vm) -> list[tuple[Image, int]]:
    """Return the machine's disks with their sizes in bytes. The first is what UEFI starts from."""
    found = [(Image(vm.directory / f"{d['name']}.qcow2", d["device"]), d["size"] or vm.size) for d in host["disks"]]
    if not found:
        raise ToolError(f"{host['name']} has no disks in its host file")
    volumes = [(Image(vm.directory / f"volume-{v}.qcow2", _VOLUME.format(v)), VOLUME) for v in foreign_volumes(host)]
    return [*found, *volumes]


def foreign_volumes(host: Data) -> list[str]:
    """Return the volume ids of FAT file systems that the host mounts and no disk of its layout has."""
    mounts = [m for m in host["mounts"] if m["fs_type"] == "vfat" and m["device"].startswith(_BY_UUID)]
    return [m["device"].removeprefix(_BY_UUID) for m in mounts]


def create(host: Data, vm: Vm) -> list[list[str]]:
    """Return the commands that make the disks: they take room only as they are filled."""
    return [["qemu-img", "create", "-q", "-f", "qcow2", str(i.path), str(size)] for i, size in images(host, vm)]


def make_key(vm: Vm) -> list[str]:
    """Return the command that makes the installer's key."""
    return ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "installer", "-f", str(vm.key)]


def build(host: Data, vm: Vm, key: str) -> list[str]:
    """Return the command that builds the installer, with UEFI's code and variables beside it. `key` may log in."""
    what = ["--expr", expression(host, vm.flake, key)]
    return ["nix", *FEATURES, "build", "--impure", "--out-link", str(vm.built), *what]


def expression(host: Data, flake: str, key: str) -> str:
    """Return what is built, as Nix: links to the installer's kernel, initrd and system, and to UEFI's two files."""
    zfs = "zfs = true;" if host["pools"] else ""
    return f"""\
let
  host = (builtins.getFlake {_nix(flake)}).nixosConfigurations.{host["name"]};
  inherit (host.pkgs) path;
  here = import path {{ system = builtins.currentSystem; }};
  installer = import (path + "/nixos/lib/eval-config.nix") {{
    system = null;
    modules = [
      (path + "/nixos/modules/installer/netboot/netboot-minimal.nix")
      (
        {{ pkgs, ... }}:
        {{
          nixpkgs.hostPlatform = {_nix(host["system"])};
          networking.hostId = {_nix(host["host_id"] or "8425e349")};
          boot.supportedFilesystems = {{ {zfs} vfat = true; }};
          boot.zfs.forceImportRoot = false;
          users.users.root.openssh.authorizedKeys.keys = [ {_nix(key)} ];
          environment.systemPackages = [ pkgs.mkpasswd ];
          nix.settings.experimental-features = [ "nix-command" "flakes" ];
        }}
      )
    ];
  }};
  inherit (installer.config.system) build;
in
here.linkFarm "vm-installer" {{
  kernel = "${{build.kernel}}/${{installer.config.system.boot.loader.kernelFile}}";
  initrd = "${{build.netbootRamdisk}}/initrd";
  system = build.toplevel;
  code = host.pkgs.OVMF.firmware;
  variables = host.pkgs.OVMF.variables;
}}
"""


def installer(host: Data, vm: Vm, port: int) -> list[str]:
    """Return the command of the machine that installs, reached by ssh at a port of this one."""
    system = vm.built / "system"  # the kernel must be told the store's own path: the link is not there in the machine
    init = f"{system.resolve() if system.exists() else '<system>'}/init"
    kernel = Kernel(f"{vm.built}/kernel", f"{vm.built}/initrd", f"init={init} console={console(host['system'])}")
    memory = max(vm.memory, _INSTALLER_MEMORY)
    machine = replace(_machine(host, vm), memory=memory, ports=((port, SSH),), window=False)
    return argv(machine, kernel, str(vm.directory / "installer.log"))


def boot(host: Data, vm: Vm) -> list[str]:
    """Return the command of the machine that starts from its disks."""
    return argv(_machine(host, vm))


def install(host_file: str, root: str, vm: Vm, port: int, more: Sequence[str]) -> list[str]:
    """Return nixwright's own command that puts the host onto the machine's disks."""
    options = (f"IdentityFile={vm.key}", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
    flags = [part for option in options for part in ("--ssh-option", option)]
    where = ["--root", root, "--target", "root@127.0.0.1", "--port", str(port), *flags, "--flake", vm.flake]
    return ["install", host_file, *where, *more]


def format_volumes(host: Data) -> str:
    """Return the script that makes, in the installer, the file systems of `foreign_volumes`; empty without any."""
    return "\n".join(f"mkfs.vfat -F 32 -i {v.replace('-', '')} {_VOLUME.format(v)}" for v in foreign_volumes(host))


def _machine(host: Data, vm: Vm) -> Machine:
    disks = tuple(image for image, _ in images(host, vm))
    firmware = (f"{vm.built}/code", str(vm.variables))
    return Machine(host["system"], disks, firmware, vm.memory, vm.processors, vm.ports, vm.window, vm.accelerators)


def _nix(text: str) -> str:
    return json.dumps(text).replace("${", "\\${")
