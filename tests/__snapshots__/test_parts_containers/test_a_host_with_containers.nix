{ lib, pkgs, ... }:
{
  virtualisation = {
    podman.enable = true;
    containers = {
      storage.settings.storage.graphroot = "/data/containers/storage";
      # a container's words are in the journal, like those of any unit
      containersConf.settings.containers.log_driver = "journald";
    };
  };

  users = {
    # runs the containers, from boot on
    users.appsvc = {
      isSystemUser = true;
      uid = 390;
      group = "appsvc";
      home = "/data/containers/appsvc";
      linger = true;
      subUidRanges = [
        {
          startUid = 200000;
          count = 65536;
        }
      ];
      subGidRanges = [
        {
          startGid = 200000;
          count = 65536;
        }
      ];
    };
    groups.appsvc.gid = 390;
  };

  systemd.services = {
    containers-home = {
      # the storage may be mounted late; where the user may have put links, root does nothing (+ is root)
      requiredBy = [ "user@390.service" ];
      before = [ "user@390.service" ];
      unitConfig.RequiresMountsFor = "/data/containers";
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        User = "appsvc";
        ExecStart = [
          "+${pkgs.coreutils}/bin/install -d -m 0755 /data/containers"
          "+${pkgs.coreutils}/bin/install -d -m 0700 -o appsvc -g appsvc /data/containers/appsvc"
          "${pkgs.coreutils}/bin/mkdir -p -m 0700 /data/containers/appsvc/.config /data/containers/appsvc/.config/containers"
          "${pkgs.coreutils}/bin/ln -sfn ${./rootless-storage.conf} /data/containers/appsvc/.config/containers/storage.conf"
        ];
      };
      # podman's containers wait until the network is online, and 90 s where nobody asks for that
      wants = [ "network-online.target" ];
    };
    containers-apply = {
      description = "The containers of which the device was told";
      requiredBy = [ "provisioned.target" ];
      partOf = [ "provisioned.target" ];
      before = [ "provisioned.target" ];
      after = [
        "provision-recover.service"
        "user@390.service"
      ];
      wants = [ "user@390.service" ];
      path = [ pkgs.util-linux ];
      unitConfig = {
        # as often as something is promoted, or taken back
        StartLimitIntervalSec = 0;
        RequiresMountsFor = "/data/config /data/containers";
        ConditionPathExists = "/data/config/config.toml";
      };
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${lib.getExe pkgs.python3} ${./containers-apply.py} /data/config appsvc 390 ${pkgs.podman}/libexec/podman/quadlet";
      };
    };
  };

  environment.etc = {
    "containers/systemd/users/390/web.container".text = ''
      [Unit]
      Description=web, a container
      [Container]
      Image=docker.io/library/nginx:1.29
      Network=pasta
      PublishPort=127.0.0.1:8081:80
      PublishPort=0.0.0.0:5353:53/udp
      Volume=/data/web:/usr/share/nginx/html:ro
      EnvironmentFile=${./web-environment.conf}
      Exec="nginx" "-g" "daemon off; # \"$$x\" 100%% \\"
      [Service]
      Restart=always
      TimeoutStartSec=900
      [Install]
      WantedBy=default.target
    '';
    "containers/systemd/dns.container".text = ''
      [Unit]
      Description=dns, a container
      [Container]
      Image=quay.io/coredns/coredns:1.12.0
      Network=host
      [Service]
      Restart=always
      TimeoutStartSec=900
      [Install]
      WantedBy=multi-user.target
    '';
    # Quadlet follows a link, and leaves one alone that leads nowhere; /run/containers is root's alone
    "containers/systemd/told".source = "/run/containers-told/rootful";
    "containers/systemd/users/390/told".source = "/run/containers-told/rootless";
  };
}
