from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest
from host_project import project  # noqa: F401 - a fixture
from nixwright.cli.main import main
from nixwright.errors import NixwrightError
from nixwright.tools.provision_client import Device
from programs import need
from provisioning_example import SECRET, SMALL, WHOLE, archive
from provisioning_server import key, put, server, until
from test_parts_provisioning import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from host_project import Project

SAID = """\
the configuration is right; it is put in force
restart provisioned.target
the configuration is in force
"""


RIGHT = "the configuration is right; whether it fits a host, --host hosts/NAME.py says\n"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["provision", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_what_the_device_would_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = put(tmp_path / "right.toml", WHOLE)
    assert run(capsys, "validate", str(right)) == (0, RIGHT, "")
    wrong = put(tmp_path / "wrong.toml", WHOLE.replace('shell = "zsh"', 'shell = "fish"').replace("[80, 443]", "[80]"))
    status, out, told = run(capsys, "validate", str(wrong))
    assert (status, out) == (2, "")
    assert told.splitlines() == [
        f"{wrong}:6  users.ada.shell: is not one of those that are known",
        '  given    "fish"',
        '  allowed  "bash", "sh", "zsh"',
        f"{wrong}:37  network.firewall.inbound.wan.tcp[0]: would be open to the WAN and closed to the LAN",
        "  given    443",
        "  allowed  the same port in lan.tcp",
        "2 mistakes. The device would change nothing.",
    ]
    assert SECRET not in told


def test_what_the_device_of_a_host_would_say(project: Project) -> None:  # noqa: F811
    host = project.host(HOST, "gw")
    config = put(project.root / "config.toml", SMALL.replace("users.ada", "users.eva"))
    assert project.run("provision", "validate", str(config), "--host", host).out == "the configuration is right\n"
    config.write_text(SMALL, "utf-8")  # the image has an ada already
    answer = project.run("provision", "validate", str(config), "--host", host)
    assert answer.status == 2
    assert answer.err.startswith(f"{config}:3  users.ada: is a user of the image\n")
    plain = project.host(HOST.replace('        Provisioning(directory="/var/lib/config"),\n', ""), "plain")
    assert "no host with Provisioning" in project.run("provision", "validate", str(config), "--host", plain).err


@pytest.mark.parametrize("end", [".tar.gz", ".tar.zst"])
def test_a_bundle_is_the_same_each_time_and_read_back(
    end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("zstd")
    files = tmp_path / "files"
    (files / "www").mkdir(parents=True)
    put(files / "www" / "index.html", "hello")
    put(files / "run.sh", "#!/bin/sh\n").chmod(0o755)
    source, output = put(tmp_path / "config.toml", WHOLE), tmp_path / f"a{end}"
    status, out, _ = run(capsys, "bundle", str(source), "--files", str(files), "-o", str(output))
    assert status == 0
    assert out.startswith(f"{output}: ")
    first = output.read_bytes()
    (files / "www" / "index.html").touch()
    assert run(capsys, "bundle", str(source), "--files", str(files), "-o", str(output))[0] == 0
    assert output.read_bytes() == first
    assert run(capsys, "validate", str(output))[:2] == (0, RIGHT)
    if end == ".tar.gz":
        with tarfile.open(output) as tar:
            assert {m.name: oct(m.mode) for m in tar} == {
                "config.toml": "0o644",
                "files/run.sh": "0o755",
                "files/www/index.html": "0o644",
            }
    (files / "link").symlink_to("/etc/passwd")
    assert main(["provision", "bundle", str(source), "--files", str(files), "-o", str(output)]) == 2
    assert "is no plain file" in capsys.readouterr().err
    put(source, SMALL.replace("version = 1", "version = 2"))
    assert run(capsys, "bundle", str(source), "-o", str(output))[0] == 2
    assert output.read_bytes() == first
    assert main(["provision", "bundle", str(source), "-o", str(tmp_path / "a.zip")]) == 2


def test_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run(capsys, "schema")[1])["properties"]["version"] == {"enum": [1]}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://172.20.30.1:8080", "http://172.20.30.1:8080"),
        ("172.20.30.1", "http://172.20.30.1:8080"),
        ("http://gw:81/", "http://gw:81"),
        ("https://gw", None),
        ("http://gw:99999", None),
        ("http://gw/config", None),
        ("", None),
    ],
)
def test_an_address(text: str, address: str | None) -> None:
    if address is not None:
        assert str(Device.at(text)) == address
        return
    with pytest.raises(NixwrightError, match="is no device's address"):
        Device.at(text)


