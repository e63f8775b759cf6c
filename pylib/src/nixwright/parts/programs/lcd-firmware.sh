#!/bin/sh
# Writes the commands that the kernel's driver panel-mipi-dbi sends to the PiBox's display (an ST7789) to set it up.
# Format: 15 bytes of magic, a version, then for each command its code, the count of its parameters, the parameters.
# Code 0 with one parameter is a pause of that many milliseconds.
set -eu

byte() {
  # printf takes octal everywhere, hexadecimal only in some shells
  for hex in "$@"; do
    printf '%b' "\\0$(printf '%03o' "0x$hex")"
  done
}

command() {
  code=$1
  shift
  byte "$code" "$(printf '%02x' "$#")" "$@"
}

pause() {
  byte 00 01 "$(printf '%02x' "$1")"
}

mkdir -p "$1"
{
  printf 'MIPI DBI'
  byte 00 00 00 00 00 00 00 01
  pause 150 # after the reset that the driver sends
  command 36 00 # upright, RGB
  command b2 0c 0c 00 33 33 # porches
  command 3a 05 # 16 bits a pixel
  command b7 14 # gate voltages
  command bb 37 # common voltage
  command c0 2c # LCM control
  command c2 01 # voltages from the next two
  command c3 12
  command c4 20
  command d0 a4 a1 # power
  command c6 0f # 60 Hz
  command e0 d0 04 0d 11 13 2b 3f 54 4c 18 0d 0b 1f 23 # positive gamma
  command e1 d0 04 0c 11 13 2c 3f 44 51 2f 1f 1f 20 23 # negative gamma
  command 21 # inverted: the panel is an IPS one
  command 11 # wake up
  pause 120
  command 29 # on
} >"$1/kubesail,pibox-lcd.bin"
