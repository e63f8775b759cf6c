"""A host to look at parts with: the layout of the PiBox, its users, and a context made of some parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from nixwright.layout import (
    ESP,
    GPT,
    REST,
    Dataset,
    Disk,
    Ext4,
    GiB,
    KeyFile,
    Luks,
    MiB,
    Partition,
    Passphrase,
    Swap,
    Zpool,
)
from nixwright.layout.model import Layout
from nixwright.nix.module import module_text
from nixwright.parts.base import Context, UserView
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nixwright.errors import Mistake
    from nixwright.parts.base import Fact, Part

DISK = "/dev/disk/by-id/ata-Samsung_SSD_870_QVO_1TB_S5RRNF0R123456"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEjNpDBhA3sNfTFuGbdBBTLRkYbFkbBfGUFvpUEJZRqV ivan@laptop"
IVAN = UserView("ivan", ("wheel",), (KEY,))
CURVE = {45: 0, 55: 30, 65: 60, 75: 100}


class NixSnapshot(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "nix"


class DtsSnapshot(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "dts"


class MarkdownSnapshot(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "md"


def pibox_layout(*, snapshots: bool = True, esp_at: str | None = None) -> Layout:
    key = KeyFile("/keyfile", size=8192)
    tank = Zpool(
        "tank",
        datasets=[
            Dataset("local/root", at="/", wiped=True),
            Dataset("local/nix", at="/nix"),
            Dataset("persist/system", at="/persist"),
            Dataset("persist/user", at="/home", snapshots=snapshots),
        ],
    )
    table = GPT(
        Partition("EFI system partition", MiB(1023), ESP(at=esp_at)),
        Partition("luks key", MiB(32), Luks("cryptkey", opens_with=[Passphrase()], content=Ext4(files=[key]))),
        Partition("swap", GiB(8), Luks("cryptswap", opens_with=[key], content=Swap())),
        Partition("root", REST, Luks("cryptroot", opens_with=[Passphrase(), key], content=tank.member())),
    )
    return Layout.of([Disk(DISK, table)])


def plain_layout() -> Layout:
    return Layout.of([Disk(DISK, GPT(Partition("boot", MiB(512), ESP()), Partition("root", REST, Ext4(at="/"))))])


def context(
    *parts: Part, layout: Layout | None = None, users: Sequence[UserView] = (IVAN,), facts: Sequence[Fact] = ()
) -> Context:
    layout = layout or pibox_layout()
    provided = [fact for part in parts for fact in part.provides(layout)]
    return Context("pibox", "feeddead", "26.05", "aarch64-linux", layout, users, [*provided, *facts])


def printed(part: Part, context: Context) -> str:
    return module_text([(s.path, s.value, s.comment) for s in part.settings(context)])


def told(mistake: Mistake) -> list[str]:
    return [mistake.field, mistake.what, mistake.given, mistake.allowed, mistake.fix]


def curves() -> st.SearchStrategy[dict[int, int]]:
    degrees = st.lists(st.integers(1, 89), min_size=1, max_size=8, unique=True).map(sorted)
    return degrees.flatmap(
        lambda t: (
            st.lists(st.integers(0, 100), min_size=len(t), max_size=len(t))
            .filter(any)
            .map(lambda speeds: dict(zip(t, sorted(speeds), strict=True)))
        )
    )
