"""What bad input gets on the impermanence VM and the Pi 4. Each snapshot is what a person reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host_project import project  # noqa: F401 - a fixture
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from host_project import Project
    from syrupy.assertion import SnapshotAssertion

HOSTS = Path(__file__).parent.parent / "hosts"


class Message(SingleFileSnapshotExtension):
    """Each message in a text file of its own."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


def changed(host: str, *pairs: tuple[str, str]) -> tuple[str, str]:
    """The example with texts replaced, each of which must be there."""
    text = (HOSTS / f"{host}.py").read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return host, text


def vm(*pairs: tuple[str, str]) -> tuple[str, str]:
    return changed("impermanence-vm", *pairs)


def pi4(*pairs: tuple[str, str]) -> tuple[str, str]:
    return changed("pi4", *pairs)


HOME = 'Dataset("safe/home", at="/home"),'
PERSIST = 'Dataset("safe/persist", at="/persist"),'
NIX = '"/var/lib/nixos",'
HOST = "from nixwright import Host, SecretFile, User"
PSK = 'EnvironmentFile("/var/lib/secrets/wifi.env", "HOME_PSK")'
WIFI = 'Wifi(country="NL"),'
NETWORK = "from nixwright.parts.wifi import Wifi"
DISK = '"/dev/disk/by-id/usb-Samsung_Portable_SSD_T5_1234567A666E-0:0"'
BOOT = '        Partition("boot", MiB(1024), ESP()),  # firmware, U-Boot and kernels\n'

