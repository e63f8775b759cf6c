"""Which checks are meant, of those that the host files bring, and what they are called in the flake."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nixwright.errors import NixwrightError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nixwright.checks.model import Facts

EVALUATES = "evaluates"  # the check `host-NAME` of nix/lib.nix: that the host's system evaluates
_NEAR = 5  # names that are offered


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing to run: a check, or a check under one sabotage, with where it is below its output of the flake."""

    attribute: str
    host: str
    name: str
    sabotage: str = ""
    why: str = ""  # the sabotage's reason
    judged: str = "run"  # a sabotage: "run", or "evaluation" where no machine needs to boot
    proves: tuple[tuple[str, str], ...] = ()
    machines: int = 1
    container: bool = False
    sabotages: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()  # hosts whose check of the same name, or whose sabotage, would be the same

    @property
    def check(self) -> str:
        """The check's own name: `pibox-network`."""
        return self.attribute.removesuffix(f"-{self.sabotage}") if self.sabotage else self.attribute

    @property
    def script(self) -> str:
        """The file that gen wrote its scenario to; empty where it has none."""
        return f"checks/{self.host}/{self.name}.py" if self.machines else ""

    @property
    def title(self) -> str:
        """The name for people."""
        return f"{self.check} (sabotage: {self.sabotage})" if self.sabotage else self.check


def all_checks(facts: Iterable[Facts], hosts: Sequence[str], *, every: bool = False) -> list[Wanted]:
    """Return the checks of some hosts, as the flake has them: of those that would be the same, the first alone.

    `facts` are those of all hosts, or the first of several alike is not known. With `every`, each host has its own.
    """
    first: dict[tuple[str, str], Facts] = {}
    alike: dict[tuple[str, str], list[str]] = {}
    for fact in sorted(facts, key=lambda f: f.attribute):
        key = (fact.name, fact.attribute if every else fact.same)
        first.setdefault(key, fact)
        alike.setdefault(key, []).append(fact.host)
    found = [
        Wanted(
            attribute=fact.attribute,
            host=fact.host,
            name=fact.name,
            proves=fact.proves,
            machines=fact.machines,
            container=fact.container,
            sabotages=tuple(name for name, *_ in fact.sabotages),
            instead=tuple(alike[key][1:]),
        )
        for key, fact in first.items()
    ]
    found += [
        Wanted(f"host-{name}", name, EVALUATES, proves=(("Host", "its system evaluates"),), machines=0)
        for name in sorted(hosts)
    ]
    return sorted(found, key=lambda w: (w.host, w.machines, w.attribute))


def sabotaged(facts: Iterable[Facts]) -> list[Wanted]:
    """Return every check of every host under each of its sabotages.

    That a scenario with some values can fail of something is shown once: where it is the same for several hosts, of the
    first alone.
    """
    found: dict[tuple[str, str, str], Wanted] = {}
    for fact in sorted(facts, key=lambda f: f.attribute):
        for name, why, judged, same in fact.sabotages:
            key = (fact.name, name, same)
            if key in found:
                found[key] = replace(found[key], instead=(*found[key].instead, fact.host))
                continue
            found[key] = Wanted(
                attribute=f"{fact.attribute}-{name}",
                host=fact.host,
                name=fact.name,
                sabotage=name,
                why=why,
                judged=judged,
                proves=fact.proves,
                machines=fact.machines,
                container=fact.container,
            )
    return list(found.values())


def chosen(wanted: Sequence[Wanted], host: str | None, pattern: str | None) -> list[Wanted]:
    """Return those of a host whose names hold a pattern (a regular expression, or a plain part of the name).

    A whole name means that one alone. Raises NixwrightError where none is left, with the near names.
    """
    hosts = sorted({name for w in wanted for name in (w.host, *w.instead)})
    if host is not None and host not in hosts:
        near = difflib.get_close_matches(host, hosts, _NEAR, 0.4) or hosts[:_NEAR]
        raise NixwrightError(f"no host {host} has checks here: {_offer(near)}")
    of_host = [w for w in wanted if host is None or w.host == host or host in w.instead]
    if pattern is None:
        return of_host
    exact = [w for w in of_host if pattern in {w.attribute, w.title}]
    found = exact or [w for w in of_host if _matches(pattern, w.title) or _matches(pattern, w.attribute)]
    if not found:
        names = [w.title for w in of_host]
        raise NixwrightError(f"no check's name holds {pattern!r}: {_offer(_near(pattern, names))}")
    return found


def named(wanted: Sequence[Wanted], name: str) -> Wanted:
    """Return the one check of that name (`pibox-boots`). Raises NixwrightError with the near names."""
    found = next((w for w in wanted if w.attribute == name), None)
    if found is None:
        near = _near(name, [w.attribute for w in wanted])
        raise NixwrightError(f"there is no check {name}: {_offer(near)}")
    return found


def _matches(pattern: str, name: str) -> bool:
    if pattern in name:
        return True
    try:
        return re.search(pattern, name) is not None
    except re.error:  # a plain text that is no pattern
        return False


def _near(name: str, names: Sequence[str]) -> list[str]:
    """Return the nearest names: like the whole name, or like a part of it."""
    whole = difflib.get_close_matches(name, names, _NEAR, 0.5)
    parts = [n for n in names if difflib.get_close_matches(name, n.split("-"), 1, 0.6)]
    return list(dict.fromkeys([*whole, *parts]))[:_NEAR] or list(names[:_NEAR])


def _offer(names: Sequence[str]) -> str:
    return f"did you mean {', '.join(names)}?" if names else "there are none"
