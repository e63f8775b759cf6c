from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from host_project import project  # noqa: F401 - a fixture
from nixwright.errors import MistakeError
from nixwright.options.settings import Setting, parse_path
from nixwright.origin import Origin
from nixwright.parts.containers import Container, Containers
from nixwright.parts.ethernet import Ethernet
from nixwright.parts.facts import ContainerUnit, ContainerUser, LanGateway, Provisioned
from nixwright.parts.update_client import limit
from nixwright.parts.updates import Health, UpdateClient, Updates, Watchdog
from nixwright.scenarios.updates import MANIFEST
from parts_host import NixSnapshot, context, plain_layout, printed, told
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from updates_host import HOST, KEYRING, slots_layout

if TYPE_CHECKING:
    from host_project import Project
    from nixwright.errors import Mistake
    from syrupy.assertion import SnapshotAssertion


class Message(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "txt"


def updates(**fields: Any) -> Updates:
    least: dict[str, Any] = {"compatible": "rock64-gateway", "keyring": "./keys/updates.pem"}
    return Updates(**least | fields)


def judged(**fields: Any) -> list[list[str]]:
    with pytest.raises(MistakeError) as caught:
        updates(**fields)
    return [told(m) for m in caught.value.mistakes]


def test_the_least_of_updates(snapshot: SnapshotAssertion) -> None:
    part = updates()
    host = context(part, layout=slots_layout())
    assert printed(part, host) == snapshot(extension_class=NixSnapshot)
    assert not [*part.host_rules(host)]
    assert [f.name for f in part.files(host)] == ["health_gate.py", "bundle.nix"]


def test_what_is_installed_in_tests_is_described_as_what_is_built() -> None:
    part = updates()
    (text,) = (f.text for f in part.files(context(part, layout=slots_layout())) if f.name == "bundle.nix")
    built = textwrap.dedent(text.partition("''\n")[2].partition("  '';")[0])
    named = {"compatible": "${compatible}", "version": "${version}", "format": "verity"}
    assert built == MANIFEST.format(**named)


def test_all_of_updates(snapshot: SnapshotAssertion) -> None:
    part = updates(
        version="1.4.0",
        health=Health(
            ["dnsmasq", "web.socket"], ["lan", "wan"], ["app", "proxy"], sustained=30, within=90, reboot=False
        ),
        client=UpdateClient("https://updates.example.org/fleet", every="6h", downgrade=True),
        watchdog=Watchdog(runtime=20, reboot=300),
        development_keyring=True,
        at="/data/updates",
    )
    facts = [
        ContainerUnit("app.service", "appsvc"),
        ContainerUnit("proxy.service", None),
        ContainerUser("appsvc"),
        Provisioned("/data/config", 8080),
        LanGateway("wan", "lan"),
    ]
    host = context(part, layout=slots_layout(), facts=facts)
    assert printed(part, host) == snapshot(extension_class=NixSnapshot)
    assert not [*part.host_rules(host)]
    assert [f.name for f in part.files(host)] == ["health_gate.py", "update_client.py", "bundle.nix"]


def test_a_client_of_devices_that_are_told_their_server(snapshot: SnapshotAssertion) -> None:
    part = updates(client=UpdateClient())
    host = context(part, layout=slots_layout(), facts=[Provisioned("/data/config", 8080)])
    assert printed(part, host) == snapshot(extension_class=NixSnapshot)
    nobody = context(part, layout=slots_layout())
    assert [told(m)[:2] for m in part.host_rules(nobody)] == [["Updates.client", "asks a server that nobody names"]]


@pytest.mark.parametrize(
    ("fields", "field", "what"),
    [
        ({"compatible": "rock64 gateway"}, "Updates.compatible", "is no name of a kind of device"),
        ({"compatible": ""}, "Updates.compatible", "is no name of a kind of device"),
        ({"compatible": "rock64\n"}, "Updates.compatible", "is no name of a kind of device"),
        ({"version": "1.4 0"}, "Updates.version", "is no version"),
        ({"version": "-1"}, "Updates.version", "is no version"),
        ({"keyring": " "}, "Updates.keyring", "must be named: who may sign updates decides what runs on the device"),
        ({"at": "data"}, "Updates.at", "is no clean absolute path"),
    ],
)
def test_words_that_are_none(fields: dict[str, str], field: str, what: str) -> None:
    found = judged(**fields)
    assert [m[:2] for m in found] == [[field, what]]
    assert all(m[3] and m[4] for m in found)


def test_a_compatible_with_a_space_gets_one_without() -> None:
    assert judged(compatible="rock64 gateway")[0][4] == 'compatible="rock64-gateway"'


@pytest.mark.parametrize(
    ("make", "field", "what"),
    [
        (lambda: Health(services=["a b"]), "Health.services[0]", "is no name of one"),
        (lambda: Health(services=["x%i"]), "Health.services[0]", "is no name of one"),
        (lambda: Health(services=["data.mount"]), "Health.services[0]", "is a mount: the gate looks at what needs it"),
        (lambda: Health(services=["a", "a"]), "Health.services[1]", "is there twice"),
        (lambda: Health(interfaces=["a-name-of-16-chars"]), "Health.interfaces[0]", "is no name of one"),
        (lambda: Health(containers=["-x y"]), "Health.containers[0]", "is no name of one"),
        (lambda: UpdateClient("http://updates.example.org"), "UpdateClient.server", "is no https URL"),
        (lambda: UpdateClient("https://u.example.org/?a=%s"), "UpdateClient.server", "is no https URL"),
        (lambda: UpdateClient(every="hourly"), "UpdateClient.every", "is no time"),
    ],
)
def test_records_of_updates_that_are_wrong(make: Any, field: str, what: str) -> None:
    with pytest.raises(MistakeError) as caught:
        make()
    assert [told(m)[:2] for m in caught.value.mistakes] == [[field, what]]


def test_updates_without_slots_or_a_place_that_stays() -> None:
    part = updates()
    assert [told(m)[:2] for m in part.host_rules(context(part, layout=plain_layout()))] == [
        ["Updates", "there are no slots to update"]
    ]
    away = updates(at="/var/lib/updates")
    found = [*away.host_rules(context(away, layout=slots_layout()))]
    assert [told(m) for m in found] == [
        [
            "Updates.at",
            "does not survive a boot: no slot would be known to be good",
            "/var/lib/updates",
            "a path that is not wiped",
            'at="/data/rauc"',
        ]
    ]


@pytest.mark.parametrize("name", ["ap", "app.service"])
def test_a_container_that_nobody_declares(name: str) -> None:
    part = updates(health=Health(containers=[name]))
    host = context(part, layout=slots_layout(), facts=[ContainerUnit("app.service", "appsvc")])
    assert [told(m) for m in part.host_rules(host)] == [
        [
            "Health.containers[0]",
            "no such container on this host: no update would ever be good",
            repr(name),
            "app",
            '"app"',
        ]
    ]


def whole(part: Updates, *settings: tuple[str, Any], parts: Any = ()) -> list[Mistake]:
    host = context(part, *parts, layout=slots_layout())
    said = [Setting(parse_path(p), v, Origin(), "Host.settings", "", "settings") for p, v in settings]
    return [*part.whole_rules(host, said)]


@pytest.mark.parametrize(
    ("unit", "setting"),
    [
        ("dnsmasq", ("services.dnsmasq.enable", True)),
        ("chronyd", ("services.chrony.enable", True)),
        ("sshd.service", ("services.openssh.enable", True)),
        ("own", ("systemd.services.own.script", "true")),
        ("own@one", ("systemd.services", {"own@": {"script": "true"}})),
        ("systemd-networkd", ("networking.useNetworkd", True)),
        ("nginx-config-reload", ("services.nginx.enable", True)),
        ("systemd-journald", ("networking.hostName", "x")),
        ("own.socket", ("systemd.sockets.own.listenStreams", ["/run/own"])),
        ("dnsmasq.timer", ("services.dnsmasq.enable", True)),
        ("systemd-tmpfiles-clean.timer", ("networking.hostName", "x")),
        ("multi-user.target", ("networking.hostName", "x")),
        ("once", ("systemd.services.once.serviceConfig", {"Type": "oneshot", "RemainAfterExit": True})),
    ],
)
def test_services_that_the_host_has(unit: str, setting: tuple[str, Any]) -> None:
    assert not whole(updates(health=Health(services=[unit])), setting)


@pytest.mark.parametrize(
    "setting",
    [("services.dnsmasq.enable", False), ("services.chrony.enable", True), ("networking.hostName", "dnsmasq")],
)
def test_a_service_that_the_host_has_not(setting: tuple[str, Any]) -> None:
    found = whole(updates(health=Health(services=["dnsmasq"])), setting)
    assert [told(m)[:2] for m in found] == [
        ["Health.services[0]", "no such service on this host: no update would ever be good"]
    ]


OVER = "is over before the gate looks: no update would ever be good"
ONCE = ("systemd.services.once.serviceConfig.Type", "oneshot")


@pytest.mark.parametrize(
    ("unit", "what", "fix", "setting"),
    [
        ("own.socket", "no such socket on this host: no update would ever be good", "turn it on, or", ONCE),
        ("one.timer", "no such timer on this host: no update", '"once.timer"', ("systemd.timers.once.wantedBy", [])),
        ("sshd-foo", "no such service on this host: no", '"sshd"', ("services.openssh.enable", True)),
        ("openssh", "no such service on this host: no", '"sshd"', ("services.openssh.enable", True)),
        ("own-foo", "no such service on this host: no", '"own"', ("systemd.services.own.script", "true")),
        ("web", "no such service on this host: no", 'containers=["web"]', ONCE),
        ("once", OVER, "name what stays active", ONCE),
        ("first", OVER, "name what", ("systemd.services.first.unitConfig", {"ConditionPathExists": "!/data/x"})),
        ("off", OVER, "name what", ("systemd.services.off.enable", False)),
        ("health-gate", "waits for the gate itself", "name what", ("systemd.services.health-gate.script", "true")),
        ("update-client", "waits for the gate itself", "name what", ("systemd.services.update-client.script", "true")),
    ],
)
def test_a_unit_that_will_not_be_active(unit: str, what: str, fix: str, setting: tuple[str, Any]) -> None:
    web = Containers([Container("web", "docker.io/library/nginx:1.29")])
    (found,) = whole(updates(health=Health(services=[unit])), setting, parts=[web])
    assert found.what.startswith(what)
    assert found.fix.startswith(fix)
    assert not {"once", "health-gate", "update-client"} & {*found.allowed.split(", ")} or unit.endswith(".timer")


def test_an_instance_is_there_where_its_template_is() -> None:
    part = updates(health=Health(services=["serial-root@ttyS2"]))
    assert 'lib.hasAttr "serial-root@" config.systemd.services' in printed(part, context(part, layout=slots_layout()))


def test_a_name_that_is_near() -> None:
    found = whole(updates(health=Health(services=["dnsmask"])), ("services.dnsmasq.enable", True))
    assert [m.fix for m in found] == ['"dnsmasq"']


def test_interfaces_of_the_health_gate_are_the_hosts() -> None:
    part = updates(health=Health(interfaces=["lan", "lam"]))
    found = whole(part, parts=[Ethernet("lan", dhcp=True)])
    assert [(m.field, m.allowed, m.fix) for m in found] == [("Health.interfaces[1]", "lan", '"lan"')]


def test_the_limit_of_a_bundle_has_room_for_both_images() -> None:
    both = (128 + 1024) << 20
    assert both * 1.01 < limit(slots_layout().slots) < both * 1.05


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('keyring="./updates.pem"', 'keyring="./keys/updates.pem"', id="no_file"),
        pytest.param('keyring="./updates.pem"', 'keyring="/etc/updates.pem"', id="absolute"),
        pytest.param('keyring="./updates.pem"', 'keyring="./updates.key"', id="private_key"),
        pytest.param('keyring="./updates.pem"', 'keyring="./gw.py"', id="no_certificate"),
        pytest.param('keyring="./updates.pem"', 'keyring="./mark.pem"', id="mark_alone"),
        pytest.param('keyring="./updates.pem"', 'keyring="./damaged.pem"', id="damaged_certificate"),
        pytest.param('keyring="./updates.pem"', 'keyring="../../updates.pem"', id="outside"),
        pytest.param('keyring="./updates.pem"', 'keyring=".//sub/../updates.pem"', id="unclean"),
        pytest.param('keyring="./updates.pem"', 'keyring="./my $keys.pem"', id="no_plain_name"),
        pytest.param('            keyring="./updates.pem",\n', "", id="not_named"),
        pytest.param('services=["sshd"]', 'services=["sshd", "nginx"]', id="service"),
        pytest.param('interfaces=["eth1"]', 'interfaces=["eth0"]', id="interface"),
        pytest.param('interfaces=["eth1"]', 'containers=["app"]', id="container"),
        pytest.param('compatible="gw"', 'compatible="my gateway"', id="compatible"),
        pytest.param(
            '        Slots(boot=MiB(128), root=GiB(1), start=MiB(16), system="x86_64-linux"),\n',
            '        Partition("root", GiB(4), F2fs("/")),\n',
            id="no_slots",
        ),
    ],
)
def test_what_a_wrong_host_is_told(
    project: Project,  # noqa: F811 - the fixture
    snapshot: SnapshotAssertion,
    old: str,
    new: str,
) -> None:
    assert HOST.count(old) == 1
    path = project.host(HOST.replace(old, new), "gw")
    (project.root / "hosts/updates.pem").write_text(KEYRING)
    (project.root / "hosts/updates.key").write_text("-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n")
    (project.root / "hosts/mark.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (project.root / "hosts/damaged.pem").write_text(KEYRING.replace("\n", "\nAAAA", 3))
    answer = project.run("gen", path)
    assert answer.status == 2
    assert not list(project.root.glob("modules"))
    assert answer.err.replace(str(project.root), "PROJECT") == snapshot(extension_class=Message)


def test_the_whole_host(project: Project) -> None:  # noqa: F811 - the fixture
    path = project.host(HOST, "gw")
    (project.root / "hosts/updates.pem").write_text(KEYRING)
    answer = project.run("gen", path)
    assert answer.status == 0, answer.err
    assert 'path = "${../../hosts/updates.pem}";' in project.text("modules/gw/updates.nix")
