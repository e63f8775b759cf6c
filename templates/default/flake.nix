{
  inputs.nixwright.url = "github:nixwright/nixwright"; # where you have it from

  outputs =
    { self, nixwright, ... }:
    let
      eachSystem = nixwright.inputs.nixpkgs.lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    {
      nixosConfigurations = nixwright.lib.nixosConfigurations { modules = ./modules; };
      checks = eachSystem (
        system:
        nixwright.lib.checks {
          inherit system;
          modules = ./modules;
          checks = ./checks;
        }
        // {
          drift = nixwright.lib.drift {
            inherit system;
            src = self;
          };
        }
      );
    };
}
