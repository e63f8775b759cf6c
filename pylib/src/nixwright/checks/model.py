"""What a check is: machines, a scenario that runs on them, and the sabotages under which it must fail.

A check of a host is one NixOS test. Several parts may have a say in one: what they bring under one `name` runs one
after another on the same machines, in one boot. Each has a sentence of its own (`proves`) that the log shows.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import (
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from nixwright.errors import Mistake
from nixwright.options.settings import parse_path
from nixwright.record import record

if TYPE_CHECKING:
    from nixwright.nix.values import Value

    _Settings: TypeAlias = Mapping[str, Value]
    _Plain: TypeAlias = bool | int | float | str | Sequence["_Plain"] | Mapping[str, "_Plain"] | None
else:
    _Settings = Mapping[str, Any]  # what the values may be, Nix knows
    _Plain = Any

# What any part can prove of the host in its VM without its disks, or in a container, joins one of these.
BOOTS = "boots"  # a VM: a kernel, stage 1, generations
SERVICES = "services"  # containers: what runs, and what others on the network see
TOLD = "told"  # a VM: a device is told who it is, and runs what it is told

MACHINE = "machine"  # the node that is the host itself; its log and shell say the host's own name
NOT_AS_DESCRIBED = "is not as described"  # how the assertions end that a check's `holds` are made into
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_NODE = re.compile(r"[a-z][a-z0-9]{0,20}")


@record
class Difference:
    """Something in which the host's machine differs from the host, and why.

    `settings` maps attribute paths to values (with `nix.values.force` where they must win); `without` names generated
    modules of the host that are left out ("board", "remote-unlock"), `instead` those that the settings speak in place
    of: a check that keeps such a module has not the difference.
    """

    why: str
    settings: _Settings = field(default_factory=dict)
    without: Sequence[str] = ()
    _: KW_ONLY
    instead: Sequence[str] = ()

    def wrong(self) -> Iterator[Mistake]:
        """A difference without a reason, or without effect."""
        yield from _reason(self.why, "why")
        yield from _paths(self.settings)
        if not self.settings and not self.without:
            yield Mistake("settings", "differs in nothing", "", "settings, or modules that are left out", "")


@record
class Node:
    """A machine beside the host's: a client, a router, an access point. `settings` are NixOS options."""

    name: str
    settings: _Settings = field(default_factory=dict)

    def wrong(self) -> Iterator[Mistake]:
        """A name that is no Python name, or the host's own."""
        if not _NODE.fullmatch(self.name) or self.name == MACHINE:
            allowed = f"a-z and 0-9, not {MACHINE}, which is the host itself"
            yield Mistake("name", "is no name for a node", repr(self.name), allowed, 'Node("client")')
        yield from _paths(self.settings)


@record
class Sabotage:
    """A small change that breaks what the check proves. Under it the check must fail, or it proves nothing.

    `settings` are for the node `node`; `without` names generated modules of the host that are left out. With `judged`
    "evaluation" the check's `holds` must catch it, and no machine boots.
    """

    name: str
    why: str
    settings: _Settings = field(default_factory=dict)
    _: KW_ONLY
    without: Sequence[str] = ()
    node: str = MACHINE
    judged: Literal["run", "evaluation"] = "run"

    def wrong(self) -> Iterator[Mistake]:
        """A name that is none, a sabotage without effect."""
        if not _NAME.fullmatch(self.name):
            yield Mistake("name", "is no name of a sabotage", repr(self.name), "a-z, 0-9 and -", '"password-login"')
        yield from _reason(self.why, "why")
        yield from _paths(self.settings)
        if not self.settings and not self.without:
            yield Mistake("settings", "breaks nothing", "", "settings, or modules that are left out", "")


