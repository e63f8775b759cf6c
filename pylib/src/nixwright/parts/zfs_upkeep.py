"""What a pool needs over the years: scrubs, snapshots, trims."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from nixwright.errors import Mistake
from nixwright.parts.base import Context, Part
from nixwright.record import field_origin, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.model import Layout
    from nixwright.options.settings import Setting

# systemd.time(7): a shorthand, or a calendar event with at least a time or a date
_CALENDAR = re.compile(
    r"minutely|hourly|daily|weekly|monthly|quarterly|semiannually|yearly|annually"
    r"|[A-Za-z0-9 *,./:~-]*[0-9*][A-Za-z0-9 *,./:~-]*"
)
_TRIM = "weekly"  # what NixOS has for a host with ZFS


@record
class ZfsUpkeep(Part):
    """Scrub, snapshot and trim the host's pools. `scrub` and `trim` are systemd calendar events, or None for never.

    `snapshots` None means: where a dataset asks for them (`Dataset(..., snapshots=True)`). They are taken every quarter
    of an hour, hour, day, week and month, and 4, 24, 7, 4 and 12 of them kept.
    """

    scrub: str | None = "monthly"
    snapshots: bool | None = None
    trim: str | None = _TRIM

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
        if self._snapshots(context.layout):
            why = "of the datasets with the property com.sun:auto-snapshot"
            yield self.set("services.zfs.autoSnapshot.enable", value=True, field="snapshots", comment=why)
        if self.trim is None:
            yield self.set("services.zfs.trim.enable", value=False, field="trim")
        elif self.trim != _TRIM:
            yield self.set("services.zfs.trim.interval", self.trim, field="trim")

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


def _asked(layout: Layout) -> bool:
    """Tell whether a dataset of the host asks for snapshots."""
    return any(dataset.snapshots for pool in layout.pools for dataset in pool.datasets)
