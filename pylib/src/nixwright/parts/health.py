"""When a booted slot is good: what must run and be reached, for how long, and the unit that looks."""

from __future__ import annotations

import re
from collections.abc import Sequence  # noqa: TC003 - records are built from their annotations
from typing import TYPE_CHECKING, Annotated

from nixwright.bounds import Ge, Le
from nixwright.errors import Mistake
from nixwright.nix.values import Apply, NixPath, Ref, Text, config, lib, pkgs
from nixwright.parts.facts import ContainerUnit, ContainerUser, Provisioned, VitalUnit
from nixwright.parts.known_units import CALLED, EVERYWHERE, is_enabled, unit_names
from nixwright.record import field_origin, nearest, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.nix.values import Expr, Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Context

UNIT = "health-gate"
PROGRAM = "health_gate.py"
RAUC = Ref(("config", "services", "rauc", "package"))
_SERVICE = re.compile(r"[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?")
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_KINDS = ("service", "socket", "target", "timer", "path")
_AT_LEISURE = 120  # seconds that the program may take beyond what it was told
_ITSELF = (UNIT, "update-client")  # the client requires the gate


@record
class Health:
    """What a host is well by: these run, these interfaces are up with an address, all of it for `sustained` seconds.

    `services` are names of units, without `.service`; `containers` are those that the host file declares. The rules of
    a gateway count, too, and that a device became what it was told to be, with what it was told to require. A slot that
    does not come to it `within` so many seconds is not marked good; with `reboot`, and another slot that once was, the
    host starts again until the boot loader takes the other.
    """

    services: Sequence[str] = ()
    interfaces: Sequence[str] = ()
    containers: Sequence[str] = ()
    sustained: Annotated[int, Ge(1), Le(3600)] = 60
    within: Annotated[int, Ge(1), Le(3600)] = 300
    reboot: bool = True

    def wrong(self) -> Iterator[Mistake]:
        """Names that are none, or that stand there twice."""
        for field, names, pattern, example in (
            ("services", self.services, _SERVICE, '"dnsmasq"'),
            ("interfaces", self.interfaces, _INTERFACE, '"lan"'),
            ("containers", self.containers, _SERVICE, '"web"'),
        ):
            for index, name in enumerate(names):
                if not pattern.fullmatch(name):
                    yield Mistake(f"{field}[{index}]", "is no name of one", repr(name), "", example)
                elif field == "services" and name.endswith(".mount"):
                    what, allowed = "is a mount: the gate looks at what needs it", ", ".join(f".{k}" for k in _KINDS)
                    yield Mistake(f"{field}[{index}]", what, repr(name), allowed, "name a service, or remove it here")
                elif name in names[:index]:
                    yield Mistake(f"{field}[{index}]", "is there twice", repr(name), "", "remove one")

    @property
    def units(self) -> list[str]:
        """The services by their units' whole names."""
        return [name if name.rpartition(".")[2] in _KINDS else f"{name}.service" for name in self.services]


def told_units(context: Context) -> str:
    """Return the file on the device that names the units that its own configuration wants to be well, in JSON."""
    told = context.fact(Provisioned)
    return f"{told.directory if told else '/data/config'}/health-required.json"


