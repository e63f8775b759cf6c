"""From a host's checks to files: `checks/HOST/NAME.nix`, the scenario `NAME.py` beside it, and `sabotages/NAME.nix`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from nixwright.checks.model import MACHINE, NOT_AS_DESCRIBED, Check, Difference, Facts, Node, Sabotage
from nixwright.checks.source import Sources
from nixwright.errors import Mistake
from nixwright.nix.module import module_text
from nixwright.nix.scope import free_names
from nixwright.nix.values import Apply, Commented, Function, NixPath, Ref, Text, default, force
from nixwright.options.settings import parse_path
from nixwright.record import origin_of
from nixwright.scenarios.pictures import pictured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nixwright.nix.values import Value

ROOM = "checks"
_SABOTAGES = "sabotages"
_AFTER = "AFTER"  # in the script: the directory of what the check that it starts from has left
_WIDTH = 80  # characters of a value, before it is put on lines of its own
_SHORT = Difference(
    "a container's network interfaces outside are named after it, in 15 characters", {"system.name": MACHINE}
)
_ONE_GENERATION = Difference("a container has one generation alone", {"specialisation": force({})})
_lib = Ref(("lib",))


@dataclass(frozen=True, slots=True)
class Owned:
    """A check, and who brings it: a part's class name, or `Host`."""

    owner: str
    check: Check


@dataclass(frozen=True, slots=True)
class Machine:
    """The host as its checks see it: its name, the generated modules it has, in what every VM of it differs."""

    host: str
    modules: frozenset[str]
    differences: tuple[Difference, ...]
    generations: bool = False  # whether it has specialisations
    no_password: tuple[str, ...] = ()  # users that have none


@dataclass(frozen=True, slots=True)
class Test:
    """All checks of one name, on the same machines in one boot."""

    name: str
    checks: tuple[Owned, ...]

    @property
    def nodes(self) -> dict[str, list[Node]]:
        """The machines beside the host's, by name; what several checks say of one is put together."""
        found: dict[str, list[Node]] = {}
        for node in (n for o in self.checks for n in o.check.nodes):
            known = found.setdefault(node.name, [])
            if node not in known:
                known.append(node)
        return dict(sorted(found.items()))

    @property
    def container(self) -> bool:
        """Whether containers will do: every check says so."""
        return all(o.check.container for o in self.checks)

    @property
    def only(self) -> frozenset[str]:
        """The modules that its machine has in place of the whole host; none where it has the whole."""
        return frozenset(n for o in self.checks for n in o.check.only)

    @property
    def after(self) -> str:
        """The check whose output it starts from, or nothing."""
        return next((o.check.after for o in self.checks if o.check.after), "")

    @property
    def sabotages(self) -> list[Sabotage]:
        """The sabotages of all its checks, each once."""
        return list({s.name: s for o in self.checks for s in o.check.sabotages}.values())


def tests(checks: Iterable[Owned]) -> list[Test]:
    """Put the checks of one name together, in the order in which the names come."""
    found: dict[str, list[Owned]] = {}
    for owned in checks:
        found.setdefault(owned.check.name, []).append(owned)
    return [Test(name, tuple(those)) for name, those in found.items()]


def mistakes(test: Test) -> Iterator[Mistake]:
    """What is wrong with checks of one name, seen together."""
    names = {MACHINE, *test.nodes}
    seen: dict[str, Sabotage] = {}
    for owned in test.checks:
        check = owned.check
        for name in check.machines:
            if name not in names:
                what = f"the scenario asks for a node that the check {check.name} has not"
                yield Mistake("Check.scenario", what, name, ", ".join(sorted(names)), "", origin_of(check))
        for sabotage in check.sabotages:
            if seen.setdefault(sabotage.name, sabotage) != sabotage:
                what = f"two sabotages of the check {check.name} have one name"
                yield Mistake("Sabotage.name", what, repr(sabotage.name), "a name once", "", origin_of(sabotage))
        if check.scenario is not None:
            try:
                Sources().add(check.scenario)
            except (ValueError, OSError, SyntaxError) as error:
                given = check.scenario.__name__
                allowed = "a function of Python's own library, the driver and helpers in files"
                yield Mistake(
                    "Check.scenario", f"cannot stand by itself: {error}", given, allowed, "", origin_of(check)
                )


def files(test: Test, machine: Machine) -> dict[str, str]:
    """Return the test's files, path below `checks/HOST/` to text without the line of origin."""
    found = {f"{test.name}.nix": test_text(test, machine)}
    if any(o.check.scenario for o in test.checks):
        found[f"{test.name}.py"] = script_text(test)
    if test.sabotages:
        found[f"{_SABOTAGES}/{test.name}.nix"] = sabotages_text(test, machine)
    return found


