"""What one part or board knows and another needs. A host where nobody provides a required fact is refused."""

from __future__ import annotations

from dataclasses import dataclass

from nixwright.parts.base import Fact


@dataclass(frozen=True, slots=True)
class EthernetHardware(Fact):
    """A board's wired network: the kernel modules that drive it, as stage 1 needs them by name."""

    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceTree(Fact):
    """The device tree that the board's kernel starts with, `hardware.deviceTree.overlays` applied to it."""

    compatible: str  # of the root node: what an overlay names to be applied
    file: str  # relative to the kernel's dtbs: "broadcom/bcm2711-rpi-cm4-io.dtb"


@dataclass(frozen=True, slots=True)
class WiredNetwork(Fact):
    """An interface that is configured: by DHCP, or with an address in CIDR form (`192.168.1.4/24`)."""

    interface: str
    dhcp: bool
    address: str | None = None
    gateway: str | None = None


@dataclass(frozen=True, slots=True)
class SshServer(Fact):
    """The SSH server of the running system: its port and its host key (empty where the host has no place for one)."""

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
