"""Every generated module, evaluated by real Nix with stand-ins for its arguments, is what Python lowered to."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nixwright import generation
from nixwright.nix.module import module_text
from nixwright.nix.values import Apply, Commented, Expr, If, Merge, NixPath, Order, Override, Ref, Text
from programs import need

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nixwright.host import Host

ROOT = Path(__file__).parents[2]
HOSTS = sorted(p.name for p in (ROOT / "hosts").glob("*.py"))

# Functions give back what they were given, with their name; a name of `pkgs` or `config` is itself as a string.
STAND_INS = """
let
  shown = value:
    if builtins.isPath value then "<./${baseNameOf value}>"
    else if builtins.isList value || builtins.isAttrs value && !(value ? __toString) then builtins.toJSON value
    else toString value;
  said = name: { __functor = _: argument: said "${name} ${shown argument}"; __toString = _: "<${name}>"; };
  lib = {
    mkOverride = priority: content: { _type = "override"; inherit priority content; };
    mkForce = lib.mkOverride 50;
    mkDefault = lib.mkOverride 1000;
    mkOrder = priority: content: { _type = "order"; inherit priority content; };
    mkBefore = lib.mkOrder 500;
    mkAfter = lib.mkOrder 1500;
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkMerge = contents: { _type = "merge"; inherit contents; };
    getExe = said "lib.getExe";
    hasAttr = said "lib.hasAttr";
    concatStringsSep = said "lib.concatStringsSep";
  };
  arguments = { inherit lib; pkgs = PKGS; config = CONFIG; modulesPath = "<modulesPath>"; };
  called = file: let module = import file; in if builtins.isFunction module then module arguments else module;
in
builtins.mapAttrs (_: called) FILES
"""


def host_of(name: str) -> Host:
    """The host that a file binds."""
    module: dict[str, Any] = {"__name__": "generated_modules_host"}
    path = ROOT / "hosts" / name
    exec(compile(path.read_text(), str(path), "exec"), module)  # noqa: S102 - our own example
    host: Host = module["host"]
    return host


def plain(value: Any, refs: set[tuple[str, ...]]) -> Any:  # noqa: C901, PLR0911, PLR0912 - one kind of value a line
    """What real Nix makes of a value under the stand-ins, as JSON."""
    match value:
        case Commented():
            return plain(value.value, refs)
        case Override():
            return {"_type": "override", "priority": value.priority, "content": plain(value.value, refs)}
        case Order():
            return {"_type": "order", "priority": value.order, "content": plain(value.value, refs)}
        case If():
            return {"_type": "if", "condition": plain(value.condition, refs), "content": plain(value.value, refs)}
        case Merge():
            return {"_type": "merge", "contents": [plain(v, refs) for v in value.values]}
        case Ref():
            if value.path[0] != "lib":
                refs.add(value.path)
            return f"<{'.'.join(value.path)}>"
        case NixPath():
            return f"<./{Path(value.text).name}>"
        case Text():
            return "".join(p if isinstance(p, str) else plain(p, refs) for p in value.parts)
        case Apply():
            if value.function == Ref(("builtins", "toString")):
                return plain(value.arguments[0], refs)  # Nix' own, which has no stand-in
            words = [plain(value.function, refs), *(plain(a, refs) for a in value.arguments)]
            return f"<{' '.join([words[0].strip('<>'), *(json_text(w) for w in words[1:])])}>"
        case dict():
            return {k: plain(v, refs) for k, v in value.items()}
        case list() | tuple():
            return [plain(v, refs) for v in value]
        case None | bool() | int() | float() | str():
            return value
    raise AssertionError(f"no stand-in for {value!r}")


def json_text(value: Any) -> str:
    """An argument as a stand-in shows it."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True) if isinstance(value, dict | list) else str(value)


def nested(names: Iterable[tuple[str, ...]], prefix: str) -> str:
    """Nix text of a set in which each path selects its own name as a string or as a function that says its name."""
    below: dict[str, list[tuple[str, ...]]] = {}
    for first, *rest in names:
        below.setdefault(first, []).append(tuple(rest))
    items = []
    for name, rests in sorted(below.items()):
        label = f"{prefix}.{name}"
        deeper = [r for r in rests if r]
        text = nested(deeper, label) if deeper else f'(said "{label}")'
        items.append(f'"{name}" = {text};')
    return f"{{ {' '.join(items)} }}"


