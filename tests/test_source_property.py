"""`set` on 300 generated host files with random layout and comments, and what it must leave alone."""

from __future__ import annotations

import ast
import random

import pytest
from nixwright.source.edit import get_value, remove_value, set_value
from nixwright.source.values import Call, Source, same

RECORDS = {
    "Host": ("name", "host_id", "state_version", "board", "disks", "parts", "users", "settings"),
    "Board": ("volume", "fast"),
    "Disk": ("device", "content"),
    "Table": ("*partitions",),
    "Partition": ("label", "size", "at"),
    "Fan": ("curve", "pin"),
    "Net": ("name", "dhcp"),
    "User": ("name", "groups", "ssh_keys"),
    "MiB": ("count",),
}
WORDS = ["é", "a b", "it's", 'say "x"', "back\\slash", "#no comment", "plain", "", "tab\t", "line\nend", "🐟", "pi"]


class Writer:
    """Writes one host file; the value of every field is random, and so is the layout of every bracket."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - seeded on purpose
        self.newline = self.random.choice(["\n", "\n", "\r\n"])
        self.unit = self.random.choice(["    ", "  ", "\t"])
        self.quote = self.random.choice(['"', "'"])
        self.before: list[str] = []
        self.count = 0

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def text(self, value: object) -> str:
        if isinstance(value, Call):
            return f"{value.name}({', '.join(map(self.text, value.args))})"
        if isinstance(value, list):
            return self.bracket("[", [self.text(v) for v in value], "]", 1)
        if isinstance(value, dict):
            return self.bracket("{", [f"{self.text(k)}: {self.text(v)}" for k, v in value.items()], "}", 1)
        plain = repr(value)
        if isinstance(value, str) and not any(q in value for q in "'\""):
            return self.quote + plain[1:-1] + self.quote
        return plain

    def comment(self) -> str:
        self.count += 1
        return self.random.choice(["# why", "#", f"# é {self.count}", "# x = (1, [", '# "quoted"'])

    def named(self, source: str) -> str:
        """Perhaps bind the value to a name first."""
        if self.chance(0.8):
            return source
        name = f"value_{len(self.before)}"
        annotation = self.random.choice(["", ": object"])
        note = f"  {self.comment()}" if self.chance(0.5) else ""
        source = source if "\n" not in source or source[-1] in ")]}" else f"({source})"
        self.before.append(f"{name}{annotation} = {source}{note}{self.newline}")
        return name

    def bracket(self, opens: str, entries: list[str], closes: str, depth: int) -> str:
        """Lay out the entries, on one line, one a line, or anyhow, with comments where they may be."""
        nl, pad = self.newline, self.unit * depth
        way = self.random.choice(["flat", "lines", "lines", "wild"])
        if not entries:
            return opens + self.random.choice(["", " ", f"{nl}{pad}{self.comment()}{nl}"]) + closes
        if way == "flat":
            gap = self.random.choice([", ", ",", " , "])
            return opens + gap.join(entries) + self.random.choice(["", ",", ", "]) + closes
        text = opens
        for number, entry in enumerate(entries):
            last = number == len(entries) - 1
            comma = "" if last and self.chance(0.3) else ","
            if way == "lines":
                above = f"{nl}{pad}{self.comment()}" if self.chance(0.2) else ""
                note = f"  {self.comment()}" if self.chance(0.3) else ""
                text += f"{above}{nl}{pad}{entry}{comma}{note}"
            else:
                note = self.random.choice(["", " ", f" {self.comment()}{nl}", f"{nl}{nl}{pad}"])
                text += f"{self.random.choice(['', ' ', nl])}{entry}{comma}{note}"
        end = nl if way == "lines" and (self.chance(0.7) or "#" in text.rpartition(nl)[2]) else ""
        return text + end + closes

    def keyword(self, name: str, source: str) -> str:
        if self.chance(0.15):
            note = self.comment()
            source = f"(  {note}{self.newline}{self.unit}{source}{self.newline})"
        return f"{name}{self.random.choice(['=', '=', ' = '])}{source}"

    def arguments(self, fields: dict[str, str]) -> list[str]:
        """Some first fields by position, the rest as keywords in any order."""
        by_position = self.random.randint(0, len(fields))
        items = list(fields.items())
        keywords = [self.keyword(k, v) for k, v in items[by_position:]]
        self.random.shuffle(keywords)
        return [v for _, v in items[:by_position]] + keywords

    def record(self, name: str, fields: dict[str, str], depth: int) -> str:
        return self.bracket(f"{name}(", self.arguments(fields), ")", depth)


def word(of: random.Random) -> str:
    return "".join(of.choice(WORDS) for _ in range(of.randint(1, 3)))


def values(of: random.Random) -> dict[str, object]:
    """A random value for each path that a generated file has."""
    return {
        "state_version": f"{of.randint(24, 29)}.05",
        "host_id": of.choice([word(of), None]),
        "board.volume": word(of),
        "board.fast": of.choice([True, False]),
        "disks[0].device": "/dev/disk/by-id/" + of.choice(["ata-A", "usb-Bé"]),
        "disks[0].content.partitions.boot.size": Call("MiB", (of.randint(1, 999),)),
        "disks[0].content.partitions[1].at": "/" + word(of),
        "parts.Fan.curve": {t: of.randint(0, 100) for t in sorted(of.sample(range(30, 90), of.randint(0, 4)))},
        "parts.Fan.pin": of.choice([-1, 0, 18, 2.5]),
        "parts.Net.eth1.dhcp": of.choice([True, False, None]),
        "users.ivan.ssh_keys": [word(of) for _ in range(of.randint(0, 4))],
        "users.ivan.groups": [of.choice(["wheel", "video"]) for _ in range(of.randint(0, 2))],
        "settings": {f"services.s{n}.enable": of.choice([True, 1, "x"]) for n in range(of.randint(0, 3))},
    }


def host_file(seed: int) -> tuple[str, dict[str, object]]:
    """A host file and the values in it, by path."""
    w = Writer(seed)
    v = values(w.random)
    s = {k: w.named(w.text(x)) for k, x in v.items()}
    nl = w.newline
    boot = w.record(
        "Partition", {"label": w.text("boot"), "size": s["disks[0].content.partitions.boot.size"], "at": "None"}, 3
    )
    root_at = s["disks[0].content.partitions[1].at"]
    root = w.record("Partition", {"label": w.text("root"), "size": "MiB(7)", "at": root_at}, 3)
    table = w.bracket("Table(", [boot, root], ")", 2)
    disk = w.named(w.record("Disk", {"device": s["disks[0].device"], "content": table}, 2))
    nets = [w.record("Net", {"name": w.text("eth0"), "dhcp": "True"}, 2)]
    nets.append(w.record("Net", {"name": w.text("eth1"), "dhcp": s["parts.Net.eth1.dhcp"]}, 2))
    fan = w.named(w.record("Fan", {"curve": s["parts.Fan.curve"], "pin": s["parts.Fan.pin"]}, 2))
    parts = w.named(w.bracket("[", w.random.sample([*nets, fan], 3), "]", 1))
    user_fields = {"name": w.text("ivan"), "groups": s["users.ivan.groups"], "ssh_keys": s["users.ivan.ssh_keys"]}
    fields = {
        "name": w.text("pibox"),
        "host_id": s["host_id"],
        "state_version": s["state_version"],
        "board": w.named(w.record("Board", {"volume": s["board.volume"], "fast": s["board.fast"]}, 1)),
        "disks": f"[{disk}]",
        "parts": parts,
        "users": w.bracket("[", [w.record("User", user_fields, 2)], "]", 1),
        "settings": s["settings"],
    }
    head = f'"""A host."""{nl}{nl}from here import Board, Disk, Fan, Host, MiB, Net, Partition, Table, User{nl}{nl}'
    text = head + "".join(w.before) + w.record("host = Host", fields, 1)
    return text + w.random.choice([nl, "", f"  # end{nl}", f"{nl}{nl}print(host)"]), v


class Thing:
    """What a record makes, as the test runs the file: all of them compare by what they hold."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        names = [n for n in RECORDS[type(self).__name__] if not n.startswith("*")]
        self.held = dict(zip(names, args, strict=False)) | kwargs | {"rest": args[len(names) :]}


