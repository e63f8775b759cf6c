"""A gateway before and after it is told another LAN: the device's program with real nft, dnsmasq and chronyd."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from namespaces import ENVIRONMENT, inside, ip, running
from nixwright.parts.facts import Provisioned
from nixwright.parts.gateway import Inbound
from nixwright.parts.lan_range import LanRange
from nixwright.parts.ssh import Ssh
from parts_host import context
from test_gateway import (
    CLIENT,
    ON_WAN,
    OUTSIDE,
    Net,
    accheck,
    asked,
    asks,
    gateway,
    listening,
    net,  # noqa: F401 - a fixture
    number,
    short,  # noqa: F401 - a fixture
    wait,
)

if TYPE_CHECKING:
    from pathlib import Path

PROVISIONED = Provisioned("/data/config", 8080)
OTHER = {"gateway_cidr": "10.44.0.1/22", "dhcp_start": "10.44.0.10", "dhcp_end": "10.44.3.254"}
CLIENT_THERE = "10.44.0.9"
# What stands for systemd: it notes what is asked, says that everything runs, and moves the LAN's address as networkd
# does when it reads a drop-in.
SYSTEMD = """#!/bin/sh
echo "$(basename "$0") $*" >>"$ROOT/asked"
case "$(basename "$0") $*" in
"networkctl reload")
    ip address flush dev lan
    sed -n 's/^Address=\\(.\\)/\\1/p' "$ROOT"/run/systemd/network/20-lan.network.d/*.conf | while read -r address
    do ip address add "$address" dev lan; done ;;
esac
"""


class Device:
    """The gateway's namespace with the part's files, a directory for what is told, and daemons that read the files."""

    def __init__(self, net: Net, root: Path, clock: Path) -> None:  # noqa: F811
        self.net, self.root, self.clock = net, root, clock
        self.config = root / "data/config"
        self.host = root / "gateway.toml"
        part = gateway(wan_inbound=Inbound(tcp=[443]), page_on_wan=True)
        host = context(part, Ssh(), facts=[PROVISIONED])
        self.said = {".".join(s.path): s.value for s in part.settings(host)}
        self.files = {f.name: f.text for f in part.files(host)}
        for directory in (self.config, root / "run/gateway", root / "bin"):
            directory.mkdir(parents=True)
        for name, text in self.files.items():
            (root / name).write_text(text)
        for name in ("dnsmasq", "chrony"):  # as systemd-tmpfiles makes them at boot
            (root / f"run/gateway/{name}.conf").symlink_to(root / f"lan-{name}.conf")
        for name in ("systemctl", "networkctl"):
            (root / "bin" / name).write_text(SYSTEMD)
            (root / "bin" / name).chmod(0o755)
        table: Any = self.said["networking.nftables.tables.gateway"]
        done = inside(net.gateway, "nft", "-f", "-", text=f"table inet gateway {{\n{table['content']}}}\n")
        assert done.returncode == 0, done.stderr

    def tell(self, **files: Any) -> None:
        for name, value in files.items():
            (self.config / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))

    def apply(self, *, status: int = 0) -> str:
        """Run the device's program; return what it says, or what was asked of systemd where it says nothing."""
        (self.root / "asked").write_text("")
        path = f"{self.root}/bin{os.pathsep}{ENVIRONMENT['PATH']}"
        argv = ["env", f"PATH={path}", f"ROOT={self.root}", sys.executable, str(self.root / "gateway-apply.py")]
        done = inside(self.net.gateway, *argv, str(self.host), str(self.config), "--root", str(self.root))
        assert done.returncode == status, done.stderr
        return done.stderr.replace(str(self.config), "")

    def asked(self) -> list[str]:
        """What was asked of systemd that changes something."""
        lines = (self.root / "asked").read_text().splitlines()
        return [line for line in lines if not {"is-active", "reset-failed"} & {*line.split()}]

    def rules(self) -> str:
        return inside(self.net.gateway, "nft", "-s", "list", "table", "inet", "gateway").stdout

    def daemons(self) -> ExitStack:
        """Real dnsmasq and chronyd with the part's settings, which include the files that the program writes."""
        stack = ExitStack()
        names: Any = self.said["services.dnsmasq.settings"]
        lines = [f"dhcp-leasefile={self.root}/leases"]
        lines += [k if v is True else f"{k}={self.here(str(v))}" for k, v in names.items()]
        (self.root / "dnsmasq.conf").write_text("\n".join(lines) + "\n")
        pid = self.root / "pid"
        pid.unlink(missing_ok=True)
        argv = ["dnsmasq", "-k", "--user=root", f"--pid-file={pid}", "-C", str(self.root / "dnsmasq.conf")]
        wait(pid.exists, stack.enter_context(running(self.net.gateway, *argv)))
        own = f"driftfile {self.clock}/drift\npidfile {self.clock}/pid\nbindcmdaddress {self.clock}/socket\ncmdport 0\n"
        (self.clock / "chrony.conf").write_text(own + self.here(str(self.said["services.chrony.extraConfig"])))
        argv = ["chronyd", "-d", "-x", "-u", "root", "-f", str(self.clock / "chrony.conf")]
        wait((self.clock / "socket").exists, stack.enter_context(running(self.net.gateway, *argv)))
        return stack

    def here(self, text: str) -> str:
        return text.replace("/run/gateway", f"{self.root}/run/gateway")


@pytest.fixture
def device(net: Net, tmp_path: Path, short: Path) -> Device:  # noqa: F811
    tmp_path.chmod(0o755)
    return Device(net, tmp_path, short)


def moves(net: Net, address: str) -> None:  # noqa: F811
    """The client takes an address of the other range."""
    assert ip("-n", net.lan, "address", "flush", "dev", "eth0").returncode == 0
    assert ip("-n", net.lan, "address", "add", address, "dev", "eth0").returncode == 0


def served(device: Device, lan: LanRange, name: str) -> None:
    """A client of the LAN gets an address of the range, names and the time; others get no time."""
    at, (first, last) = lan.address, lan.pool
    with device.daemons():
        offered, *options = asked(device.net.lan, "dhcp")
        assert number(first) <= number(offered) <= number(last)
        assert options[1:] == [f"3={at}", f"6={at}", f"42={at}"]
        assert asked(device.net.lan, "dns", at, name) == ["0", at]
        for address in (at, first, last):
            assert accheck(device.clock, address) == "208 Access allowed"
        for address in (OUTSIDE, "192.168.1.1"):
            assert accheck(device.clock, address) == "209 Access denied"
        heard = asks(device.net.lan, at, device.clock)
        assert "System clock wrong by" in heard.stdout + heard.stderr
        assert asks(device.net.wan, ON_WAN, device.clock, seconds=4).returncode != 0
        unheard = inside(device.net.wan, sys.executable, CLIENT, "dns", ON_WAN, name)
        assert "TimeoutError" in unheard.stderr


def test_before_and_after_it_is_told_another_lan(device: Device) -> None:
    part = device.net.part.lan_range
    device.apply()
    assert device.asked() == []
    served(device, part, "gateway.lan")
    device.tell(lan=OTHER | {"domain": "house.example", "gateway_aliases": ["door"], "ntp_servers": ["192.0.2.9"]})
    device.apply()
    assert device.asked() == [
        "networkctl reload",
        "systemctl restart dnsmasq.service",
        "systemctl restart chronyd.service",
    ]
    moves(device.net, f"{CLIENT_THERE}/22")
    served(device, LanRange(*OTHER.values()), "door.house.example")
    with device.daemons():
        assert accheck(device.clock, part.pool[0]) == "209 Access denied"  # the old LAN is a stranger now
    device.apply()
    assert device.asked() == []


KNOCK = """
import selectors, socket, sys
watch, address, found = selectors.DefaultSelector(), sys.argv[1], []
for port in sys.argv[2:]:
    line = socket.socket()
    line.setblocking(False)
    line.connect_ex((address, int(port)))
    watch.register(line, selectors.EVENT_WRITE, port)
while ready := watch.select(2.5):
    for key, _ in ready:
        watch.unregister(key.fileobj)
        if not key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            found.append(key.data)
print(*found)
"""
HEARD = """
import selectors, socket, sys
watch = selectors.DefaultSelector()
for port in sys.argv[1:]:
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.bind(("", int(port)))
    watch.register(line, selectors.EVENT_READ, port)
print("ready", flush=True)
while ready := watch.select(2.5):
    for key, _ in ready:
        print(key.data, key.fileobj.recv(100).decode(), flush=True)
"""
SEND = """
import socket, sys
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in sys.argv[3:]:
    line.sendto(sys.argv[2].encode(), (sys.argv[1], int(port)))
"""


def open_to(space: str, address: str, *ports: int) -> set[int]:
    """The ports to which TCP connections come about."""
    done = inside(space, sys.executable, "-c", KNOCK, address, *map(str, ports))
    assert done.returncode == 0, done.stderr
    return {int(port) for port in done.stdout.split()}


def arrive(device: Device, space: str, address: str, *ports: int) -> set[int]:
    """The ports at which datagrams are received; that they were sent says nothing."""
    with running(device.net.gateway, sys.executable, "-c", HEARD, *map(str, ports)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        text = str(time.monotonic())
        assert inside(space, sys.executable, "-c", SEND, address, text, *map(str, ports)).returncode == 0
        received = [line.split() for line in process.stdout]
        assert all(words[1] == text for words in received)
        return {int(words[0]) for words in received}


def test_who_gets_in_before_and_after_it_is_told(device: Device) -> None:
    """Each phase with everything that is open and closed in it; a datagram counts when it was received."""
    wan, lan, at = device.net.wan, device.net.lan, device.net.part.lan_range.address
    tcp, udp = (22, 53, 443, 8080, 9090), (53, 67, 68, 123, 1194, 9999)
    with listening(device.net.gateway, *tcp):
        device.apply()  # told nothing: the host file's own, and the page on the WAN
        assert open_to(wan, ON_WAN, *tcp) == {443, 8080}
        assert open_to(lan, at, *tcp) == set(tcp)
        assert arrive(device, wan, ON_WAN, *udp) == set()
        assert arrive(device, lan, at, *udp) == set(udp)
        (device.config / "config.toml").touch()
        device.apply()
        assert open_to(wan, ON_WAN, *tcp) == {443}
        device.tell(firewall={"inbound": {"wan": {"tcp": [9090], "udp": [1194]}}})
        device.apply()
        assert open_to(wan, ON_WAN, *tcp) == {9090}
        assert open_to(lan, at, *tcp) == set(tcp)
        assert arrive(device, wan, ON_WAN, *udp) == {1194}
        device.tell(firewall={"inbound": {"wan": {}, "lan": {"tcp": [443]}}})
        device.apply()
        assert open_to(wan, ON_WAN, *tcp) == set()
        assert open_to(lan, at, *tcp) == {22, 53, 443, 8080}
        assert arrive(device, lan, at, *udp) == {53, 67, 123}
        assert device.asked() == []  # rules alone restart nothing


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"firewall": {"inbound": {"wan": {"tcp": [8080]}}}},
            "/firewall.json: inbound.wan.tcp: 8080 is the page that provisions the device: it is for the LAN alone",
        ),
        ({"firewall": '{"inbound": '}, "/firewall.json: is no JSON: Expecting value: line 1 column 13 (char 12)"),
        (
            {"lan": OTHER | {"dhcp_end": "10.45.0.1"}},
            "/lan.json: dhcp_end: is outside of 10.44.0.0/22 (given 10.45.0.1; allowed 10.44.0.1 to 10.44.3.254)",
        ),
    ],
)
def test_what_is_refused_leaves_all_as_it_runs(files: dict[str, Any], says: str, device: Device) -> None:
    device.tell(lan=OTHER, firewall={"inbound": {"wan": {"tcp": [9090]}, "lan": {"udp": [1194]}}})
    device.apply()
    before = device.rules(), (device.root / "run/gateway/dnsmasq.conf").read_text()
    device.tell(**files)
    assert device.apply(status=1) == f"[gateway-apply] {says}\n"
    assert device.asked() == []
    assert (device.rules(), (device.root / "run/gateway/dnsmasq.conf").read_text()) == before


def test_rules_that_nft_refuses_change_nothing(device: Device) -> None:
    """All rules go in one transaction: where the table is not the gateway's, none of them does."""
    device.tell(lan=OTHER, firewall={"inbound": {"wan": {"tcp": [9090]}}})
    broken = (
        "flush chain inet gateway input\nflush chain inet gateway lan_inbound\ndelete chain inet gateway lan_inbound"
    )
    assert inside(device.net.gateway, "nft", "-f", "-", text=broken).returncode == 0
    before = device.rules()
    told = device.apply(status=1)
    assert told.startswith("[gateway-apply] nft -c -f -: /dev/stdin:3:"), told
    assert "Error: No such file or directory" in told
    assert device.rules() == before
    assert (device.root / "run/gateway/dnsmasq.conf").is_symlink()


def test_nobody_finds_the_door_open_while_rules_change(device: Device) -> None:
    """A port that is closed before and after is closed in between, too: hundreds of tries while rules are replaced."""
    (device.config / "config.toml").touch()
    device.tell(firewall={"inbound": {"wan": {"tcp": [443]}, "lan": {"tcp": [443]}}})
    device.apply()
    knock = f"""
import socket, time
end, found = time.monotonic() + 5, 0
while time.monotonic() < end:
    with socket.socket() as line:
        line.settimeout(0.02)
        found += line.connect_ex(({ON_WAN!r}, 9090)) == 0
print(found)
"""
    found: list[str] = []
    with listening(device.net.gateway, 443, 9090):
        argv = (device.net.wan, sys.executable, "-c", knock)
        thread = threading.Thread(target=lambda: found.append(inside(*argv).stdout))
        thread.start()
        times = 0
        while thread.is_alive():
            device.apply()
            times += 1
        thread.join()
        assert times > 2
        assert found == ["0\n"]
        assert open_to(device.net.wan, ON_WAN, 443, 9090) == {443}


def test_the_range_of_a_lan_may_be_as_wide_as_sixteen_bits(device: Device) -> None:
    wide = {"gateway_cidr": "10.7.255.254/16", "dhcp_start": "10.7.0.1", "dhcp_end": "10.7.255.253"}
    device.tell(lan=wide)
    device.apply()
    with device.daemons():
        offered, *options = asked(device.net.lan, "dhcp")
        assert options[0] == "1=255.255.0.0"
        assert socket.inet_aton(offered)[:2] == b"\x0a\x07"


def test_the_program_needs_nothing_but_python(device: Device) -> None:
    """Neither the package nor anything else that is installed here."""
    argv = [sys.executable, "-I", "-S", str(device.root / "gateway-apply.py"), "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
