{
  config,
  lib,
  pkgs,
  ...
}:
{
  systemd = {
    network = {
      links = {
        "10-wan" = {
          matchConfig.Path = "platform-ff540000.ethernet";
          linkConfig.Name = "wan";
        };
        "20-lan" = {
          matchConfig.Driver = "r8152";
          linkConfig.Name = "lan";
        };
      };
      networks = {
        "10-wan" = {
          matchConfig.Name = "wan";
          networkConfig = {
            DHCP = "ipv4";
            IPv6AcceptRA = false;
            IPv4Forwarding = false;
            IPv6Forwarding = false;
          };
          dhcpV4Config = {
            # by networkd's own identifier, made of the machine-id, a root that forgets would be a new client each boot
            ClientIdentifier = "mac";
            UseNTP = false;
          };
        };
        "20-lan" = {
          matchConfig.Name = "lan";
          address = [ "172.20.30.1/24" ];
          networkConfig = {
            ConfigureWithoutCarrier = true;
            IPv6AcceptRA = false;
            IPv4Forwarding = false;
            IPv6Forwarding = false;
          };
        };
      };
      wait-online = {
        # the WAN may be down, the LAN unplugged
        anyInterface = true;
        timeout = 30;
      };
    };
    paths = {
      # a WAN that comes late or comes back: chrony alone would ask again only after minutes, or hours
      chrony-wan = {
        wantedBy = [ "multi-user.target" ];
        pathConfig.PathChanged = "/run/systemd/netif/state";
      };
      ssh-wan = {
        wantedBy = [ "multi-user.target" ];
        pathConfig.PathChanged = "/data/config/ssh-wan-enabled";
      };
    };
    services = {
      chrony-wan = {
        after = [ "chronyd.service" ];
        requisite = [ "chronyd.service" ];
        unitConfig.StartLimitIntervalSec = 0;
        path = [ pkgs.chrony ];
        serviceConfig = {
          Type = "oneshot";
          User = "chrony";
          ExecCondition = "${config.systemd.package}/lib/systemd/systemd-networkd-wait-online --interface=wan:routable --timeout=1";
          ExecStart = [
            "chronyc online"
            "chronyc burst 4/4"
          ];
        };
      };
      gateway-boot = {
        description = "The networks as the device was told, before they start";
        wantedBy = [ "multi-user.target" ];
        after = [
          "nftables.service"
          "provision-recover.service"
        ];
        before = [
          "systemd-networkd.service"
          "dnsmasq.service"
          "chronyd.service"
        ];
        path = [ pkgs.nftables ];
        unitConfig.RequiresMountsFor = "/data/config";
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          NoNewPrivileges = true;
          ExecStart = "${lib.getExe pkgs.python3} ${./gateway-apply.py} ${./gateway.toml} /data/config --booting";
        };
      };
      # after a promotion, and when the rules are loaded again, which are the host file's
      gateway-apply = {
        description = "The networks as the device was told";
        requiredBy = [ "provisioned.target" ];
        partOf = [
          "provisioned.target"
          "nftables.service"
        ];
        before = [ "provisioned.target" ];
        after = [
          "provision-recover.service"
          "nftables.service"
          "gateway-boot.service"
          "systemd-networkd.service"
          "dnsmasq.service"
          "chronyd.service"
        ];
        wantedBy = [ "nftables.service" ];
        path = [ pkgs.nftables ];
        unitConfig = {
          # as often as something is promoted, or taken back
          StartLimitIntervalSec = 0;
          RequiresMountsFor = "/data/config";
          ReloadPropagatedFrom = "nftables.service";
        };
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          NoNewPrivileges = true;
          ExecStart = "${lib.getExe pkgs.python3} ${./gateway-apply.py} ${./gateway.toml} /data/config";
          ExecReload = "${lib.getExe pkgs.python3} ${./gateway-apply.py} ${./gateway.toml} /data/config";
        };
      };
      ssh-wan = {
        path = [ pkgs.nftables ];
        after = [ "nftables.service" ];
        # the switch may lie on a file system that is mounted after the rules are loaded
        wantedBy = [ "multi-user.target" ];
        unitConfig.RequiresMountsFor = "/data/config";
        serviceConfig = {
          Type = "oneshot";
          ExecStart = "${pkgs.runtimeShell} ${./ssh-wan.sh} /data/config/ssh-wan-enabled 22";
        };
      };
      nftables = {
        # at boot, and when the rules are loaded again, which closes the switch
        path = [ pkgs.nftables ];
        serviceConfig = {
          ExecStartPost = lib.mkAfter [
            "-${pkgs.runtimeShell} ${./ssh-wan.sh} /data/config/ssh-wan-enabled 22"
          ];
          ExecReload = lib.mkAfter [
            "-${pkgs.runtimeShell} ${./ssh-wan.sh} /data/config/ssh-wan-enabled 22"
          ];
        };
      };
    };
    # what holds until the device is told otherwise, and where it cannot be read
    tmpfiles.settings."10-gateway" = {
      "/run/gateway".d.mode = "0755";
      "/run/gateway/dnsmasq.conf".L.argument = "${./lan-dnsmasq.conf}";
      "/run/gateway/chrony.conf".L.argument = "${./lan-chrony.conf}";
    };
  };

  networking = {
    useNetworkd = true;
    # on no interface but those that are named
    useDHCP = false;
    nat.enable = false;
    # the table below is the firewall
    firewall.enable = false;
    nftables = {
      enable = true;
      tables.gateway = {
        family = "inet";
        content = ''
          # port 22 while /data/config/ssh-wan-enabled is there
          set ssh_wan {
            type inet_service
          }

          # port 8080 until the device was told who it is
          set page_wan {
            type inet_service
          }

          chain input {
            type filter hook input priority filter; policy drop;
            iifname "lo" accept
            ct state vmap { established : accept, related : accept, invalid : drop }
            iifname "lan" jump lan_inbound
            iifname "wan" jump wan_inbound
            iifname "wan" tcp dport @ssh_wan accept
            iifname "wan" tcp dport @page_wan accept
          }

          chain forward {
            type filter hook forward priority filter; policy drop;
          }

          chain wan_inbound {
            tcp dport { 443 } accept
          }

          chain lan_inbound {
            accept
          }
        '';
      };
    };
  };

  services = {
    dnsmasq = {
      enable = true;
      # the host itself asks whom the WAN names
      resolveLocalQueries = false;
      settings = {
        interface = "lan";
        except-interface = "lo";
        bind-dynamic = true;
        no-resolv = true;
        no-hosts = true;
        dhcp-authoritative = true;
        log-dhcp = true;
        conf-file = "/run/gateway/dnsmasq.conf";
      };
    };
    chrony = {
      enable = true;
      servers = [ ];
      initstepslew.enabled = false;
      enableRTCTrimming = false;
      makestep.enable = false;
      extraConfig = ''
        makestep 1.0 -1
        # The LAN keeps one time, also where no server can be reached.
        local stratum 10
        # Who is not allowed is denied: a `deny all` after this line would take it back.
        include /run/gateway/chrony.conf
      '';
    };
  };

  boot.kernel.sysctl = {
    # nothing goes from one network to the other: not by the kernel, not by the rules, and no address is lent
    "net.ipv4.conf.all.forwarding" = false;
    "net.ipv6.conf.all.forwarding" = false;
  };
}
