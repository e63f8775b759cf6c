# A boot slot: a FAT file system with what the boot loader reads. Both slots take the same.
{
  lib,
  dosfstools,
  mtools,
  runCommand,
  files,
  size,
}:
let
  copies = lib.mapAttrsToList (to: from: "install -D -m 0644 ${from} files/${to}") files;
in
runCommand "boot.vfat"
  {
    nativeBuildInputs = [
      dosfstools
      mtools
    ];
  }
  ''
    ${lib.concatStringsSep "\n" copies}
    find files -exec touch -d @1 {} +
    truncate -s ${toString size} "$out"
    mkfs.vfat --invariant -n BOOT "$out"
    if ! mcopy -s -m -Q -i "$out" files/* ::/; then
      echo "The boot slot takes ${toString size} bytes, and its files have $(du -sb files | cut -f 1):" >&2
      du -ab files >&2
      exit 1
    fi
  ''