def facts(test: Test, machine: Machine, modules: Mapping[str, str], identity: Iterable[str]) -> Facts:
    """Return what is known of the test without Nix.

    `modules` are the host's generated files by name; `identity` are the words by which hosts differ anyway.
    """
    gone = {f"{n}.nix" for d in machine.differences for n in d.without} - {
        f"{k}.nix" for o in test.checks for k in o.check.keeps
    }
    only = {f"{n}.nix" for n in test.only}
    there = {n: t for n, t in modules.items() if (n in only if only else n not in gone) and not n.endswith(".md")}
    same = _digest(there | files(test, machine), identity)
    proves = tuple((o.owner, o.check.proves) for o in test.checks)
    alone = {s.name: _alone(o, s, machine) for o in test.checks for s in o.check.sabotages}
    sabotages = tuple((s.name, s.why, s.judged, _digest(alone[s.name], identity)) for s in test.sabotages)
    return Facts(machine.host, test.name, proves, sabotages, 1 + len(test.nodes), test.container, same)


def _alone(owned: Owned, sabotage: Sabotage, machine: Machine) -> dict[str, str]:
    """Return what a sabotage shows, as texts: that this scenario, with these values, can fail of this."""
    test = Test(owned.check.name, (owned,))
    holds = module_text([(("holds",), list(_assertions(owned.check)), "")])
    return {"script": script_text(test), "holds": holds, "sabotage": _sabotages_text([sabotage], test, machine)}


def _digest(texts: Mapping[str, str], identity: Iterable[str]) -> str:
    """Return a digest of texts in which some words do not count."""
    words = sorted((w for w in identity if w), key=len, reverse=True)
    pattern = re.compile("|".join(re.escape(w) for w in words)) if words else None
    digest = sha256()
    for name, text in sorted(texts.items()):
        plain = pattern.sub("\0", f"{name}\n{text}") if pattern else f"{name}\n{text}"
        digest.update(plain.encode())
    return digest.hexdigest()[:16]


def test_text(test: Test, machine: Machine) -> str:
    """Return the NixOS test, a module for `pkgs.testers.runNixOSTest`."""
    kind = "containers" if test.container else "nodes"
    bindings: list[tuple[tuple[str, ...], Value, str]] = [
        (("name",), f"{machine.host}-{test.name}", ""),
        ((kind, MACHINE), _as_module(_machine(test, machine)), ""),
    ]
    for name, nodes in test.nodes.items():
        body: dict[str, Value] = {}
        for node in nodes:
            _bind_all(body, node.settings)
        bindings.append(((kind, name), _as_module(body), ""))
    script: Value = 'start_all()\nmachine.wait_for_unit("multi-user.target")\n'
    if any(o.check.scenario for o in test.checks):
        file = Apply(Ref(("builtins", "readFile")), (NixPath(f"./{test.name}.py"),))
        left = Apply(Ref(("outputOf",)), (test.after,))
        script = Text((f'{_AFTER} = "', left, '"\n', file)) if test.after else file
    bindings.append((("testScript",), script, ""))
    return module_text(bindings, header=_title(test, machine))


def _as_module(body: dict[str, Value]) -> Value:
    """Return a module: a function where it takes anything, else the set itself."""
    return Function(body) if free_names(body) else body


def _title(test: Test, machine: Machine) -> str:
    return "\n".join([f"What this proves of {machine.host}:", *(f"- {o.check.proves}" for o in test.checks)])


def _machine(test: Test, machine: Machine) -> dict[str, Value]:
    """The host's own modules, and each difference with its reason."""
    keeps = {k for o in test.checks for k in o.check.keeps}
    only = [_modules(machine, f"{n}.nix") for n in sorted(test.only & machine.modules)]
    differences = [*(machine.differences if not only else ()), *(_of_containers(machine) if test.container else [])]
    differences += [d for o in test.checks for d in o.check.differences if d not in differences]
    body: dict[str, Value] = {"imports": [*(only or [_modules(machine)])]}
    left_out: list[Value] = []
    for difference in differences:
        gone = [n for n in difference.without if n in machine.modules and n not in keeps]
        for index, name in enumerate(gone):
            path = _modules(machine, f"{name}.nix")
            left_out.append(path if index else Commented(difference.why, path))
    if left_out:
        body["disabledModules"] = left_out
    for difference in differences:
        if not {*difference.without, *difference.instead} & keeps:
            _bind_all(body, difference.settings, difference.why)
    holds = [h for o in test.checks for h in _assertions(o.check)]
    if holds:
        _bind(body, ("assertions",), holds, "What the host's description says, seen by evaluation alone")
    return body


def _of_containers(machine: Machine) -> list[Difference]:
    found = [_SHORT, _ONE_GENERATION] if machine.generations else [_SHORT]
    if machine.no_password:
        locked = {f"users.users.{user}.hashedPassword": default("*") for user in machine.no_password}
        found.append(Difference("a container's sshd has no PAM, and counts who has no password as locked", locked))
    return found


def _assertions(check: Check) -> Iterator[Value]:
    for text, value in check.holds.items():
        asked = Apply(_lib.elem, (Ref(("config", *parse_path(text))), [value]))
        yield {"assertion": asked, "message": f"{text} {NOT_AS_DESCRIBED}"}


