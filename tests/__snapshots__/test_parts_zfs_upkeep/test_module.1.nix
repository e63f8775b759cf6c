{
  services.zfs = {
    autoScrub = {
      enable = true;
      interval = "Sun *-*-01..07 03:00";
    };
    trim.enable = false;
  };
}
