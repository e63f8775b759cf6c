"""The gateway's own settings, in real nft, dnsmasq and chronyd, between a LAN and a WAN that both exist."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from namespaces import ENVIRONMENT, cable, inside, ip, namespaces, running
from nixwright.parts.gateway import Gateway, Inbound
from nixwright.parts.lan_range import LanRange
from nixwright.parts.named_link import NamedLink
from nixwright.parts.programs.gateway_apply import TABLE
from nixwright.parts.ssh import Ssh
from parts_host import context
from programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTSIDE, ON_WAN = "192.0.2.2", "192.0.2.1"
RANGES = ["172.20.30.1/24", "10.44.0.254/16", "192.168.77.17/28", "172.31.9.2/30"]
CLIENT = str(Path(__file__).with_name("lan_client.py"))
SWITCH = "/persist/ssh-wan-enabled"


def gateway(lan: str = RANGES[0], **fields: Any) -> Gateway:
    return Gateway(NamedLink("wan", path="a"), NamedLink("lan", path="b"), LanRange(lan), **fields)


def said(part: Gateway) -> dict[str, Any]:
    """What the part sets, by option."""
    return {".".join(s.path): s.value for s in part.settings(context(part, Ssh()))}


def rules(part: Gateway) -> str:
    """The table, as networking.nftables.tables makes it (nixos/modules/services/networking/nftables.nix)."""
    table = said(part)[f"networking.nftables.tables.{TABLE}"]
    return f"table {table['family']} {TABLE} {{\n{table['content']}}}\n"


def names(part: Gateway, leases: Path) -> str:
    """dnsmasq.conf as services.dnsmasq.settings makes it: a line an element, and of what is true the name alone."""
    lines = [f"dhcp-leasefile={leases}"]
    for name, value in said(part)["services.dnsmasq.settings"].items():
        lines += [name if v is True else f"{name}={v}" for v in (value if isinstance(value, list) else [value])]
    return "\n".join(lines) + "\n"


def clock(part: Gateway, directory: Path, more: str = "") -> str:
    """chrony.conf as services.chrony makes it, with the places of a test for its own files."""
    options = said(part)
    servers = "".join(f"server {server} iburst\n" for server in options["services.chrony.servers"])
    own = f"driftfile {directory}/drift\npidfile {directory}/pid\nbindcmdaddress {directory}/socket\ncmdport 0\n"
    return f"{servers}{own}{options['services.chrony.extraConfig']}{more}"


@dataclass(frozen=True, slots=True)
class Net:
    """The gateway's namespace, one on its LAN and one on its WAN; nothing is loaded yet, and nothing runs."""

    gateway: str
    lan: str
    wan: str
    part: Gateway

    @property
    def client(self) -> str:
        """The address of the one on the LAN."""
        return self.part.lan_range.pool[0]

    def load(self, part: Gateway | None = None) -> None:
        done = inside(self.gateway, "nft", "-f", "-", text=rules(part or self.part))
        assert done.returncode == 0, done.stderr

    def unload(self) -> None:
        assert inside(self.gateway, "nft", "delete", "table", "inet", TABLE).returncode == 0

    def forwards(self, *, on: bool) -> None:
        done = inside(self.gateway, "sh", "-c", f"echo {int(on)} >/proc/sys/net/ipv4/ip_forward")
        if done.returncode:  # /proc/sys is read-only in some containers
            pytest.skip("needs network namespaces (root, and a kernel that has them)")

    def reaches(self, space: str, address: str, port: int) -> bool:
        """Tell whether a TCP connection comes about."""
        program = f"import socket; socket.create_connection(({address!r}, {port}), timeout=3)"
        return inside(space, sys.executable, "-c", program).returncode == 0


@pytest.fixture
def net() -> Iterator[Net]:
    need("nft", "dnsmasq", "chronyd", "chronyc", "ip")
    part = gateway(wan_inbound=Inbound(tcp=[443]), ssh_switch=SWITCH)
    at = part.lan_range
    with namespaces("gw", "lan", "wan") as (middle, lan, wan):
        cable((middle, "lan", str(at.interface)), (lan, "eth0", f"{at.pool[0]}/{at.network.prefixlen}"))
        cable((middle, "wan", f"{ON_WAN}/24"), (wan, "eth0", f"{OUTSIDE}/24"))
        # the worst case: the LAN's machines take the gateway for a router, and the WAN knows the way back
        assert ip("-n", lan, "route", "add", "default", "via", at.address).returncode == 0
        assert ip("-n", wan, "route", "add", str(at.network), "via", ON_WAN).returncode == 0
        yield Net(middle, lan, wan, part)


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short name, for chronyd's socket, that belongs to root alone, as chronyd wants it."""
    directory = Path(tempfile.mkdtemp(prefix="nw"))
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize("lan", RANGES)
@pytest.mark.parametrize("inbound", [None, Inbound(tcp=[80], udp=[5353])])
def test_nft_takes_the_rules(lan: str, inbound: Inbound | None) -> None:
    need("nft", "ip")
    part = gateway(lan, lan_inbound=inbound, ssh_switch=SWITCH)
    with namespaces("nft") as (space,):
        checked = inside(space, "nft", "-c", "-f", "-", text=rules(part))
        assert (checked.returncode, checked.stderr) == (0, "")
        wrong = inside(space, "nft", "-c", "-f", "-", text=rules(part).replace("policy drop", "policy maybe"))
        assert wrong.returncode != 0