def test_a_device_is_given_another_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ada, eve = tmp_path / "ada", tmp_path / "eve"
    public = key(ada)
    key(eve)
    text = SMALL.partition('ssh_key = "')[0] + f'ssh_key = "{public}"\n' + SMALL.partition('laptop"\n')[2]
    first, second = put(tmp_path / "first.toml", text), put(tmp_path / "second.toml", text + "# another\n")
    with server(tmp_path) as served:
        at = ("--to", f"http://127.0.0.1:{served.port}", "--key")
        assert main(["provision", "push", str(first), *at, str(ada)]) == 2  # it knows no admin yet
        assert "refuses: not signed by an admin" in capsys.readouterr().err
        served.first(text)
        until(lambda: (served.config / "config.toml").exists() and not (served.config / "pending").exists())
        status, out, _ = run(capsys, "push", str(second), *at, str(ada), "--dry-run")
        assert status == 0
        assert out.splitlines()[0] == f"POST http://127.0.0.1:{served.port}/config, signed by {ada}"
        assert (served.config / "config.toml").read_text("utf-8") == text
        assert run(capsys, "push", str(second), *at, str(ada))[:2] == (0, SAID)
        assert (served.config / "config.toml").read_text("utf-8") == text + "# another\n"
        assert main(["provision", "push", str(first), *at, str(eve)]) == 2
        assert main(["provision", "push", str(first), *at[:2]]) == 2
        assert "--key is missing" in capsys.readouterr().err
    assert main(["provision", "push", str(first), *at, str(ada)]) == 2
    assert "does not answer" in capsys.readouterr().err


def test_a_device_is_given_one_over_ssh(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    put(
        tools / "ssh", f'#!/bin/sh\necho "$@" > {tmp_path}/argv; cat > {tmp_path}/given; exit ${{SSH_ENDS:-0}}\n'
    ).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    source = put(tmp_path / "config.toml", SMALL)
    assert run(capsys, "push", str(source), "--to", "ssh://eva@gw")[0] == 0
    assert (tmp_path / "argv").read_text("utf-8") == "-- eva@gw run0 --pipe provision import -\n"
    assert (tmp_path / "given").read_text("utf-8") == SMALL
    monkeypatch.setenv("SSH_ENDS", "1")
    assert run(capsys, "push", str(source), "--to", "ssh://eva@gw")[0] == 2
    assert main(["provision", "push", str(source), "--to", "ssh://-oProxyCommand=x"]) == 2
    assert "is no address for SSH" in capsys.readouterr().err


def test_what_is_no_source_is_told_as_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = tmp_path / "site.tar"
    plain.write_bytes(archive({"config.toml": SMALL.encode()}))
    zipped = tmp_path / "site.zip"
    zipped.write_bytes(b"PK\x03\x04" + bytes(40))
    for path in (plain, zipped):
        status, _, err = run(capsys, "validate", str(path))
        assert status == 2
        assert err.startswith(f"{path}: is an archive of another kind; config.toml, .tar.gz or .tar.zst\n")
    right = put(tmp_path / "config.toml", SMALL)
    words = ["push", str(right), "--to", "10.0.0.1", "--key", str(tmp_path / "none")]
    assert "there is no such key of SSH: ssh-keygen -t ed25519 makes one" in run(capsys, *words)[2]
