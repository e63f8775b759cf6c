from __future__ import annotations

import copy
import dataclasses
from dataclasses import field
from typing import TYPE_CHECKING, Annotated

import pytest
from nixwright.errors import Mistake, MistakeError, collecting
from nixwright.record import field_origin, is_broken, origin_of, record
from nixwright.unseen import is_unseen
from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Iterator


@record
class SecretThing:
    path: str


@record
class Fan:
    name: str
    curve: dict[int, int] = field(default_factory=dict)
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    psk: SecretThing | None = None
    kids: list[Fan | SecretThing] = field(default_factory=list)

    def wrong(self) -> Iterator[Mistake]:
        if list(self.curve) != sorted(self.curve):
            yield Mistake("curve", "temperatures must rise", str(self.curve))


def line(text: str) -> int:
    """The line of this file that ends with the mark."""
    with open(__file__, encoding="utf-8") as file:  # noqa: PTH123
        return next(n for n, row in enumerate(file, 1) if row.rstrip().endswith(f"# {text}"))


def test_by_hand_a_wrong_record_raises_at_once() -> None:
    with pytest.raises(MistakeError) as caught:
        Fan("a", port="22")  # type: ignore[arg-type]
    (mistake,) = caught.value.mistakes
    assert (mistake.field, mistake.given, mistake.allowed) == ("Fan.port", "'22'", "a whole number")


def test_collected_mistakes_are_all_told_and_the_file_goes_on() -> None:
    with collecting() as found:
        broken = Fan(
            "a",
            curve={
                45: 0,
                "55": 30,  # type: ignore[dict-item] # wrong key
            },
            port=0,  # out of bounds
            prot=3,  # type: ignore[call-arg] # unknown
        )
        whole = Fan("b")
    assert is_broken(broken)
    assert not is_broken(whole)
    assert (broken.name, broken.port) == ("a", 22)  # what is right of it, and the default of what is not
    assert is_unseen(broken.curve)
    assert {(m.field, m.origin.place()[1] if m.origin else 0) for m in found} == {
        ("Fan.curve.55", line("wrong key")),
        ("Fan.port", line("out of bounds")),
        ("Fan.prot", line("unknown")),
    }
    assert next(m.fix for m in found if m.field == "Fan.prot") == "did you mean port?"


def test_a_rule_of_the_record_is_a_mistake_at_the_argument() -> None:
    with collecting() as found:
        Fan(
            name="a",
            curve={55: 0, 45: 1},  # not rising
        )
    (mistake,) = found
    assert mistake.field == "Fan.curve"
    assert mistake.origin is not None
    assert mistake.origin.place() == (__file__, line("not rising"))


def test_a_positional_argument_has_its_own_line() -> None:
    fan = Fan(
        "a",  # first argument
    )
    assert field_origin(fan, "name").place() == (__file__, line("first argument"))


def test_what_stands_where_a_secret_belongs_is_never_shown() -> None:
    with pytest.raises(MistakeError) as caught:
        Fan("a", psk="hunter2")  # type: ignore[arg-type]
    assert "hunter2" not in repr(caught.value.mistakes) + str(caught.value)
    assert caught.value.mistakes[0].given == "(not shown)"


def test_an_origin_is_the_chain_of_calls_innermost_first() -> None:
    def helper() -> Fan:
        return Fan("a")  # inner

    fan = helper()  # outer
    chain = origin_of(fan).chain()
    assert chain[:2] == [(__file__, line("inner")), (__file__, line("outer"))]


def test_a_list_of_several_types_names_the_wrong_one() -> None:
    with pytest.raises(MistakeError) as caught:
        Fan("a", kids=[Fan("b"), 3])  # type: ignore[list-item]
    (mistake,) = caught.value.mistakes
    assert mistake.field == "Fan.kids[1]"
    assert "Fan" in mistake.allowed


def test_a_record_is_a_value() -> None:
    assert Fan("a", curve={1: 2}) == Fan("a", curve={1: 2}) != Fan("a")
    assert Fan("a") != SecretThing("a")  # type: ignore[comparison-overlap]
    assert len({SecretThing("a"), SecretThing("a"), SecretThing("b")}) == 2
    assert repr(SecretThing("a")) == "SecretThing(path='a')"
    assert dataclasses.replace(Fan("a"), port=23) == Fan("a", port=23)
    assert copy.deepcopy(Fan("a")) == copy.copy(Fan("a")) == Fan("a")
    match Fan("a"):
        case Fan(name, curve):
            assert (name, curve) == ("a", {})


def test_a_record_does_not_change() -> None:
    fan, name = Fan("a"), "port"
    with pytest.raises(dataclasses.FrozenInstanceError, match="'port'"):
        setattr(fan, name, 23)
    with pytest.raises(dataclasses.FrozenInstanceError, match="'port'"):
        delattr(fan, name)
    assert fan.port == 22
