"""What proves that a device becomes what it is told, and stays what it was where that is wrong or does not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.checks.model import TOLD, Check, Difference, Sabotage
from nixwright.nix.values import force, pkgs
from nixwright.scenarios import provisioned

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN_RESOLVER = Difference(
    "a container would take over the resolver of the machine that it runs on", {"networking.useHostResolvConf": False}
)


_STICK = Difference(
    "a USB stick is put in, and made there",
    {"virtualisation.qemu.options": ["-device qemu-xhci"], "environment.systemPackages": [pkgs.dosfstools]},
)


def of_provisioning(directory: str, ssh: int, seed: str, fresh: str) -> Iterator[Check]:
    """Yield the checks of a device that is told who it is by a file; `seed` and `fresh` as its program knows them."""
    unit = "systemd.services.provision-{}.serviceConfig.ExecStart"
    nothing = force("/run/current-system/sw/bin/true")
    yield Check(
        "provisioned",
        "a device becomes what it is told, and what is wrong or does not work changes nothing",
        provisioned.is_told_who_it_is,
        {"directory": directory, "ssh": ssh},
        differences=[_OWN_RESOLVER],
        container=True,
        sabotages=[
            Sabotage("no-users", "nobody of whom it is told is made", {unit.format("apply"): nothing}),
            Sabotage(
                "keys-elsewhere",
                "SSH does not look where their keys are",
                {"services.openssh.authorizedKeysFiles": force(["/etc/ssh/nobody/%u"])},
            ),
            Sabotage("no-recovery", "what a power cut left is not decided", {unit.format("recover"): nothing}),
        ],
    )
    yield Check(
        TOLD,
        "a stick tells a device who it is, and the boot partition's file does where a flash is fresh, before any stick",
        provisioned.finds_who_it_is,
        {"directory": directory, "seed": seed, "fresh": fresh},
        differences=[_STICK],
        sabotages=[Sabotage("no-first-boot", "nobody looks for a stick", {unit.format("first-boot"): nothing})],
    )
