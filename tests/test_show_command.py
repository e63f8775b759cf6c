"""`nixwright show`: what a host is, on one screen and as one page."""

from __future__ import annotations

import html.parser
import json
import os
import pty
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host_project import EXAMPLE, KEY, SMALLEST, Project, project  # noqa: F401 - a fixture
from nixwright.cli.main import main
from nixwright.report.strip import strip
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

ROOT = Path(__file__).parent.parent
HOSTS = sorted(p.stem for p in (ROOT / "hosts").glob("*.py"))
VOID = {"meta", "br", "rect", "img", "link", "input"}


class Screen(SingleFileSnapshotExtension):
    """Each screen in a text file of its own."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run `show` where the hosts are, and return what it said."""
    capsys.readouterr()
    assert main(["show", "--root", str(ROOT), *argv]) == 0
    return capsys.readouterr().out


def host(name: str) -> str:
    return str(ROOT / f"hosts/{name}.py")


# The terminal


@pytest.mark.parametrize("name", ["pibox", "impermanence-vm"])
def test_the_screen(name: str, capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion) -> None:
    # checks and defaults are a test of their own: each part that grows has more of them
    text = re.sub(r"(?ms)^(?:checks|defaults) .*?(?=^\S|\Z)", "", shown(capsys, host(name)))
    assert text == snapshot.use_extension(Screen)


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_is_one_screen_of_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, host(name))
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) <= 60
    assert "\033" not in text


def test_defaults_that_were_taken_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(shown(capsys, host("pibox")).partition("\ndefaults ")[2].split())
    assert 'PiBox timeout=10, governor="ondemand" PwmFan hysteresis=3' in text
    assert 'port=22, host_key="/persist/etc/ssh/ssh_host_ed25519_key"' in text
    assert "RemoteUnlock" not in text  # both of its fields are said


