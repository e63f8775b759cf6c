"""WiFi without anybody at the machine: by NetworkManager or by wpa_supplicant alone, the key only by reference.

Networks need not stand in the host file. Without any, NetworkManager takes the profile that lies on the target since it
was installed, which is also the surest way to be reached after the first boot: profiles that Nix declares are written
only once NetworkManager runs, and have been seen not to connect by themselves (nixpkgs issue 548751).
"""

from __future__ import annotations

import re
from collections.abc import Sequence  # noqa: TC003 - records are built from their annotations
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from nixwright.checks.model import Check, Difference, Sabotage
from nixwright.errors import Mistake
from nixwright.layout.paths import is_below
from nixwright.nix.values import Apply, Override, Text, force, lib, pkgs
from nixwright.options.host_view import UNKNOWN, HostView
from nixwright.options.rules_kit import wrong
from nixwright.parts.base import Context, Part
from nixwright.parts.facts import InstallerWifi, KeptPath, WifiHardware, WifiNetwork
from nixwright.record import field_origin, is_broken, record
from nixwright.reference import AgeSecret, EnvironmentFile, Reference, Secret, SopsSecret, Use
from nixwright.runbook import Phase, Step
from nixwright.scenarios import wifi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value
    from nixwright.options.settings import Setting
    from nixwright.parts.base import Fact

PROFILES = "/etc/NetworkManager/system-connections"  # where NetworkManager looks for profiles of root's
_TEST_KEY = "the key of a test"
_GATEWAY = "10.44.0.1"
_SSID_BYTES = 32  # IEEE 802.11
_COUNTRY = re.compile(r"[A-Z]{2}")
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")


@record
class Network:
    """A network by its name. `psk` is where its key lies: a variable of an environment file.

    From sops-nix or agenix it is a decrypted file of one line, `PSK=...`, and `variable` says which name stands there.
    """

    ssid: str
    psk: Secret
    hidden: bool = False
    variable: str = "PSK"

    def wrong(self) -> Iterator[Mistake]:
        """A name that no network has, a way that no WiFi daemon reads."""
        if not 1 <= len(self.ssid.encode()) <= _SSID_BYTES or any(ord(c) < ord(" ") or c in '"$\\' for c in self.ssid):
            allowed = f'1 to {_SSID_BYTES} bytes, none of " $ \\ and no control characters'
            yield Mistake("ssid", "is no name of a network", repr(self.ssid), allowed, 'Network("Home", psk=...)')
        if not is_broken(self.psk) and not isinstance(self.psk, EnvironmentFile | SopsSecret | AgeSecret):
            allowed = "an EnvironmentFile, SopsSecret or AgeSecret"
            fix = 'EnvironmentFile("/var/lib/secrets/wifi.env", "HOME_PSK")'
            what = "is read from a file of NAME=value lines"
            yield Mistake("psk", what, type(self.psk).__name__, allowed, fix)

    @property
    def name(self) -> str:
        """The variable that holds the key."""
        return self.psk.variable if isinstance(self.psk, EnvironmentFile) else self.variable


