"""What NixOS refuses by assertion: each rule is shown to fail on what it refuses, and to leave alone what is right."""

from __future__ import annotations

import pytest
from nixwright.nix.values import NixPath, Order, default, force, pkgs
from nixwright.options.rules import RULES, rules
from nixwright.options.settings import Setting, parse_path

GOOD: dict[str, object] = {
    "system.stateVersion": "26.05",
    "networking.hostId": "feeddead",
    "networking.hostName": "pibox",
    "boot.supportedFilesystems": ["zfs"],
    "boot.zfs.forceImportRoot": False,
    "boot.loader.systemd-boot.enable": True,
    "boot.loader.grub.enable": False,
    "boot.kernelPackages": pkgs.linuxPackages,
    "boot.initrd.network.ssh.enable": True,
    "boot.initrd.network.ssh.hostKeys": ["/persist/etc/ssh/key"],
    "boot.initrd.network.ssh.authorizedKeys": ["ssh-ed25519 AAAA"],
    "boot.initrd.luks.devices.cryptroot": {"device": "/dev/disk/by-partlabel/root", "preLVM": True},
    "disko.devices.zpool.tank.datasets.root": {"type": "zfs_fs", "mountpoint": "/"},
    "swapDevices": [{"device": "/dev/mapper/cryptswap"}],
    "users.mutableUsers": False,
    "users.users.ivan": {
        "isNormalUser": True,
        "uid": 1000,
        "extraGroups": ["wheel", "docker"],
        "openssh.authorizedKeys.keys": [],
        "hashedPasswordFile": "/persist/passwords/ivan",
    },
    "users.users.svc": {"isSystemUser": True, "group": "svc"},
    "users.groups.svc": {},
    "networking.interfaces.end0.useDHCP": True,
}


def told(changes: dict[str, object], *, complete: bool = True) -> list[tuple[str, str]]:
    both = {**GOOD, **changes}
    settings = [Setting(parse_path(p), v, user=True) for p, v in both.items() if v is not None]  # type: ignore[arg-type]
    return [(m.field, m.what) for m in rules(settings, complete=complete)]


def test_a_good_host_has_no_mistakes() -> None:
    assert told({}) == []


