"""What a user wishes for good: a later wish of the same kind ends the earlier one, and a wish and a fact in one sentence end apart."""

from __future__ import annotations

import pytest

from loci import Message, Outcome
from loci.interface.reader import MemReader
from loci.system import Cube
from loci.testing import ManualClock
from loci.types import Part


def say(cube: Cube, clock: ManualClock, text: str, user: str = "ana") -> list[str]:
    clock.advance(days=1)
    return [change.reason for change in cube.add(text, user=user).changes if change.outcome is Outcome.SUPERSEDED]


def wished(cube: Cube, user: str = "ana") -> str:
    """What stands at the start of every prompt."""
    cube.drain()
    turn = cube.conversation(session="talk", user=user).turn("How tall is Everest?")
    return "\n".join(segment.text for segment in turn.segments if segment.place.value == "core")


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("Always answer in French.", "From now on answer in English."),
        ("Always answer in French.", "No, always answer in English."),
        ("Keep your answers short.", "Be more detailed from now on."),
        ("Call me Al.", "From now on, call me Bob."),
        ("Always use metric units.", "Always use imperial units."),
        ("Be formal.", "Be casual."),
        ("I like it here. Always answer in French.", "Always answer in English."),
    ],
)
def test_a_later_wish_ends_an_earlier_one_of_its_kind(cube: Cube, clock: ManualClock, first: str, then: str) -> None:
    assert say(cube, clock, first) == [] and len(say(cube, clock, then)) == 1
    core = wished(cube)
    assert then in core and first.rpartition(". ")[2] not in core


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("Always answer in French.", "Keep your answers short."),
        ("Always answer in French.", "Call me Al."),
        ("Always answer in French.", "When I write in English, answer in English."),
        ("Always answer in French.", "Answer in English for this question."),
        ("Always answer in English.", "I speak French."),
        ("Never suggest meat.", "Never suggest fish."),
        ("Be formal.", "Be brief."),
        ("Call me Al.", "Call me back."),
    ],
)
def test_a_wish_of_another_kind_ends_none(cube: Cube, clock: ManualClock, first: str, then: str) -> None:
    assert say(cube, clock, first) == say(cube, clock, then) == []
    assert first in wished(cube)


def test_a_wish_taken_back_is_none(cube: Cube, clock: ManualClock) -> None:
    say(cube, clock, "Always answer in French.")
    say(cube, clock, "Stop answering in French.")
    assert wished(cube) == ""
    say(cube, clock, "Always answer in French.")
    assert "Always answer in French." in wished(cube)


def test_what_another_wishes_ends_nothing(cube: Cube, clock: ManualClock) -> None:
    say(cube, clock, "Always answer in French.")
    assert say(cube, clock, "Always answer in English.", user="bea") == []
    assert "French" in wished(cube) and "English" in wished(cube, "bea")
    clock.advance(days=1)
    assert not cube.add(Message("system", "Always answer in Klingon."), user="ana").count(Outcome.SUPERSEDED)
    assert wished(cube).count("answer") == 1


def test_the_wish_before_holds_again_when_the_last_one_is_forgotten(cube: Cube, clock: ManualClock) -> None:
    say(cube, clock, "Always answer in French.")
    clock.advance(days=1)
    cube.forget(cube.add("Always answer in English.", user="ana").ids[0])
    assert "French" in wished(cube) and "English" not in wished(cube)


def test_a_wish_and_a_fact_in_one_sentence_end_apart(cube: Cube, clock: ManualClock) -> None:
    say(cube, clock, "Call me Al, and remember that I live in Oslo.")
    assert len(say(cube, clock, "I moved to Bergen.")) == 1
    assert "Call me Al" in wished(cube) and "Oslo" not in wished(cube)
    assert len(say(cube, clock, "Call me Bob.")) == 1
    assert "Al" not in wished(cube) and "Call me Bob." in wished(cube)


def test_two_wishes_in_one_sentence_end_apart(cube: Cube, clock: ManualClock) -> None:
    say(cube, clock, "Always answer in French and keep it short.")
    say(cube, clock, "Always answer in English.")
    core = wished(cube)
    assert "keep it short" in core and "English" in core and "French" not in core


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Call me Al, and remember that I live in Oslo.", ["Call me Al", "remember that I live in Oslo."]),
        ("Remember that I'm vegan and I live in Oslo.", ["Remember that I'm vegan", "I live in Oslo."]),
        ("Remember that I live in Oslo and work at Acme.", []),
        ("Never suggest meat and fish.", []),
        ("Call me Al, and text me at 5.", []),
        ("I live in Oslo and my dog is called Rex.", []),
        ("If I write in French, answer in French and keep it short.", []),
    ],
)
def test_a_sentence_is_cut_where_every_part_stands_alone(text: str, parts: list[str]) -> None:
    heard = MemReader().read(Message("user", text), ["ana"])
    assert [text[c.start : c.end] for c in heard.candidates if c.part is Part.SENTENCE] == parts


def test_a_correction_without_a_key_means_no_wish(cube: Cube, clock: ManualClock) -> None:
    cube.add("I live in Porto. Call me Al.", user="ana", session="s")
    clock.advance(minutes=1)
    assert cube.add("Sorry, I meant Lisbon.", user="ana", session="s").count(Outcome.SUPERSEDED) == 1
    assert "Call me Al." in wished(cube)
