"""The device's own program for its networks: what it takes, what it refuses and how it says so."""

from __future__ import annotations

import contextlib
import copy
import ipaddress
import json
import os
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nixwright.errors import MistakeError
from nixwright.parts.lan_range import LanRange
from nixwright.parts.programs import gateway_apply as program
from nixwright.provisioning.derived import derived_files, parse
from nixwright.provisioning.gateway_files import LanFile, lan_faults
from nixwright.provisioning.shape import RefusedError, read
from nixwright.provisioning.toml_text import toml_text
from provisioning_example import DEVICE, WHOLE, mutant

HOST: dict[str, Any] = {
    "name": "gw",
    "wan_interface": "wan",
    "ssh": 22,
    "page": 8080,
    "page_on_wan": False,
    "lan": {
        "gateway_cidr": "172.20.30.1/24",
        "dhcp_start": "172.20.30.10",
        "dhcp_end": "172.20.30.254",
        "domain": "lan",
        "gateway_aliases": ["gateway"],
        "ntp_servers": ["time.cloudflare.com"],
    },
    "inbound": {"wan": {"tcp": [443], "udp": []}, "lan": {}},
}
CHANGED = int(os.environ.get("NIXWRIGHT_MUTATIONS", "600"))
TOLD: dict[str, dict[str, Any]] = {
    "lan": {
        "gateway_cidr": "10.44.0.1/22",
        "gateway_ip": "10.44.0.1",
        "subnet": "10.44.0.0/22",
        "netmask": "255.255.252.0",
        "dhcp_start": "10.44.0.10",
        "dhcp_end": "10.44.3.254",
        "domain": "house.example",
        "hostname_pattern": "gateway-{mac}",
        "gateway_aliases": ["door"],
        "ntp_servers": ["ntp.example", "192.0.2.9"],
    },
    "wan": {
        "mode": "static",
        "address": "192.0.2.7/24",
        "gateway": "192.0.2.1",
        "dns_servers": ["192.0.2.53"],
        "dns_search_domains": ["example.org"],
    },
    "firewall": {"inbound": {"wan": {"tcp": [443], "udp": [1194]}, "lan": {"tcp": [443]}}},
}


