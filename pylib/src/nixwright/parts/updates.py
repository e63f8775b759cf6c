"""Updates that survive anything: signed bundles for two slots, by RAUC, and a slot that must show that it is good."""

from __future__ import annotations

import re
from dataclasses import field as record_field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from nixwright.bounds import Ge, Le
from nixwright.checks.model import Difference
from nixwright.errors import Mistake
from nixwright.layout.paths import path_mistake
from nixwright.nix.values import Apply, NixPath, Ref, Text, config, pkgs
from nixwright.parts import health as gate
from nixwright.parts import update_client, updates_checks
from nixwright.parts.base import Context, File, OwnFile, Part
from nixwright.parts.facts import (
    ContainerUnit,
    LanGateway,
    Provisioned,
    RootOverlay,
    SlotUpdates,
    WifiNetwork,
    WiredNetwork,
)
from nixwright.parts.health import Health
from nixwright.parts.update_client import UpdateClient
from nixwright.record import field_origin, nearest, record
from nixwright.runbook import Phase, Step
from nixwright.unseen import independent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nixwright.checks.model import Check
    from nixwright.layout.model import Layout
    from nixwright.nix.values import Expr, Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

__all__ = ["Health", "UpdateClient", "Updates", "Watchdog"]  # what a host file says of updates

_COMPATIBLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~^+-]{0,127}")
_KEYRING = re.compile(r"(\./|(\.\./)+)?[A-Za-z0-9_+@-][A-Za-z0-9_+@.-]*(/[A-Za-z0-9_+@-][A-Za-z0-9_+@.-]*)*")
_CERTIFICATES = re.compile(r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL | re.ASCII)
_WORDS = "up to 128 letters, digits and . _ : / + -, no spaces"
_DEVELOPMENT = "Whoever has the development key can replace this system: its keyring is not for production.\n"
_to_string = Ref(("builtins", "toString"))


@record
class Watchdog:
    """The hardware watchdog, fed by systemd: seconds without it until the machine resets, running and rebooting."""

    runtime: Annotated[int, Ge(5), Le(600)] = 30
    reboot: Annotated[int, Ge(30), Le(3600)] = 600


