# U-Boot that chooses between the slots: select-slot.cmd compiled in, its variables in flash beside it.
{ lib, @package@ }:
let
  steps = lib.filter (line: !lib.hasPrefix "#" line) (
    lib.splitString "\n" (lib.fileContents ./select-slot.cmd)
  );
  command = lib.concatMapStringsSep " " lib.trim steps;
in
@package@.override {
  extraConfig = ''
@kconfig@
    CONFIG_BOOTCOMMAND="${lib.escape [ "\"" ] command}"
  '';
  prePatch = ''
    cat >> @file@ <<'END'
@text@
    END
  '';
}
