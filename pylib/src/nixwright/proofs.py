"""From a host to its checks: what holds of every host, what its parts bring, and the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright import broken_disks, every_host, own_disks, started_disks
from nixwright.checks import render
from nixwright.checks.model import Difference, Facts
from nixwright.checks.render import Machine, Owned, Test
from nixwright.nix.values import force
from nixwright.record import is_broken
from nixwright.reference import SecretFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nixwright.checks.model import Check
    from nixwright.errors import Mistake
    from nixwright.host import Host, User
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Context, Part


def gather(host: Host, parts: Sequence[Part], context: Context) -> list[Test]:
    """Return the host's checks, those of one name together."""
    found = [Owned("Host", c) for c in every_host.checks(context)]
    found += [Owned(type(p).__name__, c) for p in parts for c in p.checks(context)]
    found += [Owned("Host", c) for c in host.checks if not is_broken(c)]
    found += [Owned("Host", c) for c in of_disks(context)]
    return render.tests(o for o in found if not is_broken(o.check))


def of_disks(context: Context) -> Iterator[Check]:
    """What the disks must hold, and the host that starts from them, whole and broken: nothing of unchecked disks."""
    if own_disks.are_checked(context.layout):
        for disks in (own_disks, started_disks, broken_disks):
            yield from disks.checks(context)


def mistakes(tests: Sequence[Test]) -> Iterator[Mistake]:
    """What is wrong with the checks, seen together."""
    for test in tests:
        yield from render.mistakes(test)


def machine(
    host: Host, parts: Sequence[Part], context: Context, modules: Mapping[str, str], settings: Iterable[Setting]
) -> Machine:
    """Return the host as its checks see it; `modules` are its generated files by name."""
    names = frozenset(n.removesuffix(".nix") for n in modules if n.endswith(".nix"))
    board = "the board's own hardware is not in a VM, whose system is the builder's"
    differences = [Difference(board, without=[host.board.module])]
    if host.disks:
        differences.append(
            Difference("the VM has a disk of its own, made anew for each run", without=["disko", "storage"])
        )
    for why, instead, those in (
        ("the passwords are on the host's own disk", ["users"], [u for u in context.users if u.password_file]),
        ("the passwords are encrypted for the host alone", [], [u for u in host.users if _is_encrypted(u)]),
    ):
        passwords: dict[str, Value] = {}
        for user in those:
            passwords[f"users.users.{user.name}.hashedPasswordFile"] = force(None)
            passwords[f"users.users.{user.name}.password"] = "test"
        if passwords:
            differences.append(Difference(why, passwords, instead=instead))
    differences += [d for p in parts for d in p.in_vm(context)]
    generations = any(s.path[0] == "specialisation" for s in settings)
    without = tuple(u.name for u in host.users if u.password is None)
    return Machine(host.name, names, tuple(differences), generations=generations, no_password=without)


def _is_encrypted(user: User) -> bool:
    return user.password is not None and not isinstance(user.password, SecretFile)


def facts(host: Host, tests: Sequence[Test], machine: Machine, modules: Mapping[str, str]) -> list[Facts]:
    """Return what is known of the checks without Nix; `modules` are the host's files, without their lines of origin."""
    identity = (host.name, host.host_id or "")
    return [render.facts(test, machine, modules, identity) for test in tests]
