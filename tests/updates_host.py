"""A host with slots A and B that takes updates, as a person writes its file; its board is nobody's."""

from __future__ import annotations

from pathlib import Path

from nixwright.layout import GPT, REST, Disk, F2fs, GiB, MiB, Partition, Slots
from nixwright.layout.model import Layout

HOST = """\
from typing import ClassVar

from nixwright import Host, User
from nixwright.boards.base import Board
from nixwright.layout import GPT, REST, Disk, F2fs, GiB, MiB, Partition, Slots
from nixwright.parts.ethernet import Ethernet
from nixwright.parts.ssh import Ssh
from nixwright.parts.updates import Health, UpdateClient, Updates, Watchdog
from nixwright.record import record


@record
class Bench(Board):
    \"\"\"A board without a boot loader.\"\"\"

    system: str = "x86_64-linux"
    module: ClassVar[str] = "board"

    def settings(self, context):
        \"\"\"A root, and nothing that starts it.\"\"\"
        yield self.set("nixpkgs.hostPlatform", self.system)
        yield self.set("boot.loader.grub.enable", value=False)
        yield self.set('fileSystems."/"', {"device": "none", "fsType": "tmpfs"})


disk = Disk(
    "/dev/disk/by-id/virtio-flash",
    GPT(
        Slots(boot=MiB(128), root=GiB(1), start=MiB(16), system="x86_64-linux"),
        Partition("data", REST, F2fs("/data"), at_first_boot=True),
    ),
)
host = Host(
    name="gw",
    state_version="26.05",
    board=Bench(),
    disks=[disk],
    parts=[
        Ethernet("eth1", address="192.168.1.1/24"),
        Ssh(host_key="/data/ssh/host_key"),
        Updates(
            compatible="gw",
            keyring="./updates.pem",
            version="1.4.0",
            health=Health(services=["sshd"], interfaces=["eth1"], sustained=5, within=120),
        ),
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
# An authority whose key is nobody's.
KEYRING = (Path(__file__).parent.parent / "hosts/rock64.pem").read_text("utf-8")


def slots_layout() -> Layout:
    """The layout of that host."""
    slots = Slots(boot=MiB(128), root=GiB(1), start=MiB(16), system="x86_64-linux")
    data = Partition("data", REST, F2fs("/data"), at_first_boot=True)
    return Layout.of([Disk("/dev/disk/by-id/virtio-flash", GPT(slots, data))])
