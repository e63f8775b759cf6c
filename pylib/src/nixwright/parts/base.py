"""What a part is, and what it may know of its host.

A part is a record (typed fields, one file) that subclasses `Part`. It lowers to settings, provides and requires facts,
and brings the checks that prove it and the install steps a person must do. It sees its host only through `Context`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from nixwright.options.settings import Setting, parse_path
from nixwright.record import field_origin
from nixwright.unseen import UnseenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nixwright.checks.model import Check, Difference
    from nixwright.errors import Mistake
    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.reference import Reference, Use
    from nixwright.runbook import Step

F = TypeVar("F", bound="Fact")


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that one part knows and another needs. Subclasses carry the values; see `nixwright.parts.facts`."""

    given_by: ClassVar[str] = "add a part or choose a board that provides it"  # the fix for a host where nobody does


@dataclass(frozen=True, slots=True)
class File:
    """A file that stands beside the generated module that uses it (`./fan.dts`)."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file of the user's own that a part's module refers to, from the host file's directory (`./updates.pem`)."""

    field: str  # where the host file names it
    path: str
    holds: str  # what must be in it, for a reader
    mark: str  # a text that is in every such file
    is_right: Callable[[str], bool]  # whether a text with the mark is such a file's


@dataclass(frozen=True, slots=True)
class Context:
    """What a part sees of its host.

    Where the host has mistakes, some of it may be unknown: a part that looks there is stopped (`nixwright.unseen`), and
    what it said before stands. Rules that have nothing to do with each other go through `independent`.
    """

    name: str
    host_id: str | None
    state_version: str
    system: str  # "aarch64-linux" or "x86_64-linux"
    layout: Layout
    users: Sequence[UserView]
    facts: Sequence[Fact]
    unsure: tuple[type[Fact], ...] = ()  # kinds of facts that something broken may provide, too
    beside: str = "."  # the host file's directory, as the generated modules see it: "../../hosts"

    def fact(self, kind: type[F]) -> F | None:
        """Return the first fact of that kind that a part of this host provides, or None."""
        found = [f for f in self.facts if isinstance(f, kind)]
        return found[0] if found else next(iter(self.all(kind)), None)

    def all(self, kind: type[F]) -> list[F]:
        """Return every fact of that kind, in the order of the host's parts."""
        if any(issubclass(kind, unsure) for unsure in self.unsure):
            raise UnseenError
        return [f for f in self.facts if isinstance(f, kind)]


@dataclass(frozen=True, slots=True)
class UserView:
    """A user as parts see it."""

    name: str
    groups: tuple[str, ...]
    ssh_keys: tuple[str, ...]
    password_file: str = ""  # where a person wrote its hash on the host's own disk; empty where it comes otherwise


class Part:
    """The base of every part and board. Subclasses are decorated with `@record`."""

    module: ClassVar[str]  # the generated file, without .nix: "fan"
    nixpkgs_modules: ClassVar[tuple[str, ...]] = ()  # of NixOS's own, beside its standard ones: below its modulesPath
    inputs: ClassVar[tuple[str, ...]] = ()  # flake inputs whose NixOS module and overlay it needs: "nixos-pibox"
    several: ClassVar[bool] = False  # whether a host may have more than one of it, each with fields of its own
    requires: ClassVar[tuple[type[Fact], ...]] = ()  # a host where nobody provides one of these is refused

    def settings(self, context: Context) -> Iterable[Setting]:
        """Lower to settings."""
        raise NotImplementedError

    def files(self, context: Context) -> Iterable[File]:
        """Files that stand beside the module."""
        return ()

    def own_files(self) -> Iterable[OwnFile]:
        """Files of the user's own that the module refers to."""
        return ()

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """Facts that other parts may need."""
        return ()

    def host_rules(self, context: Context) -> Iterable[Mistake]:
        """Rules over the whole host that this part knows: mistakes with field `Class.field` and an origin."""
        return ()

    def whole_rules(self, context: Context, said: Sequence[Setting]) -> Iterable[Mistake]:
        """Rules over all that the host says; asked where nothing is unknown, and no module is the user's own."""
        return ()

    def warnings(self, context: Context) -> Iterable[Mistake]:
        """What is allowed and may be unwanted, as `host_rules` tells what is not: gen says it, and goes on."""
        return ()

    def secrets(self) -> Iterable[tuple[Reference, Use]]:
        """References to secrets, each with what it is for."""
        return ()

    def checks(self, context: Context) -> Iterable[Check]:
        """What proves the part: see `nixwright.checks.model`."""
        return ()

    def in_vm(self, context: Context) -> Iterable[Difference]:
        """In what every VM of the host differs because of this part: hardware or keys that are not there."""
        return ()

    def steps(self, context: Context) -> Iterable[Step]:
        """Steps of the runbook."""
        return ()

    def set(self, path: str, value: Value, *, field: str = "", comment: str = "") -> Setting:
        """Return a setting of this part; `path` is a Nix attribute path, `field` the own field that it comes from."""
        name = f"{type(self).__name__}.{field}" if field else type(self).__name__
        return Setting(parse_path(path), value, field_origin(self, field), name, comment, self.module)
