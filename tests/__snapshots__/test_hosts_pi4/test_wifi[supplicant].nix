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
    wireless = {
      enable = true;
      interfaces = [ "wlan0" ];
      secretsFile = "/var/lib/secrets/wifi.env";
      networks."Home WiFi".pskRaw = "ext:HOME_PSK";
    };
    # on no interface but those that are named
    useDHCP = false;
    interfaces.wlan0.useDHCP = true;
  };

  # wpa_supplicant does not run as root
  systemd.tmpfiles.settings.wifi."/var/lib/secrets/wifi.env".z = {
    mode = "0440";
    group = "wpa_supplicant";
    user = "root";
  };

  services.udev.extraRules = ''
    ACTION=="add", SUBSYSTEM=="net", KERNEL=="wlan0", RUN+="${pkgs.iw}/bin/iw dev wlan0 set power_save off"
  '';
}
