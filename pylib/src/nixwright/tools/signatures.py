"""What stands on a disk, by `blkid` and `zfs`."""

from __future__ import annotations

from nixwright.tools.block_devices import imported_pools
from nixwright.tools.command import output_of

_TIMEOUT = 30.0
_NOTHING_KNOWN = 2  # exit status of blkid


def argv(path: str, offset: int, size: int) -> list[str]:
    """Return the command that names what stands in a part of a disk or file."""
    where = ["--offset", str(offset), "--size", str(size)]
    return ["blkid", "--probe", *where, "--output", "export", path]


def kind_of(path: str, offset: int, size: int) -> str:
    """Return what stands there as blkid calls it (`ext4`, `swap`, `crypto_LUKS`), empty for nothing known."""
    ok = (0, _NOTHING_KNOWN)
    text = output_of(argv(path, offset, size), timeout=_TIMEOUT, needs="it tells file systems apart", ok=ok)
    pairs = (line.partition("=") for line in text.splitlines())
    values = {name: value for name, _, value in pairs}
    return values.get("TYPE", values.get("PTTYPE", ""))


def datasets(pool: str) -> dict[str, dict[str, str]] | None:
    """Return a pool's datasets and snapshots with their mount points; None where the pool is not imported.

    Where it is imported below another root (`zpool import -R /mnt`), the mount points are as without.
    """
    if pool not in imported_pools():
        return None
    root = _of_pool("get", "-o", "value", "altroot", pool)
    columns = ("name", "mountpoint", "canmount")
    command = ["zfs", "list", "-H", "-t", "filesystem,snapshot", "-o", ",".join(columns), "-r", pool]
    rows = [line.split("\t") for line in output_of(command, timeout=_TIMEOUT).splitlines()]
    found: dict[str, dict[str, str]] = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    for values in found.values():
        at = values["mountpoint"]
        if at == root or at.startswith(f"{root}/"):
            values["mountpoint"] = at.removeprefix(root) or "/"
    return found


def health(pool: str) -> str:
    """Return the state of an imported pool, `ONLINE` where all is well."""
    return _of_pool("list", "-o", "health", pool)


def _of_pool(command: str, *more: str) -> str:
    return output_of(["zpool", command, "-H", *more], timeout=_TIMEOUT).strip()
