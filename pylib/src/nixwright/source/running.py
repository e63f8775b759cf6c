"""Field paths followed in a host that is loaded, as `nixwright.source.walk` follows them in its source."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nixwright.errors import Mistake, MistakeError
from nixwright.source.field import Step, parse, said
from nixwright.source.values import Call, Name

if TYPE_CHECKING:
    from types import ModuleType


def look(host: object, module: ModuleType, field: str) -> object:
    """Return the value of a field of a host, or of a name of its file. Raises MistakeError where there is none."""
    steps = parse(field)
    first = steps[0].text
    value, rest = host, steps
    if first not in _names(host) and hasattr(module, first):
        value, rest = getattr(module, first), steps[1:]
    while rest:
        value, rest = _down(value, rest, steps, field)
    return value


def agrees(wanted: object, actual: object) -> bool:
    """Tell whether a value as it is written (`nixwright.source.values`) is what a host has.

    A name may stand for anything; of a call, the arguments that it has are looked at.
    """
    match wanted:
        case Name():
            return True
        case Call(args=args, keywords=keywords):
            names = _names(actual)
            if len(names) < len(args) or not {k for k, _ in keywords} <= set(names):
                return not names  # a helper's result may be anything that is no record
            pairs = [*zip(names, args, strict=False), *keywords]
            return all(agrees(v, getattr(actual, n)) for n, v in pairs)
        case list() | tuple():
            whole = isinstance(actual, list | tuple) and len(actual) == len(wanted)
            return whole and all(agrees(w, a) for w, a in zip(wanted, actual, strict=True))  # type: ignore[call-overload]
        case dict():
            same_keys = isinstance(actual, Mapping) and list(actual) == list(wanted)
            return same_keys and all(agrees(v, actual[k]) for k, v in wanted.items())  # type: ignore[index]
    return bool(wanted == actual) and isinstance(wanted, bool) == isinstance(actual, bool)


def _names(thing: object) -> list[str]:
    """Return the fields of a record, in the order of its arguments."""
    return [f.name for f in dataclasses.fields(thing) if f.init] if dataclasses.is_dataclass(thing) else []


def _down(
    value: object, rest: tuple[Step, ...], steps: tuple[Step, ...], field: str
) -> tuple[object, tuple[Step, ...]]:
    step, above = rest[0], said(steps[: len(steps) - len(rest)])
    if isinstance(value, Mapping):
        for length in range(len(rest), 0, -1):
            wanted = ".".join(s.text for s in rest[:length])
            found = [k for k in value if str(k) == wanted]
            if found:
                return value[found[0]], rest[length:]
    elif isinstance(value, list | tuple):
        if step.index is not None:
            if -len(value) <= step.index < len(value):
                return value[step.index], rest[1:]
        else:
            return _chosen(value, rest, above, field)
    elif step.index is None and not step.text.startswith("_") and hasattr(value, step.text):
        return getattr(value, step.text), rest[1:]
    raise MistakeError(Mistake(field, f"{above or 'the host'} has no {said((step,))}"))


def _chosen(
    value: list[object] | tuple[object, ...], rest: tuple[Step, ...], above: str, field: str
) -> tuple[object, tuple[Step, ...]]:
    step = rest[0]
    chosen = [v for v in value if type(v).__name__ == step.text and not step.exact]
    if len(chosen) > 1 and len(rest) > 1:
        at = rest[1].index
        if at is not None and -len(chosen) <= at < len(chosen):
            return chosen[at], rest[2:]
        named = [v for v in chosen if _first(v) == rest[1].text]
        if len(named) == 1:
            return named[0], rest[2:]
    chosen = chosen or [v for v in value if _first(v) == step.text]
    if len(chosen) != 1:
        raise MistakeError(Mistake(field, f"{above} has {len(chosen) or 'no'} {step.text}"))
    return chosen[0], rest[1:]


def _first(thing: object) -> object:
    names = _names(thing)
    return getattr(thing, names[0], None) if names else None