@record
class Check:
    """One thing that is proved of a host.

    `scenario` is a typed function: its positional parameters are nodes, by their names (`machine` is the host's), what
    stands behind a `*` are `values`. `holds` maps option paths to the values that the host's machine must evaluate to:
    a sabotage can be judged by that without a boot. A part's `differences` are those that only this check needs;
    `keeps` names generated modules that a VM of this host has not otherwise, `only` those that it has in place of all.
    A check that starts `after` another of the host starts its machines itself, from what that one left: where, its
    scenario is told by `after`.
    """

    name: str
    proves: str
    scenario: Callable[..., None] | None = None
    values: Mapping[str, _Plain] = field(default_factory=dict)
    _: KW_ONLY
    holds: _Settings = field(default_factory=dict)
    nodes: Sequence[Node] = ()
    differences: Sequence[Difference] = ()
    keeps: Sequence[str] = ()
    only: Sequence[str] = ()
    container: bool = False
    after: str = ""
    sabotages: Sequence[Sabotage] = ()

    def wrong(self) -> Iterator[Mistake]:
        """A check that checks nothing, or one whose scenario asks for what it does not bring."""
        if not _NAME.fullmatch(self.name):
            allowed = "up to 41 of a-z, 0-9 and -, the first a letter"
            yield Mistake("name", "is no name of a check", repr(self.name), allowed, '"network"')
        yield from _reason(self.proves, "proves")
        yield from _paths(self.holds, "holds")
        if self.scenario is None and not self.holds:
            yield Mistake("scenario", "checks nothing", "", "a scenario, or options that must hold", "")
        if self.scenario is not None:
            yield from self._wants()
        known = {MACHINE, *(n.name for n in self.nodes)}
        for index, sabotage in enumerate(self.sabotages):
            if sabotage.node not in known:
                allowed = ", ".join(sorted(known))
                yield Mistake(f"sabotages[{index}].node", "there is no such node", repr(sabotage.node), allowed, "")
            if sabotage.judged == "evaluation" and not self.holds:
                what = "nothing here can be judged by evaluation"
                yield Mistake(f"sabotages[{index}].judged", what, "evaluation", "a check with holds={...}", "")

    def _wants(self) -> Iterator[Mistake]:
        """What the scenario asks for, and what it is given."""
        wanted = inspect.signature(self.scenario or (lambda: None)).parameters.values()
        named = {p.name for p in wanted if p.kind is inspect.Parameter.KEYWORD_ONLY}
        needed = {p.name for p in wanted if p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is p.empty}
        given = {*self.values, *(["after"] if self.after else [])}
        for name in sorted(needed - given):
            yield Mistake("values", "the scenario needs one that is missing", name, ", ".join(sorted(named)), "")
        for name in sorted(set(self.values) - named):
            yield Mistake("values", "the scenario takes no such value", name, ", ".join(sorted(named)), "")
        if self.scenario is not None and not self.scenario.__name__.isidentifier():
            yield Mistake("scenario", "has no name", self.scenario.__name__, "a function of a module", "")

    @property
    def machines(self) -> tuple[str, ...]:
        """The nodes that the scenario takes, by name."""
        if self.scenario is None:
            return ()
        parameters = inspect.signature(self.scenario).parameters.values()
        return tuple(p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one check of a host without Nix: plain data, as the runner lists it."""

    host: str
    name: str
    proves: tuple[tuple[str, str], ...]  # who says so (a part's class, or "Host"), and what
    sabotages: tuple[tuple[str, str, str, str], ...]  # name, why, "run" or "evaluation", equal where it shows the same
    machines: int
    container: bool  # systemd-nspawn: no KVM, but a builder with uid-range
    same: str  # equal for checks of several hosts that differ by the host's own name and ids alone

    @property
    def attribute(self) -> str:
        """The name of the check among the flake's outputs."""
        return f"{self.host}-{self.name}"


def _reason(text: str, name: str) -> Iterator[Mistake]:
    if not text.strip() or "\n" in text:
        yield Mistake(name, "is no sentence", repr(text), "one line that says why", "")


def _paths(settings: Mapping[str, object], name: str = "settings") -> Iterator[Mistake]:
    for text in settings:
        try:
            parse_path(text)
        except ValueError as error:
            yield Mistake(f"{name}.{text}", f"is no attribute path: {error}", repr(text), "services.openssh.enable", "")
