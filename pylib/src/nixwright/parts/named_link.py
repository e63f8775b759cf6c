"""A network interface by a name of one's own, that follows the hardware whatever the kernel calls it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixwright.errors import Mistake
from nixwright.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.nix.values import Value

# IFNAMSIZ is 16, with the NUL; units have a - in names of devices as \x2d, and config.toml takes none
_NAME = re.compile(r"[a-z][a-z0-9]{0,14}")
_EVERY_LINKS = ("all", "default")  # in /proc/sys/net/ipv4/conf
_KERNELS = re.compile(r"(eth|wlan|wwan|usb)\d+|lo")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")


@record
class NamedLink:
    """A network interface that udev finds by one property of the hardware and calls `name`.

    One of: `path`, where it is attached (`ID_PATH` of `udevadm info`), `mac`, its permanent address, `driver`, where
    only one adapter has that driver.
    """

    name: str
    path: str | None = None
    mac: str | None = None
    driver: str | None = None

    def wrong(self) -> Iterator[Mistake]:
        """Names that cannot be given, and none or two ways to find it."""
        if not _NAME.fullmatch(self.name):
            allowed = "1 to 15 of a-z 0-9, the first a letter"
            near = self.name.lower().replace("-", "").replace("_", "")
            fix = f'"{near}"' if _NAME.fullmatch(near) and not _KERNELS.fullmatch(near) else '"lan"'
            yield Mistake("name", "is no interface name", repr(self.name), allowed, fix)
        elif self.name in _EVERY_LINKS:
            what = "is what the kernel calls the settings of every interface"
            yield Mistake("name", what, repr(self.name), "a name of your own", '"lan"')
        elif _KERNELS.fullmatch(self.name):
            what = "is a name that the kernel gives itself: another interface may have it when udev renames this one"
            yield Mistake("name", what, repr(self.name), "a name of your own", '"lan"')
        ways = {n: v for n in ("path", "mac", "driver") if (v := getattr(self, n)) is not None}
        if len(ways) != 1:
            what = "is found by more than one property" if ways else "nothing says which interface it is"
            allowed, fix = "one of path, mac and driver", f'NamedLink("{self.name}", path="platform-ff540000.ethernet")'
            yield Mistake("", what, ", ".join(ways), allowed, fix)
        if self.mac is not None and not _MAC.fullmatch(self.mac):
            allowed = "six pairs of hexadecimal digits, a to f small, with colons"
            yield Mistake("mac", "is no MAC address", repr(self.mac), allowed, '"52:54:00:12:34:56"')
        for name in ("path", "driver"):
            text = getattr(self, name)
            if text is not None and (not text or re.search(r"[\s*?\[\]!]", text)):
                what = "matches more than one value"
                yield Mistake(name, what, repr(text), "one word without * ? [ ] !", '"platform-ff540000.ethernet"')

    @property
    def match(self) -> dict[str, Value]:
        """What systemd.link(5) matches it by."""
        ways = {"Path": self.path, "PermanentMACAddress": self.mac, "Driver": self.driver}
        return {name: value for name, value in ways.items() if value is not None}
