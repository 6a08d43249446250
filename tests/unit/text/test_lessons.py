"""What is worth asking of a text, and how it is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.text.lessons import BLANK, Gap, blanked, gap_of, questions


def gap(text: str, **known: object) -> tuple[str, str | None]:
    """What the gap holds, and the attribute that it is the value of."""
    found = gap_of(text, known.get("claims", ()), known.get("times", ()), known.get("entities", ()))  # type: ignore[arg-type]
    return ("", None) if found is None else (text[found.start : found.end], found.attribute)


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("I live in Oslo.", {"claims": [("kim", "residence", "Oslo")]}, ("Oslo", "residence")),
        ("My birthday is on 3 May.", {"claims": [("kim", "birthday", "05-03")], "times": ["3 May"]}, ("3 May", "birthday")),
        ("We met on 3 May near Oslo.", {"times": ["3 May"], "entities": ["Oslo"]}, ("3 May", None)),
        ("Room 7 has 12 chairs for Ann.", {"entities": ["Ann"]}, ("12", None)),
        ("The train to Oslo is late for Ann.", {"entities": ["Oslo", "Ann"]}, ("Ann", None)),
        ("The harbour opens at nine.", {}, ("nine", None)),
        ("Oslo is where I live.", {"claims": [("kim", "residence", "Oslo")]}, ("live", None)),  # nothing stands before the value
        ("Ann saw Annabel.", {"entities": ["Ann"]}, ("Annabel", None)),
    ],
)
def test_the_gap_is_what_a_text_says_keyed_facts_first(text: str, known: dict[str, object], expected: tuple[str, str | None]) -> None:
    assert gap(text, **known) == expected


@pytest.mark.parametrize("text", ["", "Pizza!", "Yes", "你好世界", "..."])
def test_where_nothing_could_be_a_cue_there_is_no_gap(text: str) -> None:
    assert gap(text) == ("", None)


@given(st.text(max_size=60), st.text(max_size=8))
def test_a_gap_is_in_the_text_behind_a_word(text: str, name: str) -> None:
    found = gap_of(text, [("kim", "residence", name)], [], [name])
    if found is not None:
        assert 0 < found.start < found.end <= len(text)
        assert blanked(text, found) == text[: found.start] + BLANK + text[found.end :]


def test_questions_are_asked_of_oneself_and_of_others() -> None:
    assert questions("kim", "residence", is_own=True)[-1] == "What is the place where I live?"
    assert questions("kim", "residence", is_own=False)[0] == "Where does Kim live?"
    assert questions("o'Brien", "pet_name/dog", is_own=False)[0] == "What is o'Brien's dog's name?"
    assert questions("kim", "favourite/tea_cup", is_own=True) == (
        "What is my favourite tea cup?", "My favourite tea cup: what is it?", "Can you say what my favourite tea cup is?",
    )  # fmt: skip
    assert questions("kim", "likes", is_own=False) == ()
    assert questions("kim", "residence/address", is_own=True)[0] == "What is my address?"


def test_a_gap_that_is_blanked_is_gone() -> None:
    assert blanked("I live in Oslo.", Gap(10, 14)) == f"I live in {BLANK}."
