{ config, pkgs, ... }:
{
  hardware = {
    # of the WiFi chip
    firmware = [ pkgs.raspberrypiWirelessFirmware ];
    wirelessRegulatoryDatabase = true;
  };

  # the WiFi chip's driver
  boot.kernelModules = [ "brcmfmac" ];

  environment.systemPackages = [ pkgs.iw ];

  networking = {
    wireless = {
      enable = true;
      interfaces = [ "wlan0" ];
      secretsFile = config.age.secrets.wifi.path;
      networks.Home.pskRaw = "ext:PSK";
    };
    # on no interface but those that are named
    useDHCP = false;
    interfaces.wlan0.useDHCP = true;
  };

  age.secrets.wifi = {
    mode = "0440";
    group = "wpa_supplicant";
  };

  services.udev.extraRules = ''
    ACTION=="add", SUBSYSTEM=="net", KERNEL=="wlan0", RUN+="${pkgs.iw}/bin/iw dev wlan0 set power_save off"
  '';
}
