"""A machine whose modules are broken in many ways, one at a time."""

from nixwright import Host, User
from nixwright.boards.qemu_vm import QemuVm
from nixwright.layout import ESP, GPT, REST, Disk, Ext4, MiB, Partition
from nixwright.parts.ethernet import Ethernet
from nixwright.parts.ssh import Ssh

ADA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP3uQw1AvVfe6sGGzZeQAz0PBvkJqIBufObnF6t8fVAp ada@laptop"
host = Host(
    name="box",
    state_version="26.05",
    board=QemuVm(),
    disks=[
        Disk(
            "/dev/disk/by-id/virtio-box",
            GPT(
                Partition("boot", MiB(512), ESP()),
                Partition("root", REST, Ext4(at="/")),
            ),
        )
    ],
    parts=[
        Ethernet("eth0", dhcp=True),
        Ssh(),
    ],
    users=[User("ada", groups=["wheel"], ssh_keys=[ADA])],
    settings={
        "services.nginx.enable": True,
        'services.nginx.virtualHosts."a.b".root': "/srv/www",
        "networking.firewall.allowedTCPPorts": [80, 443],
        "environment.etc.motd.text": "hello\n",
        "time.timeZone": "Europe/Vienna",
    },
)
