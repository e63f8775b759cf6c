"""Real RAUC in a guest with a disk of slots: what tests of installing stand on.

RAUC is told what the generated module tells it. U-Boot's variables lie on a disk of their own, two copies of them,
where fw_setenv writes them; who reads the slots here as a boot loader would is the test.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import shutil
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundles import Authority, bundle
from guest import Drive, Guest
from loop_devices import blank
from nixwright.nix.values import Text
from nixwright.parts.updates import Updates
from parts_host import context
from programs import RAUC_POLICY, need
from updates_host import slots_layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MIB = 1 << 20
BOOT, ROOT, START = 2, 8, 16  # MiB
PLACES = {"boot-a": START, "rootfs-a": START + BOOT, "boot-b": START + BOOT + ROOT, "rootfs-b": START + 2 * BOOT + ROOT}
ENVIRONMENT = 0x2000  # bytes of a copy of U-Boot's variables
COPIES = (0, ENVIRONMENT)
_DEFAULT = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
PARTITION = f"""\
sgdisk -n1:{START}M:+{BOOT}M -c1:boot-a -n2:0:+{ROOT}M -c2:rootfs-a -n3:0:+{BOOT}M -c3:boot-b \
  -n4:0:+{ROOT}M -c4:rootfs-b -n5:0:0 -c5:data /dev/disk/by-id/virtio-flash
