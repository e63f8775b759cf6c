"""Settings against the shipped schema: every kind of mistake, in the words that a user reads."""

from __future__ import annotations

import subprocess
import sys

import pytest
from nixwright.nix.values import (
    Apply,
    Commented,
    If,
    Merge,
    NixPath,
    Order,
    Override,
    Raw,
    Text,
    force,
    lib,
    pkgs,
)
from nixwright.options.check import check
from nixwright.options.schema import Schema
from nixwright.options.settings import Setting, parse_path


def told(path: str, value: object) -> list[tuple[str, str, str, str, str]]:
    found = check([Setting(parse_path(path), value, user=True)], Schema.shipped())  # type: ignore[arg-type]
    return [(m.field, m.what, m.given, m.allowed, m.fix) for m in found]


UNKNOWN = "is no option of this NixOS release"
ROOT_LOGIN = 'one of "yes", "without-password", "prohibit-password", "forced-commands-only", "no", or None'
CONTENTS = 'one of "bcachefs", "btrfs", "filesystem", "luks", "lvm_pv", "mdraid", "swap", "zfs"'
GPT = "disko.devices.disk.ssd.content.partitions.a.content"
WRONG = [
    ("services.openssh.enabled", True, UNKNOWN, "", "", "did you mean services.openssh.enable?"),
    ("services.opensh.enable", True, UNKNOWN, "", "", "did you mean services.openssh.enable?"),
    ("users.users.ivan.shel", pkgs.zsh, UNKNOWN, "", "", "did you mean users.users.ivan.shell?"),
    ("network.firewall.allowedTCPPorts", [], UNKNOWN, "", "", "did you mean networking.firewall.allowedTCPPorts?"),
    ("boot.hostName", "x", UNKNOWN, "", "", "did you mean networking.hostName?"),
    ("nope.x", 1, UNKNOWN, "", "", ""),
    ("services.openssh.enable", "yes", "has the wrong type", "'yes'", "True or False", "write True"),
    ("services.openssh.ports", 22, "has the wrong type", "22", "a list; each element a port: 0 to 65535", "write [22]"),
    ("networking.hostId", 12, "has the wrong type", "12", "text, or None", 'write "12"'),
    ("nix.settings.cores", "4", "has the wrong type", "'4'", "an integer", "write 4"),
    (
        "services.openssh.settings.PermitRootLogin",
        "never",
        "is none of the values allowed",
        "'never'",
        ROOT_LOGIN,
        "",
    ),
    ("services.openssh.settings.PermitRootLogin", False, "has the wrong type", "False", ROOT_LOGIN, 'write "no"'),
    (
        "services.openssh.permitRootLogin",
        "no",
        "has been renamed to services.openssh.settings.PermitRootLogin",
        "",
        "",
        "set services.openssh.settings.PermitRootLogin instead",
    ),
    (
        "sound.enable",
        True,
        "has been removed from NixOS",
        "",
        "",
        (
            "The option was heavily overloaded and can be removed from most configurations. "
            "To specifically configure the user space part of ALSA, see `hardware.alsa`."
        ),
    ),
    (
        "system.nixos.release",
        "26.05",
        "is read-only: NixOS sets it by itself",
        "",
        "",
        "remove it",
    ),
    (
        "services.tailscale.enable.x",
        True,
        "is no option: services.tailscale.enable has nothing below it",
        "",
        "services.tailscale.enable = True or False",
        "",
    ),
    (
        'services.nginx.virtualHosts."a.b".root',
        "var",
        "has the wrong form",
        "'var'",
        "an absolute path, or None",
        "",
    ),
    ("time.timeZone", "Europe Berlin", "has the wrong form", "'Europe Berlin'", "text, without spaces, or None", ""),
    (
        "users.users.ivan.shell",
        "zsh",
        "has the wrong form",
        "'zsh'",
        "a package, as pkgs.htop, or an absolute path, or None",
        "write pkgs.zsh",
    ),
]


@pytest.mark.parametrize(("path", "value", "what", "given", "allowed", "fix"), WRONG)
def test_a_mistake_says_what_is_wrong(  # noqa: PLR0913, PLR0917 - the lines of a message
    path: str, value: object, what: str, given: str, allowed: str, fix: str
) -> None:
    assert told(path, value) == [(path, what, given, allowed, fix)]


