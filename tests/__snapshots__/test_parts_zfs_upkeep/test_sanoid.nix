{
  services = {
    zfs.autoScrub = {
      enable = true;
      interval = "monthly";
    };
    sanoid = {
      enable = true;
      interval = "*:0/15";
      templates.kept = {
        frequently = 4;
        hourly = 24;
        daily = 7;
        weekly = 4;
        monthly = 12;
        yearly = 0;
        frequent_period = 15;
        autosnap = true;
        autoprune = true;
      };
      datasets."tank/persist/user".useTemplate = [ "kept" ];
    };
  };
}
