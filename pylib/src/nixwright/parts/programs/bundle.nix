# What an update is made of, unsigned: `rauc bundle` takes a copy of it, and signs it with a key that no store has seen.
{
  compatible,
  version,
  boot,
  root,
  linkFarm,
  writeText,
}:
linkFarm "update-bundle" {
  "manifest.raucm" = writeText "manifest.raucm" ''
    [update]
    compatible=${compatible}
    version=${version}

    [bundle]
    format=verity

    [image.boot]
    filename=boot.vfat

    [image.rootfs]
    filename=rootfs.squashfs
  '';
  "boot.vfat" = boot;
  "rootfs.squashfs" = root;
}