class Device:
    """What the program finds and leaves: a root, a directory of what the device was told, and programs that it runs."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.config = root, root / "data/config"
        self.ran: list[str] = []
        self.rules = ""
        self.fails: dict[str, str] = {}
        self.config.mkdir(parents=True)
        mac = root / "sys/class/net/wan/address"
        mac.parent.mkdir(parents=True)
        mac.write_text("02:00:5e:10:00:01\n")
        monkeypatch.setattr(program, "run", self._run)
        monkeypatch.setattr(program, "runs", lambda _: True)

    def _run(self, *words: str, stdin: str | None = None) -> None:
        line = " ".join(words)
        self.ran.append(line)
        if line in self.fails:
            raise program.WrongError(self.fails.pop(line))
        if line == "nft -f -":
            assert stdin is not None
            self.rules = stdin

    def tell(self, **files: Any) -> None:
        for name, value in files.items():
            text = value if isinstance(value, str) else json.dumps(value)
            (self.config / f"{name}.json").write_text(text)

    def apply(self, host: dict[str, Any] = HOST, *, booting: bool = False) -> list[str]:
        self.ran.clear()
        changed = program.apply(host, self.config, self.root, booting=booting)
        return [str(Path(file).relative_to(self.root)) for file in changed]

    def refused(self, host: dict[str, Any] = HOST) -> list[str]:
        with pytest.raises(program.WrongError) as caught:
            self.apply(host)
        return str(caught.value).replace(f"{self.config}/", "").splitlines()

    def files(self) -> dict[str, str]:
        run = self.root / "run"
        return {str(f.relative_to(run)): f.read_text() for f in sorted(run.rglob("*")) if f.is_file()}


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(tmp_path, monkeypatch)


def test_a_device_that_was_told_nothing_is_the_host_files(device: Device) -> None:
    device.apply()
    lan = HOST["lan"]
    assert device.files() == {
        "gateway/dnsmasq.conf": program.dnsmasq(lan, ["gw", "gateway"]),
        "gateway/chrony.conf": "server time.cloudflare.com iburst\nallow 172.20.30.0/24\n",
    }
    assert device.rules.splitlines() == [
        "flush chain inet gateway wan_inbound",
        "add rule inet gateway wan_inbound tcp dport { 443 } accept",
        "flush chain inet gateway lan_inbound",
        "add rule inet gateway lan_inbound accept",
    ]


def test_links_to_the_host_files_own_stay(device: Device) -> None:
    """Nothing changes where nothing was told, so nothing is restarted."""
    store = device.root / "store"
    store.mkdir()
    (device.root / "run/gateway").mkdir(parents=True)
    for name, text in (
        ("dnsmasq", program.dnsmasq(HOST["lan"], ["gw", "gateway"])),
        ("chrony", program.chrony(HOST["lan"])),
    ):
        (store / name).write_text(text)
        (device.root / f"run/gateway/{name}.conf").symlink_to(store / name)
    assert device.apply() == []
    assert device.ran == ["nft -c -f -", "nft -f -"]
    assert (device.root / "run/gateway/dnsmasq.conf").is_symlink()
    device.tell(lan=TOLD["lan"])
    assert "run/gateway/dnsmasq.conf" in device.apply()
    assert not (device.root / "run/gateway/dnsmasq.conf").is_symlink()
    assert "172.20.30.10" in (store / "dnsmasq").read_text()  # the link's own file is not written to


def test_what_was_told_is_what_holds(device: Device) -> None:
    device.tell(**TOLD)
    device.apply()
    assert device.files() == {
        "gateway/chrony.conf": "server ntp.example iburst\nserver 192.0.2.9 iburst\nallow 10.44.0.0/22\n",
        "gateway/dnsmasq.conf": (
            "domain=house.example\nlocal=/house.example/\n"
            "host-record=gateway-02005e100001.house.example,gateway-02005e100001,10.44.0.1\n"
            "host-record=door.house.example,door,10.44.0.1\n"
            "dhcp-range=10.44.0.10,10.44.3.254,255.255.252.0,24h\n"
            "dhcp-option=option:router,10.44.0.1\ndhcp-option=option:dns-server,10.44.0.1\n"
            "dhcp-option=option:ntp-server,10.44.0.1\n"
        ),
        "systemd/network/10-wan.network.d/provisioned.conf": (
            "[Network]\nDHCP=no\nAddress=192.0.2.7/24\nDNS=192.0.2.53\nDomains=example.org\n[Route]\nGateway=192.0.2.1\n"
        ),
        "systemd/network/20-lan.network.d/provisioned.conf": "[Network]\nAddress=\nAddress=10.44.0.1/22\n",
    }
    assert device.rules.splitlines() == [
        "flush chain inet gateway wan_inbound",
        "add rule inet gateway wan_inbound tcp dport { 443 } accept",
        "add rule inet gateway wan_inbound udp dport { 1194 } accept",
        "flush chain inet gateway lan_inbound",
        "add rule inet gateway lan_inbound icmp type echo-request accept",
        "add rule inet gateway lan_inbound tcp dport { 22, 53, 443, 8080 } accept",
        "add rule inet gateway lan_inbound udp dport { 53, 67, 123 } accept",
    ]


RELOADED = "networkctl reload"
NAMES, TIME = (
    [f"systemctl {word} {unit}.service" for word in ("reset-failed", "restart")] for unit in ("dnsmasq", "chronyd")
)


def test_only_what_changed_is_restarted(device: Device) -> None:
    assert device.apply()
    assert device.ran == ["nft -c -f -", *NAMES, *TIME, "nft -f -"]
    assert device.apply() == []
    assert device.ran == ["nft -c -f -", "nft -f -"]
    device.tell(lan={"ntp_servers": ["ntp.example"]})
    device.apply()
    assert device.ran == ["nft -c -f -", *TIME, "nft -f -"]
    device.tell(wan={"mode": "dhcp", "dns_servers": ["192.0.2.53"]})
    device.apply()
    assert device.ran == ["nft -c -f -", RELOADED, "nft -f -"]
    device.tell(lan=TOLD["lan"])
    device.apply()
    assert device.ran == ["nft -c -f -", RELOADED, *NAMES, *TIME, "nft -f -"]
    # and back again, where the files are gone
    for name in ("lan", "wan"):
        (device.config / f"{name}.json").unlink()
    assert len(device.apply()) == 4
    assert [f for f in device.files() if "network" in f] == []


def test_a_boot_restarts_nothing(device: Device) -> None:
    device.tell(**TOLD)
    assert len(device.apply(booting=True)) == 4
    assert device.ran == ["nft -c -f -", "nft -f -"]


def test_the_way_out_that_is_told_outranks_dhcp(device: Device) -> None:
    device.tell(wan={"mode": "dhcp", "gateway": "192.0.2.1", "dns_servers": ["192.0.2.53"]})
    device.apply()
    (text,) = (text for name, text in device.files().items() if "10-wan" in name)
    assert text == (
        "[Network]\nDHCP=ipv4\nDNS=192.0.2.53\n[Route]\nGateway=192.0.2.1\nGatewayOnLink=yes\n"
        "[DHCPv4]\nUseGateway=no\nUseDNS=no\n"
    )


def test_the_page_is_open_on_the_wan_until_the_device_was_told(device: Device) -> None:
    host = HOST | {"page_on_wan": True}
    device.apply(host)
    opened = "add element inet gateway page_wan { 8080 }"
    assert device.rules.splitlines()[-2:] == ["flush set inet gateway page_wan", opened]
    for name in ("admin-signers", "config.toml"):
        (device.config / name).touch()
        device.apply(host)
        assert opened not in device.rules
        assert device.rules.endswith("flush set inet gateway page_wan\n")
        (device.config / name).unlink()
    # a data partition that is not mounted looks like a device that was told nothing: nothing is opened there
    device.config.rmdir()
    what = "is not there: the data partition is not mounted, or not as it should be"
    assert device.refused(host) == [f"{device.config}: {what}"]
    assert device.ran == []


ELSEWHERE = "is no other host of the interface's network"
SHARES = "is on a network that shares addresses with the LAN"
HAS = "the pool has the gateway's own address"
UNKNOWN = "is not one of those that are known"
MAC_NAME = 'a name with {mac} in it: "gateway-{mac}"'
NO_NUMBER, NUMBER = "is no whole number", "allowed a whole number, without quotes"
WORDS = '"dhcp", "static"'
FORM = "is not of the form that it must have"
TOGETHER = "is missing (allowed gateway_cidr, dhcp_start, dhcp_end come together)"
RANGE = 'the gateway\'s address with a prefix, /16 to /30: "172.20.30.1/24"'
BEST = "10.44.0.10 to 10.44.3.254"
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no_json": (
        {"firewall": '{"inbound": '},
        ["firewall.json: is no JSON: Expecting value: line 1 column 13 (char 12)"],
    ),
    "not_utf8": ({"lan": '{"domain": "\udcff"}'}, []),
    "key_twice": ({"wan": '{"mode": "dhcp", "mode": "static"}'}, ["wan.json: is no JSON: a key stands there twice"]),
    "too_large": ({"lan": " " * 65_537}, ["lan.json: is larger than 65536 bytes"]),
    "no_table": ({"lan": "[]"}, ["lan.json: is no table (given an array; allowed a table)"]),
    "unknown_keys": (
        {"firewall": {"inbound": {"dmz": {}, "wan": {"sctp": []}}}},
        [
            "firewall.json: inbound.dmz: is not known (allowed wan, lan)",
            "firewall.json: inbound.wan.sctp: is not known (allowed tcp, udp)",
        ],
    ),
    "ports": (
        {"firewall": {"inbound": {"wan": {"tcp": [443, 443, 0, 65536, True, "22"]}}}},
        [
            "firewall.json: inbound.wan.tcp[1]: is there twice",
            "firewall.json: inbound.wan.tcp[2]: is out of range (given 0; allowed 1 to 65535)",
            "firewall.json: inbound.wan.tcp[3]: is out of range (given 65536; allowed 1 to 65535)",
            f"firewall.json: inbound.wan.tcp[4]: {NO_NUMBER} (given a boolean; {NUMBER})",
            f"firewall.json: inbound.wan.tcp[5]: {NO_NUMBER} (given a string; {NUMBER})",
        ],
    ),
    "page_on_wan": (
        {"firewall": {"inbound": {"wan": {"tcp": [8080]}}}},
        ["firewall.json: inbound.wan.tcp: 8080 is the page that provisions the device: it is for the LAN alone"],
    ),
    "no_cidr": (
        {"lan": TOLD["lan"] | {"gateway_cidr": "10.44.0.1"}},
        [f'lan.json: gateway_cidr: {FORM} (given "10.44.0.1"; allowed {RANGE})'],
    ),
    "too_wide": (
        {"lan": TOLD["lan"] | {"gateway_cidr": "10.44.0.1/8"}},
        [f'lan.json: gateway_cidr: {FORM} (given "10.44.0.1/8"; allowed {RANGE})'],
    ),
    "no_host": (
        {"lan": TOLD["lan"] | {"gateway_cidr": "10.44.3.255/22", "gateway_ip": "10.44.3.255"}},
        ["lan.json: gateway_cidr: is no host's address (given 10.44.3.255/22; allowed an address inside its network)"],
    ),
    "not_for_hosts": (
        {"lan": {"gateway_cidr": "127.0.0.1/24", "dhcp_start": "127.0.0.2", "dhcp_end": "127.0.0.3"}},
        ["lan.json: gateway_cidr: is no host's address (given 127.0.0.1/24; allowed an address inside its network)"],
    ),
    "range_in_part": ({"lan": {"gateway_cidr": "10.44.0.1/22"}}, [f"lan.json: dhcp_start: {TOGETHER}"]),
    "derived_without_range": ({"lan": {"netmask": "255.255.255.0"}}, [f"lan.json: gateway_cidr: {TOGETHER}"]),
    "inconsistent": (
        {"lan": TOLD["lan"] | {"gateway_ip": "10.44.0.2", "subnet": "10.44.0.0/24", "netmask": "255.255.255.0"}},
        [
            "lan.json: gateway_ip: is not that of 10.44.0.1/22 (given 10.44.0.2; allowed 10.44.0.1)",
            "lan.json: subnet: is not that of 10.44.0.1/22 (given 10.44.0.0/24; allowed 10.44.0.0/22)",
            "lan.json: netmask: is not that of 10.44.0.1/22 (given 255.255.255.0; allowed 255.255.252.0)",
        ],
    ),
    "pool_outside": (
        {"lan": TOLD["lan"] | {"dhcp_start": "10.43.0.9", "dhcp_end": "10.44.3.255"}},
        [
            "lan.json: dhcp_start: is outside of 10.44.0.0/22 (given 10.43.0.9; allowed 10.44.0.1 to 10.44.3.254)",
            "lan.json: dhcp_end: is outside of 10.44.0.0/22 (given 10.44.3.255; allowed 10.44.0.1 to 10.44.3.254)",
        ],
    ),
    "pool_backwards": (
        {"lan": TOLD["lan"] | {"dhcp_start": "10.44.1.9", "dhcp_end": "10.44.1.8"}},
        [f"lan.json: dhcp_start: comes after dhcp_end (given 10.44.1.9 to 10.44.1.8; allowed {BEST})"],
    ),
    "pool_over_the_gateway": (
        {"lan": TOLD["lan"] | {"dhcp_start": "10.44.0.1"}},
        [f"lan.json: dhcp_start: {HAS}, 10.44.0.1 (given 10.44.0.1 to 10.44.3.254; allowed {BEST})"],
    ),
    "names": (
        {
            "lan": {
                "domain": "a b",
                "hostname_pattern": "-{mac}",
                "gateway_aliases": ["-", "a\nb"],
                "ntp_servers": ["ntp example"],
            }
        },
        [
            f'lan.json: domain: {FORM} (given "a b"; allowed names of a-z, 0-9 and -, with dots between)',
            f'lan.json: hostname_pattern: {FORM} (given "-{{mac}}"; allowed {MAC_NAME})',
            f'lan.json: gateway_aliases[0]: {FORM} (given "-"; allowed a name of a-z, 0-9 and -)',
            f'lan.json: gateway_aliases[1]: {FORM} (given "a?b"; allowed a name of a-z, 0-9 and -)',
            f'lan.json: ntp_servers[0]: {FORM} (given "ntp example"; allowed a host\'s name or its address)',
        ],
    ),
    "name_too_long": (
        {"lan": {"domain": ".".join(["a" * 61] * 4), "gateway_aliases": ["door", "d" * 63]}},
        ["lan.json: domain: is too long (given 247 characters; allowed at most 189)"],
    ),
    "static_without_address": ({"wan": {"mode": "static"}}, ["wan.json: address: is missing: the mode is static"]),
    "address_with_dhcp": (
        {"wan": {"mode": "dhcp", "address": "192.0.2.7/24"}},
        ['wan.json: address: stands beside DHCP (given 192.0.2.7/24; allowed mode = "static", or no address)'],
    ),
    "no_mode": ({"wan": {}}, [f"wan.json: mode: is missing (allowed {WORDS})"]),
    "gateway_elsewhere": (
        {"wan": {"mode": "static", "address": "192.0.2.7/24", "gateway": "198.51.100.1"}},
        ["wan.json: gateway: is no other host of the interface's network (given 198.51.100.1; allowed 192.0.2.0/24)"],
    ),
    "wan_in_the_lan": (
        {"wan": {"mode": "static", "address": "172.20.30.77/16"}},
        [f"wan.json: address: {SHARES} (given 172.20.30.77/16; allowed a network apart from 172.20.30.0/24)"],
    ),
    "several_files": (
        {"lan": {"domain": 1}, "wan": {"mode": "ppp"}, "firewall": {"inbound": []}},
        [
            "lan.json: domain: is no string (given a whole number; allowed a text in quotes)",
            'wan.json: mode: is not one of those that are known (given "ppp"; allowed "dhcp", "static")',
            "firewall.json: inbound: is no table (given an array; allowed a table)",
        ],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_and_changes_nothing(name: str, device: Device) -> None:
    device.tell(**TOLD)
    device.apply()
    files, rules = device.files(), device.rules
    for told in TOLD:
        (device.config / f"{told}.json").unlink()
    told_wrong, expected = REFUSED[name]
    if name == "not_utf8":
        (device.config / "lan.json").write_bytes(b'{"domain": "\xff"}')
        expected = ["lan.json: is no JSON: 'utf-8' codec can't decode byte 0xff in position 12: invalid start byte"]
    else:
        device.tell(**told_wrong)
    assert device.refused() == expected
    assert device.ran == []
    assert (device.files(), device.rules) == (files, rules)


@pytest.mark.parametrize("fails", ["nft -c -f -", *NAMES, RELOADED, "nft -f -"])
def test_what_fails_on_the_way_is_taken_back(fails: str, device: Device) -> None:
    device.tell(lan=TOLD["lan"])
    device.apply()
    files = device.files()
    device.tell(lan=TOLD["lan"] | {"dhcp_end": "10.44.3.200"}, wan=TOLD["wan"])
    device.fails = {fails: f"{fails}: it would not"}
    assert device.refused() == [f"{fails}: it would not"]
    assert device.files() == files
    if fails != "nft -c -f -":
        assert device.ran[-3:] == [RELOADED, *NAMES]  # they read the old files again
    assert device.apply()


def test_the_program_says_it_in_the_journals_words(
    device: Device, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = device.root / "gateway.toml"
    host.write_text(toml_text(HOST))
    argv = ["gateway-apply", str(host), str(device.config), "--root", str(device.root)]
    monkeypatch.setattr("sys.argv", argv)
    program.main()
    said = [line.replace(str(device.root), "") for line in capsys.readouterr().out.splitlines()]
    assert said == [f"[gateway-apply] changed /run/gateway/{name}.conf" for name in ("dnsmasq", "chrony")]
    device.tell(firewall="{", wan={"mode": 1})
    why = "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    with pytest.raises(SystemExit) as caught:
        program.main()
    assert str(caught.value.code).splitlines() == [
        f"[gateway-apply] {device.config}/wan.json: mode: {UNKNOWN} (given 1; allowed {WORDS})",
        f"[gateway-apply] {device.config}/firewall.json: is no JSON: {why}",
    ]


def test_the_first_line_of_what_a_program_says_is_told(tmp_path: Path) -> None:
    with pytest.raises(program.WrongError, match=r"^sh -c echo one >&2; exit 3: one$"):
        program.run("sh", "-c", "echo one >&2; exit 3")
    with pytest.raises(program.WrongError, match="status 3"):
        program.run("sh", "-c", "exit 3")
    with pytest.raises(program.WrongError, match="No such file"):
        program.run(str(tmp_path / "none"))


NUMBERS: list[Any] = [None, True, -1, 0, 53, 65536, 8080, 1e9, [], {}, [[]], [8080]]
TEXTS = ["", "x", "a" * 300, "\x00", "\ud800", "{mac}", "static", "dhcp", "a\nb", "a;b", "a,b", "}"]
ADDRESSES = ["10.44.0.1", "10.44.9.9", "10.44.0.7", "255.255.255.255", "10.44.0.1/22", "0.0.0.0/16", "10.44.0.0/22"]


def mutated(document: Any, chance: random.Random) -> Any:
    """Return a copy with one place changed: another value, another key, one less, or another character."""
    found = copy.deepcopy(document)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in value if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], (dict, list)):
                walk(value[key])

    walk(found)
    where, key = chance.choice(places)
    match chance.randrange(4):
        case 0:
            where[key] = chance.choice([*NUMBERS, *TEXTS, *ADDRESSES])
        case 1 if isinstance(where, dict):
            where[chance.choice(["domain", "mode", "tcp", "x", "", "\ud800"])] = where.pop(key)
        case 2:
            del where[key]
        case _:
            text = json.dumps(where[key])
            at = chance.randrange(len(text))
            with contextlib.suppress(ValueError):
                where[key] = json.loads(text[:at] + chr(chance.randrange(32, 127)) + text[at + chance.randrange(2) :])
    return found


def wrongly_told(directory: Path, seed: int) -> None:
    """Write three files that are changed in one to four places, a ninth of them in an octet, too."""
    chance = random.Random(seed)  # noqa: S311 - which mistakes are made
    told: dict[str, Any] = copy.deepcopy(TOLD)
    for _ in range(chance.randint(1, 4)):
        name = chance.choice(list(told))
        told[name] = mutated({"whole": told[name]}, chance).get("whole")
    for name, value in told.items():
        octets = bytearray(json.dumps(value).encode())
        if chance.randrange(9) == 0:
            octets[chance.randrange(len(octets))] = chance.randrange(256)
        (directory / f"{name}.json").write_bytes(octets)


def test_whatever_is_told_is_taken_or_refused_by_name(tmp_path: Path) -> None:
    """And a LAN range is taken just where the host file's own type takes it."""
    taken = 0
    for seed in range(CHANGED):
        wrongly_told(tmp_path, seed)
        try:
            holds = program.everything(HOST, tmp_path)
        except program.WrongError as error:
            lines = str(error).splitlines()
            assert lines
            assert all(line.startswith(tuple(f"{tmp_path}/{name}.json: " for name in TOLD)) for line in lines)
            assert all(line.isprintable() and len(line) < 500 for line in lines), lines
            continue
        taken += 1
        lan = holds["lan"]
        LanRange(str(lan["gateway_cidr"]), str(lan["dhcp_start"]), str(lan["dhcp_end"]))
        files = program.planned(HOST, holds, tmp_path)
        assert all(text is None or text.isascii() for text, _ in files.values())
        named = program.dnsmasq(lan, program.names_of(lan, "gw", "")).splitlines()
        assert all(len(line) < 1024 for line in named)  # dnsmasq reads no more of one
        assert 8080 not in holds["inbound"]["wan"].get("tcp", [])
    assert CHANGED // 20 < taken < CHANGED // 2


