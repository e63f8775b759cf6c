"""A virtual machine whose root is blank at every boot: what is kept stands below, and nothing else is."""

from nixwright import Host, SecretFile, User
from nixwright.boards.qemu_vm import QemuVm
from nixwright.layout import ESP, GPT, REST, Dataset, Disk, GiB, Partition, Zpool
from nixwright.parts.ethernet import Ethernet
from nixwright.parts.persist import KeptDirectory, Persist
from nixwright.parts.ssh import Ssh
from nixwright.parts.zfs_upkeep import ZfsUpkeep

rpool = Zpool(
    "rpool",
    encryption=None,  # or "luks2", or "native": then a passphrase is asked for at boot
    if_rollback_fails="stop",  # or "shout"
    mounts="legacy",
    properties={"atime": "on", "dnodesize": "auto", "normalization": "none", "relatime": "on"},
    datasets=[
        Dataset("local/root", at="/", wiped=True),
        Dataset("local/nix", at="/nix"),
        Dataset("safe/home", at="/home"),
        Dataset("safe/persist", at="/persist"),
    ],
)
disk = Disk(
    "/dev/disk/by-id/virtio-impermanence",
    GPT(
        Partition("EFI", GiB(1), ESP()),
        Partition("root", REST, rpool.member()),
    ),
)
host = Host(
    name="impermanence-vm",
    host_id="1e8a5c3d",
    state_version="26.05",
    board=QemuVm(editor=False, console_mode="max"),
    disks=[disk],
    parts=[
        Ethernet("eth0", dhcp=True),
        Persist(
            directories=[
                "/var/lib/nixos",
                "/var/lib/systemd",
                "/var/log/journal",
                KeptDirectory("/var/lib/bluetooth", mode="0700"),
                KeptDirectory("/etc/NetworkManager/system-connections", mode="0700"),
            ],
        ),
        Ssh(),
        ZfsUpkeep(),
    ],
    users=[
        User(
            "ada",
            groups=["wheel"],
            ssh_keys=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP3uQw1AvVfe6sGGzZeQAz0PBvkJqIBufObnF6t8fVAp ada@laptop"],
            password=SecretFile("/persist/etc/nixos-secrets/passwords/ada"),
        ),
    ],
    # the way out: an entry of the boot menu, whose editor is off, that leaves the last boot's root as it was
    settings={"specialisation.norollback.configuration.boot.kernelParams": ["norollback"]},
)
