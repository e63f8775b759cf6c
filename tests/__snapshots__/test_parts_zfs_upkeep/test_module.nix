{
  services.zfs = {
    autoScrub = {
      enable = true;
      interval = "monthly";
    };
    # of the datasets with the property com.sun:auto-snapshot
    autoSnapshot.enable = true;
  };
}