WRONG = {
    "vm_host_id_missing": vm(('    host_id="1e8a5c3d",\n', "")),
    "vm_host_id_too_short": vm(('"1e8a5c3d"', '"1e8a5c3"')),
    "vm_persist_not_needed_for_boot": vm((PERSIST, PERSIST.replace("),", ", needed_for_boot=False),"))),
    "vm_persist_is_rolled_back": vm((PERSIST, PERSIST.replace("),", ", wiped=True),"))),
    "vm_persist_below_a_rolled_back_dataset": vm((PERSIST, PERSIST.replace("safe/persist", "local/root/persist"))),
    "vm_kept_path_on_what_is_rolled_back": vm(
        ("        Persist(\n", '        Persist(\n            at="/var/persist",\n')
    ),
    "vm_kept_path_that_stays_anyway": vm((NIX, '"/home/ada/mail",')),
    "vm_kept_path_twice": vm((NIX, f"{NIX}\n                {NIX}")),
    "vm_kept_shadow": vm(("        Persist(\n", '        Persist(\n            etc_files=["/etc/shadow"],\n')),
    "vm_wiped_with_snapshots": vm(('at="/", wiped=True', 'at="/", wiped=True, snapshots=True')),
    "vm_wiped_home_with_the_password": vm(("/persist/etc/nixos-secrets/passwords/ada", "/etc/passwords/ada")),
    "vm_legacy_with_zfsutil": vm(('at="/nix")', 'at="/nix", options=["zfsutil"])')),
    "vm_swap_on_a_zvol": vm(("    settings={", '    settings={"swapDevices": [{"device": "/dev/zvol/rpool/swap"}], ')),
    "vm_normalization": vm(('"normalization": "none"', '"normalization": "formD"')),
    "vm_case_folded": vm(('"normalization": "none"', '"casesensitivity": "mixed"')),
    "vm_encryption_by_hand": vm(('"dnodesize": "auto"', '"encryption": "on", "dnodesize": "auto"')),
    "vm_encryption_that_is_none": vm(("encryption=None", 'encryption="luks1"')),
    "vm_rollback_that_is_none": vm(('if_rollback_fails="stop"', 'if_rollback_fails="ignore"')),
    "vm_no_esp": vm(("ESP())", "ESP(at=None))")),
    "vm_newest_kernel_with_zfs": vm(
        (HOST, HOST.replace("User", "User, pkgs")),
        ("    settings={", '    settings={"boot.kernelPackages": pkgs.linuxPackages_latest, '),
    ),
    "vm_scripted_rollback": vm(
        ("    settings={", '    settings={"boot.initrd.postDeviceCommands": "zfs rollback -r rpool/local/root@blank", ')
    ),
    "pi4_newest_kernel_with_zfs": pi4(
        (HOST, HOST.replace("User", "User, pkgs")),
        ("    settings={", '    settings={"boot.kernelPackages": pkgs.linuxPackages_latest, '),
    ),
    "pi4_kexec": pi4(
        ("from nixwright.installers.sd_image import SdImage", "from nixwright.installers.kexec import Kexec"),
        ("SdImage()", 'Kexec("root@192.0.2.7")'),
    ),
    "pi4_kexec_to_nowhere": pi4(
        ("from nixwright.installers.sd_image import SdImage", "from nixwright.installers.kexec import Kexec"),
        ("SdImage()", 'Kexec("192.0.2.7")'),
    ),
    "pi4_sd_image_with_a_zfs_root": pi4(("SdImage()", 'SdImage(root="zfs")')),
    "pi4_zfs_root_on_the_card": pi4(
        ("Disk, MiB, Partition, Zpool", "Disk, MiB, Partition, Soldered, Zpool"),
        (DISK, 'Soldered("/dev/mmcblk1", why="the card")'),
    ),
    "pi4_disk_beyond_u_boot": pi4(
        ("Disk, MiB, Partition, Zpool", "Disk, GiB, MiB, Partition, Zpool"),
        (f"    {DISK},\n    GPT(", f"    device={DISK},\n    size=GiB(3726),\n    table=GPT("),
    ),
    "pi4_another_fat_partition_first": pi4(
        ("Disk, MiB, Partition, Zpool", "Disk, MiB, Partition, Vfat, Zpool"),
        (BOOT, f'        Partition("share", MiB(64), Vfat(at="/share")),\n{BOOT}'),
    ),
    "pi4_no_boot_partition": pi4((BOOT, "")),
    "pi4_snapshots_of_the_store": pi4(('Dataset("nix", at="/nix")', 'Dataset("nix", at="/nix", snapshots=True)')),
    "pi4_country": pi4(('country="NL"', 'country="nl"')),
    "pi4_psk_in_clear": pi4(
        (NETWORK, NETWORK.replace("Wifi", "Network, Wifi")),
        (WIFI, 'Wifi(networks=[Network("Home", psk="hunter2 hunter2")]),'),
    ),
    "pi4_psk_in_clear_as_a_path": pi4(
        (HOST, HOST.replace("Host", "EnvironmentFile, Host")),
        (NETWORK, NETWORK.replace("Wifi", "Network, Wifi")),
        (WIFI, 'Wifi(networks=[Network("Home", psk=EnvironmentFile("hunter2 hunter2", "PSK"))]),'),
    ),
    "pi4_psk_in_clear_in_settings": pi4(
        ("    settings={", '    settings={f"{PROFILES}.Home.wifi-security.psk": "hunter2 hunter2", '),
        ("host = Host(", 'PROFILES = "networking.networkmanager.ensureProfiles.profiles"\nhost = Host('),
    ),
    "pi4_psk_in_clear_in_a_text": pi4(
        ("    settings={", '    settings={"environment.etc.wpa.text": "network={ psk=hunter2hunter2 }", ')
    ),
    "pi4_psk_from_a_file_without_a_name": pi4(
        (NETWORK, NETWORK.replace("Wifi", "Network, Wifi")),
        (WIFI, 'Wifi(networks=[Network("Home", psk=SecretFile("/var/lib/secrets/psk"))]),'),
    ),
    "pi4_supplicant_without_networks": pi4((WIFI, 'Wifi(by="wpa_supplicant"),')),
    "pi4_wifi_turned_off": pi4(("    settings={", '    settings={"networking.wireless.enable": False, ')),
    "pi4_wifi_driver_left_out": pi4(
        (HOST, f"{HOST}\nfrom nixwright.nix.values import force"),
        ("    settings={", '    settings={"boot.kernelModules": force([]), '),
    ),
    "pi4_wifi_driver_forbidden": pi4(
        ("    settings={", '    settings={"boot.blacklistedKernelModules": ["brcmfmac"], ')
    ),
    "pi4_wifi_without_firmware": pi4(
        (HOST, f"{HOST}\nfrom nixwright.nix.values import force"),
        ("    settings={", '    settings={"hardware.firmware": force([]), '),
    ),
    "pi4_boot_chain_by_uefi": pi4(
        ('"services.tailscale.enable": True', '"boot.loader.systemd-boot.enable": True'),
        ('"services.earlyoom.enable": True', '"boot.loader.generic-extlinux-compatible.enable": False'),
    ),
    "pi4_hash_from_an_environment_file": pi4(
        (HOST, HOST.replace("Host, SecretFile", "EnvironmentFile, Host")),
        ('SecretFile("/var/lib/passwords/bas")', 'EnvironmentFile("/var/lib/passwords/bas.env", "HASH")'),
    ),
    "pi4_sops_file_outside_the_flake": pi4(
        (HOST, HOST.replace("Host, SecretFile", "Host, SopsSecret")),
        ('SecretFile("/var/lib/passwords/bas")', 'SopsSecret("bas", "/etc/secrets.yaml")'),
    ),
    "pi4_group_that_nothing_defines": pi4(('"networkmanager"]', '"docker"]')),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_host_file(name: str, project: Project, snapshot: SnapshotAssertion) -> None:  # noqa: F811
    host, text = WRONG[name]
    answer = project.run("gen", project.host(text, host))
    assert answer.status == 2
    assert not (project.root / "modules").exists()
    assert "hunter2" not in answer.err + answer.out
    assert "Traceback" not in answer.err
    assert answer.err == snapshot(extension_class=Message)