@pytest.mark.parametrize("name", HOSTS)
def test_the_modules_evaluate_to_the_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    need("nix-instantiate")
    bound: dict[str, list[tuple[tuple[str, ...], Any]]] = {}

    def recorded(bindings: Iterable[tuple[tuple[str, ...], Any, str]], *, imports: Sequence[str | Expr] = ()) -> str:
        rows = list(bindings)
        text = module_text(rows, imports=imports)
        bound[text] = [(p, v) for p, v, _ in rows] + (
            [(("imports",), [NixPath(i) if isinstance(i, str) else i for i in imports])] if imports else []
        )
        return text

    monkeypatch.setattr(generation, "module_text", recorded)
    files = generation.generate(host_of(name), ROOT, f"hosts/{name}").files
    found = {p: t for p, t in files.items() if re.fullmatch(r"modules/.*(?<!/host)\.nix", p)}
    modules = {p: t for p, t in found.items() if t.partition("\n")[2] in bound}
    for path in found.keys() - modules.keys():  # what a module builds stands beside it
        assert any(f"callPackage ./{Path(path).name} " in t for t in modules.values())
    assert len({t.partition("\n")[2] for t in modules.values()}) == len(bound) > 0  # a host and its image share some

    refs: set[tuple[str, ...]] = set()
    expected: dict[str, dict[tuple[str, ...], Any]] = {}
    for path, text in modules.items():
        rows = bound[text.partition("\n")[2]]
        expected[path] = {option: plain(value, refs) for option, value in rows}
    expression = STAND_INS.replace("FILES", "{ " + " ".join(f'"{p}" = {ROOT / p};' for p in modules) + " }")
    for free in ("pkgs", "config"):
        expression = expression.replace(free.upper(), nested((r[1:] for r in refs if r[0] == free), free))
    # a function stand-in has a __toString, which --json prints it by
    run = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", "-E", expression],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    # a path in a string is in the store, under its own name
    found = json.loads(re.sub(r"(/[\w.-]+)+/[a-z0-9]{32}-([^/\" \\]+)", r"<./\2>", run.stdout))
    assert [d for path, options in expected.items() for d in differences(found[path], options)] == []


def test_a_difference_is_seen() -> None:
    options: dict[tuple[str, ...], Any] = {("a", "b"): 1, ("c",): [True]}
    assert differences({"a": {"b": 1}, "c": [True]}, options) == []
    assert differences({"a": {"b": 2}, "c": [True]}, options) == ["a.b"]
    assert differences({"a": {"b": 1, "x": 3}, "c": [True]}, options) == ["a.x"]
    assert differences({"a": {"b": True}, "c": [1]}, options) == ["a.b", "c"]
    assert differences({"a": {"b": 1}, "c": [True]}, {**options, ("a",): {"d": 2}, ("e", "f"): {}}) == ["e", "a.d"]


def differences(found: Any, options: dict[tuple[str, ...], Any]) -> list[str]:
    """Option paths where Nix found something else than the settings, or something that no setting stands for."""
    whole: dict[str, Any] = {}
    for option, value in options.items():
        set_in(whole, option, value)
    return [".".join(path) for path in unequal(found, whole)]


def set_in(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a value in nested dictionaries; a setting may be of what another one sets whole, as `a = {...}; a.b = 1`."""
    name, *rest = path
    if rest:
        set_in(tree.setdefault(name, {}), tuple(rest), value)
    elif isinstance(value, dict):
        below = tree.setdefault(name, {})
        for key, deeper in value.items():
            set_in(below, (key,), deeper)
    else:
        assert name not in tree, f"{name} is set twice"
        tree[name] = value


def unequal(found: Any, whole: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths at which two trees of JSON differ."""
    if isinstance(found, dict) and isinstance(whole, dict):
        both = found.keys() & whole.keys()
        return [(*at, n) for n in found.keys() ^ whole.keys()] + [
            x for n in sorted(both) for x in unequal(found[n], whole[n], (*at, n))
        ]
    return [] if json.dumps(found, sort_keys=True) == json.dumps(whole, sort_keys=True) else [at]  # True is not 1
