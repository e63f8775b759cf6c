{
  boot.initrd = {
    # the wired network
    availableKernelModules = [
      "genet"
      "mdio-bcm-unimac"
      "broadcom"
    ];
    systemd.network = {
      enable = true;
      networks."10-eth0" = {
        matchConfig.Name = "eth0";
        networkConfig.DHCP = "yes";
      };
    };
    network.ssh = {
      enable = true;
      port = 9999;
      # a string, not a Nix path: read from the running system when the boot loader is installed
      hostKeys = [ "/persist/etc/ssh/initrd_ssh_host_ed25519_key" ];
      authorizedKeys = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEjNpDBhA3sNfTFuGbdBBTLRkYbFkbBfGUFvpUEJZRqV ivan@laptop"
      ];
    };
  };
}