udevadm settle
mkfs.f2fs -q /dev/disk/by-partlabel/data
cat /shared/slot-boot >/dev/disk/by-partlabel/boot-a
cat /shared/slot-root >/dev/disk/by-partlabel/rootfs-a
printf 'BOOT_ORDER=A B\\nBOOT_A_LEFT=3\\nBOOT_B_LEFT=3\\n' >/run/first
fw_setenv --config /shared/fw_env.config --defenv /run/first BOOT_A_LEFT 2
sync
"""
SERVE = """\
cp /shared/fw_env.config /etc/fw_env.config
mount -o noatime /dev/disk/by-partlabel/data /data
mkdir -p /data/rauc /var/lib/rauc /run/dbus
dbus-daemon --system --fork
rauc --conf=/shared/rauc.conf service >/shared/log 2>&1 &
for try in {1..300}; do rauc status >/dev/null 2>&1 && break; sleep 0.2; done
"""


def system_conf(keyring: Path) -> str:
    """Return RAUC's configuration as NixOS's module makes it of the generated settings."""
    part = Updates(compatible="gw", keyring="./updates.pem")
    said = {".".join(s.path): s.value for s in part.settings(context(part, layout=slots_layout()))}
    own: Any = said["services.rauc.settings"]
    assert isinstance(own["keyring"]["path"], Text)
    conf = configparser.ConfigParser()
    conf["system"] = {
        "compatible": str(said["services.rauc.compatible"]),
        "bootloader": str(said["services.rauc.bootloader"]),
        "bundle-formats": " ".join(said["services.rauc.bundleFormats"]),  # type: ignore[arg-type]
        "data-directory": "/var/lib/rauc",
        "mountprefix": "/var/lib/rauc/mnt",
        **own["system"],
    }
    conf["keyring"] = {**{k: str(v).lower() for k, v in own["keyring"].items()}, "path": str(keyring)}
    slots: Any = said["services.rauc.slots"]
    for kind, those in slots.items():
        for index, slot in enumerate(those):
            conf[f"slot.{kind}.{index}"] = {"device": slot["device"], "type": slot["type"], **slot["settings"]}
    text = ""
    for section in conf.sections():
        text += f"[{section}]\n" + "".join(f"{k}={v}\n" for k, v in conf[section].items())
    return text


class Disks:
    """The device's flash and U-Boot's variables, as files."""

    def __init__(self, at: Path) -> None:
        """Make both, empty."""
        self.flash, self.variables = blank(at / "flash", 128 * MIB), blank(at / "environment", 1 << 16)

    @property
    def drives(self) -> list[Drive]:
        """As the guest has them."""
        return [Drive(self.flash, "flash"), Drive(self.variables, "environment")]

    def digest(self, name: str) -> str:
        """Return what stands in a partition, as a digest."""
        with self.flash.open("rb") as file:
            file.seek(PLACES[name] * MIB)
            return hashlib.sha256(file.read((BOOT if name.startswith("boot") else ROOT) * MIB)).hexdigest()

    def slot(self, letter: str) -> tuple[str, str]:
        """Return what stands in both partitions of a slot."""
        return self.digest(f"boot-{letter}"), self.digest(f"rootfs-{letter}")

    def environment(self) -> dict[str, str]:
        """Return U-Boot's variables: the newer copy of those that are whole, else U-Boot's own defaults."""
        raw = self.variables.read_bytes()
        copies = [raw[at : at + ENVIRONMENT] for at in COPIES]
        whole = [copy for copy in copies if zlib.crc32(copy[5:]) == int.from_bytes(copy[:4], "little")]
        if not whole:
            return dict(_DEFAULT)
        flags = {copy[4] for copy in whole}
        newest = 0 if flags == {0, 255} else max(flags)  # a counter that goes round
        words = next(copy for copy in whole if copy[4] == newest)[5:].split(b"\0\0", 1)[0].decode().split("\0")
        return {name: value for name, _, value in (word.partition("=") for word in words)}

    def starts(self) -> list[str]:
        """Return the slots that the boot loader would try, in its order."""
        said = self.environment()
        return [s for s in said["BOOT_ORDER"].split() if int(said.get(f"BOOT_{s}_LEFT", "3"), 16) > 0]


@dataclass(frozen=True, slots=True)
class Bench:
    """What is installed, by whom it is signed, and where to."""

    at: Path
    disks: Disks
    authority: Authority
    old: tuple[bytes, bytes]  # the images of boot and root that slot A starts with
    new: tuple[bytes, bytes]  # those of the bundle
    good: Path

    @classmethod
    def make(cls, at: Path) -> Bench:
        """Make a disk with slot A, and a bundle for slot B."""
        old, new = ((os.urandom(BOOT * MIB), os.urandom(ROOT * MIB)) for _ in range(2))
        authority = Authority.make(at / "authority")
        return cls(at, Disks(at), authority, old, new, bundle(authority, at / "good", images=new))

    def guest(self, letter: str = "A", drives: Sequence[Drive] = ()) -> Guest:
        """A guest that runs a slot; `drives` in place of the disks' own."""
        modules = ["loop", "dm-verity", "squashfs", "f2fs"]
        slot = "AB".index(letter)
        return Guest(drives or self.disks.drives, modules=modules, kernel=f"rauc.slot=boot.{slot}")

    def share(self, guest: Guest) -> None:
        """Give a guest RAUC's configuration and the bundle."""
        (guest.shared / "rauc.conf").write_text(system_conf(self.authority.certificate))
        (guest.shared / "fw_env.config").write_text(fw_env_config("/dev/disk/by-id/virtio-environment"))
        (guest.shared / "slot-boot").write_bytes(self.old[0])
        (guest.shared / "slot-root").write_bytes(self.old[1])
        shutil.copy(self.good, guest.shared / "good")

    @property
    def running(self) -> tuple[str, str]:
        """What slot A holds, whatever happens."""
        return digest(self.old[0]), digest(self.old[1])

    @property
    def updated(self) -> tuple[str, str]:
        """What slot B holds once the bundle is in."""
        return digest(self.new[0]), digest(self.new[1])

    def wrong(self) -> dict[str, Path]:
        """Bundles that are refused, by what is wrong with them."""
        whole = self.good.read_bytes()
        half, changed = self.at / "half", self.at / "changed"
        half.write_bytes(whole[: len(whole) // 2])
        changed.write_bytes(whole[:MIB] + bytes(b ^ 1 for b in whole[MIB : MIB + 4096]) + whole[MIB + 4096 :])
        stranger = Authority.make(self.at / "stranger")
        return {
            "signature": bundle(stranger, self.at / "wrong-signature"),
            "compatible": bundle(self.authority, self.at / "wrong-compatible", compatible="pi"),
            "plain": bundle(self.authority, self.at / "plain", form="plain"),
            "half": half,
            "changed": changed,  # inside an image: found when it is read, while it is written to slot B
        }


@contextmanager
def first_boot(at: Path) -> Iterator[tuple[Bench, Guest]]:
    """A device that was just flashed, with its bench: slot A runs, slot B holds nothing, and RAUC serves."""
    need_rauc()
    bench = Bench.make(at)
    with bench.guest() as guest:
        bench.share(guest)
        guest.succeed(PARTITION + SERVE)
        assert bench.disks.slot("a") == bench.running
        assert bench.disks.starts() == ["A", "B"]
        yield bench, guest


def fw_env_config(device: str) -> str:
    """Return where fw_setenv finds both copies."""
    return "".join(f"{device} {at:#x} {ENVIRONMENT:#x} 0x1000\n" for at in COPIES)


def digest(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()


def need_rauc() -> None:
    """Skip the running test where a program is missing that installs, or makes what is installed."""
    need("rauc", "openssl", "mksquashfs", "dbus-daemon", "fw_printenv", "sgdisk", "mkfs.f2fs", RAUC_POLICY)
