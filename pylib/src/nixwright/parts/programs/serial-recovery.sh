# A root shell on the serial console, once, where somebody at that console told U-Boot so:
#   setenv _RUT_OH_ 1; saveenv; reset
# serial-recovery.sh TERMINAL CONFIG    CONFIG is fw_printenv's: where U-Boot keeps its variables
terminal=$1 config=$2
read -r device _ <"$config"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  if test -e "$device"; then break; fi
  sleep 1
done
if test "$(fw_printenv -c "$config" -n _RUT_OH_ 2>/dev/null)" != 1; then exit 0; fi
# Taken back before anybody gets in, or every later boot would be open, too.
fw_setenv -c "$config" _RUT_OH_
if test -n "$(fw_printenv -c "$config" -n _RUT_OH_ 2>/dev/null)"; then
  echo "_RUT_OH_ could not be taken back: no root shell" >&2
  exit 1
fi
echo "a root shell on $terminal, as _RUT_OH_ asks for"
systemctl start --no-block "serial-root@$terminal.service"