HOOK = "is a hook of the scripted stage 1, and stage 1 is systemd's in NixOS 26.05"
LUKS = "boot.initrd.luks.devices.cryptroot"
SSH = "boot.initrd.network.ssh"
ZVOL = "is swap on a ZFS volume, which locks up when memory is short"
SVC = {"isSystemUser": True, "group": "svc"}
BAD: list[tuple[str, dict[str, object], str, str]] = [
    ("stage_1_hooks", {"boot.initrd.postDeviceCommands": "x"}, "boot.initrd.postDeviceCommands", HOOK),
    ("stage_1_hooks", {"boot.initrd": {"network": {"postCommands": "x"}}}, "boot.initrd.network.postCommands", HOOK),
    (
        "luks_under_systemd",
        {LUKS: {"fallbackToPassword": True}},
        f"{LUKS}.fallbackToPassword",
        "is implied by systemd stage 1, which refuses to hear it",
    ),
    ("luks_under_systemd", {LUKS: {"preLVM": False}}, f"{LUKS}.preLVM", "has no effect with systemd stage 1"),
    (
        "luks_under_systemd",
        {LUKS: {"preOpenCommands": "x"}},
        f"{LUKS}.preOpenCommands",
        "is not supported by systemd stage 1",
    ),
    (
        "luks_under_systemd",
        {"boot.initrd.luks.reusePassphrases": True},
        "boot.initrd.luks.reusePassphrases",
        "has no effect with systemd stage 1, which always reuses them",
    ),
    (
        "luks_under_systemd",
        {"boot.initrd.luks.fido2Support": True},
        "boot.initrd.luks.fido2Support",
        "is not supported by systemd stage 1",
    ),
    (
        "initrd_ssh",
        {f"{SSH}.hostKeys": []},
        f"{SSH}.hostKeys",
        "is missing: ssh in the initrd needs host keys that are made beforehand",
    ),
    (
        "initrd_ssh",
        {f"{SSH}.hostKeys": [NixPath("./key")]},
        f"{SSH}.hostKeys",
        "a private key in the Nix store, where everybody can read it",
    ),
    (
        "initrd_ssh",
        {f"{SSH}.authorizedKeys": None},
        f"{SSH}.authorizedKeys",
        "is missing: nobody could log in to the initrd",
    ),
    (
        "boot_loaders",
        {"boot.loader.generic-extlinux-compatible.enable": True},
        "boot.loader.generic-extlinux-compatible.enable",
        "is a second boot loader beside boot.loader.systemd-boot.enable",
    ),
    (
        "boot_loaders",
        {"boot.loader.grub.enable": True, "boot.loader.systemd-boot.enable": False},
        "boot.loader.grub.devices",
        "is missing: GRUB must know where to go",
    ),
    (
        "boot_loaders",
        {"boot.loader.grub.efiInstallAsRemovable": True},
        "boot.loader.grub.efiInstallAsRemovable",
        "needs boot.loader.grub.efiSupport",
    ),
    (
        "boot_loaders",
        {"boot.loader.efi.efiSysMountPoint": "boot"},
        "boot.loader.efi.efiSysMountPoint",
        "is no absolute path",
    ),
    (
        "resume_device",
        {"boot.resumeDevice": "swap"},
        "boot.resumeDevice",
        "must be an absolute path, as it is no label",
    ),
    (
        "state_version",
        {"system.stateVersion": None},
        "system.stateVersion",
        "is missing: programs would change the form of their data with each release",
    ),
    ("state_version", {"system.stateVersion": "unstable"}, "system.stateVersion", "is no release of NixOS"),
    (
        "network_manager",
        {"networking.networkmanager.enable": True, "networking.wireless.networks.home.pskRaw": "ext:home"},
        "networking.wireless.networks.home.pskRaw",
        "cannot be used beside NetworkManager, which then drives wpa_supplicant itself",
    ),
    (
        "network_manager",
        {"networking.networkmanager.enable": True, "networking.wireless.enable": False},
        "networking.wireless.enable",
        "conflicts with NetworkManager, which enables wpa_supplicant for itself",
    ),
    (
        "network_manager",
        {"networking.wireless.networks.home": {"pskRaw": "ext:home", "auth": "x"}},
        "networking.wireless.networks.home.pskRaw",
        "has more than one of psk, pskRaw and auth: pskRaw, auth",
    ),
    (
        "interface_names",
        {"networking.interfaces.abcdefghijklmnop.useDHCP": True},
        "networking.interfaces.abcdefghijklmnop.useDHCP",
        "has too long a name for Linux",
    ),
    (
        "nftables",
        {"networking.nftables.enable": True, "networking.firewall.extraCommands": "x"},
        "networking.firewall.extraCommands",
        "is for iptables, and networking.nftables is enabled",
    ),
    (
        "zfs_host_id",
        {"networking.hostId": None},
        "networking.hostId",
        "is missing: by it ZFS knows that a pool is this host's",
    ),
    ("zfs_host_id", {"networking.hostId": "feedde"}, "networking.hostId", "is no host id"),
    (
        "zfs_import",
        {"boot.zfs.forceImportAll": True},
        "boot.zfs.forceImportAll",
        "needs boot.zfs.forceImportRoot too",
    ),
    (
        "zfs_import",
        {"boot.zfs.unsafeAllowHibernation": True, "boot.zfs.forceImportRoot": None},
        "boot.zfs.unsafeAllowHibernation",
        "together with a forced import corrupts the pool",
    ),
    (
        "zfs_kernel",
        {"boot.kernelPackages": default(pkgs.linuxPackages_latest)},
        "boot.kernelPackages",
        "is newer than ZFS knows, sooner or later, and then does not build",
    ),
    ("swap", {"swapDevices": [{"device": "/dev/zvol/tank/swap"}]}, "swapDevices", ZVOL),
    (
        "swap",
        {"disko.devices.zpool.tank.datasets.swap": {"type": "zfs_volume", "content": {"type": "swap"}}},
        "disko.devices.zpool.tank.datasets.swap.content.type",
        ZVOL,
    ),
    (
        "swap",
        {"swapDevices": [{"device": "/dev/disk/by-uuid/x", "randomEncryption": True}]},
        "swapDevices",
        "is encrypted anew at each boot, which erases its UUID and label",
    ),
    (
        "root_file_system",
        {"disko.devices.zpool.tank.datasets.root": {"mountpoint": "/nix"}},
        'fileSystems."/"',
        "is missing: the host has no root file system",
    ),
    (
        "file_systems",
        {'fileSystems."/x"': {"label": "data", "device": "/dev/sdb"}},
        'fileSystems."/x".label',
        "says another device than `device` does",
    ),
    (
        "file_systems",
        {'fileSystems."/x".formatOptions': "-q"},
        'fileSystems."/x".formatOptions',
        "has been removed: systemd-makefs takes no options",
    ),
    (
        "file_systems",
        {'fileSystems."/x".encrypted.enable': True},
        'fileSystems."/x".encrypted.enable',
        "needs encrypted.label beside it",
    ),
    (
        "password_file",
        {"users.users.ivan.passwordFile": "/x"},
        "users.users.ivan.passwordFile",
        "is the old name of hashedPasswordFile",
    ),
    (
        "lock_out",
        {"users.users.ivan": {"isNormalUser": True, "extraGroups": ["wheel"]}},
        "users.mutableUsers",
        "locks you out: neither root nor a user in wheel has a password or an ssh key",
    ),
    ("kinds_of_users", {"users.users.svc": {**SVC, "uid": 1, "isNormalUser": True}}, "users.users.svc.uid", ""),
    (
        "kinds_of_users",
        {"users.users.x.description": "x"},
        "users.users.x.description",
        "is neither a normal nor a system user",
    ),
    ("kinds_of_users", {"users.users.svc": {"isSystemUser": True}}, "users.users.svc.group", "is missing"),
    ("kinds_of_users", {'users.users."a b".isNormalUser': True}, 'users.users."a b".isNormalUser', "is no user name"),
    (
        "kinds_of_users",
        {"users.users.root.hashedPassword": "a:b"},
        "users.users.root.hashedPassword",
        "has a colon in it, which ends the field in /etc/shadow",
    ),
    ("groups_of_users", {"users.groups.svc": None}, "users.users.svc.group", "is a group that nothing defines"),
    (
        "groups_of_users",
        {"users.users.ivan.extraGroups": ["whell", "docker"]},
        "users.users.ivan.extraGroups",
        "has a group that nothing defines",
    ),
    (
        "unique_ids",
        {"users.users.eva": {"isNormalUser": True, "uid": 1000}},
        "users.users.eva.uid",
        "is that of ivan too",
    ),
]


