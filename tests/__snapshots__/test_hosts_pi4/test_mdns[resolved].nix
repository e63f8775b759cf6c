{
  services.resolved = {
    enable = true;
    settings.Resolve.MulticastDNS = true;
  };

  networking = {
    # mDNS
    firewall.allowedUDPPorts = [ 5353 ];
    # resolved answers only on interfaces whose manager says so
    networkmanager.connectionConfig."connection.mdns" = 2;
  };
}
