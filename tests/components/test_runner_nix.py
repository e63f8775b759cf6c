"""`nixwright test` against real Nix: what passes, what fails, what cannot be built, and what never comes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from eval_programs import link
from nix_checks import FAILS, FLAKE, ONLY, PASSES, derivation, environment, nixwright, project, run_tests, write_flake
from nixwright.tools.nix_build import INSTALL
from programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

EVALUATES = derivation("host-hello", "echo > $out")
GREEN = {"hello-boots": derivation("vm-test-run-boots", PASSES), "host-hello": EVALUATES}


@pytest.fixture(autouse=True)
def _nix() -> None:
    need("nix")
    if sys.platform != "linux":
        pytest.skip("needs Linux: the checks are of a Linux system")


def results(root: Path) -> dict[str, dict[str, Any]]:
    return {c["check"]: c for c in json.loads((root / "run.json").read_text())["checks"]}


def test_all_passes_and_is_not_built_twice(tmp_path: Path) -> None:
    root = project(tmp_path / "p", GREEN)
    first = run_tests(root, "--json", "run.json", "--junit", "run.xml", "--html", "run.html")
    assert (first.returncode, first.stderr) == (0, "")
    assert "hello-boots: subtest: it is up" in first.stdout
    assert "2 passed, in " in first.stdout
    assert json.loads((root / "run.json").read_text())["ok"] is True
    assert results(root)["hello-boots"]["subtests"] == [{"name": "it is up", "seconds": 0.01, "ok": True}]
    assert ET.parse(root / "run.xml").getroot().get("tests") == "2"  # noqa: S314 - our own
    assert "2 passed" in (root / "run.html").read_text()
    again = run_tests(root)
    assert again.returncode == 0
    assert again.stdout.count("built before") == 2


def test_what_fails_is_told_with_its_reason_and_how_to_run_it_again(tmp_path: Path) -> None:
    root = project(tmp_path / "p", GREEN | {"hello-boots": derivation("vm-test-run-boots", FAILS)})
    done = run_tests(root, "--json", "run.json")
    assert done.returncode == 1
    for words in ("✗ hello-boots  failed: the test failed", "subtest   it is up", "message   no lamp"):
        assert words in done.stdout
    assert "again     nixwright test hello -k hello-boots" in done.stdout
    assert "1 passed, 1 failed" in done.stdout
    assert "no lamp" in Path(results(root)["hello-boots"]["log"]).read_text()


@pytest.mark.parametrize("script", ["sh -c 'kill -{} $$'; exit $?", "kill -{} $$"], ids=["driver", "builder"])
@pytest.mark.parametrize(("number", "why"), [(9, "it was killed, as for want of memory"), (15, "it was interrupted")])
def test_a_driver_that_is_killed_has_not_said_no(script: str, number: int, why: str, tmp_path: Path) -> None:
    killed = derivation("vm-test-run-boots", f"echo 'subtest: it is up'; {script.format(number)}")
    root = project(tmp_path / "p", GREEN | {"hello-boots": killed})
    done = run_tests(root)
    assert done.returncode == 1
    assert f"! hello-boots  error: {why}" in done.stdout


def test_what_a_check_needs_fails(tmp_path: Path) -> None:
    oil = derivation("lamp-oil", "echo there is none; exit 3")
    root = project(tmp_path / "p", GREEN | {"hello-boots": derivation("vm-test-run-boots", PASSES, f"oil = {oil};")})
    done = run_tests(root)
    assert done.returncode == 1
    assert "! hello-boots  error: something that it needs does not build" in done.stdout
    assert "there is none" in done.stdout


def test_a_builder_that_is_not_there_is_said_before_anything_is_built(tmp_path: Path) -> None:
    other = derivation("vm-test-run-boots", PASSES, 'requiredSystemFeatures = [ "apple-virt" ];')
    root = project(tmp_path / "p", GREEN | {"hello-boots": other})
    done = run_tests(root)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    said = next(n for n, line in enumerate(lines) if "no builder can run it" in line)
    assert said < next(n for n, line in enumerate(lines) if "host-hello: booting" in line)
    assert "this machine lacks apple-virt" in done.stdout
    allowed = run_tests(root, "--allow-skip", "hello-boots")
    assert (allowed.returncode, "1 passed, 1 skipped" in allowed.stdout) == (0, True)
    only = run_tests(root, "-k", "hello-boots", "--allow-skip", "hello-boots")
    assert only.returncode == 1, "only skips are no success"


def test_without_kvm_it_is_emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asks = derivation("vm-test-run-boots", PASSES, 'requiredSystemFeatures = [ "kvm" "nixos-test" ];')
    root = project(tmp_path / "p", GREEN | {"hello-boots": asks})
    monkeypatch.setenv("NIX_USER_CONF_FILES", str(tmp_path / "nix.conf"))
    (tmp_path / "nix.conf").write_text("system-features = nixos-test\n")
    done = run_tests(root)
    assert done.returncode == 0, done.stdout
    assert "no builder has KVM: QEMU emulates 1 of the checks, ten times slower" in done.stdout


def test_another_system(tmp_path: Path) -> None:
    wrong = GREEN["hello-boots"].replace('system = "', 'system = "riscv64-linux"; was = "')
    root = project(tmp_path / "p", GREEN | {"hello-boots": wrong})
    done = run_tests(root)
    assert done.returncode == 1
    assert "it needs riscv64-linux" in done.stdout


@pytest.mark.parametrize("checks", [{}, {"host-hello": EVALUATES}], ids=["none", "one"])
def test_a_check_that_the_flake_lacks_is_no_green(checks: dict[str, str], tmp_path: Path) -> None:
    root = project(tmp_path / "p", checks)
    done = run_tests(root)
    assert done.returncode == 1
    assert "! hello-boots  error: the flake has no such check" in done.stdout
    assert "git add" in done.stdout


def test_an_evaluation_that_fails_leads_to_the_line(tmp_path: Path) -> None:
    words = "A definition for option `services.openssh.settings.PermitRootLogin' is not of type `lamp'."
    root = project(tmp_path / "p", GREEN | {"hello-boots": f'throw "{words}"'})
    done = run_tests(root)
    assert done.returncode == 1
    assert "! hello-boots  error: it does not evaluate" in done.stdout
    assert "at        hosts/hello.py:15  Ssh.root" in done.stdout
    assert words in done.stdout


def test_a_flake_that_cannot_be_read(tmp_path: Path) -> None:
    root = project(tmp_path / "p", GREEN)
    (root / FLAKE / "flake.nix").write_text("{ outputs = _: {")
    done = run_tests(root)
    assert done.returncode == 1
    assert "syntax error" in done.stdout
    assert "0 passed" not in done.stdout


def test_what_else_the_flake_has_is_named(tmp_path: Path) -> None:
    root = project(tmp_path / "p", GREEN | {"drift": EVALUATES})
    assert "left to nix flake check: drift" in run_tests(root, "-k", "").stdout
    assert "drift" not in run_tests(root).stdout


def test_stale_files_are_no_green(tmp_path: Path) -> None:
    root = project(tmp_path / "p", GREEN)
    (root / "modules/hello/ssh.nix").unlink()
    done = run_tests(root)
    assert done.returncode == 1
    assert "1 generated file not what gen writes" in done.stdout


def test_sabotages_must_be_seen(tmp_path: Path) -> None:
    under = {
        "hello-boots-failed-unit": derivation("a", FAILS),
        "hello-boots-ordering-cycle": derivation("b", PASSES),
        "hello-boots-next-fails": 'throw "Failed assertions:\\n- next: a.b is not as described"',
    }
    root = project(tmp_path / "p", GREEN, under)
    done = run_tests(root, "--sabotage", "-k", f"^({'|'.join(under)})$", "--json", "run.json")
    assert done.returncode == 1
    found = {c["sabotage"]: (c["outcome"], c["why"]) for c in json.loads((root / "run.json").read_text())["checks"]}
    assert found["failed-unit"] == ("passed", "")
    assert found["ordering-cycle"] == ("failed", "the sabotage was not seen")
    assert found["next-fails"] == ("passed", "")
    assert "does not prove what it says" in done.stdout
    write_flake(root, GREEN, under | {"hello-boots-next-fails": 'throw "something else"'})
    assert "error: it does not evaluate" in run_tests(root, "--sabotage", "-k", "next-fails").stdout


def test_without_nix_it_says_what_to_install_and_what_works(tmp_path: Path) -> None:
    root = project(tmp_path / "p", GREEN)
    link(tmp_path / "bin", "sh")
    done = nixwright(root, "test", path=str(tmp_path / "bin"))
    assert done.returncode == 2
    assert done.stderr == f"nixwright: {INSTALL}\n"
    listed = nixwright(root, "test", "--list", path=str(tmp_path / "bin"))
    assert listed.returncode == 0
    assert "hello-boots\n" in listed.stdout


def test_a_name_that_matches_nothing(tmp_path: Path) -> None:
    root = project(tmp_path / "p", GREEN)
    for arguments, words in (
        (("-k", "bots"), "no check's name holds 'bots': did you mean hello-boots"),
        (("helo",), "no host helo has checks here: did you mean hello?"),
        (("--interactive", "hello-boot"), "there is no check hello-boot: did you mean hello-boots"),
    ):
        done = run_tests(root, *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith(f"nixwright: {words}")


def test_keep_runs_the_driver_itself_and_keeps_what_it_leaves(tmp_path: Path) -> None:
    script = "mkdir -p $out/bin; cp $driverPath $out/bin/nixos-test-driver"
    text = (
        "#!/bin/sh\\necho subtest: it is up\\nmkdir -p $TMPDIR/vm-state-machine\\n"
        "echo disk > $TMPDIR/vm-state-machine/a.qcow2\\n"
        'echo \\"(finished: subtest: it is up, in 0.01 seconds)\\"\\nexit 7\\n'
    )
    file = f'builtins.toFile "driver" "{text}"'
    driver = derivation(
        "nixos-test-driver-boots", f"{script}; chmod +x $out/bin/nixos-test-driver", f"driverPath = {file};"
    )
    root = project(tmp_path / "p", GREEN | {"hello-boots": f"({GREEN['hello-boots']} // {{ driver = {driver}; }})"})
    done = run_tests(root, "--keep", "-k", "hello-boots")
    assert done.returncode == 1, done.stdout
    assert "✗ hello-boots  failed: the test failed" in done.stdout
    assert (root / "state/nixwright/kept/hello-boots/vm-state-machine/a.qcow2").read_text() == "disk\n"


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    root = project(tmp_path / "p", GREEN)
    (root / "state").write_text("a file where a directory belongs")
    done = run_tests(root)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"nixwright: cannot write {root}/state")


def test_whoever_reads_on_may_have_seen_enough(tmp_path: Path) -> None:
    slow = derivation("vm-test-run-boots", f"sleep 3; {PASSES}")
    root = project(tmp_path / "p", GREEN | {"hello-boots": slow})
    command = f"{sys.executable} -m nixwright test --flake path:{root / FLAKE} -k hello-boots | head -n 1"
    line = ["sh", "-c", command]
    done = subprocess.run(
        line, cwd=root, env=environment(root), capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("evaluating 1 check\n", "")


def test_interactive_hands_the_terminal_to_the_driver(tmp_path: Path) -> None:
    script = "mkdir -p $out/bin; cp $driverPath $out/bin/nixos-test-driver; chmod +x $out/bin/nixos-test-driver"
    text = "#!/bin/sh\\necho here is $TMPDIR\\nread line\\necho you said $line\\nexit 5\\n"
    driver = derivation("driver", script, f'driverPath = builtins.toFile "driver" "{text}";')
    check = f"({GREEN['hello-boots']} // {{ driverInteractive = {driver}; }})"
    root = project(tmp_path / "p", GREEN | {"hello-boots": check})
    line = [
        sys.executable,
        "-m",
        "nixwright",
        "test",
        "--flake",
        f"path:{root / FLAKE}",
        "--interactive",
        "hello-boots",
    ]
    done = subprocess.run(
        line, cwd=root, env=environment(root), input="hello\n", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 5, done.stderr
    assert done.stdout == f"here is {root}/state/nixwright/kept/hello-boots\nyou said hello\n"


def started_by(mark: str) -> list[str]:
    """Return the command lines of processes that have the mark in their environment."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (directory / "environ").read_bytes():
                found.append((directory / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # gone meanwhile, or another's
            continue
    return found


def tree(root: Path) -> Iterator[str]:
    for path in root.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(root))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_nothing(number: int, tmp_path: Path) -> None:
    interrupted(tmp_path, number, times=int(os.environ.get("NIXWRIGHT_INTERRUPTS", "2")))


def interrupted(tmp_path: Path, number: int, times: int) -> None:
    """Interrupt runs at random moments: no process stays, and no file is half written."""
    mark = f"nixwright-{os.getpid()}-{tmp_path.name}"
    # A tree as a test driver has it, with much to say. Nix gives a builder an environment of its own, with the mark.
    slow = "echo 'subtest: slow'; (sleep 60 & sleep 60) & while :; do echo row; sleep 0.01; done"
    checks = {
        "hello-boots": derivation("vm-test-run-boots", slow, f'MARK = "{mark}";'),
        "host-hello": derivation("host-hello", "sleep 60", f'MARK = "{mark}"; N = "{number}";'),
    }
    root = project(tmp_path / "p", checks)
    line = [
        sys.executable,
        "-m",
        "nixwright",
        "test",
        "--flake",
        f"path:{root / FLAKE}",
        "-k",
        ONLY,
        "--json",
        "run.json",
    ]
    chance = random.Random(number)  # noqa: S311 - moments, no secrets
    for n in range(times):
        process = subprocess.Popen(
            line,
            cwd=root,
            env=environment(root) | {"MARK": mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        time.sleep(chance.uniform(0.3, 4.0))
        process.send_signal(number)
        if n % 3 == 0:  # an impatient hand
            time.sleep(chance.uniform(0, 0.3))
            process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        deadline = time.monotonic() + 5
        while started_by(mark) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert started_by(mark) == [], (n, output)
        assert process.returncode != 0, output
        if output:  # it had begun
            assert "interrupted: " in output
        assert not (root / "run.json").exists()  # nothing was over
        left = (
            [name for name in tree(root / "state") if Path(name).name.startswith(".")]
            if (root / "state").exists()
            else []
        )
        assert left == []


@pytest.mark.parametrize("impatient", [False, True])
def test_an_interrupted_run_keeps_what_was_over(tmp_path: Path, *, impatient: bool) -> None:
    slow = derivation("host-hello", "sleep 60")
    root = project(tmp_path / "p", GREEN | {"host-hello": slow})
    line = [sys.executable, "-m", "nixwright", "test", "--flake", f"path:{root / FLAKE}", "-k", ONLY]
    process = subprocess.Popen(
        [*line, "--json", "run.json"], cwd=root, env=environment(root), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    seen = next(row for row in process.stdout if "hello-boots  passed" in row)
    process.send_signal(signal.SIGINT)
    while impatient and process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    output, _ = process.communicate(timeout=60)
    assert seen[0] == "✓"
    assert process.returncode in ({130, -signal.SIGINT} if impatient else {130})  # once all is written it may end so
    found = json.loads((root / "run.json").read_text())
    assert [c["check"] for c in found["checks"]] == ["hello-boots"]
    assert (found["ok"], found["problems"]) == (False, ["interrupted: 1 of 2 checks did not come to their end"])
    assert found["problems"][0] in output
