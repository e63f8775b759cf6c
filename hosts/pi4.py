"""A Raspberry Pi 4 behind a lamp: power is its only cable. ZFS on a USB SSD, reached over WiFi from the first boot."""

from nixwright import Host, SecretFile, User
from nixwright.boards.pi4 import Pi4
from nixwright.installers.sd_image import SdImage
from nixwright.layout import ESP, GPT, REST, Dataset, Disk, MiB, Partition, Zpool
from nixwright.parts.mdns import Mdns
from nixwright.parts.ssh import Ssh
from nixwright.parts.wifi import Wifi
from nixwright.parts.zfs_upkeep import ZfsUpkeep

zroot = Zpool(
    "zroot",
    mounts="legacy",
    properties={"compression": "zstd"},
    datasets=[
        Dataset("root", at="/", snapshots=True),
        Dataset("nix", at="/nix"),  # no snapshots: they would keep what was collected as garbage
        Dataset("var", at="/var", snapshots=True),
        Dataset("home", at="/home", snapshots=True),
    ],
)
ssd = Disk(
    "/dev/disk/by-id/usb-Samsung_Portable_SSD_T5_1234567A666E-0:0",
    GPT(
        Partition("boot", MiB(1024), ESP()),  # firmware, U-Boot and kernels
        Partition("root", REST, zroot.member()),
    ),
)
host = Host(
    name="pi4",
    host_id="dc0bd73a",
    state_version="26.05",
    board=Pi4(),
    installer=SdImage(),
    disks=[ssd],
    parts=[
        Wifi(country="NL"),  # the network's name and key are written at installation, and stand nowhere here
        Mdns(),
        Ssh(),
        ZfsUpkeep(),
    ],
    users=[
        User(
            "bas",
            groups=["wheel", "networkmanager"],
            ssh_keys=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL bas@laptop"],
            password=SecretFile("/var/lib/passwords/bas"),
        ),
    ],
    settings={"services.tailscale.enable": True, "services.earlyoom.enable": True, "networking.nftables.enable": True},
)
