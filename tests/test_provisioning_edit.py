"""One table of a configuration, changed by itself: what comes of it, what is refused, and who may ask for it."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nixwright.cli.main import main
from nixwright.provisioning.derived import parse
from nixwright.provisioning.edit import edit_of, edited, path_of, way_of
from nixwright.provisioning.shape import RefusedError
from nixwright.provisioning.toml_text import toml_text
from provisioning_example import ADA, DEVICE, SMALL, WHOLE
from provisioning_server import key, put, server, until

if TYPE_CHECKING:
    from pathlib import Path

JOE = {"ssh_key": ADA, "shell": "sh"}
PLAIN = st.text(max_size=20) | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
TABLES = st.dictionaries(
    st.text(max_size=9),
    st.recursive(PLAIN, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3)),
    max_size=5,
)


@settings(deadline=None)
@given(TABLES)
def test_a_table_is_read_as_it_was_written(table: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(table)) == table


def test_the_requests_and_their_ways() -> None:
    ways = {
        ("PUT", "/config/users/ada"): ("users", "ada"),
        ("DELETE", "/config/containers/web"): ("containers", "container", "web"),
        ("PUT", "/config/container-networks/inner"): ("containers", "network", "inner"),
        ("PUT", "/config/container-volumes/data"): ("containers", "volume", "data"),
        ("PUT", "/config/container-builds/own"): ("containers", "build", "own"),
        ("PATCH", "/config/network"): ("network",),
    }
    for (method, path), way in ways.items():
        assert way_of(method, path) == way
        assert path_of(way) == ("PUT" if method == "DELETE" else method, path)
    for method, path in [
        ("PUT", "/config/network"),
        ("PATCH", "/config/users/ada"),
        ("PUT", "/config/users/"),
        ("PUT", "/config/users/a/b"),
        ("PUT", "/config/users/../ada"),
        ("PUT", "/config/activation/x"),
        ("DELETE", "/users/ada"),
        ("PUT", "/config"),
    ]:
        assert way_of(method, path) is None, path
    assert path_of(("users",)) is None
    assert path_of(("activation", "required")) is None
    assert path_of(("users", "a b")) is None


def changed(text: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    way = way_of(method, path)
    assert way is not None
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return tomllib.loads(edited(text.encode(), edit_of(method, way, raw)).decode())


def test_one_table_changes_and_no_other() -> None:
    before = tomllib.loads(WHOLE)
    with_joe = before | {"users": before["users"] | {"joe": JOE}}
    assert changed(WHOLE, "PUT", "/config/users/joe", JOE) == with_joe
    assert parse(toml_text(with_joe).encode(), DEVICE).users["joe"].shell == "sh"
    assert changed(toml_text(with_joe), "DELETE", "/config/users/joe") == before
    # what was there by that name is gone, not mixed with
    assert changed(toml_text(with_joe), "PUT", "/config/users/joe", {"isAdmin": False})["users"]["joe"] == {
        "isAdmin": False
    }
    # where no table of the kind is, one is made
    assert "volume" not in tomllib.loads(SMALL)["containers"]
    made = changed(SMALL, "PUT", "/config/container-volumes/data", {"Volume": {"Label": "é😀"}})
    assert made["containers"]["volume"] == {"data": {"Volume": {"Label": "é😀"}}}


def test_a_patch_changes_what_it_names() -> None:
    before = tomllib.loads(WHOLE)["network"]
    patch = {"ntp": {"servers": ["ntp.example.org"]}, "dnsmasq": {"domain": None}, "firewall": None}
    after = changed(WHOLE, "PATCH", "/config/network", patch)["network"]
    kept = {k: v for k, v in before["dnsmasq"].items() if k != "domain"}
    assert "domain" in before["dnsmasq"]
    assert "firewall" in before
    assert after == {k: v for k, v in before.items() if k != "firewall"} | {"dnsmasq": kept, "ntp": patch["ntp"]}
    fresh = changed(SMALL, "PATCH", "/config/network", {"dnsmasq": {"gateway_cidr": "10.1.0.1/24", "domain": None}})
    assert fresh["network"] == {"dnsmasq": {"gateway_cidr": "10.1.0.1/24"}}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "users.joe: is no JSON: "),
        (b"{", "users.joe: is no JSON: "),
        (b"\xff", "users.joe: is no JSON: "),
        (b"[]", "users.joe: is no table"),
        (b'{"shell": "sh", "shell": "zsh"}', "users.joe: is no JSON: a key stands there twice"),
        (b'{"shell": null}', "users.joe.shell: is null"),
        (b'{"ssh_key": [1, null]}', "users.joe.ssh_key[1]: is null"),
        (b'{"shell": "\\ud800"}', "users.joe: is no JSON: "),
        (b'{"a":' + b"[" * 100_000, "users.joe: is no JSON: "),
    ],
)
def test_a_body_that_is_no_table(body: bytes, says: str) -> None:
    with pytest.raises(RefusedError, match=f"^{re.escape(says)}"):
        changed(SMALL, "PUT", "/config/users/joe", body)


def test_what_is_not_there_cannot_be_taken_away() -> None:
    with pytest.raises(RefusedError, match=r"^users.joe: is not there: nothing to take away$"):
        changed(SMALL, "DELETE", "/config/users/joe")


@settings(deadline=None)
@given(st.binary(max_size=80) | TABLES.map(lambda t: json.dumps(t).encode()), st.sampled_from(["PUT", "PATCH"]))
def test_whatever_is_sent_is_taken_as_the_device_takes_a_file_or_refused(body: bytes, method: str) -> None:
    way = way_of(method, "/config/network" if method == "PATCH" else "/config/users/joe")
    assert way is not None
    try:
        data = edited(SMALL.encode(), edit_of(method, way, body))
        parse(data, DEVICE)
    except RefusedError:
        return
    assert {*tomllib.loads(data.decode())["users"]} <= {"ada", "joe"}


def test_an_admin_changes_one_user_and_one_container(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ada, eve = tmp_path / "ada", tmp_path / "eve"
    config = put(tmp_path / "config.toml", SMALL.replace(ADA, key(ada)))
    key(eve)
    joe = json.dumps(JOE).encode()
    with server(tmp_path) as served:
        live = served.config / "config.toml"
        # a device that was never told has nothing to change, and nobody who may
        assert served.signed(ada, "PUT", "/config/users/joe", joe)[0] == 401
        assert served.job(served.first(config.read_text("utf-8")))["state"] == "done"
        (served.config / "files/kept").write_text("kept")
        assert served.ask("PUT", "/config/users/joe", joe)[0] == 401
        assert served.signed(eve, "PUT", "/config/users/joe", joe)[0] == 401
        assert served.ask("PUT", "/config/nothing/joe", joe)[0] == 404
        before = live.read_bytes()
        status, data = served.signed(ada, "PUT", "/config/users/joe", b"[]")
        assert (status, json.loads(data)) == (400, {"error": "users.joe: is no table (allowed an object of JSON)"})
        assert served.signed(ada, "PUT", "/config/users/joe", b" " * 300_000)[0] == 413

        def asked(method: str, path: str, body: bytes = b"") -> dict[str, Any]:
            status, data = served.signed(ada, method, path, body)
            assert status == 202
            return served.job(json.loads(data)["job"])

        # what the whole file would be refused for, one table is, and nothing changes
        wrong = asked("PUT", "/config/users/joe", b'{"shell": "fish"}')
        assert wrong["state"] == "failed"
        assert wrong["said"][0].startswith("config.toml  users.joe.shell: is not one of those that are known")
        assert asked("DELETE", "/config/users/ada")["said"][0].startswith("config.toml  users: ")
        assert live.read_bytes() == before

        assert asked("PUT", "/config/users/joe", joe)["said"][-1] == "the configuration is in force"
        assert tomllib.loads(live.read_text("utf-8"))["users"]["joe"] == JOE
        assert (served.config / "files/kept").read_text() == "kept"
        assert json.loads((served.config / "users.json").read_text())["joe"]["shell"] == "sh"
        assert asked("PUT", "/config/users/joe", joe)["said"] == ["this is the configuration in force: nothing to do"]

        # the same by the command
        push = ["provision", "push", "--to", f"http://127.0.0.1:{served.port}", "--key", str(ada)]
        with_cat = config.read_text("utf-8") + f'\n[users.cat]\nssh_key = "{ADA}"\n'
        put(config, with_cat)
        assert main([*push, str(config), "--only", "users.cat"]) == 0
        assert main([*push, "--remove", "users.joe"]) == 0
        assert [*tomllib.loads(live.read_text("utf-8"))["users"]] == ["ada", "cat"]
        assert main([*push, "--remove", "users.joe"]) == 2
        assert "users.joe: is not there" in capsys.readouterr().out
        put(config, with_cat.replace("[users.cat]", '[users.cat]\nshell = "fish"'))
        assert main([*push, str(config), "--only", "users.cat"]) == 2
        assert "users.cat.shell" in capsys.readouterr().err
        until(lambda: not [*(tmp_path / "run").iterdir()])
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--only", "activation"], "activation is no table that can be given alone: users.NAME"),
        (["--only", "users.joe"], "has no users.joe: --remove users.joe takes it from the device"),
        (["--remove", "network"], "network is changed, and not taken away: --only network"),
        ([], "--key is missing"),
    ],
)
def test_what_the_command_cannot_do(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = put(tmp_path / "config.toml", SMALL)
    assert main(["provision", "push", str(config), "--to", "10.0.0.1", *words]) == 2
    assert says in capsys.readouterr().err


def test_what_would_be_asked_for_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = put(tmp_path / "config.toml", SMALL)
    id_ = str(put(tmp_path / "id", "a key, which a dry run leaves alone"))
    words = ["provision", "push", str(config), "--to", "10.0.0.1", "--key", id_, "--dry-run", "--only", "users.ada"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"PUT http://10.0.0.1:8080/config/users/ada, signed by {id_}\n"
    assert main([*words[:4], "ssh://ada@10.0.0.1", "--only", "users.ada"]) == 2
    assert "a table alone goes to the device's page" in capsys.readouterr().err
    assert main(["provision", "push", "--to", "10.0.0.1", "--key", id_]) == 2
    assert "SOURCE is missing" in capsys.readouterr().err
