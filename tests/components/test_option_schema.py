"""The exporter of option schemas, run by real Nix on a small set of options, and the check of settings against it.

Twice: with stand-ins for nixpkgs' types, written for this (tests/data/option-types.nix), on any machine with Nix; and
with nixpkgs' own types and modules where NIXWRIGHT_NIXPKGS names one. Then those types judge what the check judges.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from nixwright.options.check import check
from nixwright.options.schema import Schema
from nixwright.options.settings import Setting
from nixwright.options.shards import write
from nixwright.tools.option_schema import EXPORTER
from programs import need, nixpkgs

DATA = Path(__file__).parents[1] / "data"
OPTIONS = """{
  top = o t.bool;
  net = {
    port = o t.port;
    level = o (t.between (-20) 19);
    most = o (t.between (-9223372036854775807) 9223372036854775806);
    odd = o t.nonzero;
    share = o t.fraction;
    id = o (t.strMatching "[0-9a-f]{8}");
    kind = o (t.enum [ "a" 1 ]);
    given = lib.mkOption { type = t.str; readOnly = true; };
    script = o t.lines;
    one = o (t.unique t.int);
    directory = o t.path;
    tool = o t.package;
    call = o t.functionTo;
    perhaps = o (t.nullOr (t.either t.int (t.enum [ "auto" ])));
    names = o (t.listOf t.str);
    some = o (t.nonEmptyListOf t.str);
    free = o t.json;
    of = o (t.attrsOf (t.submodule { deep = o (t.between 1 3); }));
    tag = o (t.attrTag { left = o t.int; right = o t.str; });
  };
}"""
STAND_INS = f"""
let
  lib = import {DATA}/option-types.nix;
  t = lib.types;
  o = type: lib.mkOption {{ inherit type; }};
  options = lib.located [ ] {OPTIONS};
  config = {{ }};
in
"""
REAL = f"""
let
  lib = import NIXPKGS/lib;
  o = type: lib.mkOption {{ inherit type; }};
  real = lib.types;
  t = real // {{
    inherit (real.ints) between;
    nonzero = real.addCheck real.int (x: x != 0) // {{ name = "nonzeroInt"; }};
    fraction = real.numbers.between 0 1;
    unique = real.unique {{ message = ""; }};
    functionTo = real.functionTo real.int;
    submodule = options: real.submodule {{ inherit options; }};
    json = with real; nullOr (oneOf [ bool int float str path (attrsOf t.json) (listOf t.json) ]);
  }};
  inherit (lib.evalModules {{ modules = [ {{ options = {OPTIONS}; }} ]; }}) options config;
