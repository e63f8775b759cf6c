# The tests in the sandbox: no network, and a Nix with a store of its own.
{
  callPackage,
  runCommand,
  nixpkgs,
  nixwright,
  src,
}:

runCommand "pytest" { nativeBuildInputs = callPackage ./test-tools.nix { } ++ [ nixwright ]; } ''
  cp -r ${src} source
  chmod -R u+w source
  cd source
  export HOME=$TMPDIR NIX_STATE_DIR=$TMPDIR/nix NIX_STORE_DIR=$TMPDIR/store
  export PYTHONPATH=$PWD/pylib/src NIXWRIGHT_NIXPKGS=${nixpkgs}
  python -m pytest -c pylib/pyproject.toml --rootdir=. tests
  touch "$out"
''
