# Starts the slot that this file lies in. U-Boot's own command (select-slot.cmd) chose the slot and counted the try.
#
# init= names the system in the root slot beside this boot slot: the two are written as a pair, always.
echo "@build@"
# devtype, devnum and distro_bootpart are what U-Boot tells every boot.scr; without them it is slot A.
test -n "${devtype}" || setenv devtype @devtype@
test -n "${devnum}" || setenv devnum @devnum@
if test "x${distro_bootpart}" = x@boot_b@; then
  setenv slot_argument rauc.slot=boot.1
else
  setenv distro_bootpart @boot_a@
  setenv slot_argument rauc.slot=boot.0
fi
# A slot that fails in stage 1 starts again, and its tries run out.
setenv bootargs "init=@init@ @parameters@ panic=10 boot.panic_on_fail ${slot_argument}"
# U-Boot's default is lower, where a kernel of NixOS's size would reach into the initrd.
setenv ramdisk_addr_r @initrd_address@
setenv slot_files "${devtype} ${devnum}:${distro_bootpart}"
load ${slot_files} ${kernel_addr_r} @kernel@ && load ${slot_files} ${fdt_addr_r} @device_tree@ && load ${slot_files} ${ramdisk_addr_r} @initrd@ && booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdt_addr_r}
