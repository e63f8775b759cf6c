"""What a pool needs over the years: scrubs, snapshots, trims."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal

from nixwright.checks.model import BOOTS, Check, Difference, Sabotage
from nixwright.errors import Mistake
from nixwright.nix.values import force
from nixwright.parts.base import Context, Part
from nixwright.record import field_origin, origin_of, record
from nixwright.scenarios import upkeep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting

# systemd.time(7): a shorthand, or a calendar event with at least a time or a date
_CALENDAR = re.compile(
    r"minutely|hourly|daily|weekly|monthly|quarterly|semiannually|yearly|annually"
    r"|[A-Za-z0-9 *,./:~-]*[0-9*][A-Za-z0-9 *,./:~-]*"
)
_KEPT = {"frequently": 4, "hourly": 24, "daily": 7, "weekly": 4, "monthly": 12, "yearly": 0}
_TIMERS = ("frequent", "hourly", "daily", "weekly", "monthly")
_POOL = [
    Difference("the pools of the host are on its own disks", {"boot.supportedFilesystems": ["zfs"]}),
    Difference("no pool is there to import", {"boot.zfs.forceImportRoot": False}),
]
_TRIM = "weekly"  # what NixOS has for a host with ZFS


@record
class ZfsUpkeep(Part):
    """Scrub, snapshot and trim the host's pools. `scrub` and `trim` are systemd calendar events, or None for never.

    `snapshots` None means: where a dataset asks for them (`Dataset(..., snapshots=True)`). They are taken every quarter
    of an hour, hour, day, week and month, and 4, 24, 7, 4 and 12 of them kept. `by` is who takes them: NixOS's own
    timers, one a kind, or sanoid with its one, whose names other tools replicate by.
    """

    scrub: str | None = "monthly"
    snapshots: bool | None = None
    trim: str | None = _TRIM
    by: Literal["zfs-auto-snapshot", "sanoid"] = "zfs-auto-snapshot"

    module: ClassVar[str] = "zfs-upkeep"

    def wrong(self) -> Iterator[Mistake]:
        """Intervals that systemd would not understand."""
        for name in ("scrub", "trim"):
            value = getattr(self, name)
            if value is not None and not _CALENDAR.fullmatch(value):
                allowed = "a calendar event of systemd.time(7)"
                yield Mistake(name, "is no interval", repr(value), allowed, f'{name}="monthly"')

    def _snapshots(self, layout: Layout) -> bool:
        return _asked(layout) if self.snapshots is None else self.snapshots

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `services.zfs.*`."""
        if self.scrub is not None:
            yield self.set("services.zfs.autoScrub.enable", value=True, field="scrub")
            yield self.set("services.zfs.autoScrub.interval", self.scrub, field="scrub")
        if self._snapshots(context.layout) and self.by == "sanoid":
            yield from self._sanoid(context.layout)
        elif self._snapshots(context.layout):
            why = "of the datasets with the property com.sun:auto-snapshot"
            yield self.set("services.zfs.autoSnapshot.enable", value=True, field="snapshots", comment=why)
        if self.trim is None:
            yield self.set("services.zfs.trim.enable", value=False, field="trim")
        elif self.trim != _TRIM:
            yield self.set("services.zfs.trim.interval", self.trim, field="trim")

    def checks(self, context: Context) -> Iterator[Check]:
        """The timers are those that were asked for, and a run of them takes the snapshots that were asked for."""
        sanoid = self.by == "sanoid"
        taken = self._snapshots(context.layout)
        events = {"zfs-scrub": self.scrub, "zpool-trim": self.trim}
        timers = {name: event for name, event in events.items() if event is not None}
        if taken:
            timers |= {"sanoid": ""} if sanoid else dict.fromkeys((f"zfs-snapshot-{kind}" for kind in _TIMERS), "")
        wanted = [f"systemd.timers.{name}.wantedBy" for name in timers]
        yield Check(
            BOOTS,
            "scrub, trim and snapshots have the timers that were asked for, and no others",
            upkeep.timers_are_set,
            {"timers": timers, "never": [name for name, event in events.items() if event is None]},
            holds={path: ["timers.target"] for path in wanted},
            differences=_POOL,
            sabotages=[
                Sabotage("no-timer", "a timer does not run", {path: force([])}, judged="evaluation")
                for path in wanted[:1]
            ],
        )
        pool = next((p for p in context.layout.pools if any(d.snapshots for d in p.datasets)), None)
        if pool is None or not taken:
            return
        asking = [d.name for d in pool.datasets if d.snapshots]
        names = [d.name for d in pool.datasets]
        asked = [n for n in names if any(f"{n}/".startswith(f"{a}/") for a in asking)]
        service = "sanoid.service" if sanoid else "zfs-snapshot-frequent.service"
        yield Check(
            BOOTS,
            "snapshots are taken of the datasets that ask for them, and of no other",
            upkeep.snapshots_are_taken,
            {
                "pool": pool.name,
                "asked": asked,
                "others": [n for n in names if n not in asked],
                "service": service,
            },
            differences=_POOL,
            sabotages=[
                Sabotage(
                    "no-snapshots",
                    "the service does nothing",
                    {
                        f"systemd.services.{service.removesuffix('.service')}.serviceConfig.ExecStart": force(
                            "/bin/sh -c :"
                        )
                    },
                )
            ],
        )

    def _sanoid(self, layout: Layout) -> Iterator[Setting]:
        yield self.set("services.sanoid.enable", value=True, field="by")
        yield self.set("services.sanoid.interval", "*:0/15", field="by")
        kept: Value = {**_KEPT, "frequent_period": 15, "autosnap": True, "autoprune": True}
        yield self.set("services.sanoid.templates.kept", kept, field="by")
        for pool in layout.pools:
            for dataset in (d for d in pool.datasets if d.snapshots):
                below = any(d.name.startswith(f"{dataset.name}/") for d in pool.datasets)
                entry: Value = {"useTemplate": ["kept"], **({"recursive": True} if below else {})}
                yield self.set(f'services.sanoid.datasets."{pool.name}/{dataset.name}"', entry, field="by")

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """There is a pool, and who asks for snapshots gets some."""
        if not context.layout.has_zfs:
            yield Mistake(
                "ZfsUpkeep", "the host has no pool", "", "a host with a Zpool", "remove it", field_origin(self, "")
            )
        elif self.snapshots is not None and self.snapshots != _asked(context.layout):
            what = "no dataset asks for snapshots" if self.snapshots else "a dataset asks for snapshots that are off"
            fix = 'Dataset(..., snapshots=True), or remove "snapshots" here'
            origin = field_origin(self, "snapshots")
            yield Mistake("ZfsUpkeep.snapshots", what, f"snapshots={self.snapshots}", "", fix, origin)
        for pool in context.layout.pools:
            for dataset in (d for d in pool.datasets if d.at in {"/nix", "/nix/store"}):
                asks = [d for d in pool.datasets if d.snapshots and f"{dataset.name}/".startswith(f"{d.name}/")]
                if asks:
                    what = "snapshots of the Nix store would keep all that is ever collected as garbage"
                    where = origin_of(asks[0]).at("snapshots")
                    fix = "leave snapshots out, or give /nix a dataset that is not below this one"
                    yield Mistake("Dataset.snapshots", what, asks[0].name, "", fix, where)


def _asked(layout: Layout) -> bool:
    """Tell whether a dataset of the host asks for snapshots."""
    return any(dataset.snapshots for pool in layout.pools for dataset in pool.datasets)