@pytest.mark.parametrize("lan", RANGES)
def test_dnsmasq_and_chronyd_take_their_files(lan: str, tmp_path: Path) -> None:
    need("dnsmasq", "chronyd")
    part = gateway(lan)
    text = names(part, tmp_path / "leases")
    assert dnsmasq_says(text, tmp_path) == (0, "dnsmasq: syntax check OK.\n")
    assert dnsmasq_says(text.replace(f",{part.lan_range.pool[1]},", ",203.0.113.9,"), tmp_path)[0] != 0
    file = tmp_path / "chrony.conf"
    file.write_text(clock(part, tmp_path))
    done = subprocess.run(
        ["chronyd", "-p", "-f", str(file)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"allow {part.lan_range.network}" in done.stdout.splitlines()


def dnsmasq_says(text: str, directory: Path) -> tuple[int, str]:
    file = directory / "dnsmasq.conf"
    file.write_text(text)
    argv = ["dnsmasq", "--test", "-C", str(file)]
    done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_time_is_for_the_lan_alone(net: Net, short: Path) -> None:
    net.load()
    first, last = net.part.lan_range.pool
    with chronyd(net, short):
        for address in (first, last, net.part.lan_range.address):
            assert accheck(short, address) == "208 Access allowed"
        beside = [str(net.part.lan_range.network.broadcast_address + 1), OUTSIDE, "10.0.0.1", "fe80::1"]
        for address in beside:
            assert accheck(short, address) == "209 Access denied"
        heard = asks(net.lan, net.part.lan_range.address, short)
        assert heard.returncode == 0, heard.stdout + heard.stderr
        assert "System clock wrong by" in heard.stdout + heard.stderr
        assert asks(net.wan, ON_WAN, short, seconds=4).returncode != 0
        # and so it would be without the rules: chronyd answers no one else by itself
        net.unload()
        assert asks(net.wan, ON_WAN, short, seconds=4).returncode != 0


def test_a_later_deny_all_would_take_the_time_from_the_lan(net: Net, short: Path) -> None:
    """The order that denied a gateway's own LAN: what is looked at above can see it."""
    with chronyd(net, short, "deny all\n"):
        assert accheck(short, net.client) == "209 Access denied"
        assert asks(net.lan, net.part.lan_range.address, short, seconds=4).returncode != 0


class chronyd:  # noqa: N801 - reads as a call
    """A real chronyd with the gateway's configuration that leaves this machine's clock alone."""

    def __init__(self, net: Net, directory: Path, more: str = "") -> None:
        file = directory / "chrony.conf"
        file.write_text(clock(net.part, directory, more))
        self._socket = directory / "socket"
        self._running = running(net.gateway, "chronyd", "-d", "-x", "-u", "root", "-f", str(file))

    def __enter__(self) -> None:
        process = self._running.__enter__()
        wait(self._socket.exists, process)

    def __exit__(self, *error: object) -> None:
        self._running.__exit__(None, None, None)


def wait(done: Any, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 30
    while not done():
        if process.poll() is not None or time.monotonic() > end:
            process.terminate()
            pytest.fail(f"it did not start: {process.communicate()[0]}")
        time.sleep(0.1)


def accheck(directory: Path, address: str) -> str:
    argv = ["chronyc", "-h", str(directory / "socket"), "accheck", address]
    return subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, check=False).stdout.strip()


def asks(space: str, server: str, directory: Path, seconds: int = 30) -> subprocess.CompletedProcess[str]:
    """Ask for the time once, and set no clock."""
    client = directory / "client.conf"
    client.write_text(f"server {server} iburst maxsamples 1\npidfile {directory}/client.pid\ncmdport 0\n")
    return inside(space, "chronyd", "-Q", "-u", "root", "-t", str(seconds), "-f", str(client), seconds=90)


def test_nothing_is_forwarded(net: Net) -> None:
    """Each level alone holds: the rules where the kernel would forward, and the kernel where no rules are loaded."""
    with listening(net.wan, 8000), listening(net.lan, 8000):
        net.forwards(on=True)
        assert net.reaches(net.lan, OUTSIDE, 8000)  # the way is there
        assert net.reaches(net.wan, net.client, 8000)
        net.load()
        assert not net.reaches(net.lan, OUTSIDE, 8000)
        assert not net.reaches(net.wan, net.client, 8000)
        net.unload()
        net.forwards(on=said(net.part)["boot.kernel.sysctl.net.ipv4.conf.all.forwarding"])
        assert not net.reaches(net.lan, OUTSIDE, 8000)
        assert not net.reaches(net.wan, net.client, 8000)


def test_who_gets_in_where(net: Net) -> None:
    lan, wan = net.part.lan_range.address, ON_WAN
    with listening(net.gateway, 22, 53, 80, 443, 8080, 9090):
        assert net.reaches(net.wan, wan, 9090)  # without rules
        net.load()
        assert {p for p in (22, 80, 443, 8080, 9090) if net.reaches(net.wan, wan, p)} == {443}
        assert {p for p in (22, 80, 443, 8080, 9090) if net.reaches(net.lan, lan, p)} == {22, 80, 443, 8080, 9090}
        net.unload()
        net.load(gateway(wan_inbound=Inbound(tcp=[443]), lan_inbound=Inbound(tcp=[80, 443])))
        assert {p for p in (22, 53, 80, 443, 8080, 9090) if net.reaches(net.lan, lan, p)} == {22, 53, 80, 443, 8080}
        assert {p for p in (22, 80, 443, 8080) if net.reaches(net.wan, wan, p)} == {443}


def test_the_switch_for_ssh(net: Net, tmp_path: Path) -> None:
    """It opens and closes, what is open stays so over a reload, and where it fails SSH is closed."""
    (program,) = net.part.files(context(net.part, Ssh()))
    script, switch = tmp_path / program.name, tmp_path / "enabled"
    script.write_text(program.text)

    def turned() -> bool:
        assert inside(net.gateway, "sh", str(script), str(switch), "22").returncode == 0
        return net.reaches(net.wan, ON_WAN, 22)

    with listening(net.gateway, 22):
        net.load()
        assert not turned()
        switch.touch()
        assert turned()
        assert turned()
        # as nftables.service reloads: the table anew in one transaction, then the program
        again = f"delete table inet {TABLE}\n{rules(net.part)}"
        assert inside(net.gateway, "nft", "-f", "-", text=again).returncode == 0
        assert not net.reaches(net.wan, ON_WAN, 22)
        assert turned()
        failed = inside(net.gateway, "sh", str(script), str(switch), "no-port")
        assert failed.returncode != 0
        assert net.reaches(net.wan, ON_WAN, 22)  # nothing of what failed came about
        switch.unlink()
        assert not turned()


def listening(space: str, *ports: int) -> Any:
    return _Listening(space, ports)


class _Listening:
    """TCP servers that take connections and say nothing."""

    _PROGRAM = """
import selectors, socket, sys
watch = selectors.DefaultSelector()
for port in sys.argv[1:]:
    watch.register(socket.create_server(("", int(port))), selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in watch.select():
        key.fileobj.accept()[0].close()
"""

    def __init__(self, space: str, ports: tuple[int, ...]) -> None:
        self._running = running(space, sys.executable, "-c", self._PROGRAM, *map(str, ports))

    def __enter__(self) -> None:
        process = self._running.__enter__()
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def __exit__(self, *error: object) -> None:
        self._running.__exit__(None, None, None)


def test_addresses_and_names(net: Net, tmp_path: Path) -> None:
    """A real lease is offered, with the gateway for everything; the names are its own, and no other is looked up."""
    net.load(gateway(lan_inbound=Inbound()))
    at = net.part.lan_range
    tmp_path.chmod(0o755)
    file = tmp_path / "dnsmasq.conf"
    file.write_text(names(net.part, tmp_path / "leases"))
    argv = ["dnsmasq", "-k", "--user=root", f"--pid-file={tmp_path / 'pid'}", "-C", str(file)]
    with running(net.gateway, *argv) as process:
        wait((tmp_path / "pid").exists, process)
        offered, *options = asked(net.lan, "dhcp")
        assert number(at.pool[0]) <= number(offered) <= number(at.pool[1])
        assert options == [f"1={at.netmask}", f"3={at.address}", f"6={at.address}", f"42={at.address}"]
        for name in ("gateway.lan", "gateway", "pibox.lan"):
            assert asked(net.lan, "dns", at.address, name) == ["0", at.address]
        nobody, refused = ["3"], ["5"]
        assert asked(net.lan, "dns", at.address, "other.lan") == nobody
        assert asked(net.lan, "dns", at.address, "example.com") == refused
        unheard = inside(net.wan, sys.executable, CLIENT, "dns", ON_WAN, "gateway.lan")
        assert "TimeoutError" in unheard.stderr


def asked(space: str, *words: str) -> list[str]:
    done = inside(space, sys.executable, CLIENT, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def number(address: str) -> int:
    return int.from_bytes(socket.inet_aton(address), "big")


def test_the_program_for_the_switch_passes_shellcheck() -> None:
    need("shellcheck")
    (program,) = gateway(ssh_switch=SWITCH).files(context(Ssh()))
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "-"], input=program.text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
