{ pkgs, ... }:
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
      wifi.powersave = false;
      ensureProfiles = {
        environmentFiles = [ "/var/lib/secrets/wifi.env" ];
        profiles = {
          "Home WiFi" = {
            connection = {
              id = "Home WiFi";
              type = "wifi";
              autoconnect = true;
            };
            wifi = {
              mode = "infrastructure";
              ssid = "Home WiFi";
            };
            wifi-security = {
              key-mgmt = "wpa-psk";
              psk = "$HOME_PSK";
            };
            ipv4.method = "auto";
            ipv6.method = "auto";
          };
          Work = {
            connection = {
              id = "Work";
              type = "wifi";
              autoconnect = true;
            };
            wifi = {
              mode = "infrastructure";
              ssid = "Work";
              hidden = true;
            };
            wifi-security = {
              key-mgmt = "wpa-psk";
              psk = "$WORK_PSK";
            };
            ipv4.method = "auto";
            ipv6.method = "auto";
          };
        };
      };
    };
    # there is no modem
    modemmanager.enable = false;
  };
}
