"""What a Nix expression is made of: plain Python data, and the few things that plain data cannot say.

None, bool, int, float, str, list and dict stand for themselves. Everything else is an `Expr`. `printer` prints both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - records that hold a Value resolve it at run time
from dataclasses import dataclass
from typing import TypeAlias


class Expr:
    """A Nix expression that plain data cannot say."""

    __slots__ = ()


Value: TypeAlias = "bool | int | float | str | Sequence[Value] | Mapping[str, Value] | Expr | None"


@dataclass(frozen=True, slots=True)
class Ref(Expr):
    """A free name and what is selected from it: `pkgs.htop`, `config.services.x.y`, `lib.mkForce`."""

    path: tuple[str, ...]

    def __getattr__(self, name: str) -> Ref:
        """Select an attribute: `pkgs.htop`."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Ref((*self.path, name))

    def __getitem__(self, name: str) -> Ref:
        """Select an attribute whose name is no Python identifier: `pkgs["nix-tree"]`."""
        return Ref((*self.path, name))


config = Ref(("config",))
lib = Ref(("lib",))
pkgs = Ref(("pkgs",))
modules_path = Ref(("modulesPath",))


@dataclass(frozen=True, slots=True)
class NixPath(Expr):
    """A path literal, relative to the file it stands in: `./fan.dts`, or absolute."""

    text: str


@dataclass(frozen=True, slots=True)
class Text(Expr):
    """A string of literal text and interpolated expressions; `indented` prints it as an indented string."""

    parts: tuple[str | Expr, ...]
    indented: bool = False


@dataclass(frozen=True, slots=True)
class Apply(Expr):
    """A function applied to arguments: `lib.getExe pkgs.htop`."""

    function: Expr
    arguments: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Override(Expr):
    """A value with a priority: 50 prints `lib.mkForce`, 1000 `lib.mkDefault`, any other `lib.mkOverride n`."""

    priority: int
    value: Value


@dataclass(frozen=True, slots=True)
class Order(Expr):
    """A value with a place among others: 500 prints `lib.mkBefore`, 1500 `lib.mkAfter`, any other `lib.mkOrder n`."""

    order: int
    value: Value


@dataclass(frozen=True, slots=True)
class If(Expr):
    """`lib.mkIf condition value`."""

    condition: Value
    value: Value


@dataclass(frozen=True, slots=True)
class Merge(Expr):
    """`lib.mkMerge [ ... ]`."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Commented(Expr):
    """A value with a comment on the lines above its binding or list element."""

    comment: str
    value: Value


@dataclass(frozen=True, slots=True)
class Let(Expr):
    """`let name = value; ... in body`."""

    bindings: tuple[tuple[str, Value], ...]
    body: Value


@dataclass(frozen=True, slots=True)
class Function(Expr):
    """`{ lib, pkgs, ... }: body`; `arguments` None means: just the free names that the body uses."""

    body: Value
    arguments: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Raw(Expr):
    """Nix text as it stands, printed with a comment that says so. The last resort."""

    text: str
    free: tuple[str, ...] = ()  # the free names in it, for the function head


def force(value: Value) -> Override:
    """`lib.mkForce value`."""
    return Override(50, value)


def default(value: Value) -> Override:
    """`lib.mkDefault value`."""
    return Override(1000, value)
