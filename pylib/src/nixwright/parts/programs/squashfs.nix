# The root slot: the closure of the system, as a squashfs. Where that is larger than the slot, this fails.
{
  closureInfo,
  runCommand,
  squashfsTools,
  level,
  limit,
  toplevel,
}:
runCommand "rootfs.squashfs" { nativeBuildInputs = [ squashfsTools ]; } ''
  paths=${closureInfo { rootPaths = [ toplevel ]; }}/store-paths
  bash ${./squashfs.sh} "$paths" ${toString limit} ${toString level} "$out"
''
