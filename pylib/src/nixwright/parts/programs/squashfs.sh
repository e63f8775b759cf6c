# squashfs.sh PATHS LIMIT LEVEL OUT: makes OUT of the store paths that the file PATHS names, one a line.
#
# LIMIT is in bytes, LEVEL is zstd's. What is mounted or written at boot has its directory here, empty.
set -euo pipefail
paths=$1 limit=$2 level=$3 out=$4

pseudo=()
for directory in bin boot data dev etc home proc run sys usr usr/bin var; do
  pseudo+=(-p "$directory d 0755 0 0")
done
pseudo+=(-p "root d 0700 0 0" -p "tmp d 1777 0 0")
# shellcheck disable=SC2046 # no store path has a blank in it
mksquashfs $(cat "$paths") "$out" -no-strip "${pseudo[@]}" -root-mode 0755 -all-root -no-xattrs -no-hardlinks \
  -comp zstd -Xcompression-level "$level" -b 1M -quiet -no-progress

size=$(stat -c %s "$out")
if [ "$size" -gt "$limit" ]; then
  over=$((size - limit))
  {
    echo "The squashfs has $size bytes, and the root slot takes $limit: $over ($((over / 1048576 + 1)) MiB) too many."
    echo "The largest of the closure, unpacked:"
    xargs du -sm <"$paths" | sort -rn | head -n 15 | while read -r mib path; do
      printf '%6d MiB  %s\n' "$mib" "$path"
    done
  } >&2
  rm "$out"
  exit 1
fi
