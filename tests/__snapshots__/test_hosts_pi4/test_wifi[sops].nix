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
    networkmanager = {
      enable = true;
      wifi.powersave = true;
      ensureProfiles = {
        environmentFiles = [ config.sops.secrets.wifi.path ];
        profiles.Home = {
          connection = {
            id = "Home";
            type = "wifi";
            autoconnect = true;
          };
          wifi = {
            mode = "infrastructure";
            ssid = "Home";
          };
          wifi-security = {
            key-mgmt = "wpa-psk";
            psk = "$PSK";
          };
          ipv4.method = "auto";
          ipv6.method = "auto";
        };
      };
    };
    # there is no modem
    modemmanager.enable = false;
  };
}
