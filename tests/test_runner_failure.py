"""Of a log of a thousand lines, the part that matters."""

from __future__ import annotations

from nix_build_runs import RUNS, followed
from nixwright.runner.failure import MOST, excerpt
from nixwright.runner.results import Excerpt
from nixwright.runner.verdict import verdict


def test_a_unit_that_failed_in_a_container() -> None:
    found = verdict(followed("driver-badbox", "2.34.8"), 1).excerpt
    assert (found.subtest, found.message) == ("it greets", 'unit "greet.service" reached state "failed"')
    assert found.units == ("greet.service",)
    assert "web: greet-start[235]: the lamp is not there" in found.journal
    assert all("greet" in line for line in found.journal)
    assert found.lines[0] == '  File "<string>", line 5, in <module>'


def test_the_lines_of_a_traceback_are_those_of_the_scenarios_file() -> None:
    progress = followed("driver-badbox", "2.34.8")
    progress.script = "checks/box/greet.py"
    assert verdict(progress, 1).excerpt.lines[0] == "  checks/box/greet.py:5, in <module>"


def test_an_exception_that_ends_python_after_the_cleanup() -> None:
    found = verdict(followed("driver-assert", "2.34.8"), 1).excerpt
    words = "failed units: greet.service loaded failed failed greet.service"
    assert (found.subtest, found.message) == ("no unit has failed", words)
    assert found.lines == (
        '  File "<string>", line 11, in <module>',
        '  File "<string>", line 4, in whole',
        f"AssertionError: {words}",
    )
    assert found.units == ("greet.service",)
    assert any(line.endswith(": the lamp is not there") for line in found.journal)


def test_a_test_of_a_vm_that_failed_without_its_drivers_frames() -> None:
    found = verdict(followed("driver-vm", "2.34.8"), 1).excerpt
    assert found.subtest == "the lamp is lit"
    assert found.message == "Cannot convert screenshot (pnmtopng returned code 1)"
    assert not any("site-packages" in line for line in found.lines)
    assert found.lines == (
        '  File "<string>", line 5, in <module>',
        "test_driver.errors.MachineError: Cannot convert screenshot (pnmtopng returned code 1)",
    )
    assert "machine: lamp-start[549]: the lamp is not there" in found.journal
    assert len(RUNS["driver-vm", "2.34.8"]["stderr"]) > 1000


def test_the_log_of_what_a_check_needs() -> None:
    found = verdict(followed("dependency", "2.34.8"), 1).excerpt
    assert found.lines == ("subtest: it is up", "nothing here")


def test_a_script_that_the_drivers_type_check_refuses() -> None:
    found = verdict(followed("driver-lint", "2.34.8"), 1).excerpt
    assert any("Object of type `NspawnMachine` has no attribute `nothing`" in line for line in found.lines)
    assert any('web.nothing("x")' in line for line in found.lines)


def test_a_message_of_many_lines_is_shortened_in_its_middle() -> None:
    lines = [
        '!!! Test "a" failed with error: "command failed:',
        *(f"row {n}" for n in range(200)),
        '"',
        "!!! Traceback (most",
    ]
    found = excerpt(lines)
    assert found.subtest == "a"
    rows = found.message.split("\n")
    assert len(rows) == MOST + 1
    assert rows[0] == "command failed:"
    assert "row 199" in rows


def test_a_failure_outside_of_any_subtest() -> None:
    lines = ["machine # boots", "!!! Traceback (most recent call last):", '!!!   File "<string>", line 2, in <module>']
    lines += [
        '!!!     machine.succeed("false")',
        "!!! ",
        "!!! RequestedAssertionFailed: command `false` failed (exit code 1)",
    ]
    found = excerpt(lines)
    assert (found.subtest, found.message) == ("", "RequestedAssertionFailed: command `false` failed (exit code 1)")
    assert '    machine.succeed("false")' in found.lines


def test_a_log_without_the_drivers_words_ends_as_it_ends() -> None:
    assert excerpt([f"row {n}" for n in range(100)]).lines[-1] == "row 99"
    assert excerpt([]) == Excerpt()
