{
  config,
  lib,
  pkgs,
  ...
}:
{
  services = {
    rauc = {
      enable = true;
      client.enable = true;
      compatible = "rock64-gateway";
      bootloader = "uboot";
      # no others, whatever RAUC takes by itself
      bundleFormats = [ "verity" ];
      slots = {
        boot = [
          {
            enable = true;
            device = "/dev/disk/by-id/virtio-flash-part1";
            type = "vfat";
            settings.bootname = "A";
          }
          {
            enable = true;
            device = "/dev/disk/by-id/virtio-flash-part3";
            type = "vfat";
            settings.bootname = "B";
          }
        ];
        rootfs = [
          {
            enable = true;
            device = "/dev/disk/by-id/virtio-flash-part2";
            type = "raw";
            settings.parent = "boot.0";
          }
          {
            enable = true;
            device = "/dev/disk/by-id/virtio-flash-part4";
            type = "raw";
            settings.parent = "boot.1";
          }
        ];
      };
      settings = {
        system.statusfile = "/data/rauc/status.raucs";
        keyring = {
          path = "${./keys/updates.pem}";
          use-bundle-signing-time = true;
        };
      };
    };
    # which version asks for a login
    getty.helpLine = "rock64-gateway ${config.system.nixos.version}, revision ${builtins.toString config.system.configurationRevision}\n";
  };

  systemd.services = {
    # fw_printenv and fw_setenv: the boot loader's variables
    rauc = {
      path = [ pkgs.ubootTools ];
      unitConfig.RequiresMountsFor = "/data/rauc";
      serviceConfig.ExecStartPre = "${pkgs.coreutils}/bin/mkdir -p /data/rauc";
    };
    health-gate = {
      description = "The booted slot is good once this host is well";
      wantedBy = [ "multi-user.target" ];
      after = [
        "multi-user.target"
        "rauc.service"
      ];
      wants = [ "rauc.service" ];
      unitConfig.WantsMountsFor = "/data/rauc";
      path = [
        config.services.rauc.package
        pkgs.iproute2
      ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = lib.concatStringsSep " " [
          (lib.getExe pkgs.python3)
          "${./health_gate.py}"
          "--required=/data/config/health-required.json"
          "--good=/data/rauc/good.json"
          "--sustained=60"
          "--within=300"
          "--reboot"
        ];
        TimeoutStartSec = 480;
        Restart = "on-failure";
        RestartSec = "1min";
      };
    };
  };

  # what is signed: see docs/updates.md of nixwright
  system.build.bundle = pkgs.callPackage ./bundle.nix {
    compatible = "rock64-gateway";
    version = config.system.nixos.version;
    boot = config.system.build.bootSlot;
    root = config.system.build.squashfs;
  };
}