def run(text: str) -> Thing:
    """Run the file with records of our own and return the host."""
    kinds = {name: type(name, (Thing,), {}) for name in RECORDS}
    tree = ast.parse(text)
    tree.body = [s for s in tree.body if not isinstance(s, ast.ImportFrom)]
    space: dict[str, object] = {**kinds, "print": lambda *_: None}
    exec(compile(tree, "host.py", "exec"), space)  # noqa: S102 - we wrote it
    host = space["host"]
    assert isinstance(host, Thing)
    return host


def plain(thing: object) -> object:
    """A loaded value as plain data, so that two hosts can be compared strictly."""
    if isinstance(thing, Thing):
        return [type(thing).__name__, *sorted((k, repr(plain(v))) for k, v in thing.held.items())]
    if isinstance(thing, list | tuple):
        return [plain(t) for t in thing]
    return thing


def held(host: Thing, path: str) -> object:
    """The value of a path in a loaded host, found without the code under test."""
    h = host.held
    disk = h["disks"][0].held  # type: ignore[index]
    boot, root = (p.held for p in disk["content"].held["rest"])
    fan = next(p.held for p in h["parts"] if type(p).__name__ == "Fan")  # type: ignore[attr-defined]
    net = next(p.held for p in h["parts"] if p.held.get("name") == "eth1")  # type: ignore[attr-defined]
    user = h["users"][0].held  # type: ignore[index]
    board = h["board"].held  # type: ignore[attr-defined]
    size = boot["size"].held["count"]
    found = {
        "state_version": h["state_version"],
        "host_id": h["host_id"],
        "board.volume": board["volume"],
        "board.fast": board["fast"],
        "disks[0].device": disk["device"],
        "disks[0].content.partitions.boot.size": Call("MiB", (size,)),
        "disks[0].content.partitions[1].at": root["at"],
        "parts.Fan.curve": fan["curve"],
        "parts.Fan.pin": fan["pin"],
        "parts.Net.eth1.dhcp": net["dhcp"],
        "users.ivan.ssh_keys": user["ssh_keys"],
        "users.ivan.groups": user["groups"],
        "settings": h["settings"],
    }
    return found[path]


