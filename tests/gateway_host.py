"""A gateway on a virtual machine, as a person writes its file."""

from __future__ import annotations

GATEWAY = """\
from nixwright import Host, User
from nixwright.boards.qemu_vm import QemuVm
from nixwright.layout import ESP, GPT, REST, Disk, Ext4, MiB, Partition
from nixwright.parts.gateway import Gateway, Inbound
from nixwright.parts.lan_range import LanRange
from nixwright.parts.named_link import NamedLink
from nixwright.parts.ssh import Ssh

disk = Disk(
    "/dev/disk/by-id/virtio-root",
    GPT(Partition("boot", MiB(512), ESP()), Partition("root", REST, Ext4(at="/"))),
)
host = Host(
    name="gw",
    state_version="26.05",
    board=QemuVm(),
    disks=[disk],
    parts=[
        Gateway(
            wan=NamedLink("wan", path="pci-0000:00:03.0"),
            lan=NamedLink("lan", mac="52:54:00:12:34:56"),
            lan_range=LanRange("172.20.30.1/24"),
            wan_inbound=Inbound(tcp=[443], udp=[1194]),
            ssh_switch="/var/lib/gateway/ssh-wan-enabled",
        ),
        Ssh(),
    ],
    users=[
        User(
            "ada",
            groups=["wheel"],
            ssh_keys=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL ada@laptop"],
        ),
    ],
)
"""
