{
  services.openvpn.servers.recovery = {
    # what the file says of these comes first and counts for less; the tunnel is a way in, not a way out
    config = ''
      config /data/config/openvpn/client.conf
      dev recovery
      dev-type tun
      route-nopull
    '';
    autoStart = false;
  };

  systemd = {
    paths.openvpn-recovery = {
      wantedBy = [ "multi-user.target" ];
      unitConfig.RequiresMountsFor = "/data/config/openvpn/client.conf";
      pathConfig.PathExists = "/data/config/openvpn/client.conf";
    };
    services.openvpn-recovery.unitConfig.ConditionPathExists = "/data/config/openvpn/client.conf";
  };
}
