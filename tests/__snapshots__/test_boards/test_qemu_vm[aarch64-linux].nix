{
  nixpkgs.hostPlatform = "aarch64-linux";

  boot = {
    loader = {
      systemd-boot.enable = true;
      efi.canTouchEfiVariables = true;
    };
    kernelParams = [
      "console=ttyAMA0,115200"
      "console=tty1"
    ];
    initrd.availableKernelModules = [
      "virtio_pci"
      "virtio_blk"
      "virtio_scsi"
      "ahci"
    ];
  };

  services.qemuGuest.enable = true;
}
