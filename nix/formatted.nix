# Every Nix file, generated ones too, is as nixfmt lays it out.
{
  runCommand,
  nixfmt,
  src,
}:

runCommand "formatted" { nativeBuildInputs = [ nixfmt ]; } ''
  find ${src} -name '*.nix' -exec nixfmt --check {} +
  touch "$out"
''