@record
class Updates(Part):
    """Updates by RAUC to the slots A and B of the layout, from signed verity bundles alone.

    A bundle is for devices that are `compatible`, and signed by somebody whom the `keyring` knows: a file with
    certificates, from the host file's directory. `development_keyring` says that its key is not kept safe, and has the
    login banner say so. `version` is the system's, by which an update is newer; without one it is that of NixOS. What
    is known of the slots lies below `at`, on the device.
    """

    compatible: str
    keyring: str
    version: str | None = None
    health: Health = record_field(default_factory=Health)
    client: UpdateClient | None = None
    watchdog: Watchdog | None = None
    development_keyring: bool = False
    at: str = "/data/rauc"

    module: ClassVar[str] = "updates"

    def wrong(self) -> Iterator[Mistake]:
        """Words that RAUC or a version's order cannot take."""
        if not _COMPATIBLE.fullmatch(self.compatible):
            near = re.sub(r"[^A-Za-z0-9._:/+-]+", "-", self.compatible).lstrip("._:/+-")[:128].rstrip("-")
            fix = f'compatible="{near or "rock64-gateway"}"'
            yield Mistake("compatible", "is no name of a kind of device", repr(self.compatible), _WORDS, fix)
        if self.version is not None and not _VERSION.fullmatch(self.version):
            yield Mistake("version", "is no version", repr(self.version), "as in 1.4.0 or 1.4.0~rc1", 'version="1.4.0"')
        if not self.keyring.strip():
            what = "must be named: who may sign updates decides what runs on the device"
            yield Mistake("keyring", what, repr(self.keyring), "a file of certificates", 'keyring="./updates.pem"')
        elif not _KEYRING.fullmatch(self.keyring) and not self.keyring.startswith("/"):
            allowed = "./NAME or ../NAME, of letters, digits and _ + @ . -"
            yield Mistake("keyring", "is no clean path", repr(self.keyring), allowed, 'keyring="./updates.pem"')
        yield from path_mistake("at", self.at)

    def own_files(self) -> Iterable[OwnFile]:
        """The keyring: certificates, and no key."""
        return [OwnFile("keyring", self.keyring, "a certificate", "-----BEGIN CERTIFICATE-----", _has_certificates)]

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """Who takes which bundles."""
        return (SlotUpdates(self.compatible, self.keyring),)

    @property
    def _version(self) -> str | Expr:
        return self.version if self.version is not None else config.system.nixos.version

    def _keyring(self, context: Context) -> Expr:
        return NixPath(f"{context.beside}/{self.keyring.removeprefix('./')}")

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `services.rauc`, the health gate, the client, and what the login banner says."""
        yield from self._rauc(context)
        for name, value in gate.settings(self.health, self.at, context).items():
            yield self.set(f"systemd.services.{gate.UNIT}.{name}", value, field="health")
        held = gate.assertions(self.health)
        if held:
            yield self.set("assertions", held, field="health")
        if self.client is not None:
            own = update_client.Own(self.compatible, self._version, self._keyring(context), self.at)
            for path, value in update_client.settings(self.client, own, context).items():
                yield self.set(path, value, field="client")
        if self.watchdog is not None:
            times = {"RuntimeWatchdogSec": self.watchdog.runtime, "RebootWatchdogSec": self.watchdog.reboot}
            yield self.set("systemd.settings.Manager", times, field="watchdog")
        yield from self._banner()

    def _rauc(self, context: Context) -> Iterator[Setting]:
        yield self.set("services.rauc.enable", value=True)
        yield self.set("services.rauc.client.enable", value=True)
        yield self.set("services.rauc.compatible", self.compatible, field="compatible")
        yield self.set("services.rauc.bootloader", "uboot")
        yield self.set("services.rauc.bundleFormats", ["verity"], comment="no others, whatever RAUC takes by itself")
        yield self.set("services.rauc.slots", _slots(context.layout))
        own: Value = {
            "system": {"statusfile": f"{self.at}/status.raucs"},
            "keyring": {"path": Text((self._keyring(context),)), "use-bundle-signing-time": True},
        }
        yield self.set("services.rauc.settings", own, field="keyring")
        unit: dict[str, Value] = {
            "path": [pkgs.ubootTools],
            "unitConfig": {"RequiresMountsFor": self.at},
            "serviceConfig": {"ExecStartPre": Text((pkgs.coreutils, f"/bin/mkdir -p {self.at}"))},
        }
        yield self.set("systemd.services.rauc", unit, comment="fw_printenv and fw_setenv: the boot loader's variables")
        if self.version is not None:
            yield self.set("system.image.version", self.version, field="version")
        build = config.system.build
        content: Value = {
            "compatible": self.compatible,
            "version": self._version,
            "boot": build.bootSlot,
            "root": build.squashfs,
        }
        bundle = Apply(pkgs.callPackage, (NixPath("./bundle.nix"), content))
        yield self.set("system.build.bundle", bundle, comment="what is signed: see docs/updates.md of nixwright")

    def _banner(self) -> Iterator[Setting]:
        revision = Apply(_to_string, (config.system.configurationRevision,))
        words = [f"{self.compatible} ", self._version, ", revision ", revision, "\n"]
        if self.development_keyring:
            words.append(_DEVELOPMENT)
            yield self.set("users.motd", _DEVELOPMENT, field="development_keyring")
        line = Text(tuple(words), indented=self.development_keyring)
        yield self.set("services.getty.helpLine", line, comment="which version asks for a login")

    def files(self, context: Context) -> Iterator[File]:
        """The programs, and the bundle's expression."""
        yield _file(gate.PROGRAM)
        if self.client is not None:
            yield _file(update_client.PROGRAM)
        yield _file("bundle.nix")

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """There are slots, what is known of them stays, and the containers are there."""
        return independent(
            self._has_slots(context), self._stays(context), self._contained(context), self._asks_somebody(context)
        )

    def _has_slots(self, context: Context) -> Iterator[Mistake]:
        if not context.layout.slots and context.fact(RootOverlay) is None:  # whose part tells it
            allowed = "a disk whose table has Slots(...)"
            fix = "GPT(Slots(boot=MiB(128), root=GiB(1), start=MiB(16)), ...)"
            yield Mistake("Updates", "there are no slots to update", "", allowed, fix, field_origin(self, ""))

    def _stays(self, context: Context) -> Iterator[Mistake]:
        if context.layout.mounts and not context.layout.survives(self.at):
            what = "does not survive a boot: no slot would be known to be good"
            kept = next((m.path for m in context.layout.mounts if not m.wiped and m.path != "/"), "/data")
            fix, where = f'at="{kept.rstrip("/")}/rauc"', field_origin(self, "at")
            yield Mistake("Updates.at", what, self.at, "a path that is not wiped", fix, where)

    def _contained(self, context: Context) -> Iterator[Mistake]:
        declared = sorted(c.unit.removesuffix(".service") for c in context.all(ContainerUnit))
        for index, name in enumerate(self.health.containers):
            if name not in declared:
                what = "no such container on this host: no update would ever be good"
                near = nearest(name.removesuffix(".service"), declared)
                fix = f'"{near}"' if near else "declare it, or remove it here"
                allowed = ", ".join(declared) or "what the host file declares: it declares none"
                where = field_origin(self.health, f"containers[{index}]")
                yield Mistake(f"Health.containers[{index}]", what, repr(name), allowed, fix, where)

    def _asks_somebody(self, context: Context) -> Iterator[Mistake]:
        if self.client is not None and self.client.server is None and context.fact(Provisioned) is None:
            what, fix = "asks a server that nobody names", 'UpdateClient("https://updates.example.org")'
            allowed = "a server, or devices that are provisioned with one"
            yield Mistake("Updates.client", what, "", allowed, fix, field_origin(self, "client"))

    def whole_rules(self, context: Context, said: Sequence[Setting]) -> Iterator[Mistake]:
        """The services and interfaces that the health gate looks at are the host's."""
        containers = [c.unit.removesuffix(".service") for c in context.all(ContainerUnit)]
        yield from gate.unknown(self.health, said, containers)
        known = {n.interface for n in context.all(WiredNetwork)} | {n.interface for n in context.all(WifiNetwork)}
        known |= {name for gateway in context.all(LanGateway) for name in (gateway.wan, gateway.lan)}
        for index, name in enumerate(self.health.interfaces):
            if name not in known:
                what = "no part of this host configures it: no update would ever be good"
                near = nearest(name, known)
                fix = f'"{near}"' if near else "configure it, or remove it here"
                allowed, where = ", ".join(sorted(known)), field_origin(self.health, f"interfaces[{index}]")
                yield Mistake(f"Health.interfaces[{index}]", what, repr(name), allowed, fix, where)

    def in_vm(self, context: Context) -> Iterator[Difference]:
        """Slots and U-Boot's variables are where the checks of updates put them, and nowhere else."""
        yield Difference("there are no slots, and no boot loader's variables", without=[self.module])

    def checks(self, context: Context) -> Iterator[Check]:
        """What is installed, started, found good, or left again: see `nixwright.parts.updates_checks`."""
        if context.layout.slots:
            runtime = self.watchdog.runtime if self.watchdog is not None else None
            yield from updates_checks.checks(context, self.compatible, self.module, runtime)

    def steps(self, context: Context) -> Iterator[Step]:
        """See which slot runs, and that it was found good."""
        yield Step(
            Phase.VERIFY,
            "The slot is good",
            "After the first boot the health gate looks for a while; then the booted slot has all its tries.",
            f"systemctl status {gate.UNIT}.service --no-pager\nrauc status\nfw_printenv BOOT_ORDER BOOT_A_LEFT",
            "`boot.0 is good`, `Booted from: boot.0 (A)`, and `BOOT_A_LEFT=3`.",
        )


def _slots(layout: Layout) -> Value:
    """Return the slots for `services.rauc`: the boot partitions, and the root partitions that belong to them."""
    boot: list[Value] = []
    root: list[Value] = []
    for slot in layout.slots:
        own: Value = {"bootname": slot.name}
        boot.append({"enable": True, "device": slot.boot.device, "type": "vfat", "settings": own})
        parent: Value = {"parent": f"boot.{slot.index}"}
        root.append({"enable": True, "device": slot.root.device, "type": "raw", "settings": parent})
    return {"boot": boot, "rootfs": root}


def _has_certificates(text: str) -> bool:
    """Tell whether a text has certificates, each of them one that OpenSSL can read."""
    import ssl  # noqa: PLC0415 - only a keyring needs it

    found = _CERTIFICATES.findall(text)
    try:
        for certificate in found:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
    except (ssl.SSLError, ValueError):
        return False
    return len(found) == text.count("-----BEGIN CERTIFICATE-----")


def _file(name: str) -> File:
    return File(name, (Path(__file__).with_name("programs") / name).read_text("utf-8"))