INSIDE = [
    ("services.openssh.ports", [22, 70000], "services.openssh.ports[1]", "is out of bounds", "a port: 0 to 65535"),
    ("services.openssh", {"enable": True, "settngs": {}}, "services.openssh.settngs", UNKNOWN, ""),
    ("fileSystems", {"/": {"neededForBot": True}}, 'fileSystems."/".neededForBot', UNKNOWN, ""),
    (
        "hardware.deviceTree.overlays",
        [{"name": "x", "dtsFil": NixPath("./fan.dts")}],
        "hardware.deviceTree.overlays[0].dtsFil",
        "is no such option",
        "dtboFile, dtsFile, dtsText, filter, name",
    ),
    (GPT, {"type": "lukss"}, f"{GPT}.type", "is none of the values allowed", CONTENTS),
    (GPT, {"name": "x"}, f"{GPT}.type", "is missing", CONTENTS),
    (
        GPT,
        {"type": "luks", "name": "x", "content": {"type": "zfs", "pol": "tank"}},
        f"{GPT}.content.pol",
        UNKNOWN,
        "",
    ),
    (
        "boot.kernel.sysctl",
        {"vm.swappiness": 1.5},
        'boot.kernel.sysctl."vm.swappiness"',
        "has the wrong type",
        "True or False, or an integer, or text, or None",
    ),
    ("environment.etc", {3: {"text": ""}}, "environment.etc", "has a name that is no text", "attribute names are text"),
]


@pytest.mark.parametrize(("path", "value", "field", "what", "allowed"), INSIDE)
def test_a_mistake_inside_a_value_is_told_at_its_place(
    path: str, value: object, field: str, what: str, allowed: str
) -> None:
    found = told(path, value)
    assert [(f[0], f[1], f[3]) for f in found] == [(field, what, allowed)]


RIGHT = [
    ("services.openssh.enable", True),
    ("services.openssh", {"enable": True, "ports": [22], "settings": {"X11Forwarding": False, "Anything": "yes"}}),
    ("users.users.ivan.shell", pkgs.zsh),
    ("users.users", {"ivan": {"isNormalUser": True, "shell": "/bin/sh"}}),
    ("environment.systemPackages", [pkgs.htop, Raw("pkgs.git")]),
    ("boot.kernelPackages", pkgs.linuxPackages),
    ("networking.hostName", force("pibox")),
    ("networking.firewall.allowedTCPPorts", Order(500, [80])),
    ("networking.firewall.allowedTCPPorts", If(Raw("true"), Commented("web", [80]))),
    ("networking.firewall.allowedTCPPorts", Merge(([80], [443]))),
    ("systemd.services.x.serviceConfig.ExecStart", Text((pkgs.htop, "/bin/htop"))),
    ("systemd.services.x.script", Text(("echo a\n",), indented=True)),
    ("hardware.deviceTree.overlays", [{"name": "fan", "dtsFile": NixPath("./fan.dts")}]),
    ("boot.kernel.sysctl", {"vm.swappiness": 1}),
    (f"{GPT}.type", "luks"),
    (GPT, {"type": "luks", "name": "x", "settings": {"keyFile": "/k", "bypassWorkqueues": True}}),
    ("boot.supportedFilesystems", ["zfs"]),
    ("boot.supportedFilesystems", {"zfs": True}),
    ("programs.bash.promptInit", Apply(lib.readFile, (NixPath("./prompt"),))),
    ("_module.args.x", 1),
]


@pytest.mark.parametrize(("path", "value"), RIGHT)
def test_what_is_right_is_taken(path: str, value: object) -> None:
    assert told(path, value) == []


@pytest.mark.parametrize(
    "wrap",
    [
        force,
        lambda v: Override(1000, v),
        lambda v: Order(500, v),
        lambda v: If(True, v),  # noqa: FBT003 - a condition
        lambda v: Merge((v,)),
        lambda v: Commented("why", v),
    ],
)
def test_a_wrapped_value_is_looked_through(wrap: object) -> None:
    assert told("services.openssh.enable", wrap("yes"))[0][1] == "has the wrong type"  # type: ignore[operator]


def test_a_path_literal_is_no_text() -> None:
    assert told("networking.hostName", NixPath("./name"))[0][2] == "the path ./name"


def test_a_secret_is_never_shown() -> None:
    (mistake,) = told("users.users.ivan.hashedPassword", "a:b")
    assert mistake[2] == "(not shown)"


def test_options_of_26_11_alone_are_refused() -> None:
    for path in (
        "services.timesyncd.settings",
        "systemd.user.settings",
        "security.polkit.settings",
        "security.polkit.enablePkexecWrapper",
        "boot.loader.systemd-boot.bootCounting.enable",
    ):
        assert told(path, {})[0][1] == UNKNOWN


def test_a_right_host_does_not_load_jsonschema() -> None:
    script = (
        "import sys\n"
        "from nixwright.options.check import check\n"
        "from nixwright.options.schema import Schema\n"
        "from nixwright.options.settings import Setting, parse_path\n"
        "given = {'users.users.x.shell': '/bin/sh', 'services.openssh.settings.PermitRootLogin': 'no',\n"
        "         'networking.hostId': None, 'nix.settings.max-jobs': 'auto', 'services.openssh.ports': [22]}\n"
        "assert not check([Setting(parse_path(p), v) for p, v in given.items()], Schema.shipped())\n"
        "print('jsonschema' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_part_is_told_by_its_own_field() -> None:
    setting = Setting(parse_path("services.openssh.ports"), 22, field="Ssh.port")
    (mistake,) = check([setting], Schema.shipped())
    assert (mistake.field, mistake.what) == ("Ssh.port", "sets services.openssh.ports, which has the wrong type")
