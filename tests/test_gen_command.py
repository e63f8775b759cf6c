"""`nixwright gen`: what it writes, what it says, and what it leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from host_project import EXAMPLE, SMALLEST, Project, project  # noqa: F401 - a fixture
from nixwright.generation import warm
from nixwright.options import shards
from nixwright.options.schema import Schema

ROOT = Path(__file__).parent.parent


def test_a_project_has_an_option_schema_of_its_own(project: Project) -> None:  # noqa: F811
    """Made by `nixwright schema nixos.schema`: what it does not know is no option, whatever the one shipped says."""
    path = project.host(SMALLEST)
    own = project.root / "nixos.schema"
    mine = {"type": "object", "properties": {"attic": {"type": "boolean", "x-option": True}}, "$defs": {}}
    shards.write({"$defs": {}, "properties": {"networking": mine}}, own)
    answer = project.run("gen", path)
    assert answer.status == 2
    assert "networking.hostName" in answer.err
    own.write_text("no schema")
    answer = project.run("gen", path)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.endswith("nixos.schema cannot be read: it is no schema made by `nixwright schema`\n")
    own.unlink()
    assert project.run("gen", path).status == 0


def test_gen_writes_and_then_has_nothing_to_do(project: Project) -> None:  # noqa: F811
    path = project.host(EXAMPLE)
    first = project.run("gen", path)
    assert (first.status, first.err) == (0, "")
    files = project.files()
    assert first.out.splitlines()[-1] == f"new      modules/pibox/  {len(list(Path('modules/pibox').iterdir()))} files"
    assert {"checks/pibox/boots.nix", "checks/pibox/boots.py", "checks/pibox/sabotages/boots.nix"} <= set(files)
    assert {"default.nix", "disko.nix", "storage.nix", "users.nix", "host.nix", "INSTALL.md"} <= {
        f.rpartition("/")[2] for f in files
    }
    second = project.run("gen", path)
    assert (second.status, second.out) == (0, f"pibox: {len(files)} files, all current.\n")
    assert project.run("gen", "--check", path).status == 0
    assert project.files() == files


def test_the_committed_modules_are_what_gen_writes(project: Project) -> None:  # noqa: F811
    project.run("gen", project.host(EXAMPLE))
    there = [p for room in ("modules", "checks") for p in (ROOT / room / "pibox").rglob("*") if p.is_file()]
    committed = {p.relative_to(ROOT).as_posix(): p.read_text() for p in there}
    assert project.files() == committed


def test_the_same_input_gives_the_same_bytes_elsewhere(project: Project, tmp_path_factory: object) -> None:  # noqa: ARG001, F811
    project.host(EXAMPLE)
    command = [sys.executable, "-m", "nixwright", "gen", "--stdout", "hosts/pibox.py"]
    texts = {
        subprocess.run(
            command, cwd=project.root, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert b"==> modules/pibox/default.nix <==" in texts.pop()


def test_check_shows_a_diff_and_writes_nothing(project: Project) -> None:  # noqa: F811
    project.run("gen", project.host(EXAMPLE))
    before = project.files()
    path = project.host(EXAMPLE.replace("port=9999", "port=2222"))
    answer = project.run("gen", "--check", path)
    assert answer.status == 1
    assert "+++ b/modules/pibox/remote-unlock.nix\n" in answer.out
    assert "-      port = 9999;\n+      port = 2222;\n" in answer.out.replace("        ", "      ")
    assert "sha256" not in answer.out
    assert project.files() == before
    assert project.run("gen", "--diff", path).status == 0
    assert project.files() == before


def test_an_edited_file_stays_until_one_says_so(project: Project) -> None:  # noqa: F811
    path = project.host(EXAMPLE)
    project.run("gen", path)
    edited = project.root / "modules/pibox/fan.nix"
    edited.write_text(edited.read_text() + "# mine\n")
    before = project.files()
    project.host(EXAMPLE.replace("55: 30", "55: 40"))
    answer = project.run("gen", path)
    assert answer.status == 1
    assert answer.err == (
        "edited   modules/pibox/fan.nix\n"
        "This file was changed, or made, by hand. Nothing was written.\n"
        "  keep    move the change to the host file (settings=, imports=), then run gen again\n"
        "  drop    gen --overwrite-edited\n"
    )
    assert project.files() == before
    assert project.run("gen", "--check", path).status == 1
    assert project.run("gen", "--overwrite-edited", path).status == 0
    assert "# mine" not in project.text("modules/pibox/fan.nix")


def test_a_renamed_host_leaves_nothing_behind(project: Project) -> None:  # noqa: F811
    project.run("gen", project.host(SMALLEST, "vm"))
    answer = project.run("gen", project.host(SMALLEST.replace('name="vm"', 'name="other"'), "vm"))
    assert [t for t in answer.out.splitlines() if t.startswith("removed  modules/vm/")]
    assert sorted(p.name for p in (project.root / "modules").iterdir()) == ["other"]


def test_equal_changes_in_many_hosts_are_told_once(project: Project) -> None:  # noqa: F811
    for n in range(12):
        project.host(SMALLEST.replace('"vm"', f'"vm{n:02}"'), f"vm{n:02}")
    assert project.run("gen", "hosts").out.startswith("new      ")
    for n in range(12):
        text = SMALLEST.replace('"vm"', f'"vm{n:02}"').replace('state_version="26.05"', 'state_version="25.11"')
        project.host(text, f"vm{n:02}")
    checked = project.run("gen", "--check", "hosts")
    assert checked.out.count("+++") == 1
    assert "# default.nix  the same 1 line in 12 hosts: vm00, vm01, vm02, …\n" in checked.out
    written = project.run("gen", "hosts")
    assert written.out == "changed  default.nix  the same 1 line in 12 hosts: vm00, vm01, vm02, …\n"


def test_the_hosts_own_name_makes_no_difference(project: Project) -> None:  # noqa: F811
    own = 'settings={"networking.domain": "old.NAME.example"},\n    users='
    for turn in ("old", "new"):
        text = SMALLEST.replace("users=", own.replace("old", turn))
        for name in ("vm1", "vm2"):
            project.host(text.replace("NAME", name).replace('"vm"', f'"{name}"'), name)
        answer = project.run("gen", "hosts")
    assert answer.out == "changed  settings.nix  the same 1 line in 2 hosts: vm1, vm2\n"


def test_json_and_stdout(project: Project) -> None:  # noqa: F811
    path = project.host(SMALLEST, "vm")
    printed = json.loads(project.run("gen", "--stdout", "--json", path).out)
    assert not (project.root / "modules").exists()
    answer = json.loads(project.run("gen", "--json", path).out)
    assert answer["written"] is True
    assert answer["hosts"] == [{"source": path, "name": "vm", "files": sorted(printed["files"])}]
    assert {c["kind"] for c in answer["changes"]} == {"new"}
    assert project.files() == printed["files"]


def test_what_a_host_file_prints_is_no_part_of_the_answer(project: Project) -> None:  # noqa: F811
    answer = project.run("gen", "--json", project.host("print('hello')\n" + SMALLEST, "vm"))
    assert answer.err == "hello\n"
    assert json.loads(answer.out)["written"] is True


def test_the_users_own_settings_outrank_the_parts(project: Project) -> None:  # noqa: F811
    (project.root / "extra.nix").write_text("{ }\n")
    own = 'settings={"boot.loader.timeout": 3},\n    imports=["../extra.nix"],'
    project.run("gen", project.host(EXAMPLE.replace('settings={"services.tailscale.enable": True},', own)))
    assert "timeout" not in project.text("modules/pibox/board.nix")
    body = project.text("modules/pibox/settings.nix").partition("\n")[2]
    assert body == "{\n  # Instead of PiBox's boot.loader.timeout = 10.\n  boot.loader.timeout = 3;\n}\n"
    assert "../../extra.nix" in project.text("modules/pibox/default.nix")


def test_the_data_that_a_flake_reads(project: Project) -> None:  # noqa: F811
    project.run("gen", project.host(SMALLEST, "vm"))
    body = project.text("modules/vm/host.nix").partition("\n")[2]
    assert body == '{\n  system = "x86_64-linux";\n  inputs = [ "disko" ];\n}\n'


def test_no_host_file_is_no_success(project: Project) -> None:  # noqa: F811
    (project.root / "hosts").mkdir()
    answer = project.run("gen", "hosts")
    assert (answer.status, answer.err) == (2, "nixwright: hosts holds no host file\n")


def test_new_writes_a_host_file_once(project: Project) -> None:  # noqa: F811
    assert project.run("new", "box", "--board", "pibox").status == 0
    first = project.text("hosts/box.py")
    assert first.count("DECIDE") >= 4
    answer = project.run("new", "box", "--board", "pibox")
    assert (answer.status, project.text("hosts/box.py")) == (2, first)
    wrong = project.run("gen", "hosts/box.py")
    assert wrong.status == 2
    assert {
        line.partition("  ")[2].partition(":")[0] for line in wrong.err.splitlines() if line.startswith("hosts/")
    } == {
        "Disk.device",
        "User.ssh_keys[0]",
    }


def test_runbook_prints_the_install_steps(project: Project) -> None:  # noqa: F811
    answer = project.run("runbook", project.host(EXAMPLE))
    assert answer.status == 0
    assert answer.out.startswith("# Installing pibox\n")


def test_a_fleet_is_warmed_by_a_host_without_mistakes() -> None:
    warm()  # raises where its own small host would not do
    assert {"boot/loader", "networking/hostName"} <= set(Schema.shipped().read)


def test_settings_of_a_set_and_of_what_is_below_it_are_one(project: Project) -> None:  # noqa: F811
    whole = '"environment.etc": {"a/b": {"text": "one"}, "c": {"text": "three"}}'
    own = f"""settings={{'environment.etc."a/b".text': "two", {whole}}},\n    users="""
    answer = project.run("gen", project.host(SMALLEST.replace("users=", own)))
    assert (answer.status, answer.err) == (0, "")
    module = next(text for path, text in project.files().items() if path.endswith("/settings.nix"))
    assert module.partition("\n")[2] == (
        "{ lib, ... }:\n{\n  environment.etc = {\n"
        '    "a/b".text = lib.mkMerge [\n      "two"\n      "one"\n    ];\n    c.text = "three";\n  };\n}\n'
    )