def test_what_the_device_takes_its_gateway_takes(tmp_path: Path) -> None:
    taken = 0
    for seed in range(CHANGED):
        try:
            config = parse(mutant(seed, WHOLE), DEVICE)
        except RefusedError:
            continue
        taken += 1
        derived = derived_files(config, DEVICE, dict.fromkeys(config.users, 20_000))
        for name in TOLD:
            (tmp_path / f"{name}.json").unlink(missing_ok=True)
            if f"{name}.json" in derived:
                (tmp_path / f"{name}.json").write_text(derived[f"{name}.json"])
        holds = program.everything(HOST, tmp_path)
        dnsmasq = config.network.dnsmasq
        assert holds["lan"]["gateway_cidr"] == (dnsmasq.gateway_cidr if dnsmasq else DEVICE.lan_cidr)
    assert taken > CHANGED // 50


@settings(deadline=None, max_examples=300)
@given(st.integers(0, (1 << 32) - 1), st.integers(0, 32), st.integers(-3, 1 << 17), st.integers(-3, 1 << 17))
def test_a_range_is_taken_just_where_the_host_files_type_takes_it(at: int, prefix: int, first: int, last: int) -> None:
    network = ipaddress.IPv4Network((at, prefix), strict=False)
    ends = [str(ipaddress.IPv4Address((int(network[0]) + n) % (1 << 32))) for n in (first, last)]
    cidr = f"{ipaddress.IPv4Address(at)}/{prefix}"
    try:
        lan = read(LanFile, dict(zip(("gateway_cidr", "dhcp_start", "dhcp_end"), [cidr, *ends], strict=True)))
        wrong = [*lan_faults(lan)]
    except RefusedError as error:
        wrong = [*error.faults]
    try:
        LanRange(cidr, *ends)
    except MistakeError:
        assert wrong
    else:
        assert wrong == []


def test_what_the_host_file_says_is_read_as_it_was_written() -> None:
    host = HOST | {"name": 'a "b" \\ \u00e9', "page_on_wan": True}
    assert tomllib.loads(toml_text(host)) == host
