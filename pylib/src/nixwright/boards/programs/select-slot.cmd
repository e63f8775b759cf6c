# What U-Boot runs at power-on: it chooses a slot, counts the try, and runs that slot's own boot.scr.
#
# It is compiled into U-Boot (CONFIG_BOOTCOMMAND, every line but these joined by a space), so no update can damage it
# and it needs nothing of the eMMC to begin. BOOT_ORDER and BOOT_A_LEFT, BOOT_B_LEFT are RAUC's (its U-Boot back end):
# RAUC writes them when it installs, marks good or marks bad.
#
# A person asked for the eMMC as a USB disk: boot_to_ums on the board, or START_UMS=1 in the environment.
if test "x${START_UMS}" = x1; then
  setenv START_UMS;
  saveenv;
  ums 0 @device@;
  reset;
fi;
# The same by a button that is held for five seconds. It is low while held, and `gpio input` succeeds where it is low.
if gpio input @button@; then
  sleep 5;
  if gpio input @button@; then ums 0 @device@; reset; fi;
fi;
# The loops count with variables of the shell, which are hidden by saved ones of the same name.
@forget@
# An order that RAUC would not write is none. One slot alone means that the other was marked bad.
if test "x${BOOT_ORDER}" = xA || test "x${BOOT_ORDER}" = xB || test "x${BOOT_ORDER}" = "xB A"; then
  echo "Slots, as RAUC left them: ${BOOT_ORDER}";
else
  setenv BOOT_ORDER "A B";
fi;
if test "x${BOOT_A_LEFT}" = x; then setenv BOOT_A_LEFT @tries@; fi;
if test "x${BOOT_B_LEFT}" = x; then setenv BOOT_B_LEFT @tries@; fi;
for nw_pass in counted again; do
  if test ${nw_pass} = again; then
    echo "No slot is left: each gets @tries@ tries again";
    if test "x${BOOT_ORDER}" = xB || test "x${BOOT_ORDER}" = "xB A"; then
      setenv BOOT_ORDER "B A";
    else
      setenv BOOT_ORDER "A B";
    fi;
    setenv BOOT_A_LEFT @tries@;
    setenv BOOT_B_LEFT @tries@;
  fi;
  for nw_slot in ${BOOT_ORDER}; do
    if test ${nw_slot} = A; then
      nw_left=x${BOOT_A_LEFT};
      nw_part=@boot_a@;
    else
      nw_left=x${BOOT_B_LEFT};
      nw_part=@boot_b@;
    fi;
# One less than a digit; what is none counts as @tries@. U-Boot for this board has no setexpr.
    nw_next=@fewer@;
    nw_below=none;
    for nw_digit in 0 1 2 3 4 5 6 7 8 9; do
      if test "${nw_left}" = x${nw_digit}; then nw_next=${nw_below}; fi;
      nw_below=${nw_digit};
    done;
    if test ${nw_next} = none; then
      echo "Slot ${nw_slot}: no try left";
    elif load @device@:${nw_part} ${scriptaddr} boot.scr; then
# Counted and saved before anything of the slot runs: whatever happens then, this try is spent.
      setenv BOOT_${nw_slot}_LEFT ${nw_next};
      saveenv;
      echo "Slot ${nw_slot}: tries left after this one: ${nw_next}";
      setenv devtype @devtype@;
      setenv devnum @devnum@;
      setenv distro_bootpart ${nw_part};
      source ${scriptaddr};
      @forget@
      echo "Slot ${nw_slot}: did not start";
    else
      echo "Slot ${nw_slot}: holds no boot.scr";
    fi;
  done;
done;
echo "Neither slot starts; once more in a minute";
sleep 60;
reset