in
"""
KINDS = ("stand-ins", "nixpkgs")

WHOLE = {
    "top": {"type": "boolean"},
    "net.port": {"type": "integer", "minimum": 0, "maximum": 65535},
    "net.level": {"type": "integer", "minimum": -20, "maximum": 19},
    "net.most": {"type": "integer", "minimum": -(2**63) + 1, "maximum": 2**63 - 2},
    "net.odd": {"type": "integer", "not": {"const": 0}},
    "net.share": {"type": "number", "minimum": 0, "maximum": 1},
    "net.id": {"type": "string", "x-ere": "[0-9a-f]{8}"},
    "net.kind": {"enum": ["a", 1]},
    "net.given": {"type": "string", "readOnly": True},
    "net.script": {"type": "string", "x-merge": True},
    "net.one": {"type": "integer", "x-unique": True},
    "net.directory": {"type": "string", "pattern": "^/", "x-nix": "path"},
    "net.call": {"not": {}, "x-nix": "function"},
    "net.perhaps": {"anyOf": [{"type": "null"}, {"type": "integer"}, {"enum": ["auto"]}]},
    "net.names": {"type": "array", "items": {"type": "string"}},
    "net.some": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    "net.free": {"$ref": "#/$defs/valueOrNull"},
}


def nix(expression: str) -> Any:
    need("nix-instantiate")
    command = ["nix-instantiate", "--eval", "--strict", "--json", "-E", expression]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def scope(kind: str) -> str:
    """The start of an expression that binds `lib`, `options` and `config`."""
    return STAND_INS if kind == "stand-ins" else REAL.replace("NIXPKGS", str(nixpkgs()))


def export(kind: str, more: str = "") -> dict[str, Any]:
    found: dict[str, Any] = nix(f"{scope(kind)} import {EXPORTER} {{ inherit lib options config; {more} }}")
    return found


def at(schema: dict[str, Any], name: str) -> dict[str, Any]:
    node = schema
    for part in name.split("."):
        node = node["properties"][part]
    assert node["x-option"]
    return {k: v for k, v in node.items() if k != "x-option"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_type(kind: str) -> None:
    schema = export(kind)
    assert {name: at(schema, name) for name in WHOLE} == WHOLE
    assert at(schema, "net.tool")["x-nix"] == "package"
    deep = {"type": "integer", "minimum": 1, "maximum": 3, "x-option": True}
    assert at(schema, "net.of") == {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {"deep": deep},
            "additionalProperties": False,
            "x-nix": "submodule",
        },
    }
    tags = {name: node["type"] for name, node in at(schema, "net.tag")["x-tags"].items()}
    assert tags == {"left": "integer", "right": "string"}
    assert set(schema["properties"]) == {"top", "net"}
    assert schema["properties"]["net"]["additionalProperties"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_options_can_be_left_out(kind: str) -> None:
    names = {*export(kind, 'omit = [ "net.port" "top" "net.no.such" ];')["properties"]["net"]["properties"]}
    assert "level" in names
    assert "port" not in names


# A path, a value, and whether NixOS takes it.
JUDGED: list[tuple[str, Any, bool]] = [
    ("top", True, True), ("top", 1, False), ("top", None, False),
    ("net.port", 0, True), ("net.port", 65535, True), ("net.port", 65536, False), ("net.port", -1, False),
    ("net.port", "80", False), ("net.port", 80.0, False), ("net.port", True, False),
    ("net.level", -20, True), ("net.level", -21, False), ("net.level", 20, False),
    ("net.most", 2**63 - 2, True), ("net.most", 2**63 - 1, False), ("net.most", -(2**63) + 1, True),
    ("net.odd", 0, False), ("net.odd", -5, True),
    ("net.share", 0, True), ("net.share", 0.5, True), ("net.share", 1.5, False), ("net.share", "0", False),
    ("net.id", "0123abcd", True), ("net.id", "0123abcde", False), ("net.id", "0123abcg", False),
    ("net.id", "0123abcd\n", False),
    ("net.kind", "a", True), ("net.kind", 1, True), ("net.kind", "1", False), ("net.kind", True, False),
    ("net.script", "a\nb", True), ("net.script", ["a"], False),
    ("net.one", 1, True), ("net.one", None, False),
    ("net.directory", "/a", True), ("net.directory", "a", False),
    ("net.perhaps", None, True), ("net.perhaps", 7, True), ("net.perhaps", "auto", True), ("net.perhaps", "on", False),
    ("net.names", [], True), ("net.names", ["a"], True), ("net.names", [1], False), ("net.names", "a", False),
    ("net.some", ["a"], True), ("net.some", [], False),
    ("net.free", {"a": [1, None, {"b": 0.5}]}, True),
    ("net.of", {"x": {"deep": 3}}, True), ("net.of", {"x": {"deep": 4}}, False), ("net.of", {"x": {"no": 1}}, False),
    ("net.of", {"x": 1}, False),
    ("net.tag", {"left": 1}, True), ("net.tag", {"left": "1"}, False), ("net.tag", {"left": 1, "right": "a"}, False),
    ("net.tag", {"up": 1}, False),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_check_judges_by_what_was_exported(kind: str, tmp_path: Path) -> None:
    write(export(kind), tmp_path / "small.schema")
    schema = Schema.load(tmp_path / "small.schema")
    found = [(n, v, not check([Setting(tuple(n.split(".")), v, user=True)], schema)) for n, v, _ in JUDGED]
    assert [case for case, told in zip(found, JUDGED, strict=True) if case != told] == []


def test_the_types_of_nixpkgs_judge_alike() -> None:
    begin = scope("nixpkgs")
    sample = json.dumps([{"path": name.split("."), "value": value} for name, value, _ in JUDGED])
    quoted = json.dumps(sample).replace("${", "\\${")
    verdicts = nix(
        f"{begin} import {DATA}/option-judge.nix {{ inherit lib options; sample = builtins.fromJSON {quoted}; }}"
    )
    assert [case for case, verdict in zip(JUDGED, verdicts, strict=True) if case[2] is not verdict] == []