def _modules(machine: Machine, file: str = "") -> NixPath:
    return NixPath(f"../../modules/{machine.host}" + (f"/{file}" if file else ""))


def sabotages_text(test: Test, machine: Machine) -> str:
    """Return the sabotages: an attribute set of modules for the test, each to be put on top of it."""
    return _sabotages_text(test.sabotages, test, machine)


def _sabotages_text(sabotages: Iterable[Sabotage], test: Test, machine: Machine) -> str:
    kind = "containers" if test.container else "nodes"
    found: dict[str, Value] = {}
    for sabotage in sabotages:
        body: dict[str, Value] = {}
        if sabotage.without:
            # one directory deeper than the test
            body["disabledModules"] = [NixPath(f"../../../modules/{machine.host}/{n}.nix") for n in sabotage.without]
        _bind_all(body, sabotage.settings)
        found[sabotage.name] = Commented(sabotage.why, {kind: {sabotage.node: _as_module(body)}})
    return module_text([((name,), value, "") for name, value in found.items()])


def _bind_all(body: dict[str, Value], settings: Mapping[str, Value], why: str = "") -> None:
    for index, (text, value) in enumerate(settings.items()):
        _bind(body, parse_path(text), value, why if index == 0 else "")


def _bind(body: dict[str, Value], path: tuple[str, ...], value: Value, why: str, above: str = "") -> None:
    """Bind a path in nested sets; lists that are said twice are one. Raises ValueError for two values of one path."""
    first, *rest = path
    if rest:
        below = body.setdefault(first, {})
        if not isinstance(below, dict):
            raise ValueError(f"{above}{'.'.join(path)} goes through a value that is bound already")
        _bind(below, tuple(rest), value, why, f"{above}{first}.")
        return
    known = body.get(first)
    plain = known.value if isinstance(known, Commented) else known
    if isinstance(plain, list) and isinstance(value, list):
        more = [v for v in value if v not in plain]
        if why and more:  # what stood there keeps its own reason
            more[0] = Commented(why, more[0])
        why = known.comment if isinstance(known, Commented) else ""
        value = [*plain, *more]
    elif known is not None and plain != value:
        raise ValueError(f"{above}{first} is bound twice")
    body[first] = Commented(why, value) if why else value


def script_text(test: Test) -> str:
    """Return the scenarios of the test as one Python file for the driver: values, helpers, and what is called."""
    sources = Sources()
    constants: dict[str, object] = {}
    calls: list[str] = []
    picture = "" if test.container else f"pictured({', '.join([MACHINE, *test.nodes])}), "  # a container has no screen
    if picture:
        sources.add(pictured)
    for owned in test.checks:
        check = owned.check
        if check.scenario is None:
            continue
        sources.add(check.scenario)
        arguments = [*check.machines, *([f"after={_AFTER}"] if check.after else [])]
        for name, value in check.values.items():
            constant = _constant(constants, name, value, check.scenario.__name__)
            arguments.append(f"{name}={constant}")
        title = _literal(check.proves, "")
        calls.append(f"with {picture}subtest({title}):\n    {check.scenario.__name__}({', '.join(arguments)})")
    start = [] if test.after else ["start_all()"]
    texts = [_docstring(test)]
    if sources.imports:
        texts.append("\n".join(sources.import_lines()))
    if constants:
        lines = [f"{name} = {_literal(value, '')}" for name, value in constants.items()]
        texts.append("\n".join(["# this host's own values", *lines]))
    return "\n\n".join(texts) + "\n\n\n" + "\n\n\n".join([*sources.texts, "\n".join([*start, *calls])]) + "\n"


def _docstring(test: Test) -> str:
    title = f"The check {test.name}: its scenarios with what they use, as the NixOS test driver runs them."
    return f'"""{title}"""'


def _constant(constants: dict[str, object], name: str, value: object, scenario: str) -> str:
    """Name a value at the top of the script; one name has one value."""
    for constant in (name.upper(), f"{scenario}_{name}".upper()):
        if constants.setdefault(constant, value) == value:
            return constant
    raise ValueError(f"{scenario} is called twice with different values of {name}")


def _literal(value: object, indent: str) -> str:
    """Return plain data as Python that a person would write, on more lines where one is too long."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    deeper = indent + "    "
    if isinstance(value, Mapping):
        entries = [f"{_literal(k, deeper)}: {_literal(v, deeper)}" for k, v in value.items()]
        start, end = "{", "}"
    elif isinstance(value, list | tuple):
        entries, start, end = [_literal(v, deeper) for v in value], "[", "]"
    else:
        return repr(value)
    line = f"{start}{', '.join(entries)}{end}"
    if len(indent) + len(line) <= _WIDTH and "\n" not in line:
        return line
    return "\n".join([start, *(f"{deeper}{e}," for e in entries), f"{indent}{end}"])


def all_files(found: Sequence[Test], machine: Machine) -> dict[str, str]:
    """Return the files of all tests, path below the project's root to text."""
    return {f"{ROOM}/{machine.host}/{n}": t for test in found for n, t in files(test, machine).items()}
