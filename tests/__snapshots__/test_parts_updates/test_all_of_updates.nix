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
        system.statusfile = "/data/updates/status.raucs";
        keyring = {
          path = "${./keys/updates.pem}";
          use-bundle-signing-time = true;
        };
      };
    };
    # which version asks for a login
    getty.helpLine = ''
      rock64-gateway 1.4.0, revision ${builtins.toString config.system.configurationRevision}
      Whoever has the development key can replace this system: its keyring is not for production.
    '';
  };

  systemd = {
    services = {
      # fw_printenv and fw_setenv: the boot loader's variables
      rauc = {
        path = [ pkgs.ubootTools ];
        unitConfig.RequiresMountsFor = "/data/updates";
        serviceConfig.ExecStartPre = "${pkgs.coreutils}/bin/mkdir -p /data/updates";
      };
      health-gate = {
        description = "The booted slot is good once this host is well";
        wantedBy = [ "multi-user.target" ];
        after = [
          "multi-user.target"
          "rauc.service"
        ];
        wants = [ "rauc.service" ];
        unitConfig.WantsMountsFor = "/data/updates";
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
            "--unit=dnsmasq.service"
            "--unit=web.socket"
            "--unit=appsvc@app.service"
            "--unit=proxy.service"
            "--user=appsvc"
            "--interface=lan"
            "--interface=wan"
            "--required=/data/config/health-required.json"
            "--good=/data/updates/good.json"
            "--sustained=30"
            "--within=90"
          ];
          TimeoutStartSec = 240;
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
        unitConfig.RequiresMountsFor = "/data/updates";
        path = [ config.services.rauc.package ];
        serviceConfig = {
          Type = "oneshot";
          ExecStart = lib.concatStringsSep " " [
            (lib.getExe pkgs.python3)
            "${./update_client.py}"
            "--server=https://updates.example.org/fleet"
            "--settings=/data/config/updates.json"
            "--current=1.4.0"
            "--compatible=rock64-gateway"
            "--keyring=${./keys/updates.pem}"
            "--authorities=/etc/ssl/certs/ca-certificates.crt"
            "--good=/data/updates/good.json"
            "--tried=/data/updates/tried.json"
            "--refused=/run/update-client/refused.json"
            "--directory=/data/updates/bundles"
            "--limit=1233167319"
            "--downgrade"
            "--interface=wan"
          ];
          SuccessExitStatus = 75;
          ReadWritePaths = [ "/data/updates" ];
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
        OnUnitActiveSec = "6h";
        RandomizedDelaySec = "10min";
      };
    };
    settings.Manager = {
      RuntimeWatchdogSec = 20;
      RebootWatchdogSec = 300;
    };
  };

  system = {
    image.version = "1.4.0";
    # what is signed: see docs/updates.md of nixwright
    build.bundle = pkgs.callPackage ./bundle.nix {
      compatible = "rock64-gateway";
      version = "1.4.0";
      boot = config.system.build.bootSlot;
      root = config.system.build.squashfs;
    };
  };

  assertions = [
    {
      assertion = lib.hasAttr "dnsmasq" config.systemd.services;
      message = "The health gate waits for dnsmasq.service, which this host has not.";
    }
    {
      assertion = lib.hasAttr "web" config.systemd.sockets;
      message = "The health gate waits for web.socket, which this host has not.";
    }
  ];

  users.motd = ''
    Whoever has the development key can replace this system: its keyring is not for production.
  '';
}
