{ lib, ... }:
{
  nixpkgs.hostPlatform = "aarch64-linux";

  boot = {
    loader = {
      systemd-boot = {
        enable = true;
        # each generation starts with the device tree of its own kernel, not with the firmware's on the eMMC
        installDeviceTree = true;
      };
      # U-Boot takes no EFI variables from a running system; it finds EFI/BOOT/BOOTAA64.EFI without
      efi.canTouchEfiVariables = false;
      timeout = 10;
    };
    # ttyS1 is the UART on the pin header; ttyAMA0 leads to the Bluetooth chip
    kernelParams = [
      "console=ttyS1,115200"
      "console=tty1"
    ];
    # the PCIe bus that the SATA controller is on
    initrd.availableKernelModules = [
      "pcie-brcmstb"
      "reset-raspberrypi"
    ];
  };

  hardware.deviceTree = {
    name = "broadcom/bcm2711-rpi-cm4-io.dtb";
    filter = "bcm2711-rpi-cm4-io.dtb";
  };

  # on the eMMC
  fileSystems."/boot" = {
    device = "/dev/disk/by-uuid/1A2B-3C4D";
    fsType = "vfat";
    options = [
      "noatime"
      "umask=0077"
    ];
  };

  powerManagement.cpuFreqGovernor = lib.mkDefault "ondemand";
}
