"""The local file beside a host file: only who installs reads it, and no key stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from host_project import SMALLEST, Project, project  # noqa: F401 - a fixture
from nixwright.cli.hosts import LOCAL
from nixwright.errors import MistakeError, ToolError
from nixwright.local import NAME, local_wifi

if TYPE_CHECKING:
    from pathlib import Path

GOOD = 'from nixwright.local import LocalWifi\n\nwifi = LocalWifi("Home-WiFi", key_file="~/.secrets/home-wifi")\n'
CANARY = "canary-Zq7vK2mX9pLw4TbR8sYd"


def local(directory: Path, text: str) -> Path:
    (directory / NAME).write_text(text)
    return directory / "pi4.py"


def test_one_name_everywhere() -> None:
    assert NAME == LOCAL


def test_it_says_which_network_and_where_the_key_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/bas")
    wifi = local_wifi(local(tmp_path, GOOD))
    assert wifi is not None
    assert (wifi.ssid, str(wifi.path)) == ("Home-WiFi", "/home/bas/.secrets/home-wifi")


def test_without_one_there_is_none(tmp_path: Path) -> None:
    assert local_wifi(tmp_path / "pi4.py") is None


@pytest.mark.parametrize(
    "text",
    [f'wifi = "{CANARY}"', f'raise ValueError("{CANARY}")', f"{CANARY} = = 3", GOOD + GOOD.replace("wifi =", "w =")],
)
def test_what_is_none_is_told_without_a_word_of_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        local_wifi(local(tmp_path, text))
    assert CANARY not in str(caught.value)


def test_a_key_where_its_file_belongs(tmp_path: Path) -> None:
    with pytest.raises(MistakeError) as caught:
        local_wifi(local(tmp_path, GOOD.replace("~/.secrets/home-wifi", CANARY)))
    assert [m.field for m in caught.value.mistakes] == ["LocalWifi.key_file"]
    assert CANARY not in repr(caught.value.mistakes)


def test_gen_is_the_same_with_and_without(project: Project) -> None:  # noqa: F811
    project.host(SMALLEST, "vm")
    assert project.run("gen", "hosts/vm.py").status == 0
    project.host(GOOD, "wifi")
    for hosts in (["hosts"], ["hosts/vm.py", "hosts/wifi.py"]):
        answer = project.run("gen", "--check", *hosts)
        assert (answer.status, answer.err) == (0, "")
    assert "Home-WiFi" not in "".join(project.files().values())


def test_alone_it_is_no_host(project: Project) -> None:  # noqa: F811
    answer = project.run("gen", project.host(GOOD, "wifi"))
    assert answer.status != 0
    assert "is no host file" in answer.err
