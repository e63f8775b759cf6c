from __future__ import annotations

import dataclasses
import ipaddress
import json
import math
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nixwright.errors import MistakeError
from nixwright.parts.lan_range import LanRange
from nixwright.provisioning.derived import WrongConfigError, derived_files, parse
from nixwright.provisioning.json_schema import config_schema
from nixwright.provisioning.lines import line_of, lines_of
from nixwright.provisioning.model import Config
from nixwright.provisioning.shape import RefusedError, read
from nixwright.provisioning.users import numbers_for
from provisioning_example import ADA, DEVICE, SECRET, SMALL, WHOLE, mutant
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

SCHEMA = Path(__file__).parents[1] / "docs" / "reference" / "config.schema.json"


class TextSnapshot(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "txt"


@cache
def judge() -> Any:
    schema = config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def plain(value: Any) -> bool:
    """Tell whether data is what JSON can say, and says alike: no dates, no 1.0 in place of 1."""
    if isinstance(value, dict):
        return all(plain(inner) for inner in value.values()) and not any(key.endswith("\n") for key in value)
    if isinstance(value, list):
        return all(map(plain, value))
    if isinstance(value, float):
        return math.isfinite(value) and not value.is_integer()
    return isinstance(value, bool | int | str) and not (isinstance(value, str) and value.endswith("\n"))


def judged(data: bytes) -> WrongConfigError | Config:
    try:
        return parse(data, DEVICE)
    except WrongConfigError as error:
        return error


def test_the_examples_are_right_for_device_and_schema() -> None:
    for text in (SMALL, WHOLE):
        assert isinstance(parse(text.encode(), DEVICE), Config)
        judge().validate(tomllib.loads(text))


def test_the_schema_is_the_one_in_the_docs() -> None:
    assert SCHEMA.read_text("utf-8") == json.dumps(config_schema(), indent=2) + "\n"


@settings(deadline=None)
@given(st.integers(0, 2**32))
@example(0)
def test_what_is_taken_the_schema_takes_and_what_is_refused_has_a_place(seed: int) -> None:
    data = mutant(seed, (SMALL, WHOLE)[seed % 2])
    found = judged(data)
    if isinstance(found, Config):
        judge().validate(tomllib.loads(data.decode()))
        return
    report = found.report()
    assert found.faults
    assert SECRET not in report
    assert all(line.startswith(("config.toml", "  given", "  allowed")) for line in report.splitlines()), report
    assert all(0 <= line <= data.count(b"\n") + 1 for line in found.lines)


def test_a_table_of_a_wrong_form_hides_no_mistake_in_another() -> None:
    text = WHOLE.replace('shell = "zsh"', "shell = 7").replace("udp = [", "udp = [4711, ", 1)
    found = judged(text.encode())
    assert isinstance(found, WrongConfigError)
    assert [fault.place() for fault in found.faults] == ["users.ada.shell", "network.firewall.inbound.wan.udp[0]"]
    # what hangs on the table that is wrong is not judged: nothing is said of the containers that activation names
    found = judged(WHOLE.replace("Container = {", "Container = 7 #{").encode())
    assert isinstance(found, WrongConfigError)
    assert {fault.way[0] for fault in found.faults} == {"containers"}


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_types_and_schema_say_the_same(seed: int) -> None:
    """Both are made of one source: what the types refuse, the schema refuses, and the other way round."""
    try:
        value = tomllib.loads(mutant(seed, WHOLE).decode())
    except (ValueError, RecursionError):
        return
    try:
        read(Config, value)
        taken = True
    except RefusedError:
        taken = False
    if plain(value):
        assert judge().is_valid(value) == taken
    else:
        assert not taken or judge().is_valid(value)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    assert isinstance(judged(data), WrongConfigError)


@pytest.mark.parametrize(
    "data",
    [
        b"a = " + b"[" * 100_000,
        b"a = " + b"{a = " * 40_000,
        b"a" + b".a" * 100_000 + b" = 1",
        b"x = " + b"9" * 5000,
        b"[a]\n" * 60_000,
        b"a = [" + b"1," * 120_000 + b"]",
        b"version = 1\n[network.firewall.inbound.wan]\ntcp = [" + b"443, " * 50_000 + b"]",
        b"\xff\xfe",
        b'a = "' + b"\\u0041" * 40_000 + b'"',
        b" " * 300_000,
    ],
    ids=range(10),
)
def test_what_would_take_long_is_refused(data: bytes) -> None:
    found = judged(data)
    assert isinstance(found, WrongConfigError)
    assert len(found.report()) < 20_000


def line_holding(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize(
    ("part", "way"),
    [
        ("version = 1", ("version",)),
        ('shell = "zsh"', ("users", "ada", "shell")),
        ("[users.bob]", ("users", "bob")),
        ("wan = { tcp", ("network", "firewall", "inbound", "wan", "udp", 0)),
        ("[containers.volume.web-data]", ("containers", "volume", "web-data")),
        ("Container = {", ("containers", "container", "dns", "Container", "Volume", 0)),
    ],
)
def test_the_line_of_a_value(part: str, way: tuple[str | int, ...]) -> None:
    assert line_of(lines_of(WHOLE), way) == line_holding(WHOLE, part)


keys = st.text(alphabet="abc-_1", min_size=1, max_size=4) | st.sampled_from(["a b", "a.b", "", 'q"', "é", "#"])
values = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.sampled_from(["x", "a # b", "a]b", 'say "x"', "l1\nl2", "'", "[t]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {toml(v)}, # ]\n" for v in value) + "]" if value else "[]"
    if isinstance(value, str) and "\n" in value:
        return '"""\n' + value.replace('"', '\\"') + '"""'
    return json.dumps(value)


@settings(deadline=None)
@given(st.dictionaries(keys, st.dictionaries(keys, values, max_size=3), max_size=3))
def test_every_value_has_its_line(tables: dict[str, dict[str, Any]]) -> None:
    text = ""
    expected: dict[tuple[str, ...], int] = {}
    for table, entries in tables.items():
        text += f"# [no.table]\n[{json.dumps(table)}] # one\n"
        expected[(table,)] = text.count("\n")
        for key, value in entries.items():
            expected[table, key] = text.count("\n") + 1
            text += f"{json.dumps(key)} = {toml(value)}\n\n"
    assert tomllib.loads(text) == tables
    lines = lines_of(text)
    assert {way: lines.get(way) for way in expected} == expected
    for table, entries in tables.items():  # an array's entries stand on lines of their own
        for key, value in entries.items():
            if isinstance(value, list) and value:
                assert lines[table, key, 0] == expected[table, key] + 1


@settings(deadline=None)
@given(st.integers(0, (1 << 24) - 1), st.integers(16, 30), st.integers(0, 1 << 16), st.data())
def test_a_range_is_the_same_in_a_host_file_and_on_the_device(
    address: int, prefix: int, host: int, data: st.DataObject
) -> None:
    network = ipaddress.IPv4Network((0x0A000000 | address, prefix), strict=False)
    at = network[host % network.num_addresses]
    ends = st.none() | st.integers(int(network[0]) - 1, int(network[-1]) + 1).map(
        lambda n: str(ipaddress.IPv4Address(n))
    )
    first = data.draw(ends)
    last = None if first is None else data.draw(ends.filter(bool))
    text = SMALL + f'[network.dnsmasq]\ngateway_cidr = "{at}/{prefix}"\n'
    text += f'dhcp_start = "{first}"\ndhcp_end = "{last}"\n' if first else ""
    found = judged(text.encode())
    try:
        lan = LanRange(f"{at}/{prefix}", first, last)
    except MistakeError:
        assert isinstance(found, WrongConfigError)
        return
    assert isinstance(found, Config)
    derived = json.loads(derived_files(found, DEVICE, {"ada": 20000})["lan.json"])
    assert derived == {
        "gateway_cidr": str(lan.interface),
        "gateway_ip": lan.address,
        "subnet": str(lan.network),
        "netmask": lan.netmask,
        "dhcp_start": lan.pool[0],
        "dhcp_end": lan.pool[1],
    }


def test_all_that_is_derived(snapshot: SnapshotAssertion) -> None:
    config = parse(WHOLE.encode(), DEVICE)
    made = derived_files(config, DEVICE, numbers_for([*config.users], {"bob": 20007}))
    text = "".join(f"==> {name}\n{content}\n" for name, content in sorted(made.items()))
    assert text == snapshot(extension_class=TextSnapshot)


def test_what_is_left_out_is_not_derived() -> None:
    made = derived_files(parse(SMALL.encode(), DEVICE), DEVICE, {"ada": 20000})
    assert not {"lan.json", "wan.json", "firewall.json", "updates.json"} & made.keys()


WRONG = {
    "unknown_key": ("[users.bob]", "[users.bob]\nis_admin = true"),
    "unknown_version": ("version = 1", "version = 2"),
    "version_that_is_true": ("version = 1", "version = true"),
    "no_admin_with_a_key": ("isAdmin = true", "isAdmin = false"),
    "two_users_of_one_name": ("[users.bob]", "[users.ada]"),
    "user_of_the_image": ("[users.bob]", "[users.ada-of-the-image]"),
    "root": ("[users.bob]", "[users.root]"),
    "user_that_is_no_name": ("[users.bob]", "[users.Bob]"),
    "key_of_another_kind": ("ssh-ed25519 AAAA", "ssh-rsa AAAA"),
    "key_with_options": ('"ssh-ed25519', '"command=x ssh-ed25519'),
    "shell": ('"zsh"', '"fish"'),
    "interface_that_is_none": ("interfaces.wan]", "interfaces.eth7]"),
    "static_without_address": ('address = "192.0.2.7/24"\n', ""),
    "address_beside_dhcp": ('mode = "static"\naddress = "192.0.2.7/24"', 'mode = "dhcp"\naddress = "192.0.2.7/24"'),
    "gateway_elsewhere": ('"192.0.2.1"', '"198.51.100.1"'),
    "lan_by_dhcp": ('mode = "static"\naddress = "10.44.0.1/22"', 'mode = "dhcp"'),
    "lan_of_another_address": ('address = "10.44.0.1/22"', 'address = "10.44.0.2/22"'),
    "wan_and_lan_overlap": ('"192.0.2.7/24"\ngateway = "192.0.2.1"', '"10.44.3.7/24"\ngateway = "10.44.3.1"'),
    "range_too_wide": ("10.44.0.1/22", "10.44.0.1/8"),
    "gateway_is_the_network": ("10.44.0.1/22", "10.44.0.0/22"),
    "pool_outside": ("10.44.1.0", "10.43.1.0"),
    "pool_over_the_gateway": ("10.44.1.0", "10.44.0.1"),
    "pool_starts_after_its_end": ("10.44.1.0", "10.44.3.0"),
    "half_a_pool": ('dhcp_end = "10.44.2.255"\n', ""),
    "dnsmasq_off": ("enable = true", "enable = false"),
    "pattern_without_mac": ("gateway-{mac}", "gateway"),
    "pattern_that_makes_no_name": ("gateway-{mac}", "-{mac}"),
    "domain_too_long": ('"house.example"', f'"{".".join(["h" * 47] * 4)}"'),
    "alias_twice": ('["door"]', '["door", "door"]'),
    "name_server_twice": ('["192.0.2.53"]', '["192.0.2.53", "192.0.2.53"]'),
    "wan_in_the_lan_of_the_image": (
        WHOLE.partition("[network.interfaces.wan]")[2].partition("[network.ntp]")[0],
        '\nmode = "static"\naddress = "172.20.30.99/24"\n\n',
    ),
    "time_server_with_space": ("time.cloudflare.com", "time cloudflare"),
    "page_on_wan": ("tcp = [443], udp = [1194] }\nlan", "tcp = [443, 8080], udp = [1194] }\nlan"),
    "port_twice": ("[80, 443]", "[80, 443, 80]"),
    "port_in_two_scopes": ("[80, 443]", "[80]"),
    "port_that_is_none": ("[80, 443]", "[80, 443, 65536]"),
    "required_is_none": ('required = ["web"]', 'required = ["wbe"]'),
    "required_is_empty": ('required = ["web"]', "required = []"),
    "required_and_degraded": ('["worker"]', '["web"]'),
    "timeout": ("timeout_seconds = 20", "timeout_seconds = 0"),
    "updates_without_tls": ("https://updates", "http://updates"),
    "container_without_image": ('Image = "docker.io/library/busybox:1"\n', ""),
    "image_without_registry": ('"docker.io/library/busybox:1"', '"busybox"'),
    "key_that_is_a_private_one": ('"ssh-ed25519 ', '"-----BEGIN OPENSSH PRIVATE KEY----- '),
    "truth_in_quotes": ("isAdmin = true", 'isAdmin = "true"'),
    "truth_of_another_language": ("isAdmin = true", "isAdmin = yes"),
    "table_missing": (WHOLE.partition("[activation]")[2].partition("[os_upgrade]")[0], "\n"),
    "heading_twice": ("[users.bob]", "[users.ada]"),
    "key_twice": ("enable = true", "enable = true\nenable = true"),
    "no_key_and_no_heading": ("enable = true", "enable"),
    "image_that_nobody_builds": ('"local.build"', '"other.build"'),
    "network_that_is_none": ('"inner.network"', '"outer.network"'),
    "port_to_publish": ('"8081:80"', '"8081:web"'),
    "port_of_the_page": ('"8081:80"', '"8080:80"'),
    "port_of_ssh": ('"8081:80"', '"127.0.0.1:20-29:20-29"'),
    "port_that_is_roots": ('"8081:80"', '"80:80"'),
    "port_beyond_the_last": ('"8081:80"', '"65536:80"'),
    "port_nought": ('"8081:80"', '"8081:0"'),
    "ports_that_are_more": ('"8081:80"', '"8081-8083:80-81"'),
    "port_at_no_address": ('"8081:80"', '"127.0.0.256:8081:80"'),
    "port_of_another": (
        "[containers.container.worker.Container]",
        '[containers.container.worker.Container]\nPublishPort = ["8440-8449:1-10", "8081:53/udp"]',
    ),
    "volume_that_is_none": ('"${CONFIG_DIR}/files/dns:', '"web-dat.volume:'),
    "place_misspelt": ("${FILES_DIR}/www", "${FILE_DIR}/www"),
    "place_without_braces": ("${CONFIG_DIR}/files", "$CONFIG_DIR/files"),
    "podman_arguments": ("ReadOnly = true", 'PodmanArgs = "--network=host"'),
    "line_in_a_line": ("MODE=plain", "MODE=plain\\n[Service]\\nExecStartPre=/bin/sh"),
    "line_that_goes_on": ("MODE=plain", "MODE=plain\\\\"),
    "unit_of_the_image": ("container.worker", "container.proxy"),
    "unit_twice": (
        "[containers.volume.web-data]",
        "[containers.volume.x]\n[containers.network.x]\n[containers.container.x-network]\nContainer.Image = 'a.b/y'",
    ),
    "not_toml": ("[activation]", "[activation"),
    "several_at_once": ('shell = "zsh"', 'shell = "fish"\nshel = 1'),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file(name: str, snapshot: SnapshotAssertion) -> None:
    old, new = WRONG[name]
    assert old in WHOLE
    text = (
        WHOLE.replace(old, new) if name in ("range_too_wide", "gateway_is_the_network") else WHOLE.replace(old, new, 1)
    )
    found = judged(text.encode())
    assert isinstance(found, WrongConfigError)
    assert SECRET not in found.report()
    assert found.report() + "\n" == snapshot(extension_class=TextSnapshot)


@pytest.mark.parametrize("cut", [1, 4, 8, 12, 40])
def test_a_key_that_is_cut_off_lets_nobody_in(cut: int) -> None:
    key = ADA.split(" ")[1]
    found = judged(SMALL.replace(key, key[:-cut]).encode())
    assert isinstance(found, WrongConfigError)
    assert found.report().startswith("config.toml:5  users.ada.ssh_key: is cut short or damaged\n")


def test_a_host_without_a_lan_takes_none() -> None:
    alone = dataclasses.replace(DEVICE, wan="", lan="")
    with pytest.raises(WrongConfigError, match="this device serves no LAN"):
        parse((SMALL + '[network.dnsmasq]\ngateway_cidr = "10.0.0.1/24"\n').encode(), alone)
    assert parse(SMALL.encode(), alone).users["ada"].ssh_key == ADA
