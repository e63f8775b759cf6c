"""A host with slots for the tests of the commands: a board that is nobody's, with a console and an overlay root."""

from __future__ import annotations

from host_project import KEY

HOST = f'''\
"""A gateway with two slots."""

from collections.abc import Iterable
from dataclasses import field

from nixwright import Host, User
from nixwright.boards.base import Board, System
from nixwright.layout import GPT, REST, Disk, F2fs, MiB, Partition, Slots
from nixwright.parts.facts import SerialConsole, SlotUpdates
from nixwright.record import record


@record
class Box(Board):
    """A board that is nobody's."""

    system: System = field(default="aarch64-linux", init=False)

    def provides(self, layout):
        return (SerialConsole("ttyS2", 1500000), SlotUpdates("box", "./updates.pem"))

    def settings(self, context):
        yield self.set("nixpkgs.hostPlatform", self.system)
        yield self.set("boot.loader.grub.enable", value=False)
        yield self.set('fileSystems."/"', {{"device": "overlay", "fsType": "overlay"}})


host = Host(
    name="box",
    state_version="26.05",
    board=Box(),
    disks=[
        Disk(
            "/dev/disk/by-id/mmc-box",
            GPT(
                Slots(boot=MiB(128), root=MiB(1024), start=MiB(16)),
                Partition("data", REST, F2fs(at="/data"), at_first_boot=True),
            ),
        ),
    ],
    users=[User("root", ssh_keys=["{KEY}"])],
)
'''