@pytest.mark.parametrize("block", range(10))
def test_300_files_load_to_exactly_the_changed_value(block: int) -> None:
    for seed in range(block * 30, block * 30 + 30):
        text, was = host_file(seed)
        of = random.Random(~seed)  # noqa: S311 - seeded on purpose
        for path, new in of.sample(sorted(values(of).items(), key=lambda pair: pair[0]), 3):
            found = get_value(text, path, RECORDS)
            assert same(found.value, was[path]), (seed, path)
            edit = set_value(text, path, new, RECORDS)
            host = run(edit.after)
            assert same(held(host, path), new), (seed, path)
            for other in was:
                assert other == path or same(held(host, other), was[other]), (seed, path, other)

            # every byte outside the value
            at = edit.before.find(edit.old)
            starts = []
            while at >= 0:
                starts.append(at)
                at = edit.before.find(edit.old, at + 1)
            assert any(
                edit.after == edit.before[:s] + edit.new + edit.before[s + len(edit.old) :]
                and edit.before.count("\n", 0, s) + 1 == edit.line
                for s in starts
            ), (seed, path)

            back = set_value(edit.after, path, Source(edit.old), RECORDS)
            assert back.after == text, (seed, path)
            if not isinstance(new, list | dict):  # the value itself, where it is one
                assert set_value(edit.after, path, was[path], RECORDS).after == text, (seed, path)


@pytest.mark.parametrize("block", range(4))
def test_what_is_added_can_be_removed_without_a_trace(block: int) -> None:
    for seed in range(block * 30, block * 30 + 30):
        text, was = host_file(seed)
        keys = was["users.ivan.ssh_keys"]
        assert isinstance(keys, list)
        for path, new in (
            (f"users.ivan.ssh_keys[{len(keys)}]", "new"),
            ("parts.Fan.curve.95", 100),
            ("settings.services.new.enable", True),
        ):
            edit = set_value(text, path, new, RECORDS)
            assert same(get_value(edit.after, path, RECORDS).value, new), (seed, path)
            assert edit.lost == (), (seed, path)
            assert remove_value(edit.after, path, RECORDS).after == text, (seed, path)


def test_the_comparison_tells_a_wrong_edit_apart() -> None:
    text, _ = host_file(1)
    edit = set_value(text, "board.fast", None, RECORDS)
    assert not same(plain(run(edit.after)), plain(run(text)))
    assert not same(held(run(text), "board.fast"), None)
