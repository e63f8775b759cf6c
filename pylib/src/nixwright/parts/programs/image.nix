# The image that is flashed: the partition table with slot A, and what stands raw before it. The rest is made at first boot.
{
  lib,
  runCommand,
  util-linux,
  zstd,
  contents,
  name,
  size,
  table,
}:
let
  put = one: "put ${one.file} ${toString one.sector} ${toString one.sectors}";
in
runCommand "${name}.img.zst"
  {
    inherit table;
    nativeBuildInputs = [
      util-linux
      zstd
    ];
    passAsFile = [ "table" ];
  }
  ''
    put() {
      if [ "$(stat -L -c %s "$1")" -gt $(($3 * 512)) ]; then
        echo "$1 has $(stat -L -c %s "$1") bytes, and its place on the disk $(($3 * 512))" >&2
        exit 1
      fi
      dd if="$1" of=disk.img bs=512 seek="$2" conv=notrunc,sparse status=none
    }

    truncate -s ${toString size} disk.img
    sfdisk --no-reread --no-tell-kernel disk.img <"$tablePath"
    ${lib.concatMapStringsSep "\n" put contents}
    zstd --sparse -T"$NIX_BUILD_CORES" -q disk.img -o "$out"
  ''
