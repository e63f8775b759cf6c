# A shell to work on nixwright in: `pytest -c pylib/pyproject.toml tests`, `ruff`, `mypy`, `pyright`.
{
  callPackage,
  mkShell,
  nix-eval-jobs,
}:

mkShell {
  packages = callPackage ./test-tools.nix { } ++ [ nix-eval-jobs ];
  shellHook = ''
    export PYTHONPATH=$PWD/pylib/src''${PYTHONPATH:+:$PYTHONPATH}
  '';
}
