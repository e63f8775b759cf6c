"""What a pool needs over the years: scrubs, snapshots, trims."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal

from nixwright.errors import Mistake
from nixwright.parts.base import Context, Part
from nixwright.record import field_origin, origin_of, record

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
