"""What is proved of a host whose disks are broken: it asks for what a key opened, or it stops.

One more boot of the check `installed`, its last, has one thing broken: the first of these that the host has. What else
might break is seen by evaluation, as other hosts' boots show the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixwright.checks.model import Check, Sabotage
from nixwright.layout.content import Swap
from nixwright.nix.values import force
from nixwright.scenarios import broken
from nixwright.started_disks import INSTALLED, question, questions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.parts.base import Context


@dataclass(frozen=True, slots=True)
class _Broken:
    """What breaks, as a boot shows it (scenario and values) or evaluation (holds), and what the host must not do."""

    proves: str
    scenario: Callable[..., None]
    values: Mapping[str, str | Sequence[str] | Mapping[str, str]]
    holds: Mapping[str, Value]
    sabotage: tuple[str, str, Mapping[str, Value]]

    def check(self, *, boots: bool) -> Check:
        name, why, settings = self.sabotage
        if boots:
            return Check(INSTALLED, self.proves, self.scenario, self.values, sabotages=[Sabotage(name, why, settings)])
        seen = Sabotage(name, why, settings, judged="evaluation")
        return Check(INSTALLED, self.proves, holds=self.holds, sabotages=[seen])


def checks(context: Context) -> Iterator[Check]:
    """What a host, whose disks are checked, does with each thing broken that it has."""
    layout = context.layout
    found = [*_dead_key(layout), *_no_blank(layout), *_foreign(layout, context.host_id)]
    # by evaluation first: nothing boots after what is broken
    for index in (*range(1, len(found)), *range(min(1, len(found)))):
        yield found[index].check(boots=index == 0)


def _dead_key(layout: Layout) -> Iterator[_Broken]:
    """A container with nothing but key files; what they alone open must be swap, or no boot would end well."""
    for home in (c for c in layout.containers if c.only_keys):
        keyed = [c.luks for c in layout.containers if c.luks.key is not None and layout.home_of(c.luks.key) == home]
        asking = [luks for luks in keyed if luks.asks]
        if asking and all(luks.asks or isinstance(luks.content, Swap) for luks in keyed):
            options = {luks.name: f"boot.initrd.luks.devices.{luks.name}.crypttabExtraOpts" for luks in asking}
            first = options[asking[0].name]
            yield _Broken(
                "without the key file's partition it asks for the passphrase of what the key opened, and comes up",
                broken.opens_without_key,
                {"dead": home.device, "asked": {question(luks): f"opens {luks.name}" for luks in asking}},
                {option: ["tries=0"] for option in options.values()},
                (
                    "never-asks",
                    "nobody is asked where the key file is not to be had",
                    {first: force(["headless=true"])},
                ),
            )
            return


def _no_blank(layout: Layout) -> Iterator[_Broken]:
    for pool in layout.root_pools:
        blank = [f"{pool.name}/{d.name}@blank" for d in pool.datasets if d.wiped]
        if blank and pool.if_rollback_fails == "stop":
            unit = f"boot.initrd.systemd.services.rollback-{pool.name}"
            ignored: dict[str, Value] = {f"{unit}.requiredBy": force([]), f"{unit}.wantedBy": ["sysroot.mount"]}
            failed = f"Failed to start .*Roll back what is wiped of {pool.name}"
            yield _Broken(
                "without its blank snapshot it stops, says so, and never starts from the old root",
                broken.stops_without_blank,
                {"blank": blank, "stops_saying": [failed], "questions": questions(layout)},
                {f"{unit}.requiredBy": ["sysroot.mount"]},
                ("failure-ignored", "that the rollback fails stops nothing", ignored),
            )
            return


def _foreign(layout: Layout, host_id: str | None) -> Iterator[_Broken]:
    pools = [p.name for p in layout.root_pools]
    if pools:
        ours = f"hostid={int(host_id or '0', 16):x}"
        words = [
            "pool was previously in use from another system",
            ours,
            f"Failed to start .*Import ZFS pool .{pools[0]}",
        ]
        force_import = "boot.zfs.forceImportRoot"
        yield _Broken(
            "a pool that another machine used last is not taken by force: it stops, and says why",
            broken.stops_before_foreign,
            {"stops_saying": words, "questions": questions(layout)},
            {force_import: False},
            ("forced", "every pool is imported, whoever used it", {force_import: force(value=True)}),
        )
