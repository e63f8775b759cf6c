"""Logs in memory, with a copy on flash that is written seldom and in large pieces: flash wears out by small writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from nixwright.bounds import Ge, Le
from nixwright.errors import Mistake
from nixwright.layout.paths import path_mistake
from nixwright.parts.base import Context, Part
from nixwright.record import field_origin, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting

_BUFFER = "1m"  # bytes that rsyslog holds before it writes
_LARGEST = "16M"  # bytes of a file, which is rotated before its week is over


@record
class VolatileLogs(Part):
    """The journal in memory, and what is worth keeping copied to files below `at`.

    `memory` is in MiB, for the journal. The copy is written when a MiB is full, and at least every `every` seconds: so
    much is lost when the power is cut, and nothing at a shutdown. Files are rotated weekly, at
    16 MiB before, and `weeks` of them are kept.
    """

    memory: Annotated[int, Ge(4), Le(1024)] = 32
    every: Annotated[int, Ge(1), Le(86400)] = 3600
    weeks: Annotated[int, Ge(1), Le(520)] = 8
    at: str = "/data/logs"

    module: ClassVar[str] = "volatile-logs"

    def wrong(self) -> Iterator[Mistake]:
        """No clean path."""
        yield from path_mistake("at", self.at)

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to journald, rsyslog and logrotate."""
        journal: dict[str, object] = {
            "RuntimeMaxUse": f"{self.memory}M",
            "MaxLevelStore": "info",
            "RateLimitIntervalSec": "30s",
            "RateLimitBurst": 500,
            "ForwardToSyslog": True,
        }
        yield self.set("services.journald.storage", "volatile")
        lines = "".join(f"{k}={'yes' if v is True else v}\n" for k, v in journal.items())
        yield self.set("services.journald.extraConfig", lines, field="memory")
        yield self.set("services.rsyslogd.enable", value=True)
        yield self.set("services.rsyslogd.defaultConfig", self.rsyslog(), field="every")
        why = "Its last lines are written before that is unmounted."
        yield self.set("systemd.services.syslog.unitConfig.RequiresMountsFor", self.at, field="at", comment=why)
        yield self.set("systemd.tmpfiles.settings.logs", {self.at: {"d": {"mode": "0750"}}}, field="at")
        yield self.set("services.logrotate.enable", value=True)
        why = "what was rotated when: beside the logs, or after each boot none would have been rotated long enough ago"
        state = ["--state", f"{self.at}/.rotated"]
        yield self.set("services.logrotate.extraArgs", state, field="at", comment=why)
        rotated: Value = {
            "frequency": "weekly",
            "maxsize": _LARGEST,
            "rotate": self.weeks,
            "compress": True,
            "missingok": True,
            "notifempty": True,
            "postrotate": "systemctl kill --signal=HUP syslog.service",
        }
        yield self.set(f'services.logrotate.settings."{self.at}/*.log"', rotated, field="weeks")

    def rsyslog(self) -> str:
        """Return rsyslog's configuration, but for the socket that it reads."""
        action = f'asyncWriting="on" flushOnTXEnd="off" ioBufferSize="{_BUFFER}" flushInterval="{self.every}"'
        return (
            'main_queue(queue.type="LinkedList" queue.size="50000" queue.dequeueBatchSize="1000")\n'
            f'auth,authpriv.* action(type="omfile" file="{self.at}/auth.log" {action})\n'
            f'*.info;auth,authpriv.none action(type="omfile" file="{self.at}/messages.log" {action})\n'
        )

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """The copy is where it stays."""
        if context.layout.mounts and not context.layout.survives(self.at):
            what, fix = "the copy of the logs would not survive a boot", 'VolatileLogs(at="/data/logs")'
            yield Mistake("VolatileLogs.at", what, self.at, "a path that is kept", fix, field_origin(self, "at"))
