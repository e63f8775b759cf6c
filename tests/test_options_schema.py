"""The shipped schema, its file, and what merges."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from nixwright.errors import ToolError
from nixwright.options.check import check
from nixwright.options.ere import translate
from nixwright.options.schema import SHIPPED, Schema
from nixwright.options.settings import Setting, parse_path
from nixwright.options.shards import count, write

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {
    "$defs": {"value": {"type": "string"}},
    "properties": {
        "top": {"type": "integer", "x-option": True},
        "services": {"properties": {"x": {"type": "string", "x-ere": "[[:digit:]]+", "x-option": True}}},
    },
}


@pytest.mark.parametrize(
    ("path", "merges"),
    [
        ("environment.systemPackages", True),
        ("systemd.services", True),
        ("systemd.services.x.script", True),  # lines
        ("boot.kernelParams", True),
        ("boot.kernel.sysctl", True),
        ("services.openssh", True),
        ("networking.hostName", False),
        ("services.openssh.enable", False),
        ("users.users.ivan.shell", False),
        ("services.openssh.settings.PermitRootLogin", False),
        ("no.such.option", False),
    ],
)
def test_what_two_modules_may_define(path: str, *, merges: bool) -> None:
    assert Schema.shipped().merges(parse_path(path)) is merges


def test_of_what_stands_in_a_unit_lists_alone_are_merged() -> None:
    for name in ("systemd.services.x.serviceConfig.Restart", "systemd.network.networks.a.dhcpV4Config.UseNTP"):
        assert Schema.shipped().merges(parse_path(name))
        assert not Schema.shipped().merges(parse_path(name), plain=True)
    assert Schema.shipped().merges(parse_path("systemd.services.x.script"), plain=True)


def test_bounds_and_patterns_are_kept() -> None:
    def node(path: str) -> dict[str, object]:
        (found,) = Schema.shipped().nodes(parse_path(path))
        return {k: v for k, v in found.items() if not k.startswith("x-")}

    assert node("services.tailscale.port") == {"type": "integer", "minimum": 0, "maximum": 65535}
    assert node("services.btrbk.niceness") == {"type": "integer", "minimum": -20, "maximum": 19}


def test_the_shipped_schema_is_whole() -> None:
    assert len(list(Schema.shipped().paths())) > 14_000
    assert SHIPPED.stat().st_size < 1_200_000


def test_a_schema_file_is_written_the_same_each_time_and_read_again(tmp_path: Path) -> None:
    first, second = tmp_path / "a.schema", tmp_path / "b.schema"
    assert write(SMALL, first) == count(SMALL) == 2
    write(json.loads(json.dumps(SMALL)), second)
    assert first.read_bytes() == second.read_bytes()
    schema = Schema.load(first)
    assert schema.nodes(("top",)) == [SMALL["properties"]["top"]]
    assert schema.nodes(("services", "x"))[0]["pattern"] == translate("[[:digit:]]+")
    assert schema.siblings(()) == {"top", "services"}


def test_a_file_that_is_no_schema_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.schema"
    bad.write_text("no schema")
    with pytest.raises(ToolError, match="it is no schema made by `nixwright schema`"):
        Schema.load(bad)
    with pytest.raises(ToolError, match="No such file"):
        Schema.load(tmp_path / "none.schema")


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        ("hardware.nvidia.branch", "production", "addons"),
        ("services.scx.scheduler", "scx_lavd", "scx"),
        ("services.home-assistant.extraComponents", ["zha"], ["no-such-component"]),
        ("services.matrix-synapse.extras", ["oidc"], ["lua5"]),
        ("services.gerrit.builtinPlugins", ["hooks"], ["no-such-plugin"]),
        ("services.music-assistant.providers", ["airplay"], ["no-such-provider"]),
        ("virtualisation.xen.store.settings.ringScanInterval", 30, 0),
    ],
)
def test_what_nixpkgs_packages_bring_is_in_the_shipped_schema(path: str, right: Any, wrong: Any) -> None:
    assert not check([Setting(parse_path(path), right, user=True)], Schema.shipped())
    (mistake,) = check([Setting(parse_path(path), wrong, user=True)], Schema.shipped())
    assert mistake.what


def test_a_group_in_a_freeform_submodule_takes_what_the_form_takes() -> None:
    """networkmanager.nix: `freeformType = ini.type`, with `connection.id` and `connection.type` as options in it."""
    schema = Schema.shipped()
    profile = ("networking", "networkmanager", "ensureProfiles", "profiles", "home")
    assert schema.nodes((*profile, "connection", "autoconnect"))
    assert schema.nodes((*profile, "wifi", "ssid"))
    assert schema.nodes((*profile, "connection", "id")) == [{"type": "string", "x-option": True}]
    assert schema.nodes((*profile, "connection", "autoconnect", "below")) == []
