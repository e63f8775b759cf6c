# What the tests drive and import, for the sandbox and the shell alike.
{
  lib,
  stdenv,
  python3,
  cryptsetup,
  dosfstools,
  dtc,
  e2fsprogs,
  f2fs-tools,
  git,
  gptfdisk,
  nix,
  nixfmt,
  ruff,
  shellcheck,
}:

[
  (python3.withPackages (p: [
    p.hypothesis
    p.jsonschema
    p.libcst
    p.mypy
    p.pydantic
    p.pytest
    p.pytest-xdist
    p.syrupy
  ]))
  dosfstools
  dtc
  e2fsprogs
  git
  gptfdisk
  nix
  nixfmt
  ruff
  shellcheck
]
++ lib.optionals stdenv.hostPlatform.isLinux [
  cryptsetup
  f2fs-tools
]
