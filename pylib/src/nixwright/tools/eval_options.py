"""What to evaluate, as values, and the command lines that ask nix-eval-jobs (2.24 to 2.35) for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixwright.errors import Mistake, MistakeError

if TYPE_CHECKING:
    from collections.abc import Mapping

# An attribute as Nix knows it: one text for each level. `attr` in nix-eval-jobs' lines is for people only.
AttrPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flake:
    """An attribute of a flake: `ref` as on Nix' command line, `attribute` dotted and not empty.

    Without an attribute nix-eval-jobs looks at the set of inputs and outputs, finds no job in it, and says nothing.
    """

    ref: str
    attribute: str

    def __post_init__(self) -> None:
        """Refuse a flake without an attribute."""
        if not self.attribute:
            raise MistakeError(
                Mistake(
                    "Flake.attribute", "must name what holds the jobs", '""', "an attribute", '"checks.x86_64-linux"'
                ),
            )


@dataclass(frozen=True, slots=True)
class File:
    """A Nix file whose value holds the jobs."""

    path: str


@dataclass(frozen=True, slots=True)
class Expression:
    """A Nix expression whose value holds the jobs."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalOptions:
    """One evaluation.

    `workers` is a count, `memory_mib` a size in MiB (of a worker up to nix-eval-jobs 2.34, where it is looked at
    between jobs only; the budget is `workers` times it in 2.35, where a job beyond it is ended). `select` is a Nix
    function from what the source is to the set of jobs; `apply` one from a derivation to a set, which comes back as
    `extraValue`. `arguments` go to a top-level function as texts. MistakeError: numbers below 1, or options that
    exclude each other.
    """

    source: Flake | File | Expression
    workers: int = 1
    memory_mib: int = 4096
    select: str = ""
    apply: str = ""
    force_recurse: bool = False
    meta: bool = False
    cache_status: bool = False
    input_drvs: bool = False
    constituents: bool = False
    instantiate: bool = True
    impure: bool = False
    show_trace: bool = False
    gc_roots: str = ""
    arguments: Mapping[str, str] | None = None
    override_inputs: Mapping[str, str] | None = None
    nix_options: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Refuse what nix-eval-jobs would take in silence (`--workers 0` evaluates nothing, with status 0)."""
        mistakes = [
            Mistake(f"EvalOptions.{name}", "must be at least 1", str(value), "1 and more", f"{name}=1")
            for name, value in (("workers", self.workers), ("memory_mib", self.memory_mib))
            if value < 1
        ]
        if not self.instantiate:
            mistakes += [
                Mistake(f"EvalOptions.{name}", "needs derivations that are written", fix="leave out instantiate=False")
                for name in ("cache_status", "input_drvs", "constituents")
                if getattr(self, name)
            ]
        if mistakes:
            raise MistakeError(*mistakes)


# Every flag that `argv` can write, with where it comes from. Those that an old nix-eval-jobs lacks make it "too old".
_SWITCHES = {
    "force_recurse": "--force-recurse",
    "meta": "--meta",
    "cache_status": "--check-cache-status",
    "input_drvs": "--show-input-drvs",
    "constituents": "--constituents",
    "impure": "--impure",
    "show_trace": "--show-trace",
}
_VALUES = {"select": "--select", "apply": "--apply", "gc_roots": "--gc-roots-dir"}
FLAGS = frozenset(
    {*_SWITCHES.values(), *_VALUES.values(), "--workers", "--max-memory-size", "--no-instantiate", "--flake", "--expr"}
    | {"--argstr", "--override-input", "--option"},
)


def argv(options: EvalOptions, program: str = "nix-eval-jobs") -> list[str]:
    """Return nix-eval-jobs' command line, the program first; the same options give the same list."""
    line = [program, "--workers", str(options.workers), "--max-memory-size", str(options.memory_mib)]
    line += [flag for name, flag in _SWITCHES.items() if getattr(options, name)]
    if not options.instantiate:
        line.append("--no-instantiate")
    for name, flag in _VALUES.items():
        if getattr(options, name):
            line += [flag, getattr(options, name)]
    line += shared(options)
    match options.source:
        case Flake(ref, attribute):
            # Flakes are still behind a switch that not every machine has on.
            line += ["--option", "extra-experimental-features", "nix-command flakes", "--flake", f"{ref}#{attribute}"]
        case File(path):
            line.append(path if path.startswith(("/", "./", "../", "<")) else f"./{path}")
        case Expression(text):
            line += ["--expr", text]
    return line


def shared(options: EvalOptions) -> list[str]:
    """Return the arguments that nix-eval-jobs and `nix eval` spell alike."""
    line: list[str] = []
    for flag, pairs in (
        ("--argstr", options.arguments),
        ("--override-input", options.override_inputs),
        ("--option", options.nix_options),
    ):
        for name, value in sorted((pairs or {}).items()):
            line += [flag, name, value]
    return line
