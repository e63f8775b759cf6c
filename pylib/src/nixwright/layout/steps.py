"""The install steps of the disks, with this host's own names and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.layout.disk import places
from nixwright.layout.hooks import KEYS
from nixwright.layout.sizes import Rest
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.disk import Disk
    from nixwright.layout.model import Layout


def steps(layout: Layout, host_name: str) -> list[Step]:
    """Return the steps from empty disks to a mounted target at /mnt; none where no disk is partitioned in place."""
    return list(_steps(layout, host_name)) if layout.partitioned else []


def _steps(layout: Layout, host_name: str) -> Iterator[Step]:
    paths = " ".join(d.path for d in layout.partitioned)
    yield Step(
        Phase.DISKS,
        "Make sure of the disk" if len(layout.partitioned) == 1 else "Make sure of the disks",
        "Everything on it will be destroyed. Compare model, serial and size with what you hold in your hand. A link "
        "that is missing means that this machine attaches the disk in another way than the target does.",
        f"ls -l {paths}\nlsblk -o NAME,SIZE,MODEL,SERIAL,PARTLABEL,MOUNTPOINTS $(readlink -f {paths})",
        "The size fits, and nothing of it is mounted.",
    )
    asked = [luks.name for luks in layout.luks if luks.asks]
    asked += [pool.name for pool in layout.pools if pool.encryption == "native"]
    why = "disko, as the flake pins it, partitions, formats and mounts. It names the disks and asks for a `yes`."
    if asked:
        why += f" It asks for a new passphrase for {' and for '.join(f'`{n}`' for n in asked)}, each twice."
    command = _disko(host_name, "destroyFormatMount")
    yield Step(Phase.DISKS, "Partition, format, mount", why, command, "It ends without an error.")
    for disk in layout.partitioned:
        yield _verify(disk)
    if asked:
        yield Step(
            Phase.DISKS,
            "If the installer was restarted meanwhile",
            "This opens and mounts what is there, and destroys nothing. It asks for the passphrases once.",
            _disko(host_name, "mount"),
            "`findmnt -R /mnt` shows the mounts of the next step.",
        )
    mounts = "\n".join(f"/mnt{m.path.rstrip('/')}  {m.device}" for m in sorted(layout.mounts, key=lambda m: m.path))
    checks = "findmnt -R /mnt -o TARGET,SOURCE,FSTYPE\n"
    for mount in layout.mounts:
        if mount.wiped:
            checks += f"zfs list -t snapshot {mount.device}@blank\n"
    yield Step(Phase.DISKS, "Look at the mounts", "", checks.rstrip(), mounts)
    if layout.luks or layout.has_zfs:
        why = "The target does not take by force a pool that was not exported. " if layout.has_zfs else ""
        secret = bool(layout.luks or asked)
        forget = f"\nrm -r {KEYS}" if secret else ""
        if secret:
            why += f"Passphrases and key files lie in the installer's memory under `{KEYS}` until then."
        yield Step(
            Phase.AFTER,
            "Unmount, close, and forget the keys",
            why.strip(),
            _disko(host_name, "unmount") + forget,
            "`lsblk` shows no mount and no open container.",
        )


def _disko(host_name: str, script: str) -> str:
    """Run a script that disko's module makes of this host: the installer has no disko of its own."""
    return (
        "export NIX_CONFIG='experimental-features = nix-command flakes'\n"
        f"nix run .#nixosConfigurations.{host_name}.config.system.build.{script}"
    )


def _verify(disk: Disk) -> Step:
    """The table in sectors: exact where the disk's size does not matter."""
    size = None if disk.size is None else disk.size.bytes
    rows = []
    table = zip(disk.table.partitions, places(disk.table.slices, size), strict=True)
    for number, (part, (first, last)) in enumerate(table, 1):
        known = size is not None or not isinstance(part.size, Rest)
        end = str(last) if known else "the end"
        rows.append(f"{number}  {first:>12}  {end:>12}  {part.label}")
    return Step(
        Phase.DISKS,
        "Compare the partition table",
        "Number, first sector, last sector (of 512 bytes each), label.",
        f"sgdisk --print {disk.path}",
        "\n".join(rows),
    )
