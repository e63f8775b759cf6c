# The Python package as an application, with nix-eval-jobs at hand.
{
  lib,
  python3Packages,
  nix-eval-jobs,
}:

let
  inherit (lib.importTOML ../pylib/pyproject.toml) project;
in
python3Packages.buildPythonApplication {
  pname = project.name;
  inherit (project) version;
  pyproject = true;

  src = lib.fileset.toSource {
    root = ../pylib;
    fileset = lib.fileset.unions [
      ../pylib/pyproject.toml
      ../pylib/src
    ];
  };

  build-system = [ python3Packages.hatchling ];
  dependencies = [
    python3Packages.jsonschema
    python3Packages.libcst
    python3Packages.pydantic
  ];

  makeWrapperArgs = [
    "--prefix"
    "PATH"
    ":"
    (lib.makeBinPath [ nix-eval-jobs ])
  ];

  # The tests are a check of the flake: they need hosts/ and modules/ too.
  doCheck = false;
  pythonImportsCheck = [ "nixwright" ];

  meta = {
    inherit (project) description;
    license = lib.licenses.mit;
    mainProgram = "nixwright";
  };
}
