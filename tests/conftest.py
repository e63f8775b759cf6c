"""No green on nothing: with `CI` set, a skip that is not named here fails the run."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import sys
import tempfile
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from programs import search_path

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a CI machine with Debian's packages and no Nix binary cache cannot have. One pattern a reason, in full.
ALLOWED_SKIPS = (
    r"needs nixfmt \(no Debian package has it\)",
    r"needs nixfmt-rs \(no Debian package has it\)",
    r"needs quadlet \(no Debian package has it\)",  # none of Debian 12
    r"needs nix-eval-jobs \(no Debian package has it\)",
    r"needs loop devices \(root, and a kernel that has them\)",
    r"needs network namespaces \(root, and a kernel that has them\)",
    r"needs a complete nixpkgs: set NIXWRIGHT_NIXPKGS to its directory",
    r"needs U-Boot's source: set NIXWRIGHT_U_BOOT to its directory",
)

os.environ["PATH"] = search_path()

# A shell without job control has what it starts in the background ignore Ctrl-C, and so all that the tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Nix evaluates with a store of its own: the machine's may belong to root, or be none.
if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker has what its parent made
    _nix = tempfile.mkdtemp(prefix="nixwright-nix-")
    atexit.register(shutil.rmtree, _nix, ignore_errors=True)
    for _name, _below in {"STORE": "store", "STATE": "var/nix", "LOG": "var/log/nix", "CONF": "etc/nix"}.items():
        os.environ[f"NIX_{_name}_DIR"] = f"{_nix}/{_below}"
    os.environ.pop("NIX_REMOTE", None)

_skips: dict[str, str] = {}  # node id to reason, in the process that reports


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Remember a skip (an expected failure is none)."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skips[report.nodeid] = reason.removeprefix("Skipped: ")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """See each test's skip."""
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """See the skip of a whole file."""
    _note(report)


def unexpected(skips: dict[str, str]) -> Iterator[str]:
    """Yield a line for each skip whose reason is not allowed in CI."""
    for node, reason in sorted(skips.items()):
        if not any(re.fullmatch(allowed, reason) for allowed in ALLOWED_SKIPS):
            yield f"{node}: {reason}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the skips that are not allowed."""
    wrong = list(unexpected(_skips)) if os.environ.get("CI") else []
    if wrong:
        terminalreporter.section("skips that CI does not allow", red=True)
        for line in wrong:
            terminalreporter.line(line)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run that skipped what it must not."""
    if os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK and any(unexpected(_skips)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def driver_of_26_05(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenarios run inside a package that has no module for durations."""
    package = ModuleType("test_driver")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "test_driver", package)
