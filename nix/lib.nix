# What another flake calls to make its outputs from its own committed modules/ and checks/, as `nixwright gen` wrote them.
# Only those files are read: nothing is built to be imported, and no Python runs. `ours` are the inputs of nixwright's
# flake; they stand in where the caller has none of that name. An input is touched only if a host names it.
{ ours }:

let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elemAt
    filter
    listToAttrs
    map
    mapAttrs
    match
    pathExists
    readDir
    unsafeDiscardStringContext
    ;

  # The names of a directory's entries of one type ("directory", "regular"); of a directory that is not there, none.
  entries =
    type: directory:
    let
      all = if pathExists directory then readDir directory else { };
    in
    filter (name: all.${name} == type) (attrNames all);

  # Each host of a modules/ directory: host.nix says for which system it is and which flake inputs its modules need.
  hostsIn =
    modules:
    listToAttrs (
      map (name: {
        inherit name;
        value = import (modules + "/${name}/host.nix") // {
          inherit name;
          module = modules + "/${name}";
        };
      }) (filter (name: pathExists (modules + "/${name}/host.nix")) (entries "directory" modules))
    );

  # What a host's inputs bring. "disko" is the flake's default module (options that do nothing until they are set) and,
  # where it has one, its default overlay; "nixos-hardware.raspberry-pi-4" is that one module, of the hardware's own.
  broughtBy =
    inputs: host:
    map (
      wanted:
      let
        parts = match "([^.]+)(\\.(.+))?" wanted;
        name = elemAt parts 0;
        module = elemAt parts 2;
        flake =
          inputs.${name}
            or (throw "nixwright: host ${host.name} needs the flake input ${name}: add it to the inputs of your flake");
        key = if module == null then "default" else module;
      in
      {
        module =
          flake.nixosModules.${key}
            or (throw "nixwright: host ${host.name} needs nixosModules.${key} of the flake input ${name}, which has none of that name");
        hardware = module != null;
        overlays = if module == null && flake ? overlays.default then [ flake.overlays.default ] else [ ];
      }
    ) (host.inputs or [ ]);

  nixosConfigurations =
    {
      inputs ? { },
      modules,
    }:
    let
      all = ours // inputs;
    in
    mapAttrs (
      _: host:
      let
        brought = broughtBy all host;
      in
      all.nixpkgs.lib.nixosSystem {
        modules = map (b: b.module) brought ++ [
          {
            nixpkgs.hostPlatform = all.nixpkgs.lib.mkDefault host.system;
            nixpkgs.overlays = concatMap (b: b.overlays) brought;
          }
          host.module
        ];
      }
    ) (hostsIn modules);

  # For each host a check `host-NAME`: that its system evaluates (it is not built). For each checks/HOST/CHECK.nix, a
  # NixOS test whose nodes have what that host's inputs bring, less the hardware's, a check `HOST-CHECK`; on Linux alone,
  # where VMs run.
  checks =
    {
      inputs ? { },
      modules,
      checks ? null,
      system,
    }:
    let
      all = ours // inputs;
      hosts = hostsIn modules;
      configurations = nixosConfigurations { inherit inputs modules; };
      evaluates = map (name: {
        name = "host-${name}";
        value = all.nixpkgs.legacyPackages.${system}.runCommand "host-${name}" {
          toplevel = unsafeDiscardStringContext configurations.${name}.config.system.build.toplevel.drvPath;
        } ''echo "$toplevel" > "$out"'';
      }) (attrNames hosts);
      vmTests =
        host:
        let
          brought = broughtBy all hosts.${host};
          pkgs = all.nixpkgs.legacyPackages.${system}.appendOverlays (concatMap (b: b.overlays) brought);
          files = filter (file: match ".*\\.nix" file != null) (entries "regular" (checks + "/${host}"));
        in
        map (file: {
          name = "${host}-${elemAt (match "(.*)\\.nix" file) 0}";
          value = pkgs.testers.runNixOSTest {
            imports = [ (checks + "/${host}/${file}") ];
            defaults.imports = map (b: b.module) (filter (b: !b.hardware) brought);
          };
        }) files;
      linux = match ".*-linux" system != null;
      tested =
        if checks == null || !linux then
          [ ]
        else
          filter (host: hosts ? ${host}) (entries "directory" checks);
      homeless =
        if checks == null then [ ] else filter (host: !(hosts ? ${host})) (entries "directory" checks);
    in
    if homeless != [ ] then
      throw "nixwright: checks/ has checks for hosts that modules/ has not: ${concatStringsSep ", " homeless}"
    else
      listToAttrs (evaluates ++ concatLists (map vmTests tested));

  # A check that modules/ and checks/ are what gen writes from hosts/*.py of `src`.
  drift =
    {
      inputs ? { },
      system,
      src,
    }:
    (ours // inputs).nixpkgs.legacyPackages.${system}.runCommand "drift"
      { nativeBuildInputs = [ ours.self.packages.${system}.nixwright ]; }
      ''
        cd ${src}
        PYTHONDONTWRITEBYTECODE=1 nixwright gen --check hosts/*.py
        touch "$out"
      '';
in
{
  inherit nixosConfigurations checks drift;
}
