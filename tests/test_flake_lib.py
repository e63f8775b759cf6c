"""The functions for other flakes, with stand-ins for nixpkgs and inputs: what is read, touched and said."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from programs import need

LIB = Path(__file__).parent.parent / "nix" / "lib.nix"

# nixosSystem gives back what it was called with; a check, what it would be built from. Touching `boom` throws.
STAND_INS = """
let
  boom = throw "an input that no host named was fetched";
  nixpkgs = {
    lib = {
      mkDefault = x: { default = x; };
      nixosSystem = { modules }: {
        inherit modules;
        config.system.build.toplevel.drvPath = "/toplevel/${toString (builtins.length modules)}";
      };
    };
    legacyPackages = builtins.listToAttrs (map (system: { name = system; value = {
      runCommand = name: env: script: { inherit name env script; };
      appendOverlays = overlays: { testers.runNixOSTest = test: {
        name = "a-test"; inherit system; drvPath = "/a.drv"; outPath = "/a"; requiredSystemFeatures = [ "kvm" ];
        config = { inherit overlays test; };
        nodes = { machine.virtualisation.memorySize = 2048; client = { }; };
        driver = "a driver"; driverInteractive = boom; containers = { };
      }; };
    }; }) [ "x86_64-linux" "aarch64-darwin" ]);
  };
  disko.nixosModules = { default = "disko's module"; disko = boom; };
  nixos-pibox = { nixosModules.default = "pibox's module"; overlays.default = "pibox's overlay"; };
  nixos-hardware.nixosModules.raspberry-pi-4 = "the Pi's module";
  ours = { inherit nixpkgs disko nixos-pibox nixos-hardware; self = boom; unused = boom; };
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    hosts = {
        "pibox": '{ system = "aarch64-linux"; inputs = [ "disko" "nixos-pibox" "nixos-hardware.raspberry-pi-4" ]; }',
        "vm": '{ system = "x86_64-linux"; inputs = [ ]; }',
    }
    for name, host in hosts.items():
        (tmp_path / "modules" / name).mkdir(parents=True)
        (tmp_path / "modules" / name / "host.nix").write_text(host)
        (tmp_path / "modules" / name / "default.nix").write_text("{ }")
    (tmp_path / "modules" / "notes").mkdir()
    (tmp_path / "checks" / "pibox").mkdir(parents=True)
    (tmp_path / "checks" / "pibox" / "unlock.nix").write_text("{ }")
    (tmp_path / "checks" / "pibox" / "unlock.py").write_text("")
    return tmp_path


def evaluate(expression: str) -> subprocess.CompletedProcess[str]:
    need("nix-instantiate")
    text = f"{STAND_INS} lib = import {LIB} {{ inherit ours; }}; in {expression}"
    command = ["nix-instantiate", "--eval", "--strict", "--json", "-E", text]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def value(expression: str) -> object:
    done = evaluate(expression)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_host_gets_its_system_its_modules_and_what_its_inputs_bring(tree: Path) -> None:
    configurations = f"lib.nixosConfigurations {{ modules = {tree}/modules; }}"
    assert value(
        f"builtins.mapAttrs (_: c: map (m: if builtins.isPath m then toString m else m) c.modules) ({configurations})"
    ) == {
        "pibox": [
            "disko's module",
            "pibox's module",
            "the Pi's module",
            {"nixpkgs": {"hostPlatform": {"default": "aarch64-linux"}, "overlays": ["pibox's overlay"]}},
            f"{tree}/modules/pibox",
        ],
        "vm": [
            {"nixpkgs": {"hostPlatform": {"default": "x86_64-linux"}, "overlays": []}},
            f"{tree}/modules/vm",
        ],
    }


def test_the_names_of_the_hosts_touch_no_input(tree: Path) -> None:
    flake = f"(import {LIB} {{ ours = {{ nixpkgs = boom; disko = boom; }}; }})"
    assert value(f"builtins.attrNames ({flake}.nixosConfigurations {{ modules = {tree}/modules; }})") == ["pibox", "vm"]


