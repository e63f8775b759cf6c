"""Which checks are meant, in which order they start, and what is remembered of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from nixwright.checks.model import Facts
from nixwright.errors import NixwrightError
from nixwright.runner import history, schedule
from nixwright.runner.history import Past
from nixwright.runner.results import CheckResult, Outcome
from nixwright.runner.schedule import Room
from nixwright.runner.selection import Wanted, all_checks, chosen, named, sabotaged
from nixwright.tools.eval_machine import Machine
from nixwright.tools.nix_build import Builder

if TYPE_CHECKING:
    from pathlib import Path


def facts(host: str, name: str, same: str = "", sabotages: int = 0) -> Facts:
    broken = tuple((f"s{n}", f"reason {n}", "run", same or f"{host}{n}") for n in range(sabotages))
    return Facts(host, name, (("Host", f"{name} works"),), broken, 1, container=False, same=same or f"{host}{name}")


FACTS = [facts("b", "boots", "alike"), facts("a", "boots", "alike"), facts("a", "network", sabotages=2)]


def test_checks_that_would_be_the_same_are_one() -> None:
    found = all_checks(FACTS, ["b", "a"])
    assert [w.attribute for w in found] == ["host-a", "a-boots", "a-network", "host-b"]
    assert found[1].instead == ("b",)
    every = all_checks(FACTS, ["b", "a"], every=True)
    assert [w.attribute for w in every] == ["host-a", "a-boots", "a-network", "host-b", "b-boots"]


def test_a_host_has_the_check_that_another_stands_for() -> None:
    found = chosen(all_checks(FACTS, ["a", "b"]), "b", None)
    assert [w.attribute for w in found] == ["a-boots", "host-b"]


def test_sabotages_are_named_as_the_flake_names_them() -> None:
    found = sabotaged(FACTS)
    assert [w.attribute for w in found] == ["a-network-s0", "a-network-s1"]
    assert found[0].title == "a-network (sabotage: s0)"
    assert found[0].check == "a-network"
    assert found[0].why == "reason 0"


@pytest.mark.parametrize("pattern", ["netw", "a-network", "net.*k$", "[net"])
def test_a_pattern_is_a_part_or_an_expression(pattern: str) -> None:
    wanted = [*all_checks(FACTS, []), Wanted("a-[net", "a", "x")]
    found = chosen(wanted, None, pattern)
    assert all("net" in w.attribute for w in found)
    assert found


def test_a_whole_name_means_that_one_alone() -> None:
    wanted = all_checks([facts("a", "boots"), facts("a", "boots-twice", sabotages=1)], [])
    assert [w.name for w in chosen(wanted, None, "a-boots")] == ["boots"]
    assert [w.name for w in chosen(wanted, None, "boots")] == ["boots", "boots-twice"]
    under = sabotaged([facts("a", "boots-twice", sabotages=11)])
    assert [w.sabotage for w in chosen(under, None, "a-boots-twice-s1")] == ["s1"]
    assert [w.sabotage for w in chosen(under, None, "a-boots-twice (sabotage: s1)")] == ["s1"]


def test_a_sabotage_that_shows_the_same_of_several_hosts_is_run_once() -> None:
    found = sabotaged([facts("b", "boots", "alike", 1), facts("a", "boots", "alike", 1), facts("c", "boots", "", 1)])
    assert [(w.attribute, w.instead) for w in found] == [("a-boots-s0", ("b",)), ("c-boots-s0", ())]
    assert [w.attribute for w in chosen(found, "b", None)] == ["a-boots-s0"]


@pytest.mark.parametrize(
    ("host", "pattern", "words"),
    [
        ("c", None, "no host c has checks here: did you mean a, b?"),
        (None, "netwrok", "no check's name holds 'netwrok': did you mean a-network?"),
        ("b", "zzz", "no check's name holds 'zzz': did you mean"),
    ],
)
def test_what_matches_nothing_offers_the_near(host: str | None, pattern: str | None, words: str) -> None:
    with pytest.raises(NixwrightError, match="did you mean") as error:
        chosen(all_checks(FACTS, ["a", "b"]), host, pattern)
    assert str(error.value).startswith(words)


def test_one_check_by_its_name() -> None:
    assert named(all_checks(FACTS, []), "a-network").name == "network"
    with pytest.raises(NixwrightError, match="there is no check a-netwok: did you mean a-network"):
        named(all_checks(FACTS, []), "a-netwok")
    with pytest.raises(NixwrightError, match="there are none"):
        named([], "a")


# What starts first


def wanted(name: str, machines: int = 1, *, container: bool = False) -> Wanted:
    return Wanted(name, "h", name, machines=machines, container=container)


def test_what_failed_comes_first_then_the_longest() -> None:
    past = {"quick": Past(5, passed=True, when=""), "slow": Past(500, passed=True, when="")}
    past["red"] = Past(1, passed=False, when="")
    found = schedule.order([wanted(n) for n in ("quick", "new", "red", "slow")], past)
    assert [w.title for w in found] == ["red", "slow", "new", "quick"]
    assert [w.title for w in schedule.order([wanted("one"), wanted("three", 3)], {})] == ["three", "one"]


def test_memory_bounds_what_runs_at_once_but_never_the_first() -> None:
    limit = Room(jobs=3, memory_mib=2000)
    assert schedule.fits([], 9000, limit)
    assert schedule.fits([1000], 1000, limit)
    assert not schedule.fits([1000], 1001, limit)
    assert not schedule.fits([1, 1, 1], 1, limit)


def test_memory_is_what_the_machines_say_or_a_guess() -> None:
    assert schedule.memory_of(wanted("a", 2), 3000) == 3000
    assert schedule.memory_of(wanted("a", 2), None) == 2 * schedule.memory_of(wanted("a", 1), None)
    assert schedule.memory_of(wanted("a", 1, container=True), None) < schedule.memory_of(wanted("a", 1), None)
    assert schedule.memory_of(wanted("a", 0), None) < schedule.memory_of(wanted("a", 1, container=True), None)


def test_remote_builders_add_their_jobs() -> None:
    far = Builder("ssh://there", frozenset({"x86_64-linux"}), frozenset(), jobs=4)
    assert schedule.room(Machine(2, 8000), [], None) == Room(2, 6000)
    assert schedule.room(Machine(2, 8000), [far], None).jobs == 6
    assert schedule.room(Machine(2, 8000), [far], 1).jobs == 1


# What is remembered


def result(name: str, outcome: Outcome, seconds: float | None, *, before: bool = False) -> CheckResult:
    return CheckResult(name, "h", name, outcome, seconds=seconds, built_before=before, when="2026-11-21T00:00:00Z")


def test_only_what_ran_to_its_own_end_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "state/history.json"
    passed, failed = result("a", Outcome.PASSED, 12.5), result("b", Outcome.FAILED, 3.0)
    others = [result("c", Outcome.ERROR, 1.0), result("d", Outcome.PASSED, 1.0, before=True)]
    history.remember(file, [passed, failed, *others, result("e", Outcome.PASSED, None)])
    found = history.read(file)
    assert {t: (p.seconds, p.passed) for t, p in found.items()} == {"a": (12.5, True), "b": (3.0, False)}
    history.remember(file, [result("b", Outcome.PASSED, 4.0)])
    assert history.read(file)["b"].seconds == 4.0
    assert history.read(file)["a"].seconds == 12.5
    assert [p.name for p in file.parent.iterdir()] == ["history.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2, "checks": {}}', '{"format": 1, "checks": {"a": {}}}'])
def test_a_history_that_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    file.write_text(text)
    assert history.read(file) == {}
    history.remember(file, [result("a", Outcome.PASSED, 1.0)])
    assert json.loads(file.read_text())["checks"]["a"]["seconds"] == 1.0


def test_a_history_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a directory belongs")
    history.remember(tmp_path / "state/history.json", [result("a", Outcome.PASSED, 1.0)])
    assert (tmp_path / "state").read_text() == "a file where a directory belongs"


def test_where_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert str(history.state_directory()) == "/somewhere/nixwright"
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", "/home/ada")
    assert str(history.state_directory()) == "/home/ada/.local/state/nixwright"
