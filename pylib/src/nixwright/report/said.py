"""What a host is, in words: the sentences that the terminal and the page share. The host is plain data by then."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nixwright.layout.sizes import GiB, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Data = Mapping[str, Any]

_NOTHING = {"None", "()", "[]", "{}"}  # defaults that say only that something is not there
_LONG = 40  # characters of a default
_SIZE = 9  # characters of a size that reads well
_SHOWN = ("compression", "dedup")  # properties of a pool that a reader asks for
_CONTENT = {"zfs_member": "pool {pool}", "swap": "swap"}


def content(data: Data | None) -> list[str]:
    """Return what a partition holds, outermost first, in a few words each."""
    if data is None:
        return ["raw"]
    if data["kind"] == "crypto_LUKS":
        ways = " or ".join("passphrase" if way == "passphrase" else f"key file {way}" for way in data["ways"])
        return [f"LUKS{data['version']} {data['name']}", f"by {ways}", *content(data["content"])]
    if data["kind"] in _CONTENT:
        return [_CONTENT[data["kind"]].format(**data)]
    keys = "".join(f", keeps {key['path']}" for key in data["keys"])
    return [f"{data['kind']} {data['at'] or '(not mounted)'}{keys}"]


def mounts(about: Data) -> list[tuple[Data, str]]:
    """Return each mount with what it is on, and what protects it."""
    names = _partitions(about)
    native = {p["name"] for p in about["pools"] if p["passphrase_file"]}
    return [(m, _mount(m, names, native)) for m in about["mounts"]]


def _mount(data: Data, names: Mapping[str, str], native: set[str]) -> str:
    device = str(data["device"])
    where = names.get(device, device.replace("/dev/disk/by-uuid/", "volume ").replace("/dev/disk/by-id/", ""))
    mapped = where.startswith("/dev/mapper/") and data["inside"]  # what it is in says as much
    found = [where if data["fs_type"] == "zfs" else data["fs_type"] + ("" if mapped else f" on {where}")]
    found += [f"in {' and '.join(data['inside'])}"] if data["inside"] else []
    found += ["encrypted by ZFS"] if device.partition("/")[0] in native else []
    found += ["snapshots"] if data["snapshots"] else []
    return ", ".join(found)


def updates(about: Data) -> Iterator[tuple[str, str]]:
    """Yield which updates are taken, and who is told at first boot who they are."""
    for fact in about["facts"]:
        if fact["kind"] == "SlotUpdates":
            yield "bundles", f"for {fact['compatible']}, signed by one whom {fact['keyring']} knows"
        if fact["kind"] == "Provisioned":
            yield "told", f"at first boot, in {fact['directory']}; a page on the LAN, port {fact['port']}"


def wiped(survival: Data) -> list[tuple[str, str]]:
    """Return each directory that a boot empties, and what in it stays."""
    return [(w["path"], ", ".join(w["but"])) for w in survival["wiped"]]


def network(about: Data) -> Iterator[tuple[str, str]]:
    """Yield what the host is on the network: interfaces, ways in, open ports."""
    for fact in about["facts"]:
        match fact["kind"]:
            case "WiredNetwork":
                gateway = f", gateway {fact['gateway']}" if fact["gateway"] else ""
                yield fact["interface"], "wired, " + ("by DHCP" if fact["dhcp"] else f"{fact['address']}{gateway}")
            case "WifiNetwork":
                names = f" {', '.join(fact['networks'])}" if fact["networks"] else ", named at the installation"
                yield fact["interface"], f"WiFi{names}, by {fact['by']}"
            case "SshServer":
                yield "ssh", f"port {fact['port']}, by key alone"
    for part in about["parts"]:
        if part["kind"] == "RemoteUnlock":
            port = re.search(r"port=(\d+)", part["source"])
            yield "unlock", f"ssh to stage 1, port {port[1] if port else part['defaults']['port']}"
    ports = [
        f"{kind} {', '.join(map(str, about['firewall'][kind]))}" for kind in ("tcp", "udp") if about["firewall"][kind]
    ]
    if ports:
        yield "open", "; ".join(ports)


def services(about: Data) -> list[tuple[str, bool]]:
    """Return what is turned on, by its name, and whether the user's own settings do it; nothing below another."""
    names = [s["name"] for s in about["services"]]
    own = {s["name"]: bool(s["user"]) for s in about["services"]}
    top = [n for n in names if not any(n.startswith(f"{other}.") for other in names)]
    return [(n.removeprefix("services."), own[n]) for n in top]


