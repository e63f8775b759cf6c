# NixOS's own kernel without drivers for hardware that a Rock64 does not have and a gateway does not use.
{
  lib,
  linux,
  linuxPackagesFor,
}:
let
  off = lib.genAttrs [
    # It has no PCI Express, and a device tree: so no firmware tables.
    "ACPI"
    "ATA"
    "PCI"

    # No screen, no sound, no camera, no radio, no sensors; a keyboard only at the serial console.
    "BT"
    "CAN"
    "DRM"
    "FB"
    "HWMON"
    "IIO"
    "INPUT_JOYSTICK"
    "INPUT_TABLET"
    "INPUT_TOUCHSCREEN"
    "MEDIA_SUPPORT"
    "NFC"
    "RC_CORE"
    "SOUND"
    "WLAN"

    # It hosts no virtual machine and is none.
    "HYPERV"
    "VIRTUALIZATION"
    "XEN"

    # Its own disk is f2fs, sticks are ext4, exFAT or FAT.
    "9P_FS"
    "AFS_FS"
    "BCACHEFS_FS"
    "BTRFS_FS"
    "CEPH_FS"
    "CIFS"
    "GFS2_FS"
    "JFS_FS"
    "NFSD"
    "NFS_FS"
    "NTFS3_FS"
    "NTFS_FS"
    "OCFS2_FS"
    "ORANGEFS_FS"
    "SMB_SERVER"
    "UBIFS_FS"
    "XFS_FS"

    # Buses and machines that it is no part of.
    "CHROME_PLATFORMS"
    "COMEDI"
    "CORESIGHT"
    "FPGA"
    "GPIB"
    "GREYBUS"
    "INFINIBAND"
    "MELLANOX_PLATFORM"
    "NVME_TARGET"
    "NVME_TCP"
    "STAGING"
    "SURFACE_PLATFORMS"
    "TARGET_CORE"

    # Other makers' chips.
    "ARCH_ACTIONS"
    "ARCH_AIROHA"
    "ARCH_ALPINE"
    "ARCH_APPLE"
    "ARCH_ARTPEC"
    "ARCH_ASPEED"
    "ARCH_AXIADO"
    "ARCH_BCM"
    "ARCH_BERLIN"
    "ARCH_BLAIZE"
    "ARCH_BST"
    "ARCH_CIX"
    "ARCH_EXYNOS"
    "ARCH_HISI"
    "ARCH_INTEL_SOCFPGA"
    "ARCH_K3"
    "ARCH_KEEMBAY"
    "ARCH_LG1K"
    "ARCH_MA35"
    "ARCH_MEDIATEK"
    "ARCH_MESON"
    "ARCH_MICROCHIP"
    "ARCH_MVEBU"
    "ARCH_NPCM"
    "ARCH_NXP"
    "ARCH_QCOM"
    "ARCH_REALTEK"
    "ARCH_RENESAS"
    "ARCH_SEATTLE"
    "ARCH_SOPHGO"
    "ARCH_SPARX5"
    "ARCH_SPRD"
    "ARCH_STM32"
    "ARCH_SUNXI"
    "ARCH_SYNQUACER"
    "ARCH_TEGRA"
    "ARCH_TESLA_FSD"
    "ARCH_THUNDER"
    "ARCH_THUNDER2"
    "ARCH_UNIPHIER"
    "ARCH_VEXPRESS"
    "ARCH_VISCONTI"
    "ARCH_XGENE"
    "ARCH_ZYNQMP"
  ] (_: lib.mkForce lib.kernel.no);
in
linuxPackagesFor (
  linux.override {
    structuredExtraConfig = off;
    # nixpkgs answers what is not asked any more, as the drivers of a screen are.
    ignoreConfigErrors = true;
  }
)
