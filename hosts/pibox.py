"""PiBox on a CM4: one encrypted SATA SSD, root wiped at every boot."""

from nixwright import Host, SecretFile, User
from nixwright.boards.pibox import PiBox
from nixwright.layout import (
    ESP,
    GPT,
    REST,
    Dataset,
    Disk,
    Ext4,
    GiB,
    KeyFile,
    Luks,
    MiB,
    Partition,
    Passphrase,
    Swap,
    Zpool,
)
from nixwright.parts.ethernet import Ethernet
from nixwright.parts.fan import PwmFan
from nixwright.parts.lcd import PiBoxLcd
from nixwright.parts.persist import Persist
from nixwright.parts.remote_unlock import RemoteUnlock
from nixwright.parts.ssh import Ssh
from nixwright.parts.zfs_upkeep import ZfsUpkeep

key = KeyFile("/keyfile", size=8192)
tank = Zpool(
    "tank",
    ashift=13,  # pages of 8 KiB, as SSDs have them
    reserved=GiB(200),
    datasets=[
        Dataset("local/root", at="/", wiped=True),
        Dataset("local/nix", at="/nix"),
        Dataset("persist/system", at="/persist"),
        Dataset("persist/lib", at="/var/lib"),
        Dataset("persist/journal", at="/var/log/journal"),
        Dataset("persist/user/ivan", at="/home/ivan", snapshots=True),
    ],
)
ssd = Disk(
    "/dev/disk/by-id/ata-Samsung_SSD_870_QVO_1TB_S5RRNF0R123456",
    GPT(
        Partition("EFI system partition", MiB(1023), ESP(at=None)),  # the firmware reads the one on the eMMC
        Partition("luks key", MiB(32), Luks("cryptkey", opens_with=[Passphrase()], content=Ext4(files=[key]))),
        Partition("swap", GiB(8), Luks("cryptswap", opens_with=[key], content=Swap())),
        Partition("root", REST, Luks("cryptroot", opens_with=[Passphrase(), key], content=tank.member())),
    ),
)
host = Host(
    name="pibox",
    host_id="feeddead",
    state_version="26.05",
    board=PiBox(firmware_volume_id="1A2B-3C4D"),
    disks=[ssd],
    parts=[
        Ethernet("eth0", dhcp=True),
        RemoteUnlock(port=9999, host_key="/persist/etc/ssh/initrd_ssh_host_ed25519_key"),
        PwmFan(curve={45: 0, 55: 30, 65: 60, 75: 100}),  # °C: % of full speed
        PiBoxLcd(),
        Persist(directories=[]),  # the machine's id alone: journals are kept by it
        Ssh(),
        ZfsUpkeep(scrub="monthly"),
    ],
    users=[
        User(
            "ivan",
            groups=["wheel"],
            ssh_keys=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL ivan@laptop"],
            password=SecretFile("/persist/passwords/ivan"),
        ),
    ],
    settings={"services.tailscale.enable": True},  # any NixOS option, checked like the rest
)
