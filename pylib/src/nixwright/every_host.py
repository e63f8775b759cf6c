"""What is proved of every host: it boots whole, another generation can take its place, and who gets in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.checks.model import BOOTS, SERVICES, Check, Difference, Node, Sabotage
from nixwright.nix.values import force
from nixwright.parts.facts import LanGateway, SshServer, WiredNetwork
from nixwright.scenarios import access, boots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.nix.values import Value
    from nixwright.parts.base import Context

CLIENT = Node("client")
_NEXT = "/etc/next-generation"
_FAILS: Value = {
    "wantedBy": ["multi-user.target"],
    "serviceConfig": {"Type": "oneshot", "ExecStart": "/run/no/such/program"},
}


def checks(context: Context) -> Iterator[Check]:
    """What holds of a host whatever its parts are."""
    yield _boots()
    if not context.layout.slots:  # a slot is replaced as a whole
        yield _switches()
    yield _users(context)
    if context.fact(SshServer) is not None and context.fact(LanGateway) is None:
        yield _firewall(context)


def interface_of(context: Context) -> str:
    """The interface that other machines of a check reach the host by: its own, else the one that every VM has."""
    wired = context.fact(WiredNetwork)
    return wired.interface if wired is not None else "eth1"


def _boots() -> Check:
    waits: dict[str, Value] = {"wantedBy": ["multi-user.target"], "script": "true"}
    return Check(
        BOOTS,
        "it boots to multi-user with no failed unit and no ordering cycle",
        boots.comes_up,
        sabotages=[
            Sabotage("failed-unit", "a unit fails at boot", {"systemd.services.broken": _FAILS}),
            Sabotage(
                "ordering-cycle",
                "two units wait for each other",
                {
                    "systemd.services.one": waits | {"after": ["two.service"]},
                    "systemd.services.two": waits | {"after": ["one.service"]},
                },
            ),
        ],
    )


def _switches() -> Check:
    name = _NEXT.removeprefix("/etc/")
    other = "specialisation.next.configuration"
    return Check(
        BOOTS,
        "a second generation switches and rolls back",
        boots.switches,
        {"marker": _NEXT},
        differences=[Difference("a second generation, to switch to", {f'{other}.environment.etc."{name}".text': "\n"})],
        sabotages=[
            Sabotage(
                "next-fails", "a unit of the second generation fails", {f"{other}.systemd.services.broken": _FAILS}
            )
        ],
    )


def _users(context: Context) -> Check:
    sabotages = [Sabotage("another-user", "somebody else has an account", {"users.users.mallory.isNormalUser": True})]
    admin = next((u.name for u in context.users if "wheel" in u.groups), None)
    if admin is not None:
        groups = {f"users.users.{admin}.extraGroups": force([])}
        sabotages.append(Sabotage("no-groups", f"{admin} is in no group", groups))
    return Check(
        SERVICES,
        "its users are those of the description, with their groups and no others",
        access.users_are,
        {"users": {u.name: list(u.groups) for u in context.users}},
        container=True,
        sabotages=sabotages,
    )


def _firewall(context: Context) -> Check:
    return Check(
        SERVICES,
        "the firewall lets SSH in, and nothing that nobody asked for",
        access.only_these_ports,
        {"interface": interface_of(context), "tcp": [s.port for s in context.all(SshServer)]},
        nodes=[CLIENT],
        container=True,
        sabotages=[
            Sabotage(
                "ports-open",
                "the firewall lets everything in",
                {"networking.firewall.allowedTCPPortRanges": [{"from": 1, "to": 65535}]},
            )
        ],
    )
