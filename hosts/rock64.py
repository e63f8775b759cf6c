"""A Rock64 as a gateway: flashed once, updated in slots A and B, with a root that is the same at every boot."""

from nixwright import Host, User
from nixwright.boards.rock64 import EMMC, U_BOOT, Rock64
from nixwright.layout import GPT, REST, Disk, F2fs, MiB, Partition, Slots
from nixwright.parts.containers import Containers
from nixwright.parts.gateway import Gateway
from nixwright.parts.named_link import NamedLink
from nixwright.parts.overlay_root import OverlayRoot
from nixwright.parts.provisioning import Provisioning
from nixwright.parts.recovery_vpn import RecoveryVpn
from nixwright.parts.run0 import Run0
from nixwright.parts.serial_recovery import SerialRecovery
from nixwright.parts.ssh import Ssh
from nixwright.parts.updates import Health, UpdateClient, Updates, Watchdog
from nixwright.parts.volatile_logs import VolatileLogs

emmc = Disk(
    EMMC,
    GPT(
        *U_BOOT,
        Slots(boot=MiB(128), root=MiB(1024), start=MiB(16)),
        Partition("data", REST, F2fs("/data"), at_first_boot=True),
    ),
)
host = Host(
    name="rock64",
    state_version="26.05",
    board=Rock64(),
    disks=[emmc],
    parts=[
        OverlayRoot(),
        VolatileLogs(),
        Run0(),
        Ssh(),
        SerialRecovery(),
        Provisioning(),
        Gateway(
            wan=NamedLink("wan", path="platform-ff540000.ethernet"),
            lan=NamedLink("lan", driver="r8152"),  # a USB adapter
            ssh_switch="/data/config/ssh-wan-enabled",
        ),
        Containers(),
        RecoveryVpn(),
        Updates(
            compatible="rock64-gateway",
            keyring="./rock64.pem",
            version="1.0.0",
            health=Health(services=["sshd", "dnsmasq", "chronyd"], interfaces=["lan"]),
            client=UpdateClient("https://updates.example.org"),
            watchdog=Watchdog(),
        ),
    ],
    users=[
        User(
            "admin",
            groups=["wheel"],
            ssh_keys=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL8NA5VDqMz+2iLKpUOfkAv2XZ+BJtYH9vDnYmWP1GL ivan@laptop"],
        ),
    ],
)
