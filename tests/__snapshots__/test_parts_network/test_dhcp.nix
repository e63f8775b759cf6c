{
  networking = {
    # udev would rename eth0
    usePredictableInterfaceNames = false;
    # on no interface but those that are named
    useDHCP = false;
    interfaces.eth0.useDHCP = true;
  };
}
