# A shell to work on nixwright in: `pytest -c pylib/pyproject.toml tests`, `ruff`, `mypy`, `pyright`.
{
  callPackage,
  mkShell,
  nix-eval-jobs,
  pyright,
}:

mkShell {
  packages = callPackage ./test-tools.nix { } ++ [
    nix-eval-jobs
    pyright
  ];
  shellHook = ''
    export PYTHONPATH=$PWD/pylib/src''${PYTHONPATH:+:$PYTHONPATH}
  '';
}