@record
class Wifi(Part):
    """WiFi by NetworkManager, or by wpa_supplicant alone.

    Without `networks` NetworkManager has the profiles that were put on the target when it was installed. `country` is
    where the machine stands: without it the channels of 5 GHz are mostly off. `power_save` answers late and loses
    what comes unasked, mDNS among it: a machine that one reaches from outside has it off.
    """

    networks: Sequence[Network] = ()
    by: Literal["NetworkManager", "wpa_supplicant"] = "NetworkManager"
    interface: str = "wlan0"
    country: str | None = None
    power_save: bool = False

    module: ClassVar[str] = "wifi"
    requires: ClassVar[tuple[type[Fact], ...]] = (WifiHardware,)

    def wrong(self) -> Iterator[Mistake]:
        """A country that is none, doubled networks, nothing to connect to."""
        if self.country is not None and not _COUNTRY.fullmatch(self.country):
            yield Mistake("country", "is no country", repr(self.country), "two capitals of ISO 3166", 'country="DE"')
        if not _INTERFACE.fullmatch(self.interface):
            yield Mistake(
                "interface", "is no interface name", repr(self.interface), "1 to 15 of A-Z a-z 0-9 _.-", '"wlan0"'
            )
        if self.by == "wpa_supplicant" and not self.networks:
            fix = 'networks=[Network("Home", psk=EnvironmentFile("/var/lib/secrets/wifi.env", "HOME_PSK"))]'
            yield Mistake("networks", "wpa_supplicant alone knows only what stands here", "[]", "one or more", fix)
        seen: set[str] = set()
        files: set[object] = set()
        for index, network in enumerate(n for n in self.networks if not is_broken(n)):
            if network.ssid in seen:
                yield Mistake(f"networks[{index}]", "two networks of one name", network.ssid, "", "remove one")
            seen.add(network.ssid)
            files.add(network.psk.at if not is_broken(network.psk) else "")
        if self.by == "wpa_supplicant" and len(files) > 1:
            what = "wpa_supplicant reads all keys from one file"
            yield Mistake("networks", what, f"{len(files)} files", "one file, a variable for each network", "")

    @property
    def _known(self) -> list[Network]:
        """The networks without mistakes."""
        return [n for n in self.networks if not is_broken(n) and not is_broken(n.psk)]

    def secrets(self) -> Iterator[tuple[Reference, Use]]:
        """The networks' keys."""
        for network in self._known:
            yield network.psk, Use(f"the key of {network.ssid}", "Network.psk")

    def provides(self, layout: Layout) -> Iterable[Fact]:
        """The interface, and by whom it is driven."""
        return (WifiNetwork(self.interface, self.by, tuple(n.ssid for n in self._known)),)

    def settings(self, context: Context) -> Iterator[Setting]:
        """Lower to `networking.*` and the regulatory domain."""
        hardware = context.fact(WifiHardware)
        if hardware is not None:
            yield self.set("hardware.firmware", [pkgs[name] for name in hardware.firmware], comment="of the WiFi chip")
            yield self.set("boot.kernelModules", list(hardware.modules), comment="the WiFi chip's driver")
        yield self.set("hardware.wirelessRegulatoryDatabase", value=True)
        yield self.set("environment.systemPackages", [pkgs.iw])
        if self.country is not None:
            line = f"options cfg80211 ieee80211_regdom={self.country}\n"
            yield self.set("boot.extraModprobeConfig", line, field="country")
        yield from self._network_manager() if self.by == "NetworkManager" else self._wpa_supplicant()

    def _network_manager(self) -> Iterator[Setting]:
        yield self.set("networking.networkmanager.enable", value=True)
        yield self.set("networking.networkmanager.wifi.powersave", self.power_save, field="power_save")
        yield self.set("networking.modemmanager.enable", value=False, comment="there is no modem")
        if not self._known:
            return
        files = list(dict.fromkeys(_key(n) for n in self._known))
        yield self.set(
            "networking.networkmanager.ensureProfiles.environmentFiles", [f[0] for f in files], field="networks"
        )
        for index, network in enumerate(self._known):
            path = f'networking.networkmanager.ensureProfiles.profiles."{network.ssid}"'
            yield self.set(path, _profile(network), field=f"networks[{index}]")

    def _wpa_supplicant(self) -> Iterator[Setting]:
        yield self.set("networking.wireless.enable", value=True)
        yield self.set("networking.wireless.interfaces", [self.interface], field="interface")
        if not self._known:
            return
        yield self.set("networking.wireless.secretsFile", self._known[0].psk.at, field="networks")
        yield from self._readable(self._known[0].psk)
        for index, network in enumerate(self._known):
            entry: dict[str, Value] = {"pskRaw": f"ext:{network.name}"}
            if network.hidden:
                entry["hidden"] = True
            path = f'networking.wireless.networks."{network.ssid}"'
            yield self.set(path, entry, field=f"networks[{index}]")
        yield self.set("networking.useDHCP", value=False, comment="on no interface but those that are named")
        yield self.set(f'networking.interfaces."{self.interface}".useDHCP', value=True, field="interface")
        if not self.power_save:
            rule = 'ACTION=="add", SUBSYSTEM=="net", KERNEL=="', self.interface, '", RUN+="'
            run = (pkgs.iw, f'/bin/iw dev {self.interface} set power_save off"\n')
            yield self.set("services.udev.extraRules", Text(("".join(rule), *run), indented=True), field="power_save")

    def _readable(self, psk: Secret) -> Iterator[Setting]:
        """Let the daemon read the keys: it is not root, and nobody else should."""
        said = {"mode": "0440", "group": "wpa_supplicant"}
        if isinstance(psk, EnvironmentFile):
            why = "wpa_supplicant does not run as root"
            yield self.set(f'systemd.tmpfiles.settings.wifi."{psk.path}".z', {**said, "user": "root"}, comment=why)
        elif isinstance(psk, SopsSecret | AgeSecret):
            yield self.set(f'{psk.options[0]}.secrets."{psk.name}"', said, field="networks")

    def host_rules(self, context: Context) -> Iterator[Mistake]:
        """What was written when the host was installed is there after the next boot."""
        layout = context.layout
        kept = any(is_below(PROFILES, k.path) for k in context.all(KeptPath))
        by_hand = self.by == "NetworkManager" and not self.networks
        if by_hand and layout.mounts and not kept and not layout.survives(PROFILES):
            what = "the profile of the network would be gone after the next boot"
            fix = f'Persist(directories=[KeptDirectory("{PROFILES}", mode="0700")])'
            yield Mistake("Wifi.networks", what, PROFILES, "a path that stays", fix, field_origin(self, "networks"))

    def whole_rules(self, context: Context, said: Sequence[Setting]) -> Iterator[Mistake]:
        """The chip's driver and firmware are not set aside: without them nobody could reach the host."""
        hardware, view = context.fact(WifiHardware), HostView(said, complete=True)
        if hardware is None:
            return
        loaded = "boot.kernelModules"
        for module in hardware.modules:
            missing = view.one(loaded) if module not in {m for m in view.elements(loaded) if m is not UNKNOWN} else None
            listed = [d for d in view.all("boot.blacklistedKernelModules") if module in _elements(d.value)]
            for definition in [*([missing] if missing else []), *listed]:
                what = f"leaves out {module}, the WiFi chip's driver: the host would have no WiFi"
                fix = f'"{module}" among {loaded}, and not in boot.blacklistedKernelModules'
                yield wrong(definition, what, fix=fix)
        firmware = view.one("hardware.firmware")
        if firmware is not None and hardware.firmware and not view.elements("hardware.firmware"):
            what = "leaves out the WiFi chip's firmware: the host would have no WiFi"
            yield wrong(firmware, what, fix=f"pkgs.{hardware.firmware[0]} among it")

    def checks(self, context: Context) -> Iterator[Check]:
        """Two simulated radios: an access point with its own name space, and the host that joins it."""
        if any(not isinstance(n.psk, EnvironmentFile) for n in self.networks):
            return  # what encrypts for the host alone has no key for a VM
        first = self.networks[0] if self.networks else None
        ssid = first.ssid if first is not None else "Home"
        yield Check(
            "wifi",
            "it joins its network by itself, with nobody logged in",
            wifi.joins_by_itself,
            {"interface": self.interface, "gateway": _GATEWAY, "power_save": "on" if self.power_save else "off"},
            differences=[
                Difference("simulated radios, and an access point on the second", _access_point(ssid, _TEST_KEY)),
                Difference("what a person writes when the host is installed", self._written(ssid)),
                Difference("a VM of a test has its WiFi turned off", {"networking.wireless.enable": Override(5, True)}),  # noqa: FBT003
            ],
            sabotages=[
                Sabotage("another-key", "the network has another key", _access_point(ssid, "another test key", 5)),
                Sabotage("asleep", "the radio sleeps", self._asleep()),
            ],
        )
        if self.by == "NetworkManager":
            world = f"z {PROFILES}/* 0644 root root -"
            yield Check(
                "wifi",
                "the keys of its networks are root's alone",
                wifi.keys_are_roots,
                {"directories": [PROFILES, "/run/NetworkManager/system-connections"]},
                sabotages=[Sabotage("readable", "everybody can read the profile", {"systemd.tmpfiles.rules": [world]})],
            )

        if self.by == "NetworkManager" and not self.networks:
            profile = f"{PROFILES}/wifi.nmconnection"
            yield Check(
                "wifi",
                "with another key it stays out, and joins by itself once its profile is put right",
                wifi.joins_once_put_right,
                {"interface": self.interface, "gateway": _GATEWAY, "profile": profile, "key": _TEST_KEY},
                sabotages=[Sabotage("not-reread", "nothing reads the profile again", _deaf())],
            )

    def _written(self, ssid: str) -> dict[str, Value]:
        """What the install steps write, as a VM has it: the key is a test's."""
        if not self.networks:
            path, text = f"{PROFILES}/wifi.nmconnection", keyfile(ssid, _TEST_KEY)
        else:
            path, text = str(self.networks[0].psk.at), "".join(f"{n.name}={_TEST_KEY}\n" for n in self.networks)
        rule: Value = {"mode": "0600", "argument": text}  # NixOS escapes its lines
        return {f'systemd.tmpfiles.settings.wifi-key."{path}"."f+"': rule}

    def _asleep(self) -> dict[str, Value]:
        if self.by == "NetworkManager":
            return {"networking.networkmanager.wifi.powersave": force(not self.power_save)}
        return {"services.udev.extraRules": force("")}

    def steps(self, context: Context) -> Iterator[Step]:
        """Put the profile where the first boot finds it; look whether it holds."""
        if self.by == "NetworkManager" and not self.networks:
            yield _install_profile(context)
        power = "off" if not self.power_save else "on"
        state = "nmcli -g GENERAL.STATE device show" if self.by == "NetworkManager" else "wpa_cli status -i"
        yield Step(
            Phase.VERIFY,
            "WiFi holds",
            "After a boot with nobody logged in, from another machine.",
            f"ssh {context.name}.local '{state} {self.interface}; iw dev {self.interface} get power_save; iw reg get'",
            f"It is connected, `Power save: {power}`, and the country is {self.country or 'the one it stands in'}.",
        )


