{ pkgs, ... }:
{
  hardware = {
    # of the WiFi chip
    firmware = [ pkgs.raspberrypiWirelessFirmware ];
    wirelessRegulatoryDatabase = true;
  };

  boot = {
    # the WiFi chip's driver
    kernelModules = [ "brcmfmac" ];
    extraModprobeConfig = ''
      options cfg80211 ieee80211_regdom=NL
    '';
  };

  environment.systemPackages = [ pkgs.iw ];

  networking = {
    networkmanager = {
      enable = true;
      wifi.powersave = false;
    };
    # there is no modem
    modemmanager.enable = false;
  };
}
