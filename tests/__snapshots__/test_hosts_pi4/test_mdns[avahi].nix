{
  services.avahi = {
    enable = true;
    # other hosts' .local names, for every program
    nssmdns4 = true;
    publish = {
      enable = true;
      addresses = true;
    };
    # UDP 5353
    openFirewall = true;
  };
}
