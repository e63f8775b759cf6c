{
  networking = {
    # on no interface but those that are named
    useDHCP = false;
    interfaces.end0.ipv4.addresses = [
      {
        address = "192.168.1.4";
        prefixLength = 24;
      }
    ];
    defaultGateway = {
      address = "192.168.1.1";
      interface = "end0";
    };
    nameservers = [ "192.168.1.1" ];
  };
}
