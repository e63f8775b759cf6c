"""What the program knows of the device that it runs on: `provision.toml` beside it, as its host file makes it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Device:
    """The host's own values; the defaults are a device without any of them."""

    name: str = "this device"
    directory: str = "/data/config"
    wan: str = ""  # names of interfaces; empty: the host serves no LAN
    lan: str = ""
    lan_cidr: str = ""  # of the LAN, where config.toml says nothing: "172.20.30.1/24"
    ssh_port: int = 22
    containers_user: str = ""  # whose the rootless containers are
    reserved: tuple[str, ...] = ()  # users of the image
    units: tuple[str, ...] = ()  # of containers that the host file declares
    shells: dict[str, str] = field(default_factory=dict)  # of config.toml, to what runs them
    seed: str = ""  # the file on the boot partition; empty: none
    fresh: str = ""  # is there at the first boot of a fresh flash, and at no other
    labels: tuple[str, ...] = ()  # of the disk's own partitions: no USB stick's
    sticks: str = "/dev/disk"  # by-label/ and by-partlabel/ are below it
    target: str = "provisioned.target"

    @property
    def lan_address(self) -> str:
        """The gateway's address on the LAN, where config.toml says nothing."""
        return self.lan_cidr.partition("/")[0]


ALWAYS_RESERVED = (
    *("appsvc", "bin", "chrony", "daemon", "dnsmasq", "nobody", "root"),
    *("systemd-network", "systemd-resolve", "systemd-timesync"),
)
