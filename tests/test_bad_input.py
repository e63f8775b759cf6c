"""What bad input gets: one message a mistake, exit status 2, nothing written. Each snapshot is what a person reads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host_project import EXAMPLE, SMALLEST, Project, project  # noqa: F401 - a fixture
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion


class Message(SingleFileSnapshotExtension):
    """Each message in a text file of its own."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


@pytest.fixture
def message(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(Message)


def changed(*pairs: tuple[str, str]) -> str:
    """The example with texts replaced, each of which must be there."""
    text = EXAMPLE
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


DISK = '"/dev/disk/by-id/ata-Samsung_SSD_870_QVO_1TB_S5RRNF0R123456"'
CURVE = "{45: 0, 55: 30, 65: 60, 75: 100}"
PASSWORD = 'SecretFile("/persist/passwords/ivan")'  # noqa: S105 - a path
SETTINGS = '{"services.tailscale.enable": True}'
KEY = re.search(r'ssh_keys=\["(.*)"\]', EXAMPLE)[1]  # type: ignore[index]

WRONG = {
    "sda": changed((DISK, '"/dev/sda"')),
    "host_id_form": changed(('"feeddead"', '"feed"')),
    "host_id_zero": changed(('"feeddead"', '"00000000"')),
    "host_id_missing_with_zfs": changed(('    host_id="feeddead",\n', "")),
    "host_name": changed(('name="pibox"', 'name="Pi_Box"')),
    "state_version": changed(('"26.05"', '"26.5"')),
    "curve_not_rising": changed((CURVE, "{55: 30, 45: 60}")),
    "curve_over_100": changed((CURVE, "{45: 0, 55: 130}")),
    "partition_does_not_fit": changed((f"    {DISK},", f"    {DISK},\n    size=GiB(9),")).replace(
        f"{DISK},\n    size=GiB(9),\n    GPT(", f"{DISK},\n    size=GiB(9),\n    table=GPT("
    ),
    "partitions_overlap": changed(("MiB(32), Luks", "MiB(32), start=MiB(512), content=Luks")),
    "label_over_36": changed(('"luks key"', f'"{"l" * 37}"')),
    "key_in_a_circle": changed(
        ('Luks("cryptkey", opens_with=[Passphrase()], content=', 'Luks("cryptkey", opens_with=[key], content=')
    ),
    "persisted_on_ephemeral": changed((PASSWORD, 'SecretFile("/etc/passwords/ivan")')),
    "legacy_with_zfsutil": changed(
        ("reserved=GiB(200),", 'reserved=GiB(200),\n    mounts="legacy",'),
        ('at="/nix")', 'at="/nix", options=["zfsutil"])'),
    ),
    "swap_on_a_zvol": changed((SETTINGS, '{"swapDevices": [{"device": "/dev/zvol/tank/swap"}]}')),
    "ssh_key_that_is_none": changed((KEY, "ivan@laptop")),
    "ssh_key_cut_short": changed((KEY, KEY[:50])),
    "ssh_key_private": changed((KEY, "-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXk")),
    "password_in_clear": changed((PASSWORD, '"hunter2"')),
    "password_in_clear_in_secret_file": changed((PASSWORD, 'SecretFile("hunter2")')),
    "password_in_clear_in_settings": changed((SETTINGS, '{"users.users.ivan.password": "hunter2"}')),
    "psk_in_clear_in_settings": changed((SETTINGS, '{"networking.wireless.networks.home.psk": "hunter2 hunter2"}')),
    "password_in_the_store": changed((PASSWORD, 'SecretFile("/nix/store/x-passwords/ivan")')),
    "unknown_field": changed(("RemoteUnlock(port=9999", "RemoteUnlock(prot=9999")),
    "wrong_type": changed(("port=9999", 'port="9999"')),
    "wrong_type_in_a_list": changed(('groups=["wheel"]', "groups=[7]")),
    "group_that_nothing_defines": changed(('groups=["wheel"]', 'groups=["wheel", "docker"]')),
    "nobody_is_admin": changed(('groups=["wheel"]', 'groups=["video"]')),
    "two_users_of_one_name": changed(("    users=[\n", '    users=[\n        User("ivan"),\n')),
    "unknown_option": changed((SETTINGS, '{"services.tailscale.enabel": True}')),
    "option_of_wrong_type": changed((SETTINGS, '{"services.tailscale.enable": "yes"}')),
    "no_attribute_path": changed((SETTINGS, '{"services..tailscale": True}')),
    "no_nix_value": changed((SETTINGS, '{"environment.systemPackages": {1, 2}}')),
    "import_that_is_not_there": changed(
        (f"settings={SETTINGS},", f'settings={SETTINGS},\n    imports=["./extra.nix", "/etc/nixos/x.nix"],')
    ),
    "two_parts_differ": changed(
        (
            'Ethernet("eth0", dhcp=True),',
            """Ethernet("eth0", dhcp=True, gateway="192.168.1.1"),
        Ethernet("eth0", address="192.168.2.4/24", gateway="192.168.2.1"),""",
        )
    ),
    "file_without_a_host": 'name = "pibox"\n',
    "two_hosts_in_a_file": SMALLEST
    + SMALLEST[SMALLEST.index("host =") :].replace("host =", "other =").replace("vm", "vm2"),
    "syntax_error": EXAMPLE.replace("host = Host(", "host = = Host("),
    "import_that_fails": changed(("from nixwright.parts.ssh import Ssh", "from nixwright.parts.sssh import Ssh")),
    "import_of_no_name": changed(("from nixwright.parts.ssh import Ssh", "from nixwright.parts.ssh import Shh")),
    "exception": changed(("key = KeyFile(", "size = 1 / 0\nkey = KeyFile(")),
    "exit": changed(("key = KeyFile(", "raise SystemExit(3)\nkey = KeyFile(")),
    "exit_at_once": changed(("key = KeyFile(", "import os\nos._exit(0)\nkey = KeyFile(")),
    "kills_itself": changed(("key = KeyFile(", "import os\nos.kill(os.getpid(), 9)\nkey = KeyFile(")),
    "recursion": changed(("key = KeyFile(", "def f(): f()\nf()\nkey = KeyFile(")),
    "loops_for_ever": changed(("key = KeyFile(", "while True: pass\nkey = KeyFile(")),
    "loops_and_will_not_stop": changed(
        (
            "key = KeyFile(",
            "while True:\n    try:\n        while True: pass\n    except BaseException: pass\nkey = KeyFile(",
        )
    ),
    "eats_memory": changed(
        ("key = KeyFile(", "rows = []\nwhile True:\n    rows.append(bytes(1 << 24))\nkey = KeyFile(")
    ),
    "prints_a_gigabyte": changed(
        ("key = KeyFile(", 'for _ in range(1024):\n    print("x" * (1 << 20))\nkey = KeyFile(')
    ),
    "not_utf8": 'name = "\udcff"\n',
    "empty": "",
    "binary": "\0\1\2\udcfe\udcff",
    "null_byte": 'name = "\0"\n',
    "utf16": "\udcff\udcfeh\0o\0s\0t\0",
    "coding_that_is_none": "# -*- coding: klingon -*-\n",
    "tabs_and_spaces": "if True:\n        a = 1\n\tb = 2\n",
    "never_closed": SMALLEST[:-3],
    "host_in_a_function": SMALLEST.replace("host = ", "def make():\n  return "),
    "hosts_in_a_list": SMALLEST.replace("host = Host(", "hosts = [Host(").rstrip()[:-1] + ")]\n",
    "class_of_a_host": "from nixwright import Host\n\nhost = Host\n",
    "host_without_a_word": "from nixwright import Host\n\nhost = Host()\n",
    "arguments_without_names": SMALLEST.replace('name="vm",', '"vm", "feeddead",'),
    "class_for_a_part": changed(("        Ssh(),", "        Ssh,")),
    "class_for_a_board": changed(('PiBox(firmware_volume_id="1A2B-3C4D")', "PiBox")),
    "method_not_called": changed(("tank.member()", "tank.member")),
    "part_twice": changed(("        Ssh(),", "        Ssh(),\n        Ssh(),")),
    "list_in_a_list": changed(("        Ssh(),", "        [Ssh()],")),
    "no_list": changed(("disks=[ssd]", "disks=ssd"), ('groups=["wheel"]', 'groups="wheel"')),
    "generator_for_a_list": changed(("disks=[ssd]", "disks=(d for d in [ssd])")),
    "size_without_a_unit": changed(("GiB(8), Luks", "8, Luks")),
    "out_of_bounds": changed(("port=9999", "port=99999"), ("ashift=13", "ashift=20")),
    "literal_that_is_none": changed(("ashift=13,", 'ashift=13,\n    mounts="automatic",')),
    "key_that_is_a_number": changed((SETTINGS, "{7: True}")),
    "object_without_a_form": changed(
        (SETTINGS, '{"networking.domain": object(), "networking.search": {"b", "a", "c"}}')
    ),
    "settings_that_hold_themselves": changed(
        ("key = KeyFile(", 'own = {}\nown["a"] = own\nkey = KeyFile('), (SETTINGS, '{"environment.etc": own}')
    ),
    "reads_what_nobody_types": 'name = input("name? ")\n',
    "network_that_is_not_there": 'import socket\n\nsocket.create_connection(("127.0.0.1", 1))\n',
    "message_that_steers_the_terminal": 'raise ValueError("\\x1b[2J\\x07gone")\n',
    "prints_what_steers_the_terminal": 'print("\\x1b[2J\\x07gone")\n',
    "exception_without_a_message": "assert 1 == 2\n",
    "interrupt": "raise KeyboardInterrupt\n",
    "name_with_a_line_break": SMALLEST.replace('"vm"', '"v\\nm"'),
    "group_misspelt": changed(('groups=["wheel"]', 'groups=["whel"]')),
    "several_at_once": changed(
        (DISK, '"/dev/sda"'),
        ('"feeddead"', '"feed"'),
        (CURVE, "{55: 30, 45: 60}"),
        ('groups=["wheel"]', 'groups=["docker"]'),
        (SETTINGS, '{"services.tailscale.enabel": True}'),
    ),
}


LIMITED = {"loops_for_ever", "loops_and_will_not_stop", "eats_memory", "prints_a_gigabyte"}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_host_file(name: str, project: Project, message: SnapshotAssertion) -> None:  # noqa: F811
    path = project.root / project.host("")
    path.write_bytes(WRONG[name].encode("utf-8", "surrogateescape"))
    limits = ["--time-limit", "2", "--memory-limit", "700"] if name in LIMITED else []
    answer = project.run("gen", "hosts/pibox.py", *limits)
    assert answer.status == 2
    assert not (project.root / "modules").exists()
    assert "hunter2" not in answer.err + answer.out
    assert "Traceback" not in answer.err
    printed = re.sub(r"^x+\n", "", answer.err, flags=re.MULTILINE)
    if name == "loops_and_will_not_stop":  # what catches the wish to stop may not come to say where it was
        printed = re.sub(r":(1|28|29|30|31)  ", ":30  ", printed)
    assert printed == message


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + SMALLEST.encode(),
        SMALLEST.replace("\n", "\r\n").encode(),
        f"# -*- coding: latin-1 -*-\n# \u00e9\n{SMALLEST}".encode("latin-1"),
        b"import os\nos.chdir('/')\n" + SMALLEST.encode(),
        b"import threading, time\nthreading.Thread(target=time.sleep, args=[99]).start()\n" + SMALLEST.encode(),
        b"import os, time\nif os.fork() == 0:\n    time.sleep(99)\n" + SMALLEST.encode(),
        b"import os\nos.fork()\n" + SMALLEST.encode(),
    ],
    ids=["byte order mark", "line ends of DOS", "latin-1", "chdir", "thread", "child", "two of it"],
)
def test_an_odd_file_that_is_right(text: bytes, project: Project) -> None:  # noqa: F811
    (project.root / project.host("", "my host")).write_bytes(text)
    answer = project.run("gen", "hosts/my host.py")
    assert (answer.status, answer.err) == (0, "")
    assert project.run("gen", "--check", "hosts/my host.py").status == 0


