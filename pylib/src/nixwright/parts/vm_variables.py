"""U-Boot's variables in a VM: the bytes of a disk of QEMU's, in place of the board's flash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.nix.values import force

if TYPE_CHECKING:
    from nixwright.nix.values import Value

_SERIAL = "variables"
DRIVE: Value = {
    "size": 1,
    "driveConfig": {"deviceExtraOpts": {"serial": _SERIAL}, "driveExtraOpts": {"format": "raw"}},
}
SETTINGS: dict[str, Value] = {
    'environment.etc."fw_env.config".text': force(f"/dev/disk/by-id/virtio-{_SERIAL} 0x0 0x2000\n")
}
