from __future__ import annotations

import subprocess
import sys

import pytest
from nixwright.editing import Wish, all_edited
from nixwright.errors import MistakeError
from nixwright.source.edit import get_value, remove_value, set_value
from nixwright.source.values import Call, Name, Source
from nixwright.source.words import from_words

RECORDS = {
    "Host": ("name", "state_version", "disks", "parts", "users"),
    "Fan": ("curve",),
    "Net": ("name", "dhcp"),
    "User": ("name", "keys"),
}
HEAD = "from x import Fan, Host, Net, User\n"


def why(text: str, field: str, value: object = 1) -> tuple[str, int]:
    with pytest.raises(MistakeError) as error:
        set_value(text, field, value, RECORDS, file="h.py")
    (mistake,) = error.value.mistakes
    assert mistake.origin is not None
    assert mistake.origin.place()[0] == "h.py"
    return mistake.what, mistake.origin.place()[1]


@pytest.mark.parametrize(
    ("body", "field", "what", "line"),
    [
        (
            "def make(n):\n    return Host(name=n)\nhost = make('a')\n",
            "name",
            "the host is built by the helper function make",
            3,
        ),
        (
            "v = '1'\nv = '2'\nhost = Host(state_version=v)\n",
            "state_version",
            "v is bound more than once, in lines 2, 3",
            2,
        ),
        ("for n in 'ab':\n    v = n\nhost = Host(name=v)\n", "name", "v is bound in a loop", 3),
        ("k = ['a']\nk.append('b')\nhost = Host(users=k)\n", "users", "k is changed after it is written, in line 3", 2),
        ("host = Host(users=[User(n) for n in 'ab'])\n", "users", "is built in a loop (a comprehension)", 2),
        ("n = 1\nhost = Host(name=f'h{n}')\n", "name", "is computed (an f-string)", 3),
        ("from y import v\nhost = Host(name=v)\n", "name", "v comes from y: change it there", 2),
        ("def fan():\n    return Fan({})\nhost = Host(parts=[fan()])\n", "parts[0]", "is built by fan() (line 2)", 4),
        ("if 1:\n    v = 'a'\nhost = Host(name=v)\n", "name", "v is bound under a condition", 3),
        ("k = {}\nhost = Host(**dict(k))\n", "name", "may come from the arguments that Host unpacks (**)", 3),
        ("a = Host(name='a')\nb = Host(name='b')\n", "name", "the file has two hosts", 2),
        ("x = 1\n", "name", "the file has no host", 1),
        ("host = Host(name='a')\n", "nme", "Host has no field nme", 2),
        ("host = Host(name='a', parts=[Net('e'), Net('f')])\n", "parts.Net.dhcp", "parts has 2 entries Net", 2),
        ("v: str = v\nhost = Host(name=v)\n", "name", "v is bound to itself", 2),
    ],
)
def test_what_is_not_written_literally_is_refused_with_its_reason(body: str, field: str, what: str, line: int) -> None:
    assert why(HEAD + body, field) == (what, line)


def test_a_name_is_followed_and_its_other_users_are_told() -> None:
    text = HEAD + "KEYS = ['a']  # both\nhost = Host(users=[User('i', KEYS), User('j', keys=KEYS)])\n"
    edit = set_value(text, "users.j.keys", ["b"], RECORDS)
    assert edit.after == text.replace("'a'", "'b'")
    assert (edit.line, edit.through) == (2, (("KEYS", 3),))


def test_an_entry_of_a_dict_or_list_is_followed() -> None:
    text = HEAD + "P = {'a': 1, 'b': [2, 3]}\nQ = [P['a']]\nhost = Host(name=P['b'][1], users=[User(Q[0], P['b'])])\n"
    edit = set_value(text, "users[0].name", 7, RECORDS)
    assert edit.after == text.replace("'a': 1", "'a': 7")
    assert [name for name, _ in edit.through] == ["Q[0]", "P['a']"]
    assert set_value(text, "users[0].keys", [2], RECORDS).after == text.replace("[2, 3]", "[2]")
    assert why(text, "name")[0] == "is taken out of another value"  # one step at a time
    assert why(text.replace("host", "P['a'] = 2\nhost"), "users[0].name")[0].startswith("P is changed after")
    assert why(text.replace("Q = [P['a']]", "Q = Q[0]"), "users[0].name")[0] == "Q is bound to itself"
    assert why(text.replace("'a': 1", "**x"), "users[0].name")[0] == "is taken out of another value"


def test_a_missing_keyword_takes_the_layout_of_its_siblings() -> None:
    text = HEAD + "host = Host(\r\n\tname='a',  # why\r\n\t# last\r\n)".replace("\n", "\n")
    edit = set_value(text, "state_version", "26.11", RECORDS)
    assert edit.after == text.replace("# why\r\n", "# why\r\n\tstate_version='26.11',\r\n")
    assert remove_value(edit.after, "state_version", RECORDS).after == text
    assert not get_value(text, "state_version", RECORDS).written


def test_a_byte_order_mark_and_a_missing_line_end_stay() -> None:
    text = "\ufeff" + HEAD + "host = Host('é')"
    edit = set_value(text, "name", "ü", RECORDS)
    assert edit.after == "\ufeff" + HEAD + "host = Host('ü')"
    assert "\\ No newline" in edit.diff("h.py")


def test_all_files_or_none() -> None:
    good, bad = HEAD + "host = Host('a')\n", HEAD + "host = Host(f'a')\n"
    wishes = [Wish("name", ("z",))]
    assert set(all_edited({"a": (good, RECORDS), "b": (good, RECORDS)}, wishes)) == {"a", "b"}
    with pytest.raises(MistakeError) as error:
        all_edited({"a": (good, RECORDS), "b": (bad, RECORDS), "c": (bad, RECORDS)}, wishes)
    assert [m.origin.place() for m in error.value.mistakes if m.origin] == [("b", 2), ("c", 2)]


def test_the_new_value_must_be_a_literal_of_imported_names() -> None:
    text = HEAD + "host = Host('a', parts=[Net('e', dhcp=True)])\n"
    assert "does not import" in why(text, "name", Call("MiB", (1,)))[0]
    with pytest.raises(MistakeError, match="the new value"):
        set_value(text, "name", Source("1 + 1"), RECORDS)
    assert set_value(text, "name", Name("Net"), RECORDS).new == "Net"


@pytest.mark.parametrize(
    ("words", "like", "value"),
    [
        (["26.11"], "26.05", "26.11"),
        (["'x y'"], "old", "x y"),
        (["true"], False, True),
        (["a", "b"], ["c"], ["a", "b"]),
        (["['a']"], [], ["a"]),
        (["{45: 0}"], {}, {45: 0}),
        (["MiB(3)"], Call("MiB", (1,)), Call("MiB", (3,))),
        (["9999"], 22, 9999),
    ],
)
def test_words_of_a_command_line_mean_what_stands_there(words: list[str], like: object, value: object) -> None:
    assert from_words(words, like) == value


@pytest.mark.parametrize("field", ["", ".a", "a..b", "[0]", "a[", "a.[0]", 'a."b'])
def test_what_is_no_path_is_refused(field: str) -> None:
    with pytest.raises(MistakeError):
        get_value("host = Host()\n", field, RECORDS)


def test_libcst_is_loaded_only_when_a_file_is_looked_at() -> None:
    code = "import sys, nixwright.source.edit, nixwright.source.secrets; sys.exit('libcst' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