def test_a_host_that_names_no_input_touches_none(tree: Path) -> None:
    mine = "{ disko = boom; nixos-pibox = boom; nixos-hardware = boom; }"
    made = f"lib.nixosConfigurations {{ inputs = {mine}; modules = {tree}/modules; }}"
    assert value(f"builtins.length ({made}).vm.modules") == 2
    assert "an input that no host named" in evaluate(f"({made}).pibox.modules").stderr


def test_the_callers_input_stands_before_ours(tree: Path) -> None:
    mine = '{ disko.nixosModules.default = "my disko"; }'
    made = f"lib.nixosConfigurations {{ inputs = {mine}; modules = {tree}/modules; }}"
    assert value(f"builtins.head ({made}).pibox.modules") == "my disko"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("wifi", "host odd needs the flake input wifi: add it to the inputs of your flake"),
        ("nixos-hardware.pi5", "host odd needs nixosModules.pi5 of the flake input nixos-hardware"),
        ("nixos-hardware", "host odd needs nixosModules.default of the flake input nixos-hardware"),
    ],
)
def test_an_input_that_is_not_there_is_named(tree: Path, wanted: str, said: str) -> None:
    (tree / "modules" / "odd").mkdir()
    (tree / "modules" / "odd" / "host.nix").write_text(f'{{ system = "x86_64-linux"; inputs = [ "{wanted}" ]; }}')
    done = evaluate(f"(lib.nixosConfigurations {{ modules = {tree}/modules; }}).odd.modules")
    assert done.returncode == 1
    assert said in done.stderr


def checks(tree: Path, system: str) -> str:
    return f'lib.checks {{ modules = {tree}/modules; checks = {tree}/checks; system = "{system}"; }}'


def test_checks_are_that_each_host_evaluates_and_its_own_tests(tree: Path) -> None:
    made = checks(tree, "x86_64-linux")
    assert value(f"builtins.attrNames ({made})") == ["host-pibox", "host-vm", "pibox-unlock"]
    assert value(f"({made}).host-pibox.env.toplevel") == "/toplevel/5"
    plain = 'removeAttrs c.test [ "_module" ] // { imports = map toString c.test.imports; }'
    unlock = value(f"let c = ({made}).pibox-unlock.config; in c // {{ test = {plain}; }}")
    assert unlock == {
        "overlays": ["pibox's overlay"],
        # the Pi's own module is no thing for a VM
        "test": {
            "imports": [f"{tree}/checks/pibox/unlock.nix"],
            "defaults": {"imports": ["disko's module", "pibox's module"]},
        },
    }


def test_a_check_is_a_derivation_that_keeps_nothing_but_words(tree: Path) -> None:
    made = f"({checks(tree, 'x86_64-linux')}).pibox-unlock"
    words = "inherit (c) type name system drvPath outputName outputs requiredSystemFeatures mib driver;"
    assert value(f"let c = {made}; in {{ {words} same = c.out.drvPath; to = c.outPath; }}") == {
        "type": "derivation",
        "name": "a-test",
        "system": "x86_64-linux",
        "drvPath": "/a.drv",
        "to": "/a",
        "outputName": "out",
        "outputs": ["out"],
        "requiredSystemFeatures": ["kvm"],
        "mib": 2048 + 128 + 1024 + 128,
        "driver": "a driver",
        "same": "/a.drv",
    }


def test_what_the_caller_has_already_is_taken(tree: Path) -> None:
    mine = '{ x86_64-linux = { pibox-unlock = "shared"; drift = "no check of a host"; }; }'
    made = f"lib.hydraJobs {{ modules = {tree}/modules; checks = {tree}/checks; shared = {mine}; }}"
    assert value(f"({made}).x86_64-linux.pibox-unlock") == "shared"
    assert value(f"builtins.attrNames ({made}).x86_64-linux") == ["host-pibox", "host-vm", "pibox-unlock"]
    own = '{ vm.config.system.build.toplevel.drvPath = "/mine"; }'
    checks_ = f'lib.checks {{ modules = {tree}/modules; system = "x86_64-linux"; configurations = {own}; }}'
    assert value(f"({checks_}).host-vm.env.toplevel") == "/mine"


