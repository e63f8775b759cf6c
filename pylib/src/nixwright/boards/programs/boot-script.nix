# boot.scr: boot.cmd with this system's init and kernel parameters, as mkimage wraps it.
{
  buildPackages,
  lib,
  runCommand,
  kernel,
  kernelParams,
  toplevel,
}:
let
  parameters = lib.concatStringsSep " " kernelParams;
in
assert lib.assertMsg (builtins.match "[^\"'$;\\\\]*" parameters != null)
  "boot.kernelParams: U-Boot's shell takes no quotes, backslashes, dollars or semicolons: ${parameters}";
runCommand "boot.scr" { nativeBuildInputs = [ buildPackages.ubootTools ]; } ''
  # The header of an arm64 kernel says how much memory it takes (Documentation/arch/arm64/booting.rst).
  size=$(od -A n -t u8 -j 16 -N 8 ${kernel} | tr -d ' ')
  if [ "$size" -gt @room@ ]; then
    echo "the kernel takes $size bytes of memory, and the initrd is loaded @room@ bytes behind its start"
    exit 1
  fi
  substitute ${./boot.cmd} boot.cmd \
    --replace-fail @build@ ${baseNameOf toplevel} \
    --replace-fail @init@ ${toplevel}/init \
    --replace-fail @parameters@ ${lib.escapeShellArg parameters}
  mkimage -C none -A arm64 -T script -d boot.cmd "$out"
''
