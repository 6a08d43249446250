"""A question in the past tense about a time that is over is answered by what held then, and not by what holds now."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from loci import Message
from loci.system import Cube

TOLD = (
    ((2025, 1, 3), "I live in Porto."),
    ((2025, 1, 3), "I work at Globex."),
    ((2025, 6, 2), "I moved to Lisbon in May."),
    ((2025, 7, 20), "From August 2025 I work at Initech."),
    ((2025, 7, 20), "I plan to move to Oslo."),
)


@pytest.fixture
def told(cube: Cube) -> Cube:
    cube.add([Message("user", text, at=datetime(*day, tzinfo=UTC)) for day, text in TOLD], user="ana")
    return cube


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where did I live in February 2025?", "I live in Porto."),
        ("Where was Ana living on 1 February 2025?", "I live in Porto."),
        ("Where did I live before May 2025?", "I live in Porto."),
        ("Where did I live in July 2025?", "I moved to Lisbon in May."),
        ("Where did I work in June 2025?", "I work at Globex."),
        ("Where did I work in September 2025?", "From August 2025 I work at Initech."),
        ("Where do I live?", "I moved to Lisbon in May."),
    ],
)
def test_what_held_then_answers(told: Cube, question: str, answer: str) -> None:
    recall = told.search(question, user="ana")
    assert recall.hits[0].memory.text == answer
    assert recall.confidence == 0.9


def test_both_answer_where_it_changed_meanwhile(told: Cube) -> None:
    hits = told.search("Where did I live between April and June 2025?", user="ana").hits
    assert {hit.memory.text for hit in hits[:2]} == {"I live in Porto.", "I moved to Lisbon in May."}
    assert {hit.memory.text: hit.note for hit in hits}["I live in Porto."].startswith("no longer current")


def test_what_is_not_known_to_have_held_then_is_no_sure_answer(told: Cube) -> None:
    assert told.search("Where did I live in 2018?", user="ana").confidence < 0.9


def test_as_of_comes_before_the_time_in_words(told: Cube) -> None:
    recall = told.search("Where did I live in February 2025?", user="ana", as_of=datetime(2025, 7, 1, tzinfo=UTC))
    assert [hit.memory.text for hit in recall.hits if "live" in hit.memory.text or "Lisbon" in hit.memory.text] == [
        "I moved to Lisbon in May."
    ]