def _elements(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def keyfile(ssid: str, psk: str) -> str:
    """Return a profile of NetworkManager's own format (nm-settings-keyfile(5)). It holds the key: 0600, and root's."""
    rows = {
        "connection": {"id": ssid, "type": "wifi", "autoconnect": "true"},
        "wifi": {"mode": "infrastructure", "ssid": ssid},
        "wifi-security": {"key-mgmt": "wpa-psk", "psk": psk},
        "ipv4": {"method": "auto"},
        "ipv6": {"method": "auto"},
    }
    return "\n".join(f"[{head}]\n" + "".join(f"{k}={v}\n" for k, v in body.items()) for head, body in rows.items())


def ask_for_profile(path: str, ssid: str = "") -> str:
    """Return shell that asks for a network and its key and writes the profile to `path`, which only root can read."""
    text = keyfile("$ssid", "$psk").rstrip("\n")
    name = f"ssid='{ssid}'" if ssid else "read -r -p 'Name of the network: ' ssid"
    return f"{name}\nread -r -s -p 'Its key: ' psk && echo\n(umask 077 && cat > {path} <<END\n{text}\nEND\n)\nunset psk"


def _install_profile(context: Context) -> Step:
    kept = next((k.source for k in context.all(KeptPath) if k.path == PROFILES), PROFILES)
    directory, here = f"/mnt{kept}", "/run/NetworkManager/system-connections"
    made = f"install -d -m 700 -o root -g root {directory}\n"
    expect = f"`stat -c '%a %U' {directory}/*` shows `600 root`."
    if context.fact(InstallerWifi) is not None:
        why = "The profile that this very machine is connected by goes to the target: it is known to work."
        commands = (
            f"{made}ls {directory}/*.nmconnection || install -m 600 -o root -g root {here}/*.nmconnection {directory}/"
        )
    else:
        why = "NetworkManager has it from the first boot on. The key is asked for; it is in no shell history."
        commands = made + ask_for_profile(f"{directory}/wifi.nmconnection")
    return Step(Phase.SECRETS, "The profile of the WiFi", why, commands, expect)


def _access_point(ssid: str, key: str, priority: int = 100) -> dict[str, Value]:
    """An access point with DHCP, on the second of two simulated radios, in a name space of its own."""
    said = {"interface": "wlan1", "ssid": ssid, "hw_mode": "g", "channel": "1", "wpa": "2", "wpa_key_mgmt": "WPA-PSK"}
    said |= {"rsn_pairwise": "CCMP", "wpa_passphrase": key}
    text = "".join(f"{name}={value}\n" for name, value in said.items())
    if priority != 100:  # noqa: PLR2004 - a plain definition
        return {'environment.etc."access-point.conf".text': Override(priority, text)}
    script = (
        # not by a device unit: its 90 seconds are short for machines without KVM
        "until test -e /sys/class/net/wlan1; do sleep 1; done\n"
        "ip netns add ap\n"
        'iw phy "$(cat /sys/class/net/wlan1/phy80211/name)" set netns name ap\n'
        f"ip -n ap address add {_GATEWAY}/24 dev wlan1\n"
        # in the unit's journal, who had the wrong key
        "ip netns exec ap hostapd /etc/access-point.conf &\n"
        "until ip -n ap link show wlan1 | grep -w LOWER_UP; do sleep 1; done\n"
        "exec ip netns exec ap dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=wlan1"
        " --dhcp-range=10.44.0.100,10.44.0.150 --dhcp-leasefile=/run/access-point.leases --pid-file\n"
    )
    unit: Value = {
        "wantedBy": ["multi-user.target"],
        "path": [pkgs.iproute2, pkgs.iw, pkgs.hostapd, pkgs.dnsmasq],
        "script": script,
    }
    return {
        "boot.kernelModules": ["mac80211_hwsim"],
        "boot.extraModprobeConfig": "options mac80211_hwsim radios=2\n",
        'environment.etc."access-point.conf".text': text,
        "systemd.services.access-point": unit,
    }


def _deaf() -> dict[str, Value]:
    """The command that has profiles read again does nothing."""
    nothing = Apply(pkgs.writeShellScriptBin, ("nmcli", ":"))
    return {"environment.systemPackages": [Apply(lib.hiPrio, (nothing,))]}


def _key(network: Network) -> tuple[Value, str]:
    """Return the file that holds a network's key, in a form that can be compared."""
    return network.psk.at, str(network.psk.at)


def _profile(network: Network) -> dict[str, Value]:
    wifi: dict[str, Value] = {"mode": "infrastructure", "ssid": network.ssid}
    if network.hidden:
        wifi["hidden"] = True
    return {
        "connection": {"id": network.ssid, "type": "wifi", "autoconnect": True},
        "wifi": wifi,
        "wifi-security": {"key-mgmt": "wpa-psk", "psk": f"${network.name}"},
        "ipv4": {"method": "auto"},
        "ipv6": {"method": "auto"},
    }