def settings(health: Health, at: str, context: Context) -> dict[str, Value]:
    """Return the unit; `at` is the directory on the device that lasts."""
    declared = {c.unit: c.user for c in context.all(ContainerUnit)}
    named = {f"{name}.service": declared.get(f"{name}.service") for name in health.containers}
    arguments: list[Expr | str] = [
        Apply(lib.getExe, (pkgs.python3,)),
        Text((NixPath(f"./{PROGRAM}"),)),
        *(f"--unit={unit}" for unit in dict.fromkeys((*health.units, *(v.name for v in context.all(VitalUnit))))),
        *(f"--unit={user}@{unit}" if user else f"--unit={unit}" for unit, user in named.items()),
        *(f"--user={name}" for name in sorted({user.name for user in context.all(ContainerUser)})),
        *(f"--interface={name}" for name in health.interfaces),
        f"--required={told_units(context)}",
        f"--good={at}/good.json",
        f"--sustained={health.sustained}",
        f"--within={health.within}",
        *(["--reboot"] if health.reboot else []),
    ]
    return {
        "description": "The booted slot is good once this host is well",
        "wantedBy": ["multi-user.target"],
        "after": ["multi-user.target", "rauc.service"],
        "wants": ["rauc.service"],
        "unitConfig": {"WantsMountsFor": at},
        "path": [RAUC, pkgs.iproute2],
        "serviceConfig": {
            "Type": "oneshot",
            "RemainAfterExit": True,
            "ExecStart": Apply(lib.concatStringsSep, (" ", arguments)),
            "TimeoutStartSec": health.sustained + health.within + _AT_LEISURE,
            "Restart": "on-failure",
            "RestartSec": "1min",
        },
    }


def assertions(health: Health) -> list[Value]:
    """What evaluation alone can tell: each service is one of this host."""
    found: list[Value] = []
    for unit in health.units:
        name, _, kind = unit.rpartition(".")
        plain, instance, _ = name.partition("@")
        there = Apply(lib.hasAttr, (plain + instance, config["systemd"][f"{kind}s"]))
        found.append({"assertion": there, "message": f"The health gate waits for {unit}, which this host has not."})
    return found


def unknown(health: Health, said: Sequence[Setting], containers: Iterable[str]) -> Iterator[Mistake]:
    """Units that nothing on the host starts, or that are over before the gate looks; `said` is all that it says.

    `containers` are the names of those that the host file declares. Of targets evaluation alone can tell.
    """
    over = {*_over(said), *_ITSELF}
    options = {s.path[1] for s in said if is_enabled(s)} - {*CALLED}
    for index, unit in enumerate(health.units):
        name, _, kind = unit.rpartition(".")
        plain, ending = name.partition("@")[0], "" if kind == "service" else f".{kind}"
        known = {n for setting in said for n in unit_names(setting, kind)} | {*EVERYWHERE}
        # what an option's module starts may have a longer name: `nginx-config-reload` of nginx
        families = {*options, "systemd"} if ending else options
        there = plain in known or any(plain.startswith(f"{n}-") for n in families)
        lasting = sorted(n for n in known if n and (ending or n not in over))
        if kind == "target" or (there and (ending or plain not in over)):
            continue
        what, fix = f"no such {kind} on this host", "turn it on, or remove it here"
        if there and plain in over:
            what = "waits for the gate itself" if plain in _ITSELF else "is over before the gate looks"
            fix = "name what stays active, or remove it here"
        elif plain in containers:
            fix = f'containers=["{plain}"]'
        elif near := nearest(CALLED.get(plain, plain), lasting):
            fix = f'"{near}{ending}"'
        yield Mistake(
            f"Health.services[{index}]",
            f"{what}: no update would ever be good",
            repr(health.services[index]),
            ", ".join(lasting),
            fix,
            field_origin(health, f"services[{index}]"),
        )


def _over(said: Iterable[Setting]) -> Iterator[str]:
    """The host's own services that are not active once they did their work."""
    found: dict[str, dict[str, Value]] = {}
    for setting in said:
        if setting.path[:2] == ("systemd", "services"):
            for path, value in _leaves(setting.path[2:], setting.value):
                found.setdefault(path[0], {})[path[-1]] = value
    for name, own in found.items():
        once = own.get("Type") == "oneshot" and own.get("RemainAfterExit") is not True
        if once or own.get("enable") is False or str(own.get("ConditionPathExists", "")).startswith("!"):
            yield name.partition("@")[0]


def _leaves(path: tuple[str, ...], value: Value) -> Iterator[tuple[tuple[str, ...], Value]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves((*path, key), inner)
    elif path:
        yield path, value