def test_the_checks_are_those_that_are_generated(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (about,) = json.loads(shown(capsys, "--json", host("pibox")))["hosts"]
    text = " ".join(shown(capsys, host("pibox")).split())
    page = " ".join(read(page_of(capsys, tmp_path, "pibox")).text)
    assert about["checks"]
    for check in about["checks"]:
        (_, first), *more = check["proves"]
        assert f"{check['name']} {first}" in text
        assert all(said in page for _, said in check["proves"])
        assert len(more) < 4 or re.search(rf"{re.escape(first)}.*; and \d+ more", text)


def test_what_is_wiped_and_kept_of_the_impermanence_vm_is_z_20(capsys: pytest.CaptureFixture[str]) -> None:
    """Wiped: /etc /var /root /usr; kept: /nix /boot /home /persist; and the single paths that the host keeps."""
    (about,) = json.loads(shown(capsys, "--json", host("impermanence-vm")))["hosts"]
    survival = about["survival"]
    assert {w["path"] for w in survival["wiped"]} == {"/etc", "/var", "/root", "/usr"}
    assert set(survival["kept"]) == {"/nix", "/boot", "/home", "/persist"}
    single = {p["path"] for p in survival["paths"]}
    assert "/etc/machine-id" in single
    assert single == {but for w in survival["wiped"] for but in w["but"]}

    text = shown(capsys, host("impermanence-vm"))
    rows = re.findall(r"^(?:mounts)? +(WIPED|kept) +(/\S*)", text, re.MULTILINE)
    assert dict.fromkeys(path for state, path in rows if state == "WIPED") == {"/": None}
    assert {path for state, path in rows if state == "kept"} == set(survival["kept"])
    assert "each boot  empties  /root, /usr\n" in text
    for path in single:
        assert path in text


def test_a_terminal_gets_colours_and_no_color_none(tmp_path: Path) -> None:
    def told(**environment: str) -> str:
        argv = [sys.executable, "-m", "nixwright", "show", host("pibox"), "--root", str(ROOT)]
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(tmp_path)
            os.execve(argv[0], argv, {**os.environ, "TERM": "xterm", **environment})  # noqa: S606 - ourselves
        said = b""
        while True:
            try:
                more = os.read(terminal, 1 << 16)
            except OSError:  # the other end is gone
                break
            if not more:
                break
            said += more
        os.waitpid(pid, 0)
        os.close(terminal)
        return said.decode()

    coloured = told(NO_COLOR="")
    assert "\033[31;1mWIPED\033[0m" in coloured
    plain = told(NO_COLOR="1")
    assert "\033" not in plain
    assert re.sub(r"\033\[[0-9;]*m", "", coloured) == plain


def test_what_settings_replace_is_told(project: Project) -> None:  # noqa: F811
    own = 'settings={"services.openssh.settings.PermitRootLogin": "yes", '
    path = project.host(EXAMPLE.replace("settings={", own))
    answer = project.run("show", path)
    assert answer.status == 0
    assert '"yes", instead of Ssh\'s "no"' in " ".join(answer.out.split())


def test_a_host_with_mistakes_is_not_shown(project: Project) -> None:  # noqa: F811
    answer = project.run("show", project.host(EXAMPLE.replace("feeddead", "feed")))
    assert (answer.status, answer.out) == (2, "")
    assert "is no hostId" in answer.err


def test_words_that_make_no_sense(project: Project) -> None:  # noqa: F811
    assert project.run("show").err == "nixwright: say which host, as in: nixwright show hosts/pibox.py\n"
    project.host(EXAMPLE)
    project.host(SMALLEST, "vm")
    assert "a page shows one host" in project.run("show", "hosts", "--html", "x.html").err


def test_pools_mirrors_and_what_lies_outside_partitions(project: Project) -> None:  # noqa: F811
    member = 'Partition("data", REST, Luks("crypt{0}", opens_with=[Passphrase()], content=tank.member()))'
    disks = [
        f'Disk("/dev/disk/by-id/ata-{n}", GPT(Raw("loader", KiB(32), MiB(8)), Partition("boot", MiB(512), '
        f"ESP(at={at!r}), start=MiB(16)), {member.format(n)}), size=GiB(500))"
        for n, at in ((1, "/boot"), (2, None))
    ]
    source = SMALLEST.replace("Disk, Ext4, MiB,", "Dataset, Disk, GiB, KiB, Luks, MiB, Passphrase, Raw, Zpool,")
    source = re.sub(r"disks=\[.*?\n    \]", f"disks=[{', '.join(disks)}], host_id='abcdef01'", source, flags=re.DOTALL)
    tank = 'tank = Zpool("tank", mode="mirror", datasets=[Dataset("root", at="/")])'
    answer = project.run("show", project.host(source.replace("host = ", f"{tank}\nhost = "), "vm"))
    assert answer.err == ""
    assert "outside: loader at 32 KiB, 8 MiB\n" in answer.out
    assert "pools      tank  mirror of crypt1 and crypt2, compression lz4, native mounts\n" in answer.out
    assert "tank/root, in crypt1 and crypt2\n" in answer.out
    assert "vfat on partition 1 of disk1\n" in answer.out
    assert "499.5 GiB" in answer.out


def disk(*labels: str) -> dict[str, object]:
    content = {"kind": "ext4", "at": "/", "keys": []}
    parts = [{"number": i, "label": t, "size": 1 << 30, "content": content} for i, t in enumerate(labels, 1)]
    return {"partitions": parts}


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_a_strip_is_as_wide_as_the_screen_and_loses_no_word(count: int) -> None:
    labels = [f"a rather long name {n}" for n in range(count)]
    lines = strip(disk(*labels), 80)
    assert {len(line) for line in lines} == {80}
    words = " ".join(lines).replace("│", " ").split()
    for label in labels:
        assert set(label.split()) <= set(words)


def test_what_does_not_fit_is_no_strip_but_a_table(project: Project) -> None:  # noqa: F811
    assert strip(disk(*(f"partition{n}" for n in range(12))), 80) == []
    more = ", ".join(f'Partition("a_long_partition_{n}", MiB(64), Ext4())' for n in range(9))
    path = project.host(SMALLEST.replace('Partition("root"', f'{more}, Partition("root"'), "vm")
    text = project.run("show", path).out
    assert "a_long_partition_8" in text
    assert max(map(len, text.splitlines())) <= 80


# The page


class Reader(html.parser.HTMLParser):
    """Reads a page strictly: what is opened is closed, in order; text and attributes are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def page_of(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> str:
    target = tmp_path / f"{name}.html"
    assert shown(capsys, "--html", str(target), host(name)).startswith(f"{target} is written")
    return target.read_text()


@pytest.mark.parametrize("name", HOSTS)
def test_the_page_is_whole_in_itself(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = page_of(capsys, tmp_path, name)
    reader = read(page)
    assert page.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert not {"src", "href", "onload", "onclick"} & {n for n, _ in reader.attributes}
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page)
    assert ("name", "viewport") in reader.attributes
    assert "prefers-color-scheme:dark" in page
    assert reader.tags.count("svg") == 2  # for a page and for a phone
    widths = [int(v or 0) for n, v in reader.attributes if n == "width" and v is not None]
    assert {720, 340} <= set(widths)


def test_the_page_says_what_the_screen_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    reader = read(page_of(capsys, tmp_path, "pibox"))
    text = " ".join(" ".join(reader.text).split())
    for said in (
        "What survives a reboot",
        "wiped /var but for /var/lib, /var/log/journal",
        "kept /home/ivan tank/persist/user/ivan, in cryptroot, snapshots",
        "LUKS2 cryptroot, opens with passphrase or key file /keyfile",
        "ssh to stage 1, port 9999",
        "password of ivan /persist/passwords/ivan",
        "a second generation switches and rolls back",
        "Settings of its own",
        "No secret is in this page.",
    ):
        assert said in text


def test_what_a_host_says_cannot_become_markup(project: Project) -> None:  # noqa: F811
    named = SMALLEST.replace(KEY, KEY.replace("ivan@laptop", "<b>ivan</b>"))
    source = f'"""<script>alert(1)</script> & co."""\n{named}'
    assert project.run("show", "--html", project.host(source, "vm")).status == 0
    page = project.text("vm.html")
    assert "script" not in read(page).tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co." in page
    assert "&lt;b&gt;ivan&lt;/b&gt;" in page


def test_a_page_is_written_beside_and_never_over_another_file(project: Project) -> None:  # noqa: F811
    path = project.host(SMALLEST, "vm")
    assert project.run("show", path, "--html").out.startswith("vm.html is written")
    first = project.text("vm.html")
    assert project.run("show", path, "--html", "vm.html").status == 0
    assert project.text("vm.html") == first
    (project.root / "notes.html").write_text("<p>mine</p>\n")
    answer = project.run("show", path, "--html", "notes.html")
    assert answer.status == 2
    assert "is no page of ours" in answer.err
    assert project.text("notes.html") == "<p>mine</p>\n"


def test_no_secret_is_shown_anywhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Markers where secrets are: in the environment, in files that the host names, and in the key of a user's line."""
    canary = "canary-6d1f0b"
    monkeypatch.setenv("WIFI_PSK", canary)
    secret = project.root / "persist/passwords/ivan"
    secret.parent.mkdir(parents=True)
    secret.write_text(canary)
    login = f'User("root", password=SecretFile("{secret}"), '
    source = SMALLEST.replace('User("root", ', login).replace("import Host, User", "import Host, SecretFile, User")
    path = project.host(source, "vm")
    for argv in ([], ["--json"], ["--html", "p.html"]):
        answer = project.run("show", path, *argv)
        assert answer.status == 0
        assert canary not in answer.out + answer.err
    assert canary not in project.text("p.html")
    assert str(secret) in project.text("p.html")
    assert KEY.split()[1] not in project.text("p.html")  # public, but nobody reads it
    clear = project.host(
        EXAMPLE.replace("settings={", 'settings={"networking.wireless.networks.home.psk": "canary99", ')
    )
    for argv in ([], ["--json"], ["--html", "q.html"]):
        answer = project.run("show", clear, *argv)
        assert answer.status == 2
        assert "canary" not in answer.out + answer.err
    assert not (project.root / "q.html").exists()
