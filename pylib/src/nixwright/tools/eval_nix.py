"""The same evaluation where only `nix` is installed: one `nix eval` for each attribute, as many at once as workers."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nixwright.nix.literals import quoted
from nixwright.tools.eval_machine import oom_kills
from nixwright.tools.eval_options import Expression, File, Flake, shared
from nixwright.tools.eval_process import running
from nixwright.tools.eval_records import ESCAPE, EvalFailure, EvalJob, dotted
from nixwright.tools.eval_summary import Kind, Problem, judge_end, judge_output, last_message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from nixwright.tools.eval_options import AttrPath, EvalOptions
    from nixwright.tools.eval_process import Limits
    from nixwright.tools.eval_records import EvalResult
    from nixwright.tools.eval_summary import End

# What is only to be had from nix-eval-jobs.
_ONLY_THERE = ("meta", "cache_status", "input_drvs", "constituents", "gc_roots")
_STDERR = 64 << 10  # characters of all the runs' stderr together

# What one `nix eval` does: go down to an attribute, and say what it is: a derivation, a set to go on with, or
# neither. Like nix-eval-jobs it calls functions whose arguments all have defaults, and goes below the top only where
# a set asks for it.
_ASK = """\
root:
let
  call =
    value:
    if builtins.isFunction value then
      let
        arguments = builtins.functionArgs value;
      in
      if arguments != { } && builtins.all (name: arguments.${name}) (builtins.attrNames arguments) then
        value { }
      else
        value
    else
      value;
  value = builtins.foldl' (set: name: call set.${name}) ((%(select)s) (call root)) %(path)s;
  outputs = value.outputs or [ "out" ];
in
if !builtins.isAttrs value then
  { }
else if value.type or null == "derivation" then
  {
    job = {
      inherit (value) name system drvPath;
      outputs = builtins.listToAttrs (map (name: { inherit name; value = value.${name}.outPath; }) outputs);
      requiredSystemFeatures = value.requiredSystemFeatures or [ ];
    }%(extra)s;
  }
else if %(go_on)s || value.recurseForDerivations or false == true then
  { names = builtins.attrNames value; }
else
  { }
"""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one `nix eval` said: a result, or the names below, or a problem of the whole evaluation."""

    result: EvalResult | None = None
    below: tuple[AttrPath, ...] = ()
    problems: tuple[Problem, ...] = ()
    status: int | None = 0
    stderr: str = ""


def nix_argv(options: EvalOptions, path: AttrPath) -> list[str]:
    """Return the `nix eval` that asks for one attribute below what `options` evaluates."""
    line = ["nix", "--extra-experimental-features", "nix-command flakes", "eval", "--json"]
    if options.impure or isinstance(options.source, Expression):  # nix-eval-jobs takes expressions as impure
        line.append("--impure")
    if options.show_trace:
        line.append("--show-trace")
    if not options.instantiate:
        line.append("--read-only")
    line += shared(options)
    ask = _ASK % {
        "select": options.select or "all: all",
        "path": "[ " + "".join(f"{quoted(name)} " for name in path) + "]",
        "extra": f" // {{ extraValue = ({options.apply}) value; }}" if options.apply else "",
        "go_on": "true" if options.force_recurse or not path else "false",
    }
    line += ["--apply", ask]
    match options.source:
        case Flake(ref, attribute):
            line.append(f"{ref}#{attribute}")
        case File(file):
            line += ["--file", file if file.startswith(("/", "./", "../", "<")) else f"./{file}"]
        case Expression(text):
            line += ["--expr", text]
    return line


async def nix_eval(
    options: EvalOptions,
    limits: Limits,
    env: Mapping[str, str] | None,
    directory: Path | None,
    end: End,
) -> AsyncGenerator[list[EvalResult], None]:
    """Yield a result for each attribute, and say in `end` how it went; as nix-eval-jobs' stream to whoever reads it."""
    lacking = [name for name in _ONLY_THERE if getattr(options, name)]
    if lacking:
        end.problems = [
            Problem(Kind.NOT_INSTALLED, f"{', '.join(lacking)}: only nix-eval-jobs can do that; install it")
        ]
        return
    over = time.monotonic() + limits.total
    todo: deque[AttrPath] = deque([()])
    asking: set[asyncio.Task[_Answer]] = set()
    problems: list[Problem] = []
    try:
        while todo or asking:
            while todo and len(asking) < options.workers:
                left = replace(limits, total=max(0.0, over - time.monotonic()))
                asking.add(asyncio.create_task(_ask(options, todo.popleft(), left, env, directory)))
            done, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            for answer in (task.result() for task in done):
                todo.extend(answer.below)
                problems += answer.problems
                end.status = end.status or answer.status
                end.stderr = (end.stderr + answer.stderr)[-_STDERR:]
                if answer.result is not None:
                    yield [answer.result]
            if any(problem.kind is Kind.TIMED_OUT for problem in problems):
                break
        end.problems = problems
    finally:
        for task in asking:
            task.cancel()
        for task in asking:
            with suppress(asyncio.CancelledError):
                await task


async def _ask(
    options: EvalOptions,
    path: AttrPath,
    limits: Limits,
    env: Mapping[str, str] | None,
    directory: Path | None,
) -> _Answer:
    """Ask for one attribute."""
    before = oom_kills()
    output = bytearray()
    async with running(nix_argv(options, path), limits, env, directory) as run:
        async for lines in run.lines():
            output += b"".join(lines)
    output += run.unfinished  # older versions end the output without a newline
    if run.status != 0:
        problems = tuple(judge_end(run, oom_killed=oom_kills() != before))
        if path and run.status == 1 and all(problem.kind is Kind.EVALUATION for problem in problems):
            error = last_message(ESCAPE.sub("", run.stderr))
            raw = {"attrPath": list(path), "attr": dotted(path), "error": error}
            return _Answer(EvalFailure(path, error, None, raw), stderr=run.stderr)
        return _Answer(problems=problems, status=run.status, stderr=run.stderr)
    if run.too_long:
        return _Answer(problems=tuple(judge_output(run)), stderr=run.stderr)
    try:
        return replace(_read(path, json.loads(bytes(output))), stderr=run.stderr)
    except (ValueError, KeyError, TypeError) as e:
        words = bytes(output[:200]).decode(errors="replace")
        kind = Kind.BAD_LINE if output.endswith(b"}") else Kind.HALF_LINE
        return _Answer(problems=(Problem(kind, f"nix eval gave no record for {dotted(path)} ({e})", words),))


def _read(path: AttrPath, answer: dict[str, Any]) -> _Answer:
    """Read what `_ASK` gives."""
    if job := answer.get("job"):
        raw = {"attrPath": list(path), "attr": dotted(path), **job}
        return _Answer(EvalJob(path, job["name"], job["system"], job["drvPath"], job["outputs"], raw))
    return _Answer(below=tuple((*path, name) for name in answer.get("names", ())))