@pytest.mark.parametrize(("rule", "changes", "field", "what"), BAD)
def test_a_rule_tells(rule: str, changes: dict[str, object], field: str, what: str) -> None:
    found = told(changes)
    assert found[0] == (field, what or found[0][1])
    assert {f for f, _ in found} == {field} or rule == "kinds_of_users"


def test_every_rule_is_tested() -> None:
    assert {rule.__name__ for rule in RULES} == {rule for rule, *_ in BAD}


def test_without_its_rule_a_mistake_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, changes, field, _ in BAD:
        monkeypatch.setattr("nixwright.options.rules.RULES", [r for r in RULES if r.__name__ != name])
        assert field not in {f for f, _ in told(changes)}, name


def test_what_is_missing_is_not_told_where_the_users_own_modules_may_have_it() -> None:
    gone: dict[str, object] = {}
    gone |= dict.fromkeys(("system.stateVersion", "networking.hostId", "users.groups.svc", "users.mutableUsers"))
    assert told(gone, complete=False) == []
    assert len(told(gone)) == 3


def test_the_scripted_stage_1_may_have_its_hooks() -> None:
    assert told({"boot.initrd.postMountCommands": "x", "boot.initrd.systemd.enable": False}) == []


def test_the_stronger_definition_counts() -> None:
    assert told({"networking": {"hostId": force("bad")}})[0][0] == "networking.hostId"
    assert told({"boot.initrd.network": {"ssh": {"hostKeys": Order(500, ["/nix/store/x"])}}})[0][0].endswith("hostKeys")
