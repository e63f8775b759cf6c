"""What checks of unlocking need: a small locked disk that is made on the way, and keys that are nobody's.

The keys are those of NixOS's own test of SSH in stage 1 (nixos/tests/initrd-network-ssh in nixpkgs): they are in no
file of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.checks.model import Difference, Node
from nixwright.nix.values import Apply, Override, force, lib, pkgs

if TYPE_CHECKING:
    from nixwright.nix.values import Expr, Value

OPENED = "/locked"
PASSPHRASE = "correct-horse"  # noqa: S105 - the check's own, of a disk that lives for minutes
_DISK = "/dev/disk/by-id/virtio-locked"
_ROUTER: Value = {
    "interface": "eth1",
    "dhcp-range": "192.168.1.100,192.168.1.199,1h",
    "dhcp-authoritative": True,
}
_LOCK = f"""\
printf {PASSPHRASE} | cryptsetup luksFormat --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 {_DISK} -
printf {PASSPHRASE} | cryptsetup open {_DISK} new -
mkfs.ext4 -q /dev/mapper/new
cryptsetup close new
"""


def test_key(name: str) -> Expr:
    """Return the path of one of the keys in nixpkgs."""
    return Apply(lib["path"].append, (pkgs["path"], f"nixos/tests/initrd-network-ssh/{name}"))


def admin(settings: dict[str, Value]) -> Node:
    """Return the machine that unlocks: it has the key, knows the host's, and gives addresses to who asks."""
    own: dict[str, Value] = {
        "environment.etc.unlock-key": {"source": test_key("id_ed25519"), "mode": "0600"},
        "environment.etc.unlock-host.source": test_key("ssh_host_ed25519_key.pub"),
        "networking.firewall.enable": False,
        "services.dnsmasq.enable": True,
        "services.dnsmasq.settings": _ROUTER,
    }
    return Node("admin", own | settings)


def differences(interface: str) -> list[Difference]:
    """Return in what a machine differs that is unlocked over that interface."""
    made: Value = {
        "requiredBy": ["systemd-cryptsetup@locked.service"],
        "before": ["systemd-cryptsetup@locked.service"],
        "unitConfig": {
            "DefaultDependencies": False,
            "BindsTo": r"dev-disk-by\x2did-virtio\x2dlocked.device",
            "After": r"dev-disk-by\x2did-virtio\x2dlocked.device",
        },
        "serviceConfig": {"Type": "oneshot", "RemainAfterExit": True},
        "path": [pkgs.cryptsetup, pkgs.e2fsprogs],
        "script": _LOCK,
    }
    cable: dict[str, Value] = {
        f'virtualisation.interfaces."{interface}".vlan': 1,
        "virtualisation.qemu.networkingOptions": force([]),
    }
    keys: dict[str, Value] = {
        "boot.initrd.network.ssh.hostKeys": force([test_key("ssh_host_ed25519_key")]),
        "boot.initrd.network.ssh.authorizedKeyFiles": [test_key("id_ed25519.pub")],
    }
    disk: dict[str, Value] = {
        "virtualisation.emptyDiskImages": [{"size": 64, "driveConfig": {"deviceExtraOpts": {"serial": "locked"}}}],
        f'virtualisation.fileSystems."{OPENED}"': {
            "device": "/dev/mapper/locked",
            "fsType": "ext4",
            "neededForBoot": True,
        },
        # NixOS's VMs open nothing, by a priority of 10
        "boot.initrd.luks.devices": Override(5, {"locked": {"device": _DISK}}),
        "boot.initrd.systemd.services.make-locked": made,
        "boot.initrd.systemd.storePaths": [pkgs.cryptsetup, pkgs.e2fsprogs],
    }
    return [
        Difference("the only cable leads to the other machine", cable),
        Difference("the keys are the check's own: the host's lie on its disk", keys),
        Difference("a small locked disk, made at the first boot, stands for the host's", disk),
        Difference("the board's network driver is not in this kernel", {"boot.initrd.allowMissingModules": True}),
    ]
