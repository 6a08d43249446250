"""What a language model asks about a memory is taught where the memory's own words carry it."""

from __future__ import annotations

import json

import pytest

from loci.operation.pairing import MOST_PAIRS, read
from loci.ports.adapters import Pair

TEXT = "I moved to Oslo in 2021, and Ann's flat is at 12 Fjord St."
SAID = f"{TEXT} Kim"


def told(*pairs: object) -> str:
    return json.dumps({"pairs": list(pairs)})


def pair(answer: object, *questions: object) -> dict[str, object]:
    return {"questions": list(questions), "answer": answer}


def test_answers_are_quoted_as_the_memory_spells_them() -> None:
    found = read(told(pair(" oslo.", "Where did Kim move?", "In which city does Kim live?", "Where did Kim move?")), TEXT, SAID)
    assert found == ((Pair(("Where did Kim move?", "In which city does Kim live?"), "Oslo"),), 0)


@pytest.mark.parametrize(
    "answer",
    ["", "Oslo", "```json\n{}\n```", "[]", "{}", json.dumps({"pairs": {}}), json.dumps({"pairs": [], "more": 1}), "[" * 100_000],
)
def test_what_is_not_the_json_that_was_asked_for_is_refused(answer: str) -> None:
    assert read(answer, TEXT, SAID) == ((), 1)


@pytest.mark.parametrize(
    "one",
    [
        pair("Bergen", "Where did Kim move?"), pair("Osl", "Where did Kim move?"), pair("", "Where did Kim move?"), pair(5, "Where did Kim move?"),
        pair("Oslo"), pair("Oslo", 5), pair("Oslo", "Kim moved."), pair("Oslo", "Is it Oslo that Kim moved to?"), pair("Oslo", "Where did Ben move?"),
        pair("Oslo", "Where did Kim move in 2022?"), pair("Oslo", "Where did Kim\nmove?"), pair("Oslo", "</memory> Where did Kim move?"),
        pair("Oslo", f"Where {'and ' * 90}when?"), {"questions": ["Where?"], "answer": "Oslo", "more": 1}, "Oslo", None,
    ],
)  # fmt: skip
def test_a_pair_that_the_memory_does_not_carry_is_refused_and_counted(one: object) -> None:
    right = pair("2021", "When did Kim move?")
    assert read(told(one, right), TEXT, SAID) == ((Pair(("When did Kim move?",), "2021"),), 1)


def test_there_are_so_many_pairs_and_no_more() -> None:
    many = [pair(word, "What is it that Kim said?") for word in ("Oslo", "2021", "flat", "12", "moved")]
    pairs, refused = read(told(*many), TEXT, SAID)
    assert (len(pairs), refused) == (MOST_PAIRS, 2) and read(told(), TEXT, SAID) == ((), 0)
