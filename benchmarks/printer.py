"""The printer against json.dumps of the same tree, and against nix-manipulator where that is installed.

Run it: `python benchmarks/printer.py`. It prints ratios of the best of several rounds, measured in turns in one run,
and exits with 1 where one misses its aim.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nixwright.nix.printer import print_expr

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTS, ROUNDS = 300, 9
JSON_AIM, MANIPULATOR_AIM = 12.0, 10.0


def tree(hosts: int) -> dict[str, Any]:
    """Return plain data of the shape that modules have: short strings, small sets, a few lists, one text a host."""
    return {
        f"host{number}": {
            "networking": {
                "hostName": f"host{number}",
                "hostId": f"{number:08x}",
                "firewall": {"enable": True, "allowedTCPPorts": [22, 80, 443, 9999]},
            },
            "services": {
                "openssh": {"enable": True, "settings": {"PasswordAuthentication": False, "PermitRootLogin": "no"}},
                "zfs": {"autoScrub": {"enable": True, "interval": "monthly"}},
            },
            "boot": {
                "kernelParams": ["console=ttyS0,115200", "console=tty0"],
                "loader": {"timeout": 5, "systemd-boot": {"enable": True}},
                "initrd": {"availableKernelModules": ["ahci", "xhci_pci", "nvme", "usb_storage"]},
            },
            "environment": {"etc": {"motd": {"text": "Welcome to this machine.\nBe nice to it.\n"}}},
            "users": {"users": {"ivan": {"isNormalUser": True, "uid": 1000, "extraGroups": ["wheel", "video"]}}},
            "fileSystems": {
                "/": {"device": "tank/local/root", "fsType": "zfs", "options": ["zfsutil"]},
                "/nix": {"device": "tank/local/nix", "fsType": "zfs"},
            },
        }
        for number in range(hosts)
    }


def best(programs: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the best time of each in seconds, one of each in every round."""
    found = dict.fromkeys(programs, float("inf"))
    for _ in range(rounds):
        for name, program in programs.items():
            start = time.perf_counter()
            program()
            found[name] = min(found[name], time.perf_counter() - start)
    return found


def manipulator(data: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """Return nix-manipulator's ways to text: from the same data, and from its own tree made before; none without it."""
    try:
        NixList = import_module("nix_manipulator.expressions.list").NixList  # noqa: N806 - a class
        AttributeSet = import_module("nix_manipulator.expressions.set").AttributeSet  # noqa: N806
    except ImportError:
        return {}

    def lowered(value: Any) -> Any:
        if isinstance(value, dict):
            return AttributeSet.from_dict({name: lowered(inner) for name, inner in value.items()})
        return NixList(value=[lowered(inner) for inner in value]) if isinstance(value, list) else value

    made = lowered(data)
    return {"nix-manipulator": lambda: lowered(data).rebuild(), "its rebuild() alone": made.rebuild}


def main() -> int:
    """Measure, print, and return the exit status."""
    data = tree(HOSTS)
    ours: dict[str, Callable[[], object]] = {
        "print_expr": partial(print_expr, data),
        "json.dumps": lambda: json.dumps(data),
    }
    others = manipulator(data)
    times = best(ours | others, 3 if others else ROUNDS)
    mine = times["print_expr"]
    print(f"{HOSTS} hosts, {len(print_expr(data)):,} characters")
    for name, seconds in times.items():
        ratio = mine / seconds
        said = f"takes {ratio:.1f} times that" if ratio > 1 else f"is {1 / ratio:.1f} times as fast"
        print(f"{name:20} {seconds * 1e3:8.1f} ms" + (f": print_expr {said}" if seconds != mine else ""))
    if not others:
        print("nix-manipulator is not installed: not compared")
    missed = mine / times["json.dumps"] >= JSON_AIM or times.get("nix-manipulator", 1e9) / mine < MANIPULATOR_AIM
    print(f"aims: under {JSON_AIM:g} times json.dumps, {MANIPULATOR_AIM:g} times as fast as nix-manipulator: ", end="")
    print("missed" if missed else "met")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
