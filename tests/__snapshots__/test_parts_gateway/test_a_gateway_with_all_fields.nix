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
          address = [ "10.44.0.1/22" ];
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
        pathConfig.PathChanged = "/persist/ssh-wan-enabled";
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
      ssh-wan = {
        path = [ pkgs.nftables ];
        after = [ "nftables.service" ];
        # the switch may lie on a file system that is mounted after the rules are loaded
        wantedBy = [ "multi-user.target" ];
        unitConfig.RequiresMountsFor = "/persist";
        serviceConfig = {
          Type = "oneshot";
          ExecStart = "${pkgs.runtimeShell} ${./ssh-wan.sh} /persist/ssh-wan-enabled 2222";
        };
      };
      nftables = {
        # at boot, and when the rules are loaded again, which closes the switch
        path = [ pkgs.nftables ];
        serviceConfig = {
          ExecStartPost = lib.mkAfter [
            "-${pkgs.runtimeShell} ${./ssh-wan.sh} /persist/ssh-wan-enabled 2222"
          ];
          ExecReload = lib.mkAfter [ "-${pkgs.runtimeShell} ${./ssh-wan.sh} /persist/ssh-wan-enabled 2222" ];
        };
      };
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
          # port 2222 while /persist/ssh-wan-enabled is there
          set ssh_wan {
            type inet_service
          }

          chain input {
            type filter hook input priority filter; policy drop;
            iifname "lo" accept
            ct state vmap { established : accept, related : accept, invalid : drop }
            iifname "lan" jump lan_inbound
            iifname "wan" jump wan_inbound
            iifname "wan" tcp dport @ssh_wan accept
          }

          chain forward {
            type filter hook forward priority filter; policy drop;
          }

          chain wan_inbound {
            tcp dport { 443 } accept
            udp dport { 1194 } accept
          }

          chain lan_inbound {
            icmp type echo-request accept
            tcp dport { 53, 80, 443, 2222, 8080 } accept
            udp dport { 53, 67, 123, 1194 } accept
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
        domain = "house.example";
        local = "/house.example/";
        host-record = [
          "pibox.house.example,pibox,10.44.0.1"
          "door.house.example,door,10.44.0.1"
          "time.house.example,time,10.44.0.1"
        ];
        dhcp-range = "10.44.1.0,10.44.2.255,255.255.252.0,24h";
        dhcp-option = [
          "option:router,10.44.0.1"
          "option:dns-server,10.44.0.1"
          "option:ntp-server,10.44.0.1"
        ];
      };
    };
    chrony = {
      enable = true;
      servers = [
        "ntp.example"
        "192.0.2.9"
      ];
      initstepslew.enabled = false;
      enableRTCTrimming = false;
      makestep.enable = false;
      extraConfig = ''
        makestep 1.0 -1
        # The LAN keeps one time, also where no server can be reached.
        local stratum 10
        # Who is not allowed is denied: a `deny all` after this line would take it back.
        allow 10.44.0.0/22
      '';
    };
  };

  boot.kernel.sysctl = {
    # nothing goes from one network to the other: not by the kernel, not by the rules, and no address is lent
    "net.ipv4.conf.all.forwarding" = false;
    "net.ipv6.conf.all.forwarding" = false;
  };
}
