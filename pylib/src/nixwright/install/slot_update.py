"""The steps of an update to the slot that does not run, as data: build, sign, look, send, install, restart."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.install.plan import Action, Step
from nixwright.tools.nix_machine import FEATURES

if TYPE_CHECKING:
    from pathlib import Path

    from nixwright.tools.ssh import Remote

Data = dict[str, Any]

PLACE = "/data/update.raucb"  # on the device: what stays, and is as large as a bundle
SEND = "send"  # the step whose progress is shown
REBOOT = "systemctl reboot"


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: a certificate, and its key as a file here or a PKCS#11 address. The key is read by `rauc` alone."""

    certificate: str
    key: str


def build(host: Data, flake: str, signer: Signer, keyring: Path, bundle: Path) -> list[Step]:
    """Return the steps that make a signed bundle here, and look at it with the eyes of the device."""
    attribute = f"{flake}#nixosConfigurations.{host['name']}.config.system.build.bundle"
    content = f"{bundle}.content"
    whole = ("cp", "--recursive", "--dereference", "--no-preserve=mode", "<bundle>", content)
    sign = ("rauc", "bundle", f"--cert={signer.certificate}", f"--key={signer.key}", content, str(bundle))
    return [
        Step("build", "Build what the update is made of", (_built(attribute),)),
        Step("sign", "Sign it", (Action(("rm", "-rf", content, str(bundle))), Action(whole), Action(sign))),
        look(keyring, bundle),
    ]


def look(keyring: Path, bundle: Path) -> Step:
    """Return the step that asks whether the device would take the bundle: whole, signed by whom its keyring knows."""
    return Step(
        "look", "Look whether the device will take it", (Action(("rauc", "info", f"--keyring={keyring}", str(bundle))),)
    )


def install(remote: Remote) -> list[Step]:
    """Return the steps on the device, the bundle being there: RAUC writes the slot that does not run, and restart."""
    script = f"trap {shlex.quote(f'rm -f {PLACE}')} EXIT\nrauc install --progress {PLACE}"
    return [Step("install", "Write it to the slot that does not run", (Action(tuple(remote.argv(script))),))]


def receive(remote: Remote) -> list[str]:
    """Return the command that takes the bundle on its standard input: whole at its place, or not there."""
    return remote.argv(f"cat > {PLACE}.part\nsync {PLACE}.part\nmv {PLACE}.part {PLACE}")


def restart(remote: Remote) -> list[str]:
    """Return the command that restarts the device; the connection may end before it answers."""
    return remote.argv(REBOOT)


def other_first(remote: Remote) -> list[str]:
    """Return the command that has the other slot start next."""
    return remote.argv("rauc status mark-active other")


def _built(attribute: str) -> Action:
    return Action(("nix", *FEATURES, "build", "--no-link", "--json", attribute), keeps="bundle")