def test_a_check_may_start_from_what_another_of_its_host_left(tree: Path) -> None:
    (tree / "checks" / "pibox" / "later.nix").write_text("{ outputOf, ... }: { }")
    made = checks(tree, "x86_64-linux")
    other = f'(({made}).pibox-later.config.test._module.args.outputOf "unlock").config.test.imports'
    assert value(f"map toString {other}") == [f"{tree}/checks/pibox/unlock.nix"]


def test_no_vm_tests_on_darwin(tree: Path) -> None:
    assert value(f"builtins.attrNames ({checks(tree, 'aarch64-darwin')})") == ["host-pibox", "host-vm"]


def test_checks_of_a_host_that_went_away_are_an_error(tree: Path) -> None:
    (tree / "checks" / "gone").mkdir()
    done = evaluate(f"builtins.attrNames ({checks(tree, 'x86_64-linux')})")
    assert done.returncode == 1
    assert "checks for hosts that modules/ has not: gone" in done.stderr


def test_a_flake_without_modules_or_checks_has_no_hosts(tmp_path: Path) -> None:
    assert value(f"lib.nixosConfigurations {{ modules = {tmp_path}/modules; }}") == {}
    assert value(f'lib.checks {{ modules = {tmp_path}/modules; system = "x86_64-linux"; }}') == {}


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Two hosts whose check is the same but for their names and ids, and one whose module is another."""
    for name, number, level in (("attic", "1", "low"), ("cellar", "2", "low"), ("garage", "3", "high")):
        modules, own = tmp_path / "modules" / name, tmp_path / "checks" / name
        (own / "sabotages").mkdir(parents=True)
        modules.mkdir(parents=True)
        (modules / "host.nix").write_text('{ system = "x86_64-linux"; }')
        (modules / "INSTALL.md").write_text(f"of {number} alone")
        (modules / "disko.nix").write_text(f'{{ disk = "{number}"; }}')
        text = f'# Generated by nixwright from hosts/{name}.py; sha256:{number}\n{{\n  hostId = "{number}";\n'
        (modules / "default.nix").write_text(f'{text}  hostName = "{name}";\n  level = "{level}";\n}}\n')
        left_out = f"[\n    ../../modules/{name}/disko.nix\n  ]"
        (own / "boots.nix").write_text(f'{{\n  name = "{name}-boots";\n  disabledModules = {left_out};\n}}\n')
        (own / "boots.py").write_text("start_all()\n")
        (own / "sabotages" / "boots.nix").write_text('{ broken = "a module that breaks it"; }')
    return tmp_path


def test_a_check_that_is_the_same_for_two_hosts_is_there_once(fleet: Path) -> None:
    tests = [n for n in value(f"builtins.attrNames ({checks(fleet, 'x86_64-linux')})") if not n.startswith("host-")]  # type: ignore[attr-defined]
    assert tests == ["attic-boots", "garage-boots"]


@pytest.mark.parametrize("file", ["modules/cellar/default.nix", "checks/cellar/boots.nix", "checks/cellar/boots.py"])
def test_a_check_that_differs_is_there_for_both(fleet: Path, file: str) -> None:
    path = fleet / file
    path.write_text(path.read_text() + "# something else\n")
    assert "cellar-boots" in value(f"builtins.attrNames ({checks(fleet, 'x86_64-linux')})")  # type: ignore[operator]


def test_a_hydra_builds_every_check_of_every_host(fleet: Path) -> None:
    jobs = f"(lib.hydraJobs {{ modules = {fleet}/modules; checks = {fleet}/checks; }}).x86_64-linux"
    tests = [n for n in value(f"builtins.attrNames {jobs}") if not n.startswith("host-")]  # type: ignore[attr-defined]
    assert tests == ["attic-boots", "cellar-boots", "garage-boots"]


def test_a_sabotage_is_its_check_with_a_module_on_top(fleet: Path) -> None:
    made = f'lib.sabotages {{ modules = {fleet}/modules; checks = {fleet}/checks; system = "x86_64-linux"; }}'
    assert value(f"builtins.attrNames ({made})") == [f"{h}-boots-broken" for h in ("attic", "cellar", "garage")]
    imports = value(f"map toString ({made}).cellar-boots-broken.config.test.imports")
    assert isinstance(imports, list)
    assert imports[0] == f"{fleet}/checks/cellar/boots.nix"
    assert "a module that breaks it" in imports
