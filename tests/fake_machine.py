"""A machine of the test driver that answers from a table and records what it is asked."""

from __future__ import annotations

from typing import Any


class FakeMachine:
    """Answers each command by the first key of the table that stands in it: text, success or not, or both.

    A list is used up from its start, one answer a command. What no key stands in succeeds silently.
    """

    def __init__(self, answers: dict[str, Any], name: str = "machine") -> None:
        self.name = name
        self.answers = {key: list(a) if isinstance(a, list) else a for key, a in answers.items()}
        self.commands: list[str] = []
        self.calls: list[str] = []

    def _ask(self, command: str) -> tuple[bool, str]:
        self.commands.append(command)
        answer: Any = ""
        for key, known in self.answers.items():
            if key in command:
                answer = known.pop(0) if isinstance(known, list) else known
                break
        if isinstance(answer, tuple):
            return answer
        return (answer, "") if isinstance(answer, bool) else (True, str(answer))

    def succeed(self, *commands: str, timeout: Any = None) -> str:
        return "".join(self._must(c, wanted=True) for c in commands)

    def fail(self, *commands: str, timeout: Any = None) -> str:
        return "".join(self._must(c, wanted=False) for c in commands)

    def _must(self, command: str, *, wanted: bool) -> str:
        done, text = self._ask(command)
        assert done == wanted, f"must {'succeed' if wanted else 'fail'}: {command}"
        return text

    def wait_until_succeeds(self, command: str, timeout: Any = 900) -> str:
        done, text = self._ask(command)
        assert done, f"never succeeded: {command}"
        return text

    def wait_until_fails(self, command: str, timeout: Any = 900) -> str:
        done, text = self._ask(command)
        assert not done, f"never failed: {command}"
        return text

    def execute(
        self,
        command: str,
        check_return: bool = True,  # noqa: FBT001, FBT002 - the driver's
        check_output: bool = True,  # noqa: FBT001, FBT002 - the driver's
        timeout: Any = 900,
    ) -> tuple[int, str]:
        done, text = self._ask(command)
        return (0 if done else 1, text)

    def systemctl(self, q: str, user: str | None = None) -> tuple[int, str]:
        return self.execute(f"systemctl {q}")

    def get_unit_property(self, unit: str, property: str, user: str | None = None) -> str:  # noqa: A002 - the driver's
        return self._ask(f"systemctl show {unit} --property={property}")[1]

    def get_unit_info(self, unit: str, user: str | None = None) -> dict[str, str]:
        text = self._ask(f"systemctl show {unit}")[1]
        return dict(line.split("=", 1) for line in text.splitlines())

    def require_unit_state(self, unit: str, require_state: str = "active") -> None:
        self._must(f"systemctl is-{require_state} {unit}", wanted=True)

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: Any = 900) -> None:
        self.calls.append(f"wait_for_unit {unit}")

    def wait_for_file(self, filename: str, timeout: Any = 900) -> None:
        self.calls.append(f"wait_for_file {filename}")

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: Any = 900) -> None:
        self.calls.append(f"wait_for_open_port {port}")

    def wait_for_closed_port(self, port: int, addr: str = "localhost", timeout: Any = 900) -> None:
        self.calls.append(f"wait_for_closed_port {port}")

    def wait_for_shutdown(self) -> None:
        self.calls.append("wait_for_shutdown")

    def wait_for_console_text(self, regex: str, timeout: Any = None) -> None:
        self.calls.append(f"wait_for_console_text {regex}")

    def send_console(self, chars: str) -> None:
        self.calls.append(f"send_console {chars!r}")

    def log(self, msg: str) -> None:
        self.calls.append(f"log {msg}")

    def start(self, allow_reboot: bool = False) -> None:  # noqa: FBT001, FBT002 - the driver's
        self.calls.append("start")

    def start_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        return self.systemctl(f"start {jobname}")

    def stop_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        return self.systemctl(f"stop {jobname}")

    def copy_from_host(self, source: str, target: str) -> None:
        self.calls.append(f"copy_from_host {source} {target}")

    def wait_until_tty_matches(self, tty: str, regexp: str, timeout: Any = 900) -> None:
        self.calls.append(f"wait_until_tty_matches {tty} {regexp}")

    def get_console_log(self) -> str:
        return self._ask("console log")[1]

    def send_monitor_command(self, command: str) -> str:
        return self._ask(f"monitor {command}")[1]

    def __getattr__(self, name: str) -> Any:
        if name not in {"shutdown", "crash", "reboot", "block", "unblock", "switch_root", "screenshot", "send_chars"}:
            raise AttributeError(name)
        return lambda *arguments: self.calls.append(" ".join([name, *map(str, arguments)]))


def fake_machine(answers: dict[str, Any], name: str = "machine") -> Any:
    """Return one, of no particular type: a scenario's type asks for all of the driver's methods, it for its own."""
    return FakeMachine(answers, name)