def test_a_file_that_is_not_there(project: Project, message: SnapshotAssertion) -> None:  # noqa: F811
    answer = project.run("gen", "hosts/none.py")
    assert answer.status == 2
    assert answer.err == message


def test_two_hosts_of_one_name(project: Project, message: SnapshotAssertion) -> None:  # noqa: F811
    answer = project.run("gen", project.host(SMALLEST, "a"), project.host(SMALLEST, "b"))
    assert (answer.status, (project.root / "modules").exists()) == (2, False)
    assert answer.err == message


def test_a_mistake_in_a_helper_is_told_once_for_all_its_hosts(project: Project, message: SnapshotAssertion) -> None:  # noqa: F811
    project.host(
        'from nixwright.parts.ethernet import Ethernet\n\n\ndef wired():\n    return Ethernet("eth0")\n', "_common"
    )
    text = SMALLEST.replace("host = ", "from _common import wired\n\nhost = ").replace(
        "users=", "parts=[wired()],\n    users="
    )
    for n in range(5):
        project.host(text.replace('"vm"', f'"vm{n}"'), f"vm{n}")
    answer = project.run("gen", "hosts")
    assert answer.status == 2
    assert answer.err == message


def test_mistakes_as_json(project: Project) -> None:  # noqa: F811
    answer = project.run("gen", "--json", project.host(WRONG["curve_not_rising"]))
    assert answer.status == 2
    assert answer.err == ""
    found = json.loads(answer.out)
    assert (found["written"], found["changes"]) == (False, [])
    line = (
        WRONG["curve_not_rising"].splitlines().index("        PwmFan(curve={55: 30, 45: 60}),  # °C: % of full speed")
        + 1
    )
    assert [(m["file"], m["line"], m["field"]) for m in found["mistakes"]] == [("hosts/pibox.py", line, "PwmFan.curve")]


def test_no_message_tells_of_this_machine_or_of_memory() -> None:
    """Snapshots hold on every machine: no path of ours, no address; those that a host has are all that is named."""
    texts = {p: p.read_text("utf-8") for p in (Path(__file__).parent / "__snapshots__").rglob("test_bad_input*/*.txt")}
    assert len(texts) > 80
    hosts = r"dev|etc|persist|nix|boot|var|run|keyfile|home|mnt|root|swap|lib|log"
    for path, text in texts.items():
        assert not re.search(rf"(?<![\w.)\"'{{])/(?!(?:{hosts})\b)[a-z]\w*/", text), path
        assert not re.search(r"0x[0-9a-f]{6,}|site-packages|src/nixwright|pytest", text), path


def test_messages_are_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    text = WRONG["several_at_once"].replace(
        '"services.tailscale.enabel": True', '"networking.search": {"b", "a", "c"}, "networking.domain": object()'
    )
    (tmp_path / "hosts/pibox.py").write_text(text)
    argv = [sys.executable, "-m", "nixwright", "gen", "hosts/pibox.py"]
    said = {
        subprocess.run(
            argv, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONHASHSEED": seed}
        ).stderr
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
    assert "7 mistakes. Nothing was written." in said.pop()
