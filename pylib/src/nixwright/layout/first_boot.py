"""What systemd-repart makes at first boot, in stage 1 (module "storage"); see docs/decisions on the layout.

systemd-repart matches what it is told with what is on the disk by type, in order: so the partitions that are there are
told, too, each with its exact size, or slot B would be taken for slot A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.layout.content import FileSystem, Squashfs, Swap
from nixwright.layout.disk import LEAST_REST, places
from nixwright.layout.sizes import SECTOR, Rest
from nixwright.options.settings import Setting
from nixwright.record import origin_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.disk import Disk
    from nixwright.layout.model import Layout
    from nixwright.layout.partition import Partition
    from nixwright.nix.values import Value


def first_boot(layout: Layout) -> list[Setting]:
    """Return the settings of what is made at first boot; none for a layout without."""
    return [s for d in layout.disks if any(p.at_first_boot for p in d.table.partitions) for s in _disk(layout, d)]


def _disk(layout: Layout, disk: Disk) -> Iterator[Setting]:
    parts = disk.table.partitions
    made = [p for p in parts if p.at_first_boot]
    said = "Partition.at_first_boot"

    def told(path: tuple[str, ...], value: Value, thing: object, comment: str = "") -> Setting:
        return Setting(path, value, origin_of(thing), said, comment, "storage")

    repart = ("boot", "initrd", "systemd", "repart")
    yield told((*repart, "enable"), True, made[0])  # noqa: FBT003
    yield told((*repart, "device"), disk.path, disk)
    why = "The gap before the first partition counts as free: by itself systemd-repart would discard what boots there."
    yield told((*repart, "discard"), False, disk, why)  # noqa: FBT003
    for number, (part, (first, last)) in enumerate(zip(parts, places(disk.table.slices), strict=True), 1):
        path = ("systemd", "repart", "partitions", f"{number}0-{part.name}")
        yield told(path, _definition(part, (last - first + 1) * SECTOR), part)
    kinds = sorted({p.content.kind for p in made if isinstance(p.content, FileSystem) and _formatted(p)})
    if kinds:
        yield told(("boot", "supportedFilesystems"), kinds, made[0])
        yield told(("boot", "initrd", "supportedFilesystems"), kinds, made[0], "Their mkfs is called in stage 1.")
    for place in layout.places:
        content = place.content
        if place.disk is not disk or not place.partition.at_first_boot:
            continue
        if isinstance(content, Swap):
            yield told(("swapDevices",), [{"device": place.device}], content)
        elif isinstance(content, FileSystem) and content.at is not None and not isinstance(content, Squashfs):
            mount = next(m for m in layout.mounts if m.source is content)
            options = list(content.options)
            if not mount.needed_for_boot:
                # a mount that fails does not stop the boot, and one that does not fail is waited for
                options += ["nofail", "x-systemd.before=local-fs.target"]
            value: dict[str, Value] = {"device": place.device, "fsType": content.kind}
            if options:
                value["options"] = options
            yield told(("fileSystems", content.at), value, content)


def _definition(part: Partition, size: int) -> dict[str, Value]:
    """What repart.d(5) calls a partition: those that are there keep their size, what takes the rest has a least."""
    attrs: dict[str, Value] = {"Type": part.repart_type or part.code, "Label": part.label}
    if part.at_first_boot and _formatted(part):
        attrs["Format"] = part.content.kind if isinstance(part.content, FileSystem) else "swap"
    if isinstance(part.size, Rest):
        attrs["SizeMinBytes"] = LEAST_REST.text
    else:
        text = part.size.text if part.size.suffix and part.size.bytes == size else str(size)
        attrs |= {"SizeMinBytes": text, "SizeMaxBytes": text}
    return attrs


def _formatted(part: Partition) -> bool:
    """Whether something is made in the partition: a squashfs is written as a whole."""
    return isinstance(part.content, FileSystem | Swap) and not isinstance(part.content, Squashfs)
