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

  systemd = {
    services = {
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
      update-client = {
        description = "Look for an update, and install it";
        requires = [ "health-gate.service" ];
        wants = [ "network-online.target" ];
        after = [
          "health-gate.service"
          "network-online.target"
        ];
        unitConfig = {
          RequiresMountsFor = "/data/rauc";
          ConditionPathExists = "/data/config/updates.json";
        };
        path = [ config.services.rauc.package ];
        serviceConfig = {
          Type = "oneshot";
          ExecStart = lib.concatStringsSep " " [
            (lib.getExe pkgs.python3)
            "${./update_client.py}"
            "--settings=/data/config/updates.json"
            "--current=${config.system.nixos.version}"
            "--compatible=rock64-gateway"
            "--keyring=${./keys/updates.pem}"
            "--authorities=/etc/ssl/certs/ca-certificates.crt"
            "--good=/data/rauc/good.json"
            "--tried=/data/rauc/tried.json"
            "--refused=/run/update-client/refused.json"
            "--directory=/data/rauc/bundles"
            "--limit=1233167319"
          ];
          SuccessExitStatus = 75;
          ReadWritePaths = [ "/data/rauc" ];
          RuntimeDirectory = "update-client";
          RuntimeDirectoryPreserve = true;
          ProtectSystem = "strict";
          ProtectHome = true;
          PrivateTmp = true;
          PrivateDevices = true;
          ProtectKernelModules = true;
          ProtectKernelTunables = true;
          ProtectControlGroups = true;
          RestrictAddressFamilies = [
            "AF_UNIX"
            "AF_INET"
            "AF_INET6"
          ];
          RestrictNamespaces = true;
          RestrictSUIDSGID = true;
          LockPersonality = true;
          MemoryDenyWriteExecute = true;
          NoNewPrivileges = true;
          SystemCallArchitectures = "native";
        };
      };
    };
    timers.update-client = {
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnBootSec = "5min";
        OnUnitActiveSec = "1h";
        RandomizedDelaySec = "10min";
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
