{
  description = "Typed Python host files in, plain NixOS modules, disko configs and VM tests out";

  # What hosts use is fetched only when a host that uses it is evaluated.
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    disko = {
      url = "github:nix-community/disko";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    nixos-hardware = {
      url = "github:NixOS/nixos-hardware";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    nixos-pibox = {
      url = "github:ipetkov/nixos-pibox";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    inputs@{ self, nixpkgs, ... }:
    let
      inherit (nixpkgs) lib;
      eachSystem =
        f:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
          "aarch64-darwin"
        ] (system: f system nixpkgs.legacyPackages.${system});
    in
    {
      lib = import ./nix/lib.nix { ours = inputs; };

      overlays.default = final: _prev: { nixwright = final.callPackage ./nix/package.nix { }; };

      packages = eachSystem (
        _system: pkgs: rec {
          nixwright = pkgs.callPackage ./nix/package.nix { };
          default = nixwright;
        }
      );

      apps = eachSystem (
        system: pkgs:
        let
          exe = lib.getExe self.packages.${system}.nixwright;
          app = description: program: {
            type = "app";
            inherit program;
            meta = { inherit description; };
          };
        in
        {
          default = app "Every command of nixwright" exe;
          gen = app "Write modules/ and checks/ from host files" "${pkgs.writeShellScript "gen" ''exec ${exe} gen "$@"''}";
        }
      );

      nixosConfigurations = self.lib.nixosConfigurations { modules = ./modules; };

      checks = eachSystem (
        system: pkgs:
        self.lib.checks {
          inherit system;
          modules = ./modules;
          checks = ./checks;
          configurations = self.nixosConfigurations;
        }
        // {
          drift = self.lib.drift {
            inherit system;
            src = self;
          };
          formatted = pkgs.callPackage ./nix/formatted.nix { src = self; };
          pytest = pkgs.callPackage ./nix/pytest.nix {
            inherit nixpkgs;
            inherit (self.packages.${system}) nixwright;
            src = self;
          };
        }
      );

      # each is a check under one of its sabotages, and must fail: not among the checks
      legacyPackages = eachSystem (
        system: _pkgs: {
          sabotages = self.lib.sabotages {
            inherit system;
            modules = ./modules;
            checks = ./checks;
          };
        }
      );

      hydraJobs = self.lib.hydraJobs {
        modules = ./modules;
        checks = ./checks;
        configurations = self.nixosConfigurations;
        shared = self.checks;
      };

      devShells = eachSystem (
        system: pkgs: {
          default = pkgs.callPackage ./nix/shell.nix { };
        }
      );

      formatter = eachSystem (_system: pkgs: pkgs.nixfmt-tree);

      templates.default = {
        path = ./templates/default;
        description = "A flake of your own with one small host";
      };
    };
}
