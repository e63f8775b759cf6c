"""Checks: what a check refuses, how several become one test, and the files that come of it."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import pytest
from nixwright.checks import render
from nixwright.checks.model import Check, Difference, Node, Sabotage
from nixwright.checks.render import Machine, Owned
from nixwright.errors import MistakeError
from nixwright.scenarios.driver import BaseMachine, subtest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nixwright.checks.render import Test

MACHINE = Machine("attic", frozenset({"board", "ssh"}), (Difference("no board in a VM", without=["board", "none"]),))


# a limit that two helpers use
_LIMIT = 3


def _count(machine: BaseMachine) -> int:
    return min(_LIMIT, len(machine.name))


def sees(machine: BaseMachine, client: BaseMachine, *, port: int, user: str = "ada") -> None:
    """The client sees the port."""
    with subtest("inner"):
        client.succeed(f"nc -z {machine.name} {port} {user} {_count(machine)}")


def lonely(machine: BaseMachine, *, port: int) -> None:
    """Alone."""
    machine.succeed(f"true {port}")


CLIENT = Node("client", {"networking.firewall.enable": False})
SEES = Check(
    "network",
    "the port is seen",
    sees,
    {"port": 22},
    nodes=[CLIENT],
    sabotages=[Sabotage("closed", "nothing listens", {"services.openssh.enable": False})],
)


def together(*checks: Check) -> Test:
    (test,) = render.tests(Owned("Ssh", c) for c in checks)
    return test


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Check("Net work", "x", lonely, {"port": 1}), "Check.name: is no name of a check"),
        (lambda: Check("network", " ", lonely, {"port": 1}), "Check.proves: is no sentence"),
        (lambda: Check("network", "x"), "Check.scenario: checks nothing"),
        (lambda: Check("network", "x", lonely), "Check.values: the scenario needs one that is missing"),
        (lambda: Check("network", "x", lonely, {"port": 1, "x": 2}), "Check.values: the scenario takes no such value"),
        (lambda: Check("network", "x", holds={"a..b": 1}), "Check.holds.a..b: is no attribute path"),
        (
            lambda: Check("network", "x", lonely, {"port": 1}, sabotages=[Sabotage("s", "w", {"a": 1}, node="router")]),
            "Check.sabotages[0].node: there is no such node",
        ),
        (
            lambda: Check(
                "network", "x", lonely, {"port": 1}, sabotages=[Sabotage("s", "w", {"a": 1}, judged="evaluation")]
            ),
            "Check.sabotages[0].judged: nothing here can be judged by evaluation",
        ),
        (lambda: Node("machine"), "Node.name: is no name for a node"),
        (lambda: Difference("", {"a": 1}), "Difference.why: is no sentence"),
        (lambda: Difference("why"), "Difference.settings: differs in nothing"),
        (lambda: Sabotage("s", "why"), "Sabotage.settings: breaks nothing"),
    ],
)
def test_what_a_check_refuses(make: Callable[[], object], told: str) -> None:
    with pytest.raises(MistakeError) as caught:
        make()
    assert str(caught.value).startswith(told)


def test_checks_of_one_name_are_one_test() -> None:
    tests = render.tests([Owned("A", SEES), Owned("B", Check("other", "x", lonely, {"port": 1})), Owned("C", SEES)])
    assert [(t.name, [o.owner for o in t.checks]) for t in tests] == [("network", ["A", "C"]), ("other", ["B"])]


def test_the_nix_file_leaves_out_only_what_is_there_and_says_why() -> None:
    text = render.test_text(together(SEES), MACHINE)
    assert "imports = [ ../../modules/attic ];" in text
    assert "# no board in a VM\n" in text
    assert "../../modules/attic/board.nix" in text
    assert "none.nix" not in text
    assert "networking.firewall.enable = false;" in text


def test_a_container_has_one_generation() -> None:
    contained = together(Check("network", "it is up", lonely, {"port": 1}, container=True))
    several = Machine("attic", frozenset(), (), generations=True)
    assert "specialisation = lib.mkForce { };" in render.test_text(contained, several)
    assert "specialisation" not in render.test_text(contained, MACHINE)
    assert "specialisation" not in render.test_text(together(SEES), several)


def test_a_container_takes_keys_of_who_has_no_password() -> None:
    """Its sshd has no PAM: without it, who has no password at all counts as locked."""
    contained = together(Check("network", "it is up", lonely, {"port": 1}, container=True))
    nobodys = Machine("attic", frozenset(), (), no_password=("ada",))
    assert 'users.users.ada.hashedPassword = lib.mkDefault "*";' in render.test_text(contained, nobodys)
    assert "hashedPassword" not in render.test_text(contained, MACHINE)
    assert "hashedPassword" not in render.test_text(together(SEES), nobodys)


def test_what_a_check_keeps_is_not_left_out() -> None:
    kept = Check("network", "x", lonely, {"port": 1}, keeps=["board"])
    assert "board.nix" not in render.test_text(together(SEES, kept), MACHINE)


def test_what_stands_in_place_of_a_kept_module_is_not_said() -> None:
    test = {"users.users.ada.password": "test"}
    machine = Machine("attic", frozenset({"users"}), (Difference("its own are elsewhere", test, instead=["users"]),))
    kept = Check("network", "x", lonely, {"port": 1}, keeps=["users"])
    assert "its own are elsewhere" in render.test_text(together(SEES), machine)
    assert "ada" not in render.test_text(together(SEES, kept), machine)


def test_lists_of_two_differences_are_one_with_both_reasons() -> None:
    disks = [
        Check("network", name, lonely, {"port": 1}, differences=[Difference(why, {"virtualisation.sizes": [size]})])
        for name, why, size in (("x", "its own", 1), ("y", "a stranger's", 2))
    ]
    text = render.test_text(together(*disks), MACHINE)
    said = [line.strip() for line in text.splitlines()]
    first = said.index("# its own")
    assert said[first : first + 5] == ["# its own", "virtualisation.sizes = [", "1", "# a stranger's", "2"]


def test_differences_that_contradict_are_refused() -> None:
    one = Check("network", "x", lonely, {"port": 1}, differences=[Difference("a", {"networking.hostName": "a"})])
    two = Check("network", "y", lonely, {"port": 1}, differences=[Difference("b", {"networking.hostName": "b"})])
    with pytest.raises(ValueError, match=r"networking\.hostName is bound twice"):
        render.test_text(together(one, two), MACHINE)


def test_the_script_stands_by_itself_and_runs() -> None:
    text = render.script_text(together(SEES))
    assert "nixwright" not in text
    assert "# a limit that two helpers use\n_LIMIT = 3" in text
    ran: list[str] = []

    class Recorder:
        name = "attic"

        def succeed(self, *commands: str, timeout: object = None) -> str:
            ran.extend(commands)
            return ""

    names = {
        "BaseMachine": Recorder,
        "start_all": lambda: ran.append("start_all"),
        "subtest": subtest,
        "machine": Recorder(),
        "client": Recorder(),
    }
    exec(text, names)  # noqa: S102 - as the driver does
    assert ran == ["start_all", "nc -z attic 22 ada 3"]


def test_values_of_one_name_that_differ_have_two_constants() -> None:
    text = render.script_text(together(SEES, Check("network", "y", lonely, {"port": 23})))
    assert "PORT = 22\nLONELY_PORT = 23\n" in text
    assert "sees(machine, client, port=PORT)" in text
    assert "lonely(machine, port=LONELY_PORT)" in text


def test_a_scenario_that_uses_what_the_driver_has_not_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "mine_scenarios.py"
    file.write_text("import pydantic\n\ndef mine(machine):\n    machine.succeed(pydantic.VERSION)\n")
    spec = importlib.util.spec_from_file_location("mine_scenarios", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mine_scenarios"] = module
    spec.loader.exec_module(module)
    (told,) = render.mistakes(together(Check("mine", "x", module.mine)))
    assert told.field == "Check.scenario"
    assert "pydantic is neither of Python's own library" in told.what


def test_a_node_that_nobody_brings_is_a_mistake() -> None:
    (told,) = render.mistakes(together(Check("network", "x", sees, {"port": 1})))
    assert (told.given, told.allowed) == ("client", "machine")


def test_two_sabotages_of_one_name_are_a_mistake() -> None:
    again = Check("network", "y", lonely, {"port": 1}, sabotages=[Sabotage("closed", "another", {"a": 1})])
    (told,) = render.mistakes(together(SEES, again))
    assert told.field == "Sabotage.name"


def test_sabotages_are_modules_of_the_test() -> None:
    check = Check("network", "x", lonely, {"port": 1}, sabotages=[Sabotage("gone", "left out", without=["ssh"])])
    text = render.sabotages_text(together(check), MACHINE)
    assert "gone.nodes.machine.disabledModules = [ ../../../modules/attic/ssh.nix ];" in text


def test_equal_checks_of_two_hosts_have_one_digest() -> None:
    def digest(host: str, host_id: str, module: str) -> str:
        machine = Machine(host, frozenset({"ssh"}), ())
        modules = {"ssh.nix": f"# {host} {host_id} {module}", "INSTALL.md": host_id}
        return render.facts(together(SEES), machine, modules, (host, host_id)).same

    assert digest("attic", "11111111", "a") == digest("cellar", "22222222", "a")
    assert digest("attic", "11111111", "a") != digest("attic", "11111111", "b")
