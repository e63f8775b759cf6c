{ lib, pkgs, ... }:
{
  environment.systemPackages = [
    (pkgs.writeShellScriptBin "provision" "exec ${lib.getExe pkgs.python3} -I ${./provision.py} --device ${./provision.toml} \"$@\"")
  ];

  # a shell that config.toml may give a user
  programs.zsh.enable = true;

  # who logs in, the device is told
  users.allowNoPasswordLogin = true;

  services.openssh = {
    authorizedKeysFiles = [ "/data/config/ssh-authorized-keys/%u" ];
    authorizedKeysInHomedir = false;
  };

  systemd = {
    # restarted after each promotion
    targets.provisioned = {
      description = "The device is what it was told to be";
      wantedBy = [ "multi-user.target" ];
      after = [ "provision-recover.service" ];
    };
    services = {
      provision-recover = {
        description = "What a power cut left of a promotion, decided";
        wantedBy = [ "multi-user.target" ];
        before = [ "provisioned.target" ];
        unitConfig.RequiresMountsFor = "/data/config";
        serviceConfig = {
          ExecStart = "${lib.getExe pkgs.python3} -I ${./provision.py} --device ${./provision.toml} recover";
          RuntimeDirectory = "provision";
          RuntimeDirectoryMode = "0700";
          RuntimeDirectoryPreserve = true;
          UMask = "0022";
          Type = "oneshot";
          RemainAfterExit = true;
        };
      };
      provision-apply = {
        description = "The users of whom the device was told";
        requiredBy = [ "provisioned.target" ];
        partOf = [ "provisioned.target" ];
        before = [
          "provisioned.target"
          "sshd.service"
        ];
        after = [ "provision-recover.service" ];
        unitConfig = {
          # as often as something is promoted, or taken back
          StartLimitIntervalSec = 0;
          RequiresMountsFor = "/data/config";
        };
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${lib.getExe pkgs.python3} -I ${./provision.py} --device ${./provision.toml} apply";
          RuntimeDirectory = "provision";
          RuntimeDirectoryMode = "0700";
          RuntimeDirectoryPreserve = true;
          UMask = "0022";
        };
      };
      provision-first-boot = {
        description = "Who this device is, from the boot partition or a USB stick";
        wantedBy = [ "multi-user.target" ];
        after = [
          "provisioned.target"
          "provision-recover.service"
        ];
        path = [
          pkgs.util-linux
          pkgs.zstd
        ];
        unitConfig = {
          RequiresMountsFor = "/data/config";
          ConditionPathExists = "!/data/config/config.toml";
          WantsMountsFor = "/boot/config.toml";
        };
        serviceConfig = {
          ExecStart = "${lib.getExe pkgs.python3} -I ${./provision.py} --device ${./provision.toml} first-boot --wait";
          RuntimeDirectory = "provision";
          RuntimeDirectoryMode = "0700";
          RuntimeDirectoryPreserve = true;
          UMask = "0022";
          Type = "exec";
          MemoryMax = "384M";
          Restart = "on-failure";
          RestartSec = 2;
        };
      };
      provision-page = {
        description = "The page that tells a device who it is";
        after = [ "provision-recover.service" ];
        partOf = [ "provision-page.socket" ];
        path = [
          pkgs.openssh
          pkgs.zstd
        ];
        unitConfig.RequiresMountsFor = "/data/config";
        serviceConfig = {
          ExecStart = "${lib.getExe pkgs.python3} -I ${./provision.py} --device ${./provision.toml} serve";
          RuntimeDirectory = "provision";
          RuntimeDirectoryMode = "0700";
          RuntimeDirectoryPreserve = true;
          UMask = "0022";
          MemoryMax = "384M";
          TasksMax = 64;
          PrivateTmp = true;
          Restart = "always";
          RestartSec = 2;
        };
      };
    };
    # the page is there as soon as the LAN's interface is, goes with it, and is reached through no other
    sockets.provision-page = {
      wantedBy = [ "sys-subsystem-net-devices-lan.device" ];
      listenStreams = [ "0.0.0.0:8080" ];
      socketConfig.BindToDevice = "lan";
    };
  };
}
