"""What one part or board knows and another needs. A host where nobody provides a required fact is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nixwright.parts.base import Fact

if TYPE_CHECKING:
    from nixwright.nix.values import Value


@dataclass(frozen=True, slots=True)
class EthernetHardware(Fact):
    """A board's wired network: the kernel modules that drive it, as stage 1 needs them by name."""

    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SerialConsole(Fact):
    """A board's serial console: its name in Linux (`ttyS2`) and its speed in baud."""

    terminal: str
    baud: int


@dataclass(frozen=True, slots=True)
class BootVariables(Fact):
    """The running system reads and writes U-Boot's variables with fw_printenv and fw_setenv, in this device."""

    device: str


@dataclass(frozen=True, slots=True)
class DeviceTree(Fact):
    """The device tree that the board's kernel starts with, `hardware.deviceTree.overlays` applied to it."""

    compatible: str  # of the root node: what an overlay names to be applied
    file: str  # relative to the kernel's dtbs: "broadcom/bcm2711-rpi-cm4-io.dtb"


@dataclass(frozen=True, slots=True)
class BootFirmware(Fact):
    """What the board runs before NixOS and NixOS does not update: `package` of `pkgs` has it, and `at` its files."""

    package: str
    at: str


@dataclass(frozen=True, slots=True)
class WiredNetwork(Fact):
    """An interface that is configured: by DHCP, or with an address in CIDR form (`192.168.1.4/24`)."""

    interface: str
    dhcp: bool
    address: str | None = None
    gateway: str | None = None


@dataclass(frozen=True, slots=True)
class LanGateway(Fact):
    """The host serves a LAN, with a firewall of its own in place of NixOS's."""

    wan: str
    lan: str


@dataclass(frozen=True, slots=True)
class Provisioned(Fact):
    """Devices are told at first boot who they are: what was told lies in `directory`, the LAN's page is at `port`."""

    given_by: ClassVar[str] = "Provisioning(): from nixwright.parts.provisioning"

    directory: str  # "/data/config"
    port: int


@dataclass(frozen=True, slots=True)
class RecoveryTunnel(Fact):
    """A tunnel through which SSH is reached where nothing else is left."""

    interface: str


@dataclass(frozen=True, slots=True)
class ContainerUnit(Fact):
    """A container that the host file declares, by the unit that runs it; `user` None: the system's own manager."""

    unit: str  # "web.service"
    user: str | None


@dataclass(frozen=True, slots=True)
class ContainerUser(Fact):
    """Whose units the containers without root are: those of the host file, and those that a device is told."""

    name: str


@dataclass(frozen=True, slots=True)
class VitalUnit(Fact):
    """A unit without which a device is not well, whatever else its host file says of its health."""

    name: str  # "nftables.service"


@dataclass(frozen=True, slots=True)
class SlotUpdates(Fact):
    """The host takes bundles for its slots: for which kind of device, and who may sign, a file beside the host's."""

    compatible: str
    keyring: str


@dataclass(frozen=True, slots=True)
class SshServer(Fact):
    """The SSH server of the running system: its port and its host key (empty where the host has no place for one)."""

    given_by: ClassVar[str] = "Ssh(): from nixwright.parts.ssh"

    port: int
    host_key: str


@dataclass(frozen=True, slots=True)
class FanControl(Fact):
    """Who drives the fan. One pin has one driver."""

    by: str


@dataclass(frozen=True, slots=True)
class KeptPath(Fact):
    """A single path that stays on a wiped root, and where it lies meanwhile."""

    path: str
    source: str
    is_file: bool


@dataclass(frozen=True, slots=True)
class WifiHardware(Fact):
    """A board's WiFi: the kernel modules that drive it, and the packages that its firmware is in."""

    modules: tuple[str, ...]
    firmware: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WifiNetwork(Fact):
    """WiFi of the running system: its interface, who drives it, and the networks that are declared."""

    interface: str
    by: str
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstallerWifi(Fact):
    """The installer is reached by WiFi itself, with profiles below /run/NetworkManager/system-connections."""


@dataclass(frozen=True, slots=True)
class NoKexec(Fact):
    """A board that cannot start one kernel from another, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class CardFirmware(Fact):
    """How a board's SD card gets its firmware: shell that fills `./firmware`, as sd-image.nix runs it."""

    commands: Value


@dataclass(frozen=True, slots=True)
class CardImage(Fact):
    """The system is an SD card's: the image says what is mounted at / and where the boot files are."""


@dataclass(frozen=True, slots=True)
class SlotBoot(Fact):
    """What the board starts from: the files of a boot slot by path, and what stands raw on the disk by its name."""

    files: tuple[tuple[str, Value], ...]
    raws: tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class RootOverlay(Fact):
    """What is written over the root lies in memory. The file `fresh` is there at the first boot after flashing."""

    given_by: ClassVar[str] = "OverlayRoot(): from nixwright.parts.overlay_root"

    fresh: str
    kept: str  # below it lies what stays: whoever provides this tells where nothing is mounted there


@dataclass(frozen=True, slots=True)
class StateMount(Fact):
    """A mount of a host with slots that stays, beside a root that does not."""

    path: str
