{
  fileSystems = {
    "/var/lib/nixos" = {
      device = "/persist/var/lib/nixos";
      fsType = "none";
      options = [ "bind" ];
      neededForBoot = true;
    };
    "/var/lib/bluetooth" = {
      device = "/persist/var/lib/bluetooth";
      fsType = "none";
      options = [ "bind" ];
      neededForBoot = true;
    };
    "/srv" = {
      device = "/persist/srv";
      fsType = "none";
      options = [ "bind" ];
      neededForBoot = true;
    };
  };

  environment.etc = {
    "wpa_supplicant/imperative.conf".source = "/persist/etc/wpa_supplicant/imperative.conf";
    machine-id.source = "/persist/etc/machine-id";
  };

  # Stage 1 makes what is not there yet, before activation looks for it.
  boot.initrd.systemd.tmpfiles.settings.persist = {
    "/sysroot/persist/var/lib/nixos".d.mode = "0755";
    "/sysroot/persist/var/lib/bluetooth".d.mode = "0700";
    "/sysroot/persist/srv".d.mode = "0755";
    "/sysroot/persist/etc/wpa_supplicant".d.mode = "0755";
    "/sysroot/persist/etc".d.mode = "0755";
    "/sysroot/persist/etc/machine-id".f = {
      mode = "0444";
      argument = "%m\\n";
    };
  };

  # Stage 1 knows no users.
  systemd.tmpfiles.settings.persist."/persist/srv".d = {
    mode = "0755";
    user = "ada";
    group = "users";
  };
}