def users(about: Data) -> Iterator[tuple[str, str]]:
    """Yield every user with what they may and how they come in."""
    for user in about["users"]:
        count = len(user["ssh_keys"])
        names = ", ".join(k["comment"] or k["type"] for k in user["ssh_keys"])
        said = ["may become root"] if user["can_become_root"] and user["name"] != "root" else []
        said += [f"in {', '.join(user['groups'])}"] if user["groups"] else []
        said += [f"{count} ssh key{'' if count == 1 else 's'} ({names})"] if count else []
        said += ["password"] if user["password"] else ["no password"]
        yield user["name"], "; ".join(said)


def secrets(about: Data) -> list[tuple[str, str]]:
    """Return what a person brings: what it is for, and where it lies. Never what it is."""
    return [(s["what"], s["where"]) for s in about["secrets"]]


def settings(about: Data) -> Iterator[tuple[str, str]]:
    """Yield the user's own settings, each with the part's setting whose place it took."""
    instead = {r["option"]: f"{r['of'].partition('.')[0]}'s {r['was']}" for r in about["replaced"]}
    for setting in about["settings"]:
        was = instead.pop(setting["option"], "")
        yield setting["option"], f"{setting['value']}{f', instead of {was}' if was else ''}"
    for replaced in about["replaced"]:
        if replaced["option"] in instead:
            yield replaced["option"], f"{replaced['now']}, instead of {instead[replaced['option']]}"


def defaults(about: Data) -> Iterator[tuple[str, str]]:
    """Yield the defaults that were taken, part by part; those that only say that nothing is there are left out."""
    for part in about["parts"]:
        taken = [f"{name}={_short(value)}" for name, value in part["defaults"].items() if value not in _NOTHING]
        if taken:
            yield part["kind"], ", ".join(taken)


def _short(value: str) -> str:
    """Return a default in a few words: of a list of sets the path in it, of what is long its begin."""
    path = re.fullmatch(r'\[ \{.*path = ("[^"]+"); \} \]', value)
    text = path[1] if path else " ".join(value.split())
    return text if len(text) <= _LONG else f"{text[:_LONG].rstrip()}…"


def size(data: Data) -> str:
    """Return the size of a partition: exact, or where that is a long number, to a tenth of a GiB."""
    if data["size"] is None:
        return "the rest"
    exact = told(data["size"])
    return exact if len(exact) <= _SIZE else f"{data['size'] / GiB.unit:.1f} GiB"


def outside(disk: Data) -> str:
    """Return what a disk has outside its partitions."""
    return ", ".join(f"{r['name']} at {told(r['start'])}, {told(r['size'])}" for r in disk["raws"])


def pools(about: Data) -> Iterator[tuple[str, str]]:
    """Yield every pool with what it is made of and how it is kept."""
    places: dict[str, str] = {c["device"]: c["name"] for c in about["containers"]}
    places |= _partitions(about)
    for pool in about["pools"]:
        members = " and ".join(str(places.get(m, m)) for m in pool["members"])
        said = [f"{pool['mode']} of {members}" if len(pool["members"]) > 1 else f"on {members}"]
        said += ["encrypted by ZFS"] if pool["passphrase_file"] else []
        said += [f"{told(pool['reserved'])} kept free"] if pool["reserved"] else []
        said += [f"{name} {value}" for name, value in pool["properties"].items() if name in _SHOWN]
        yield pool["name"], ", ".join([*said, f"{pool['mounts']} mounts"])


def _partitions(about: Data) -> dict[str, str]:
    """Return what to call each partition, by its device."""
    several = len(about["disks"]) > 1
    return {
        p["device"]: f"partition {p['number']}" + (f" of {d['name']}" if several else "")
        for d in about["disks"]
        for p in d["partitions"]
    }


def head(about: Data) -> list[str]:
    """Return what a host is, in a few facts."""
    found = [about["board"], about["system"], f"NixOS {about['state_version']}"]
    return found + ([f"host id {about['host_id']}"] if about["host_id"] else [])


def checks(known: Sequence[Data]) -> list[tuple[str, list[str]]]:
    """Return each check with the sentences that it proves."""
    return [(c["name"], [said for _, said in c["proves"]]) for c in known]
