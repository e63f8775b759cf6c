{ config, pkgs, ... }:
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
    # a WAN that comes late or comes back: chrony alone would ask again only after minutes, or hours
    paths.chrony-wan = {
      wantedBy = [ "multi-user.target" ];
      pathConfig.PathChanged = "/run/systemd/netif/state";
    };
    services.chrony-wan = {
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
          chain input {
            type filter hook input priority filter; policy drop;
            iifname "lo" accept
            ct state vmap { established : accept, related : accept, invalid : drop }
            iifname "lan" jump lan_inbound
            iifname "wan" jump wan_inbound
          }

          chain forward {
            type filter hook forward priority filter; policy drop;
          }

          chain wan_inbound {
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
        domain = "lan";
        local = "/lan/";
        host-record = [
          "pibox.lan,pibox,172.20.30.1"
          "gateway.lan,gateway,172.20.30.1"
        ];
        dhcp-range = "172.20.30.10,172.20.30.254,255.255.255.0,24h";
        dhcp-option = [
          "option:router,172.20.30.1"
          "option:dns-server,172.20.30.1"
          "option:ntp-server,172.20.30.1"
        ];
      };
    };
    chrony = {
      enable = true;
      servers = [ "time.cloudflare.com" ];
      initstepslew.enabled = false;
      enableRTCTrimming = false;
      makestep.enable = false;
      extraConfig = ''
        makestep 1.0 -1
        # The LAN keeps one time, also where no server can be reached.
        local stratum 10
        # Who is not allowed is denied: a `deny all` after this line would take it back.
        allow 172.20.30.0/24
      '';
    };
  };

  boot.kernel.sysctl = {
    # nothing goes from one network to the other: not by the kernel, not by the rules, and no address is lent
    "net.ipv4.conf.all.forwarding" = false;
    "net.ipv6.conf.all.forwarding" = false;
  };
}
