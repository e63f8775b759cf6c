"""A whole module: header, head, grouping, order, comments, and what is bound twice."""

from __future__ import annotations

import pytest
from nixwright.nix.module import module_text
from nixwright.nix.values import Commented, Value, config, force, lib, pkgs

WHOLE = """\
# Fan of the host pibox, from hosts/pibox.py:44
# second line
{ lib, pkgs, ... }:
{
  imports = [ ./extra.nix ];

  boot = {
    # the kernel drives it
    initrd.systemd.enable = true;
    loader.timeout = lib.mkForce 3;
    kernelParams = [
      "a"
      "b"
    ];
  };

  networking.hostId = "feeddead";
  services.openssh.enable = true;

  # why
  environment.systemPackages = [ pkgs.htop ];
}
"""


def test_a_whole_module() -> None:
    bindings: list[tuple[tuple[str, ...], Value, str]] = [
        (("boot", "initrd", "systemd", "enable"), True, "the kernel drives it"),
        (("networking", "hostId"), "feeddead", ""),
        (("boot", "loader", "timeout"), force(3), ""),
        (("services", "openssh", "enable"), True, ""),
        (("boot", "kernelParams"), ["a", "b"], ""),
        (("environment", "systemPackages"), [pkgs.htop], "why"),
    ]
    header = "Fan of the host pibox, from hosts/pibox.py:44\nsecond line"
    assert module_text(bindings, imports=["./extra.nix"], header=header) == WHOLE
    assert module_text(iter(bindings), imports=("./extra.nix",), header=header) == WHOLE


def test_no_head_where_no_name_is_used() -> None:
    assert module_text([(("a", "b"), 1, "")]) == "{\n  a.b = 1;\n}\n"
    assert module_text([]) == "{ }\n"
    assert module_text([], header="# as it is") == "# as it is\n{ }\n"


def test_three_names_take_a_line_each() -> None:
    text = module_text([(("a",), config.a, ""), (("b",), lib.b, ""), (("c",), pkgs.c, "")])
    assert text.startswith("{\n  config,\n  lib,\n  pkgs,\n  ...\n}:\n{\n  a = config.a;\n")


def test_sets_and_paths_through_them_become_one() -> None:
    text = module_text(
        [(("a",), {"b": 1}, "of the first"), (("a", "c"), 2, ""), (("d", "e"), 3, ""), (("d",), {"f": 4}, "")]
    )
    assert (
        text
        == "{\n  a = {\n    # of the first\n    b = 1;\n    c = 2;\n  };\n\n  d = {\n    e = 3;\n    f = 4;\n  };\n}\n"
    )


def test_the_callers_dicts_are_left_alone() -> None:
    mine = {"b": 1}
    module_text([(("a",), mine, ""), (("a", "c"), 2, "")])
    assert mine == {"b": 1}


@pytest.mark.parametrize(
    "bindings",
    [
        [(("a", "b"), 1), (("a", "b"), 1)],
        [(("a",), {"x": 1}), (("a",), {"y": 1})],
        [(("a",), 1), (("a", "b"), 2)],
        [(("a", "b"), 2), (("a",), 1)],
        [(("a",), force({"b": 1})), (("a", "c"), 2)],
        [(("a",), {"b": 1}), (("a", "b"), 2)],
        [(("a",), {"b": {"c": 1}}), (("a", "b", "c", "d"), 2)],
        [(("a",), Commented("x", {"b": 1})), (("a", "b"), 2)],
    ],
)
def test_what_is_bound_twice_is_refused(bindings: list[tuple[tuple[str, ...], Value]]) -> None:
    with pytest.raises(ValueError, match="bound twice"):
        module_text([(path, value, "") for path, value in bindings])


def test_imports_are_bound_once() -> None:
    with pytest.raises(ValueError, match="imports is bound twice"):
        module_text([(("imports",), [], "")], imports=["./a.nix"])


def test_an_empty_path_and_what_no_value_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one name"):
        module_text([((), 1, "")])
    with pytest.raises(ValueError, match="NUL"):
        module_text([(("a",), 1, "b\0")])
    with pytest.raises(ValueError, match="surrogate"):
        module_text([], header="\ud800")
