{ lib, pkgs, ... }:
{
  hardware = {
    deviceTree.overlays = [
      {
        name = "pibox-lcd";
        dtsFile = ./lcd.dts;
      }
    ];
    firmware = [
      (pkgs.runCommand "pibox-lcd-firmware" { } "sh ${./lcd-firmware.sh} \"$out/lib/firmware\"")
    ];
  };

  # the driver cannot be found by the panel's own name, which the device has
  boot.kernelModules = [ "panel-mipi-dbi" ];

  # no console cursor blinks into the picture
  services.udev.extraRules = ''
    SUBSYSTEM=="graphics", KERNEL=="fbcon", ATTR{cursor_blink}="0"
  '';

  systemd.services.pibox-lcd = {
    description = "Load, memory, disks and addresses on the PiBox's display";
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      ExecStart = "${lib.getExe pkgs.python3} ${./lcd.py} --every 5 --disk /nix --disk /persist --interface eth0";
      Restart = "always";
      RestartSec = 5;
      DynamicUser = true;
      SupplementaryGroups = [ "video" ];
      DevicePolicy = "closed";
      DeviceAllow = [ "char-fb rw" ];
      CapabilityBoundingSet = "";
      IPAddressDeny = "any";
      LockPersonality = true;
      MemoryDenyWriteExecute = true;
      NoNewPrivileges = true;
      ProtectClock = true;
      ProtectControlGroups = true;
      ProtectHome = "read-only";
      ProtectHostname = true;
      ProtectKernelLogs = true;
      ProtectKernelModules = true;
      ProtectKernelTunables = true;
      RestrictAddressFamilies = [ "AF_INET" ];
      RestrictNamespaces = true;
      RestrictRealtime = true;
      SystemCallArchitectures = "native";
      SystemCallFilter = [
        "@system-service"
        "~@privileged @resources"
      ];
    };
  };
}
