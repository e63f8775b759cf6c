"""What only the machine that installs knows: a file beside the host's that git ignores, read by nothing but `install`.

It says which network, and in which file here its key lies: never the key. See docs/secrets.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nixwright.errors import Mistake, MistakeError, ToolError
from nixwright.record import record
from nixwright.report.mistakes import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "wifi.py"  # beside the host file
_SSID_BYTES = 32  # IEEE 802.11


@record
class LocalWifi:
    """A network by its name, and the file on this machine that holds its key (`~` is one's home)."""

    ssid: str
    key_file: str

    def wrong(self) -> Iterator[Mistake]:
        """A name that no network has; a key where its file belongs."""
        if not 1 <= len(self.ssid.encode()) <= _SSID_BYTES or any(ord(c) < ord(" ") for c in self.ssid):
            fix = 'LocalWifi("Home", key_file="~/.secrets/home-wifi")'
            yield Mistake("ssid", "is no name of a network", HIDDEN, f"1 to {_SSID_BYTES} bytes", fix)
        if not self.key_file.startswith(("/", "~/")):
            fix = 'key_file="~/.secrets/home-wifi"'
            yield Mistake("key_file", "is no path: the key itself has no place here", HIDDEN, "/... or ~/...", fix)

    @property
    def path(self) -> Path:
        """The file that holds the key."""
        return Path(self.key_file).expanduser()


def local_wifi(host_file: Path) -> LocalWifi | None:
    """Return the network that the local file beside a host file names; None where there is no such file.

    Raises ToolError for a file that names none, and MistakeError for one that is wrong. Neither repeats a secret.
    """
    path = host_file.parent / NAME
    if not path.exists():
        return None
    names: dict[str, object] = {"__name__": "nixwright_local"}
    try:
        exec(compile(path.read_text(), str(path), "exec"), names)  # noqa: S102 - it is Python, as the host file is
    except MistakeError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its words may hold the key
        raise ToolError(f"{path} fails: {type(error).__name__}") from None
    found = [v for v in names.values() if isinstance(v, LocalWifi)]
    if len(found) != 1:
        raise ToolError(f'{path} names no network: it is one line, wifi = LocalWifi("NAME", key_file="~/...")')
    return found[0]
